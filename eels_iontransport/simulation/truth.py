"""What an analysis of a line over the specimen should find, averaged over the pixels of each region."""

from __future__ import annotations

import numpy as np

from ..data.geometry import Line
from ..data.regions import BOUNDARY, GRAIN_1, GRAIN_2, NAMES, Region, Regions
from .response import RESPONSE_FWHM_MEV
from .specimen import Specimen

SCHEMA = "eels-iontransport/truth/1"
_PURE_GRAIN, _PURE_BOUNDARY = 0.99, 0.9  # share of a phase from which a pixel counts as its own


def own_regions(specimen: Specimen, line: Line) -> Regions | None:
    """The regions of the line without the pixels in transition; None where one of the three has no pixel."""
    x = _across(specimen, line)
    shares = specimen.weights(x)
    position = np.arange(line.pixels) * line.step_nm
    columns = {GRAIN_1: 0, BOUNDARY: 1, GRAIN_2: 2}
    if x[-1] < x[0]:
        columns[GRAIN_1], columns[GRAIN_2] = 2, 0
    found = {}
    for name in NAMES:
        pure = shares[:, columns[name]] > (_PURE_BOUNDARY if name == BOUNDARY else _PURE_GRAIN)
        if not pure.any():
            return None
        found[name] = Region(float(position[pure][0]), float(position[pure][-1]))
    return Regions(**found)


def truth(specimen: Specimen, line: Line, regions: Regions | None = None) -> dict:
    """JSON-ready truth of the line in the layout of a readout, with plain numbers.

    Without regions, the specimen's own are used, leaving out the pixels in transition. The centre of the shift mode is
    that of the sum of the region's spectra; Li:Co is the ratio of the sums; t/lambda is the mean.
    """
    regions = regions or own_regions(specimen, line)
    content: dict = {
        "schema": SCHEMA,
        "specimen": specimen.name,
        "shift_peak": specimen.shift_mode,
        "response_fwhm_mev": RESPONSE_FWHM_MEV,
        "line": {"pixels": line.pixels, "length_nm": line.length_nm, "step_nm": line.step_nm},
        "profiles": _profiles(specimen, line),
    }
    if regions is None:
        return content
    position = np.arange(line.pixels) * line.step_nm
    x = _across(specimen, line)
    centre, ratio, thickness = {}, {}, {}
    for name, region in regions:
        inside = region.mask(position)
        centre[name], ratio[name], thickness[name] = _averages(specimen, x[inside])
    mean_centre = 0.5 * (centre[GRAIN_1] + centre[GRAIN_2])
    mean_ratio = 0.5 * (ratio[GRAIN_1] + ratio[GRAIN_2])
    content["regions"] = regions.to_dict(position)
    content["ldo_peak"] = {
        **{f"{name}_mev": centre[name] for name in NAMES},
        "blue_shift_mev": centre[BOUNDARY] - mean_centre,
        "shift_vs_grain_1_mev": centre[BOUNDARY] - centre[GRAIN_1],
        "shift_vs_grain_2_mev": centre[BOUNDARY] - centre[GRAIN_2],
        "reference": "mean",
    }
    content["li_to_co"] = {**ratio, "relative_change": ratio[BOUNDARY] / mean_ratio - 1.0}
    content["thickness"] = thickness
    return content


def _across(specimen: Specimen, line: Line) -> np.ndarray:
    return specimen.across_nm(*np.array([(point.y_nm, point.x_nm) for point in line.points()]).T)


def _shift_mode(specimen: Specimen) -> tuple[np.ndarray, np.ndarray]:
    """Energy and probability of the shift mode in each phase, (3,) each."""
    modes = [mode for phase in specimen.phases for mode in phase.phonons if mode.name == specimen.shift_mode]
    return np.array([mode.centre_mev for mode in modes]), np.array([mode.probability for mode in modes])


def _averages(specimen: Specimen, x: np.ndarray) -> tuple[float, float, float]:
    """Centre of the shift mode (meV), Li:Co and t/lambda over the positions; nan without any."""
    if x.size == 0:
        return np.nan, np.nan, np.nan
    centres, probabilities = _shift_mode(specimen)
    t = specimen.t_over_lambda(x)
    signal = np.exp(-t) * t  # of one scattering event
    shares = (signal[:, None] * specimen.weights(x)).sum(0)
    weights = shares * probabilities
    lithium, cobalt = (shares @ np.array([getattr(p, n) for p in specimen.phases]) for n in ("lithium", "cobalt"))
    return float(weights @ centres / weights.sum()), float(lithium / cobalt), float(t.mean())


def _profiles(specimen: Specimen, line: Line) -> dict[str, list[float | None]]:
    x = _across(specimen, line)
    inside = x >= specimen.edge_x_nm
    rows = np.array([_averages(specimen, x[i : i + 1][inside[i : i + 1]]) for i in range(x.size)])
    columns = (("ldo_centre_mev", 0), ("li_to_co", 1), ("thickness", 2))
    named = {name: [None if np.isnan(v) else float(v) for v in rows[:, column]] for name, column in columns}
    return {"position_nm": [float(v) for v in np.arange(line.pixels) * line.step_nm], **named}
