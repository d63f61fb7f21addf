"""The published model written down once more on scipy's w(z), with all its 19 parameters: what results are judged by.

Parameters (19,): seven areas, the polaritons' first; then the centres, the sigmas and the gammas of the four phonons.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import voigt_profile, wofz

from eels_iontransport.materials import load
from eels_iontransport.materials.recipe import PHONONIC, POLARITONIC, Peak, Recipe

from .published_spectra import POLARITONS, PublishedSpectra

POLARITON_COUNT, PHONON_COUNT = 3, 4
AREAS = slice(0, 7)
CENTRES, SIGMAS, GAMMAS = slice(7, 11), slice(11, 15), slice(15, 19)
LDO_CENTRE = 8


@cache
def recipe() -> Recipe:
    return load("lco")


def peaks(component: str) -> list[Peak]:
    return [peak for peak in recipe().peaks if peak.component == component]


def limits() -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limits, (19,) each: the recipe's on centre, sigma and gamma, areas not negative; none on FWHM."""
    phonons = peaks(PHONONIC)
    bounds = [getattr(p, q) for q in ("centre_mev", "sigma_mev", "gamma_mev") for p in phonons]
    lower = np.array([0.0] * 7 + [b.lower for b in bounds])
    upper = np.array([np.inf] * 7 + [b.upper for b in bounds])
    return lower, upper


def recipe_start(dose: float) -> np.ndarray:
    """Where the recipe starts, (19,); polaritons at half of what the aloof spectrum shows."""
    polaritons, phonons = peaks(POLARITONIC), peaks(PHONONIC)
    areas = [0.5 * dose * p.area.initial for p in polaritons] + [dose * p.area.initial for p in phonons]
    bounds = [getattr(p, q) for q in ("centre_mev", "sigma_mev", "gamma_mev") for p in phonons]
    return np.array(areas + [b.initial for b in bounds])


def shapes(parameters: np.ndarray) -> np.ndarray:
    """Centre, sigma and gamma of all seven lines, (7, 3)."""
    phonons = np.column_stack([parameters[CENTRES], parameters[SIGMAS], parameters[GAMMAS]])
    return np.concatenate([POLARITONS, phonons])


def unit_lines(energy_mev: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """All lines at unit area, (7, m)."""
    centre, sigma, gamma = shapes(parameters).T[:, :, None]
    return voigt_profile(energy_mev - centre, sigma, gamma)


def model(energy_mev: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Expected counts, (m,)."""
    return parameters[AREAS] @ unit_lines(energy_mev, parameters)


def jacobian(energy_mev: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Derivatives of `model` by the parameters, (m, 19).

    With V = Re w(z) / (sigma sqrt(2 pi)), z = (E - c + i gamma) / (sigma sqrt 2) and w' = 2i / sqrt(pi) - 2 z w, each
    derivative of V is the real part of w' times that of z, and for sigma also of the factor in front.
    """
    centre, sigma, gamma = shapes(parameters)[POLARITON_COUNT:].T[:, :, None]
    z = (energy_mev - centre + 1j * gamma) / (sigma * np.sqrt(2.0))
    w = wofz(z)
    slope = 2j / np.sqrt(np.pi) - 2.0 * z * w
    height = parameters[AREAS][POLARITON_COUNT:, None] / (sigma * np.sqrt(2.0 * np.pi))
    by_centre = -slope.real * height / (sigma * np.sqrt(2.0))
    by_gamma = -slope.imag * height / (sigma * np.sqrt(2.0))
    by_sigma = -((slope * z).real + w.real) * height / sigma
    return np.concatenate([unit_lines(energy_mev, parameters), by_centre, by_sigma, by_gamma]).T


def chi2(spectra: PublishedSpectra, parameters: np.ndarray) -> np.ndarray:
    """Chi-squared of every spectrum, (n,), for parameters (n, 19); nan where those are."""
    models = np.array([model(spectra.energy_mev, p) for p in parameters])
    return np.sum(((spectra.counts - models) / spectra.sigma) ** 2, axis=1)
