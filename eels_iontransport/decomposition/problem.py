"""A decomposition as data: spectra, lines, and which parameter moves what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..measure.lineshapes import sigma_for_fwhm
from .lines import LineShapes


@dataclass(frozen=True, eq=False)
class Block:
    """One spectrum in its fit window.

    energy_mev, counts, sigma: (m,), energies from the spectrum's own zero, sigma the standard deviation of a channel.
    background: (q, m) functions fitted with free coefficients; q may be 0.
    """

    energy_mev: np.ndarray
    counts: np.ndarray
    sigma: np.ndarray
    shapes: LineShapes
    background: np.ndarray


@dataclass(frozen=True, eq=False)
class Prior:
    """Gaussian knowledge of some parameters: indices (p,), mean (p,), covariance (p, p)."""

    indices: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def whitening(self) -> np.ndarray:
        """W with |W (theta - mean)|^2 the prior's chi-squared."""
        return np.linalg.inv(np.linalg.cholesky(self.covariance))


@dataclass(frozen=True)
class FwhmLimits:
    """Exact limits on a line's FWHM: its sigma parameter u in 0..1 runs between the sigmas that they allow."""

    fwhm_mev: tuple[float, float]
    sigma_lower: np.ndarray
    sigma_upper: np.ndarray

    def sigma(self, line: int, u: float, gamma: float) -> tuple[float, float, float]:
        """sigma, d sigma/d u, d sigma/d gamma of a line."""
        low, low_slope = sigma_for_fwhm(self.fwhm_mev[0], gamma)
        high, high_slope = sigma_for_fwhm(self.fwhm_mev[1], gamma)
        if low < self.sigma_lower[line]:
            low, low_slope = float(self.sigma_lower[line]), 0.0
        if high > self.sigma_upper[line]:
            high, high_slope = float(self.sigma_upper[line]), 0.0
        high = max(high, low)
        return low + u * (high - low), high - low, (1 - u) * low_slope + u * high_slope

    def fraction(self, line: int, sigma: float, gamma: float) -> float:
        """The u that stands for a sigma, clipped to 0..1."""
        low, span, _ = self.sigma(line, 0.0, gamma)
        return float(np.clip((sigma - low) / span, 0.0, 1.0)) if span > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Problem:
    """Spectra (blocks) that share some of their line parameters.

    centre, sigma, gamma: (blocks, lines) indices into the parameter vector theta; two blocks with the same index share
    the parameter. offset: (lines,) index of a parameter added to the line's centre, -1 for none.
    lower, upper: (p,) limits; a parameter whose limits are equal is fixed. priors add to chi-squared.
    """

    blocks: tuple[Block, ...]
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

    def line_parameters(self, theta: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """centre, sigma, gamma of the lines of a block, each (lines,), in meV."""
        centre = theta[self.centre[block]] + np.where(self.offset >= 0, theta[self.offset], 0.0)
        sigma, gamma = theta[self.sigma[block]], theta[self.gamma[block]]
        if self.fwhm_limits is not None:
            sigma = np.array([self.fwhm_limits.sigma(k, u, g)[0] for k, (u, g) in enumerate(zip(sigma, gamma))])
        return centre, sigma, gamma
