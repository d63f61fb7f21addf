"""How far a result is from satisfying the conditions of an optimum (Karush, Kuhn, Tucker) within its limits."""

from __future__ import annotations

import numpy as np

from .published_model import AREAS, jacobian, limits, model
from .published_spectra import PublishedSpectra

AT_LIMIT = 1e-9  # in parts of the range


def kkt_residuals(spectra: PublishedSpectra, parameters: np.ndarray) -> np.ndarray:
    """The largest violation of every spectrum, (n,), for parameters (n, 19) within the limits without those on FWHM.

    Half of chi-squared by a parameter, times the parameter's range; an area's "range" is the area itself or the
    standard deviation that the noise alone gives it, whichever is larger. At a limit only a slope that leads back
    inside counts: a solver that never leaves a limit again shows it.
    """
    return np.array([_residual(spectra, i, p) for i, p in enumerate(parameters)])


def _residual(spectra: PublishedSpectra, index: int, parameters: np.ndarray) -> float:
    energy, sigma = spectra.energy_mev, spectra.sigma[index]
    columns = jacobian(energy, parameters) / sigma[:, None]
    downhill = columns.T @ ((spectra.counts[index] - model(energy, parameters)) / sigma)
    lower, upper = limits()
    scale = upper - lower
    scale[AREAS] = np.maximum(parameters[AREAS], 1 / np.linalg.norm(columns[:, AREAS], axis=0))
    slope = downhill * scale
    slope = np.where(parameters <= lower + AT_LIMIT * scale, np.maximum(slope, 0), slope)
    slope = np.where(parameters >= upper - AT_LIMIT * scale, np.minimum(slope, 0), slope)
    return float(np.abs(slope).max())
