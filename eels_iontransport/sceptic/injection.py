"""Does a shift that is there come out? Known shifts are put into the operator's own grain spectra and looked for.

A stretch of a grain, as long as the boundary, takes the place of the boundary. The shift peak that was fitted there is
moved: the line at its new place, less the line at its old one, both seen through the response, is added to the raw
counts. Everything else - background, other lines, noise - stays what it was. Where counts are added they bring the
noise of so many counts; where counts are taken away theirs is left, as nobody can tell it from the rest, so that the
noise there is too large by the share of the line in the counts.

The other parts of the model are not put to the test: a line of another shape than the fitted one would move otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..decomposition.engine import Stop, draw, never
from ..decomposition.fitting import Setup
from ..decomposition.result import QUANTITIES, Decomposition
from ..decomposition.window import PLAIN
from ..measure.alignment import Aligned
from ..progress import Progress, silent
from .case import Case, Estimate, of_each
from .windows import NO_ROOM, Window, overlapping, posing, slid_windows

SHIFTS_MEV = (-2.6, -1.8, -0.9, 0.0, 0.9, 1.8, 2.6)
MOST_WINDOWS = 8
FEWEST_WINDOWS = 3  # whose scatter tells an uncertainty
SIGNIFICANCE = 3.0  # sigma by which a slope has to differ from 1 ...
TOLERATED = 0.1  # ... or by so much
REFUSED = 0.1  # part of the shifts for which there may be no answer


@dataclass(frozen=True, eq=False)
class Injection:
    """What became of the shifts that were put in.

    recovered_mev: (w, s), against the rest of the grain, of each window and shift; nan where the fit refused one.
    slope, offset_mev: of recovered against injected, the mean over the windows, and the scatter between them over the
    root of their number; unknown sigma with fewer than three.
    """

    grains: tuple[str, ...]
    starts: tuple[int, ...]
    injected_mev: tuple[float, ...]
    recovered_mev: np.ndarray
    slope: Estimate
    offset_mev: Estimate

    @property
    def refused(self) -> int:
        return int(np.isnan(self.recovered_mev).sum())

    def to_dict(self) -> dict[str, Any]:
        values = [[v if math.isfinite(v) else None for v in row] for row in self.recovered_mev.tolist()]
        return {
            "injected_mev": list(self.injected_mev),
            "windows": [
                {"grain": grain, "first_pixel": first, "recovered_mev": row}
                for grain, first, row in zip(self.grains, self.starts, values)
            ],
            "refused": self.refused,
            "slope": self.slope.to_dict(""),
            "offset_mev": self.offset_mev.to_dict("meV"),
        }

    @property
    def significant(self) -> float:
        """From where on a slope differs from 1 as rarely as a Gaussian does by SIGNIFICANCE sigma."""
        others = len(self.grains) - 1
        if others < FEWEST_WINDOWS - 1:
            return math.nan
        return float(student.isf(norm.sf(SIGNIFICANCE), others)) * self.slope.sigma

    @property
    def flags(self) -> tuple[Flag, ...]:
        total = self.recovered_mev.size
        if self.refused > REFUSED * total:
            message = f"The fit has no answer for {self.refused} of {total} known shifts that were put into the grains."
            return (Flag("INJECTION_NOT_RECOVERED", message),)
        off = abs(self.slope.value - 1.0)
        if not (off > TOLERATED or off > self.significant):
            return ()
        message = (
            f"Known shifts put into the grains come out {100 * self.slope.value:.0f} % as large, "
            "so the shift is off by as much; see whether a limit or the background holds the peak."
        )
        return (Flag("INJECTION_NOT_RECOVERED", message),)


def inject(
    case: Case,
    seed: int = 0,
    should_stop: Stop = never,
    progress: Progress = silent,
    shifts_mev: Sequence[float] = SHIFTS_MEV,
) -> Injection:
    """Known shifts put into stretches of the grains that share no pixel, MOST_WINDOWS of them at most, and recovered.

    seed: of the noise that is added. Raises UnusableInput where no grain has room, or no stretch a peak to move.
    """
    windows = _spread([group[0] for group in overlapping(slid_windows(case))], MOST_WINDOWS)
    if not windows:
        raise UnusableInput(NO_ROOM)

    def row(numbered: tuple[int, Window]) -> list[float] | None:
        number, window = numbered
        posed = posing(case, window)
        return None if posed is None else _recovered(case, *posed, shifts_mev, (seed, number), should_stop)

    rows = of_each(row, list(enumerate(windows)), "Injected shifts", should_stop, progress)
    usable = [(window, found) for window, found in zip(windows, rows) if found is not None]
    if not usable:
        raise UnusableInput(f"No stretch of the grains shows the {case.peak} peak by itself, so none can be moved.")
    recovered = np.array([found for _, found in usable])
    slope, offset = _slope_and_offset(np.array(shifts_mev), recovered)
    return Injection(
        tuple(window.grain for window, _ in usable),
        tuple(window.first for window, _ in usable),
        tuple(shifts_mev),
        recovered,
        slope,
        offset,
    )


def moved(
    setup: Setup, spectrum: Aligned, line: Sequence[float], shift_mev: float, random: np.random.Generator
) -> Aligned:
    """A spectrum with a line moved, and the noise of the counts that this adds.

    line: centre, sigma, gamma in meV and area in counts meV, as fitted.
    """
    centre, sigma, gamma, area = line
    if setup.is_published or setup.response is None:
        response = PLAIN
    else:
        response = setup.response.components_for(spectrum.fwhm_mev)
    shapes = (np.array([[value, value + by]]) for value, by in ((centre, shift_mev), (sigma, 0.0), (gamma, 0.0)))
    at_old, at_new = draw(spectrum.energy_mev[None], response[None], *shapes)[0]
    added = area * (at_new - at_old)
    variance = setup.noise.variance_per_count * setup.noise.correlation * np.maximum(added, 0.0)
    return replace(spectrum, counts=spectrum.counts + added + np.sqrt(variance) * random.standard_normal(added.size))


def _recovered(
    case: Case,
    spectra: list[Aligned],
    weights: np.ndarray,
    shifts_mev: Sequence[float],
    seed: tuple[int, int],
    should_stop: Stop,
) -> list[float] | None:
    """The shift of the first spectrum for each that is put into it; None where it has no peak to move."""
    try:
        before = case.fit(spectra, should_stop)
    except UnusableInput:
        return None
    line, unmoved = _line(case, before), case.combined(before, weights)
    if not unmoved.is_known:
        return None
    random, found = np.random.default_rng(seed), []
    for shift in shifts_mev:
        if shift == 0.0:
            found.append(unmoved.value)
            continue
        changed = [moved(case.setup, spectra[0], line, shift, random), *spectra[1:]]
        try:
            found.append(case.combined(case.fit(changed, should_stop), weights).value)
        except UnusableInput:
            found.append(math.nan)
    return found


def _line(case: Case, fit: Decomposition) -> list[float]:
    """Centre, sigma, gamma and area of the shift peak in the first spectrum."""
    return [float(fit.value(case.peak, q)[0]) for q in (*QUANTITIES[:3], "area")]


def _slope_and_offset(injected: np.ndarray, recovered: np.ndarray) -> tuple[Estimate, Estimate]:
    """Straight lines through what each window (w, s) gave, and their mean over the windows."""
    lines = []
    for row in recovered:
        there = np.isfinite(row)
        if there.sum() >= 3:
            lines.append(np.polyfit(injected[there], row[there], 1))
    return (_mean([line[0] for line in lines]), _mean([line[1] for line in lines]))


def _mean(values: Sequence[float]) -> Estimate:
    if not len(values):
        return Estimate()
    sigma = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) >= FEWEST_WINDOWS else math.nan
    return Estimate(float(np.mean(values)), sigma)


def _spread(windows: Sequence[Window], most: int) -> list[Window]:
    """Some of the windows, evenly."""
    count = min(most, len(windows))
    return [windows[i] for i in np.linspace(0, len(windows) - 1, count).round().astype(int).tolist()]
