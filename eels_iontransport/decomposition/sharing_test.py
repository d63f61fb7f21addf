"""May the spectra that are fitted together share their line widths? A test, and the fit in which they need not.

If every width of every line in every spectrum were a common one times 1 + u, the u being normal with standard
deviation s, the likelihood would be that of a fit with widths of their own, tied to each other by that much. How far
chi-squared, with what ties them, falls from the fit with common widths to this one is the statistic. To first order it
is the sharpest test of such a scatter that there is (Neyman and Pearson): directions in which the spectra tell nothing
of widths do not count. With z of unit variance in the eigenvectors of the information on u, its eigenvalues l, it is
the sum of z^2 s^2 l / (1 + s^2 l), a weighted sum of chi-squareds where widths are common; with a large s it would be
the plain likelihood ratio with as many degrees of freedom as directions. Misfit counts as noise, as everywhere.

Both fits have MORE_ORDERS more of the background, as what a stiff one leaves over in strong spectra passes for other
widths. Limits that widths run into make the statistic smaller than that sum, never larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import chi2

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..materials.recipe import PHONONIC
from ..measure.alignment import Aligned
from .engine import Fits, Stop, fit, never
from .fitting import Posed, Setup, fit_together, pose, with_windows
from .information import information
from .problem import Layout, Prior
from .result import Decomposition, from_fits, misfit_stretch

SCATTER = 0.05  # of widths, relative: what the test is made for; it moves a shift by more than its sigma
LEVEL = 0.05  # so often common widths are called different
MORE_ORDERS = 1
SCATTERS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)  # among which the likeliest is looked for


@dataclass(frozen=True)
class SharedWidths:
    """Whether widths are common to the spectra.

    p_value: how often common widths would look as different as these. power: how often widths that scatter by SCATTER
    would be found out in such spectra; where it is small, a large p_value says little. scatter: of widths that differ,
    the likeliest of SCATTERS; nan where it is beyond them.
    """

    p_value: float
    power: float
    scatter: float = np.nan

    @property
    def differ(self) -> bool:
        return bool(self.p_value < LEVEL)

    @property
    def flags(self) -> tuple[Flag, ...]:
        if np.isnan(self.p_value):
            message = "Nothing in the spectra tells whether the regions share their line widths; their shift takes it."
            return (Flag("WIDTHS_UNTESTED", message),)
        if not self.differ:
            return ()
        about = f"by more than {100 * SCATTERS[-1]:.0f} %"
        if not np.isnan(self.scatter):
            about = f"by about {100 * self.scatter:.0f} %"
        message = (
            f"The line widths of the regions differ {about} (p = {self.p_value:.1g}) but are fitted as common, so that "
            "the shift is less certain than its sigma says; read the shift with widths of their own."
        )
        return (Flag("WIDTHS_DIFFER", message),)

    def to_dict(self) -> dict[str, Any]:
        """As a readout holds it: null for what is not known."""
        numbers = {"p_value": self.p_value, "scatter": self.scatter, "power": self.power}
        known = {name: float(number) if np.isfinite(number) else None for name, number in numbers.items()}
        return {"differ": self.differ, **known, "power_at_scatter": SCATTER}


def judge_widths(
    setup: Setup, spectra: Sequence[Aligned], should_stop: Stop = never, together: Decomposition | None = None
) -> SharedWidths:
    """Test whether spectra fitted together (mode shared) have common widths.

    together: what fit_together found for them, if that is known. Raises UnusableInput, and Cancelled.
    """
    softer = with_windows(setup, *setup.window_mev, setup.recipe.background_order + MORE_ORDERS)
    posed, common = _with_common_widths(softer, spectra, should_stop, together)
    own = _with_widths_of_their_own(softer, posed, common, SCATTER, should_stop)[1]
    known = _known_of_widths(softer, posed, common)
    weights = SCATTER**2 * known / (1 + SCATTER**2 * known)
    if not (common.converged[0] and own.converged[0] and weights.sum() > 0):
        return SharedWidths(np.nan, np.nan)
    noise = float(misfit_stretch(own, setup.noise.correlation)[0])
    p_value = _above(float(common.cost[0] - own.cost[0]) / noise, weights)
    power = _above(_exceeded(LEVEL, weights), weights * (1 + SCATTER**2 * known))
    if p_value >= LEVEL:
        return SharedWidths(p_value, power)
    costs = np.array([_with_widths_of_their_own(softer, posed, common, s, should_stop)[1].cost[0] for s in SCATTERS])
    return SharedWidths(p_value, power, _likeliest(costs / noise, known))


def fit_own_widths(
    setup: Setup,
    spectra: Sequence[Aligned],
    scatter: float = SCATTER,
    should_stop: Stop = never,
    together: Decomposition | None = None,
) -> Decomposition:
    """Spectra fitted together with widths of their own that scatter about a common one by so much, relative.

    Mode shared; together: as for `judge_widths`. With every width entirely free a line's wing is another line's width,
    and centres are lost; a scatter near the true one keeps the shift, and its uncertainty covers. Raises UnusableInput,
    and Cancelled.
    """
    posed, common = _with_common_widths(setup, spectra, should_stop, together)
    layout, own = _with_widths_of_their_own(setup, posed, common, scatter, should_stop)
    subtracted = posed.windowed.subtracted
    return from_fits(setup.recipe.peaks, layout, posed.data, own, subtracted, setup.noise.correlation)


def _with_common_widths(
    setup: Setup, spectra: Sequence[Aligned], should_stop: Stop, together: Decomposition | None
) -> tuple[Posed, Fits]:
    if setup.mode != "shared" or len(spectra) < 2:
        raise UnusableInput("Only regions that are fitted together, in mode shared, have widths in common.")
    found = together or fit_together(setup, spectra, should_stop)
    posed = pose(setup, spectra, should_stop, found)
    return posed, fit(posed.layout, posed.data, posed.starts, should_stop)


def _with_widths_of_their_own(
    setup: Setup, posed: Posed, common: Fits, scatter: float, should_stop: Stop
) -> tuple[Layout, Fits]:
    layout, start = _own_widths(setup, posed.layout, common.theta[0], scatter)
    return layout, fit(layout, posed.data, start[None], should_stop)


def _own_widths(setup: Setup, layout: Layout, theta: np.ndarray, scatter: float) -> tuple[Layout, np.ndarray]:
    """The layout with sigma and gamma of phononic lines for each spectrum, and theta (p,) in it.

    What ties them is a prior: each is a common value, of which nothing is known, times a normal factor.
    """
    spectra = len(layout.centre)
    sigma, gamma = layout.sigma.copy(), layout.gamma.copy()
    lower, upper, start, priors = layout.lower, layout.upper, theta, list(layout.priors)
    for table, k in product((sigma, gamma), _phononic(setup)):
        common = table[0, k]
        table[1:, k] = start.size + np.arange(spectra - 1)
        lower, upper, start = (np.append(a, np.full(spectra - 1, a[common])) for a in (lower, upper, start))
        value, reach = theta[common], upper[common] - lower[common]
        covariance = (scatter * value) ** 2 * np.eye(spectra) + reach**2
        priors.append(Prior(table[:, k].copy(), np.full(spectra, value), covariance))
    return replace(layout, sigma=sigma, gamma=gamma, lower=lower, upper=upper, priors=tuple(priors)), start


def _phononic(setup: Setup) -> list[int]:
    return [k for k, peak in enumerate(setup.recipe.peaks) if peak.component == PHONONIC]


def _known_of_widths(setup: Setup, posed: Posed, fits: Fits) -> np.ndarray:
    """Eigenvalues (d,) of the information on relative deviations of the widths, all other parameters being fitted."""
    told = information(posed.layout, posed.data, fits)
    root = np.sqrt(told.weight)[..., None]
    spectra, channels, _ = told.jacobian.shape
    tables = (posed.layout.sigma, posed.layout.gamma)
    common = np.concatenate([table[0, _phononic(setup)] for table in tables])
    slopes = np.zeros((spectra, channels, spectra, common.size))
    by_width = told.jacobian[..., np.searchsorted(told.searched, common)] * fits.theta[0, common]
    slopes[np.arange(spectra), :, np.arange(spectra)] = by_width * root
    widths = slopes.reshape(spectra * channels, -1)
    others = (told.jacobian * root).reshape(spectra * channels, -1)
    inverse = _pseudo_inverse(others.T @ others + sum(told.priors))
    across = others.T @ widths
    return np.maximum(np.linalg.eigvalsh(widths.T @ widths - across.T @ inverse @ across), 0.0)


def _pseudo_inverse(matrix: np.ndarray) -> np.ndarray:
    """Of normal equations, without what moves nothing, as the place of a line without area."""
    diagonal = np.diag(matrix)
    scale = np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)), 0.0)
    values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
    kept = values > 1e-12 * values[-1]
    part = scale[:, None] * vectors[:, kept]
    return (part / values[kept]) @ part.T


def _likeliest(chi2s: np.ndarray, known: np.ndarray) -> float:
    """The one of SCATTERS that makes the data likeliest, the widths integrated over; nan for the last of them."""
    volume = np.log1p(np.outer(np.square(SCATTERS), known)).sum(axis=1)
    best = int(np.argmin(chi2s + volume))
    return SCATTERS[best] if best < len(SCATTERS) - 1 else np.nan


def _above(x: float, weights: np.ndarray) -> float:
    """How often a weighted sum of chi-squareds of one degree of freedom is above x.

    By the chi-squared that has its first three moments (Pearson's, in J. P. Imhof, Biometrika 48, 419, 1961), for
    positive weights right to some 0.003.
    """
    mean, spread, degrees = _moments(weights)
    return float(chi2.sf(degrees + (x - mean) / spread * np.sqrt(2 * degrees), degrees))


def _exceeded(level: float, weights: np.ndarray) -> float:
    """What such a sum is above as often as this."""
    mean, spread, degrees = _moments(weights)
    return float(mean + spread * (chi2.isf(level, degrees) - degrees) / np.sqrt(2 * degrees))


def _moments(weights: np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(np.sum(weights**power)) for power in (1, 2, 3))
    return first, float(np.sqrt(2 * second)), second**3 / third**2
