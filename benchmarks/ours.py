"""The published model fitted with the engine of this project, on data whose background is subtracted beforehand."""

from __future__ import annotations

import time

import numpy as np

from eels_iontransport.decomposition.engine import Fits, fit
from eels_iontransport.decomposition.layout import KnownShapes, Sharing, lay_out
from eels_iontransport.decomposition.problem import Data, Layout

from .peers import Run
from .published_model import LDO_CENTRE, POLARITON_COUNT, SIGMAS, limits, recipe, recipe_start, shapes
from .published_spectra import POLARITONS, PublishedSpectra

PLAIN_VOIGT = (1.0, 0.0, 0.0, 0.0)
LDO_AND_WIDTHS = ((1 / 6, 0.1), (5 / 6, 0.1), (5 / 6, 0.9))  # of further starts, in parts of what the limits allow
ROBUST_STARTS = 1 + len(LDO_AND_WIDTHS)


def fit_from(spectra: PublishedSpectra, starts: np.ndarray, *, fwhm_limits: bool = True) -> Run:
    """Every spectrum from each of the starts (S, 19)."""
    started = time.perf_counter()
    parameters = _parameters(_layout(fwhm_limits), engine_fits(spectra, starts, fwhm_limits=fwhm_limits))
    return Run(time.perf_counter() - started, parameters)


def engine_fits(spectra: PublishedSpectra, starts: np.ndarray, *, fwhm_limits: bool = True) -> Fits:
    """The same as the engine gives it."""
    layout = _layout(fwhm_limits)
    return fit(layout, _data(spectra), np.array([_theta(layout, start) for start in starts]))


def fit_warm(spectra: PublishedSpectra, *, fwhm_limits: bool = True) -> Run:
    """The mean first, then every spectrum from where that ended."""
    mean = _fit_mean(spectra, fwhm_limits)
    run = fit_from(spectra, mean.parameters, fwhm_limits=fwhm_limits)
    return Run(mean.seconds + run.seconds, run.parameters)


def fit_robust(spectra: PublishedSpectra, *, fwhm_limits: bool = True) -> Run:
    """The mean first, then every spectrum from the `robust_starts` that it gives."""
    mean = _fit_mean(spectra, fwhm_limits)
    run = fit_from(spectra, robust_starts(mean.parameters[0]), fwhm_limits=fwhm_limits)
    return Run(mean.seconds + run.seconds, run.parameters)


def robust_starts(start: np.ndarray) -> np.ndarray:
    """A start (19,), and others with the LDO line low or high and all phonons narrow or wide; (S, 19).

    Centre and widths trade against each other: starts that differ in the centre alone miss 1 to 6 % of the optima.
    """
    lower, upper = limits()
    starts = [start]
    for centre, width in LDO_AND_WIDTHS:
        other = start.copy()
        other[LDO_CENTRE] = lower[LDO_CENTRE] + centre * (upper - lower)[LDO_CENTRE]
        other[SIGMAS] = lower[SIGMAS] + width * (upper - lower)[SIGMAS]
        starts.append(other)
    return np.array(starts)


def warm_up(spectra: PublishedSpectra) -> None:
    """Compile what is measured."""
    for fwhm_limits in (True, False):
        fit_robust(spectra, fwhm_limits=fwhm_limits)


def _fit_mean(spectra: PublishedSpectra, fwhm_limits: bool) -> Run:
    return fit_from(spectra.mean(), robust_starts(recipe_start(spectra.dose)), fwhm_limits=fwhm_limits)


def _layout(fwhm_limits: bool) -> Layout:
    """Polaritons held, phonons free within the recipe's limits."""
    limits_mev = recipe().fwhm_mev if fwhm_limits else None
    sharing = Sharing(KnownShapes(POLARITONS.ravel()), common_widths=False, fwhm_mev=limits_mev)
    return lay_out(recipe().peaks, {p.name: p.published for p in recipe().peaks}, 1, sharing)[0]


def _data(spectra: PublishedSpectra) -> Data:
    n, m = spectra.counts.shape
    return Data(
        np.tile(spectra.energy_mev, (n, 1, 1)),
        spectra.counts[:, None],
        spectra.sigma[:, None],
        np.empty((n, 1, 0, m)),
        np.tile(np.array(PLAIN_VOIGT), (n, 1, 1, 1)),
    )


def _theta(layout: Layout, parameters: np.ndarray) -> np.ndarray:
    """The engine's parameters (p,) for (19,) of the model; areas it finds by itself."""
    theta = layout.lower.astype(float)
    for k in range(POLARITON_COUNT, len(recipe().peaks)):
        centre, sigma, gamma = shapes(parameters)[k]
        if layout.fwhm_limits is not None:
            sigma = layout.fwhm_limits.fraction(k, sigma, gamma)
        theta[layout.centre[0, k]], theta[layout.sigma[0, k]], theta[layout.gamma[0, k]] = centre, sigma, gamma
    return theta


def _parameters(layout: Layout, fits: Fits) -> np.ndarray:
    """Parameters (n, 19) of the model."""
    phonons = [part[:, 0, POLARITON_COUNT:] for part in layout.line_parameters(fits.theta)]
    return np.concatenate([fits.areas[:, 0], *phonons], axis=1)
