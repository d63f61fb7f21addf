"""Do the spectra need the shift? They are fitted with a centre for each region, and with one centre for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import chi2 as chi2_distribution

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..decomposition.engine import Fits, Stop, draw, fit, never
from ..decomposition.fitting import Posed, pose
from ..decomposition.problem import Layout
from ..decomposition.result import misfit_stretch
from ..measure.alignment import Aligned
from .case import Case, number_or_null

NEEDED = 0.05  # a shift beyond two sigma that is not needed at this level is doubted
BEYOND = 2.0  # sigma


@dataclass(frozen=True, eq=False)
class Residuals:
    """Both fits of r regions of m channels, in the order of names.

    energy_mev, free, tied: (r, m), data less model over the standard deviation of a channel, with a centre of the shift
    peak for each region and with one for all. chi2_free, chi2_tied: of all, as weighted, with that of what is known
    beforehand. difference: between them over the misfit (free reduced chi-squared, where that exceeds 1), which is
    chi-squared distributed with `degrees` where the regions do not differ. centre_mev: the common centre.
    """

    names: tuple[str, ...]
    energy_mev: np.ndarray
    free: np.ndarray
    tied: np.ndarray
    chi2_free: float
    chi2_tied: float
    channels: int
    difference: float
    degrees: int
    centre_mev: float
    is_shift: bool

    @property
    def p_value(self) -> float:
        return float(chi2_distribution.sf(self.difference, self.degrees))

    def to_dict(self) -> dict[str, Any]:
        arrays = {"energy_mev": self.energy_mev, "free": self.free, "tied": self.tied}
        return {
            "chi2_free": self.chi2_free,
            "chi2_tied": self.chi2_tied,
            "channels": self.channels,
            "difference": self.difference,
            "degrees": self.degrees,
            "p_value": number_or_null(self.p_value),
            "common_centre_mev": number_or_null(self.centre_mev),
            "spectra": [
                {
                    "region": name,
                    **{key: [number_or_null(v) for v in array[i].tolist()] for key, array in arrays.items()},
                }
                for i, name in enumerate(self.names)
            ],
        }

    @property
    def flags(self) -> tuple[Flag, ...]:
        if not (self.is_shift and self.p_value > NEEDED):
            return ()
        message = (
            f"One centre in all regions describes the spectra as well (p = {self.p_value:.2f}): "
            "they do not need the shift."
        )
        return (Flag("SHIFT_NOT_NEEDED", message),)


def with_and_without_shift(case: Case, spectra: Sequence[Aligned], should_stop: Stop = never) -> Residuals:
    """The sums of the regions, in the order of the case's masks, with the shift free and with it forced to zero.

    Raises UnusableInput where they cannot be fitted together, as in the modes that fit every spectrum by itself.
    """
    if case.setup.mode != "shared":
        raise UnusableInput(f"In mode '{case.setup.mode}' every spectrum is fitted by itself; no shift can be held.")
    posed = pose(case.setup, spectra, should_stop)
    line = [p.name for p in case.setup.recipe.peaks].index(case.peak)
    free = fit(posed.layout, posed.data, posed.starts, should_stop)
    layout = tied_layout(posed.layout, line)
    tied = fit(layout, posed.data, _tied_starts(posed, free, line), should_stop)
    if not (free.converged[0] and tied.converged[0]):
        raise UnusableInput("The fit with or without the shift did not come to an end.")
    stretch = float(misfit_stretch(free, case.setup.noise.correlation)[0])
    z = abs(case.shift_mev.value) / case.shift_mev.sigma if case.shift_mev.is_known else 0.0
    return Residuals(
        tuple(case.masks),
        posed.data.energy_mev[0],
        _residual(posed.layout, posed, free),
        _residual(layout, posed, tied),
        float(free.cost[0]),
        float(tied.cost[0]),
        int(posed.data.channels.sum()),
        max(0.0, float(tied.cost[0] - free.cost[0])) / stretch,
        len(spectra) - 1,
        float(layout.line_parameters(tied.theta)[0][0, 0, line]),
        z > BEYOND,
    )


def tied_layout(layout: Layout, line: int) -> Layout:
    """The layout with the centre of a line common to all spectra; what then moves nothing is held."""
    centre, upper = layout.centre.copy(), layout.upper.copy()
    upper[centre[1:, line]] = layout.lower[centre[1:, line]]
    centre[:, line] = centre[0, line]
    return replace(layout, centre=centre, upper=upper)


def _tied_starts(posed: Posed, free: Fits, line: int) -> np.ndarray:
    """Starts (S, p): those of the free fit, and its optimum with the mean of its centres."""
    starts = np.concatenate([posed.starts, free.theta])
    indices = posed.layout.centre[:, line]
    starts[:, indices[0]] = starts[:, indices].mean(axis=1)
    starts[:, indices[1:]] = posed.layout.lower[indices[1:]]
    return starts


def _residual(layout: Layout, posed: Posed, fits: Fits) -> np.ndarray:
    """Data less model over sigma, (r, m); nan in channels that are left out."""
    data = posed.data
    lines = draw(data.energy_mev[0], data.response[0], *(p[0] for p in layout.line_parameters(fits.theta)))
    model = np.einsum("nk,nkm->nm", fits.areas[0], lines)
    model += np.einsum("nq,nqm->nm", fits.background[0], data.background[0])
    used = np.isfinite(data.sigma[0])
    return np.where(used, (data.counts[0] - model) / np.where(used, data.sigma[0], 1.0), np.nan)
