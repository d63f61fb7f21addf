"""The Voigt line and its width."""

from __future__ import annotations

import numpy as np
from scipy.special import wofz

# Full width at half maximum of a Voigt line after Olivero and Longbothum (1977), good to 0.02 %:
# 1.0692 gamma + sqrt(0.8664 gamma^2 + 8 ln 2 sigma^2), gamma being the half width of the Lorentzian.
_LORENTZ, _LORENTZ_SQUARED, _GAUSS_SQUARED = 1.0692, 0.8664, 8.0 * np.log(2.0)


def voigt_with_derivatives(
    energy: np.ndarray, centre: np.ndarray, sigma: np.ndarray, gamma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Voigt lines of unit area, V = Re w(z) / (sigma sqrt(2 pi)), z = (E - c + i gamma) / (sigma sqrt 2).

    energy: (m,); centre, sigma, gamma: (k,), same unit as energy; sigma > 0.
    Returns V, dV/dcentre, dV/dsigma, dV/dgamma, each (k, m).
    """
    centre, sigma, gamma = (np.asarray(p, float)[:, None] for p in (centre, sigma, gamma))
    distance = energy[None, :] - centre
    scale = 1.0 / (sigma * np.sqrt(2.0))
    z = (distance + 1j * gamma) * scale
    w = wofz(z)
    slope = 2j / np.sqrt(np.pi) - 2.0 * z * w  # dw/dz
    height = scale / np.sqrt(np.pi)
    value = w.real * height
    by_energy = slope.real * scale * height
    by_gamma = -slope.imag * scale * height
    # V is homogeneous of degree -1 in (E - c, sigma, gamma), which gives the third derivative for free.
    by_sigma = -(value + distance * by_energy + gamma * by_gamma) / sigma
    return value, -by_energy, by_sigma, by_gamma


def voigt_fwhm(sigma: np.ndarray | float, gamma: np.ndarray | float) -> np.ndarray | float:
    """Full width at half maximum of a Voigt line, in the unit of sigma and gamma."""
    return _LORENTZ * gamma + np.sqrt(_LORENTZ_SQUARED * np.square(gamma) + _GAUSS_SQUARED * np.square(sigma))


def voigt_fwhm_slopes(sigma: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of `voigt_fwhm` by sigma and gamma, shaped as they are."""
    root = np.sqrt(_LORENTZ_SQUARED * np.square(gamma) + _GAUSS_SQUARED * np.square(sigma))
    return _GAUSS_SQUARED * sigma / root, _LORENTZ + _LORENTZ_SQUARED * gamma / root


def sigma_for_fwhm(fwhm: float, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sigma at which a Voigt line with this gamma has the given FWHM, and d sigma / d gamma, shaped as gamma.

    Both are 0 where gamma alone is wider.
    """
    gaussian = fwhm - _LORENTZ * np.asarray(gamma)
    square = gaussian**2 - _LORENTZ_SQUARED * np.square(gamma)
    possible = (gaussian > 0) & (square > 0)
    sigma = np.sqrt(np.where(possible, square, 0.0) / _GAUSS_SQUARED)
    slope = -(_LORENTZ * gaussian + _LORENTZ_SQUARED * gamma) / (_GAUSS_SQUARED * np.where(possible, sigma, 1.0))
    return sigma, np.where(possible, slope, 0.0)
