"""A decomposition as data: spectra, lines, and which parameter moves what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..measure.lineshapes import sigma_for_fwhm


@dataclass(frozen=True, eq=False)
class Data:
    """N problems of the same layout, each of n spectra that are fitted together, in their fit windows.

    energy_mev, counts, sigma: (N, n, m), energies from the spectrum's own zero, sigma the standard deviation of a
    channel, infinite where it is masked. background: (N, n, q, m) functions fitted with free coefficients; q may be 0.
    response: (N, n, j, 4), the Voigts through which lines are seen: weight, offset_mev, sigma_mev, gamma_mev.
    """

    energy_mev: np.ndarray
    counts: np.ndarray
    sigma: np.ndarray
    background: np.ndarray
    response: np.ndarray

    @property
    def channels(self) -> np.ndarray:
        """How many channels of each spectrum are not masked, (N, n)."""
        return np.isfinite(self.sigma).sum(axis=-1)

    def repeated(self, times: int) -> Data:
        """All problems so many times, one round after the other."""
        arrays = (self.energy_mev, self.counts, self.sigma, self.background, self.response)
        return Data(*(np.tile(a, (times, *(1,) * (a.ndim - 1))) for a in arrays))


@dataclass(frozen=True, eq=False)
class Prior:
    """Gaussian knowledge of some parameters: indices (p,), mean (p,), covariance (p, p)."""

    indices: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class FwhmLimits:
    """Exact limits on a line's FWHM: its sigma parameter u in 0..1 runs between the sigmas that they allow.

    sigma_lower, sigma_upper: (K,), the limits of sigma itself.
    """

    fwhm_mev: tuple[float, float]
    sigma_lower: np.ndarray
    sigma_upper: np.ndarray

    def sigma(self, u: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """sigma, d sigma/d u, d sigma/d gamma of all lines, each (..., K)."""
        low, low_slope = sigma_for_fwhm(self.fwhm_mev[0], gamma)
        high, high_slope = sigma_for_fwhm(self.fwhm_mev[1], gamma)
        low_slope = np.where(low < self.sigma_lower, 0.0, low_slope)
        high_slope = np.where(high > self.sigma_upper, 0.0, high_slope)
        low = np.maximum(low, self.sigma_lower)
        high = np.maximum(np.minimum(high, self.sigma_upper), low)
        return low + u * (high - low), high - low, (1 - u) * low_slope + u * high_slope

    def fraction(self, line: int, sigma: float, gamma: float) -> float:
        """The u that stands for a sigma of a line, clipped to 0..1."""
        gammas = np.full(self.sigma_lower.size, gamma)
        low, span, _ = (part[line] for part in self.sigma(np.zeros_like(gammas), gammas))
        return float(np.clip((sigma - low) / span, 0.0, 1.0)) if span > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Layout:
    """Which parameter of theta (p,) moves what in the n spectra of a problem.

    centre, sigma, gamma: (n, K) indices into theta; spectra with the same index share the parameter.
    offset: (K,) index of a parameter added to the line's centre, -1 for none.
    lower, upper: (p,) limits; a parameter whose limits are equal is held there. priors add to chi-squared.
    """

    centre: np.ndarray
    sigma: np.ndarray
    gamma: np.ndarray
    offset: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    priors: tuple[Prior, ...] = ()
    fwhm_limits: FwhmLimits | None = None

    @property
    def free(self) -> np.ndarray:
        return self.upper > self.lower

    def line_parameters(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """centre, sigma, gamma of the lines, each (..., n, K), in meV; theta (..., p)."""
        offset = np.where(self.offset >= 0, theta[..., self.offset], 0.0)
        centre = theta[..., self.centre] + offset[..., None, :]
        sigma, gamma = theta[..., self.sigma], theta[..., self.gamma]
        if self.fwhm_limits is not None:
            sigma = self.fwhm_limits.sigma(sigma, gamma)[0]
        return centre, sigma, gamma
