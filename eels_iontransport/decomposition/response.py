"""The instrument's response: what a line of no width looks like, measured on the zero-loss peak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..measure import zlp

REACH_MEV = 120.0  # beyond it the tails hold less than a hundredth of the response


@dataclass(frozen=True, eq=False)
class Response:
    """Response on an even grid: energy_mev (r,), density (r,) in 1/meV with unit area, and the FWHM of its ZLP.

    source says where it is from.
    """

    energy_mev: np.ndarray
    density: np.ndarray
    fwhm_mev: float
    source: str

    def broadening(self, fwhm_mev: float) -> float:
        """Standard deviation in meV of the Gaussian that widens the response to a ZLP of this FWHM; 0 if it is wider.

        A row sums frames between which the energy jitters, a vacuum ZLP is summed frame by frame aligned: the row is
        wider, and so is every line in it.
        """
        excess = fwhm_mev**2 - self.fwhm_mev**2
        return float(np.sqrt(excess / (8 * np.log(2)))) if excess > 0 else 0.0

    def transform(self, omega: np.ndarray) -> np.ndarray:
        """Fourier transform at the angular frequencies omega (1/meV), (w,) complex; 1 at omega = 0."""
        step = self.energy_mev[1] - self.energy_mev[0]
        return np.exp(-1j * np.outer(omega, self.energy_mev)) @ self.density * step


def from_vacuum(energy_mev: np.ndarray, counts: np.ndarray) -> Response:
    """Response from a vacuum ZLP whose zero lies at 0 meV; energy_mev, counts: (m,).

    The vacuum has to be far from the specimen: phonon polaritons reach beyond a hundred nm.
    """
    return _normalised(energy_mev, counts, "vacuum ZLP")


def from_gain_side(energy_mev: np.ndarray, counts: np.ndarray) -> Response:
    """Response from a specimen spectrum: the gain side, where no loss is, mirrored onto the loss side."""
    core = 0.5 * zlp.peak_of(counts).fwhm * (energy_mev[1] - energy_mev[0])
    mirrored = np.interp(-np.abs(energy_mev), energy_mev, counts, left=0.0, right=0.0)
    return _normalised(energy_mev, np.where(np.abs(energy_mev) < core, counts, mirrored), "gain side")


def _normalised(energy_mev: np.ndarray, counts: np.ndarray, source: str) -> Response:
    inside = np.abs(energy_mev) <= min(REACH_MEV, -energy_mev[0])
    step = energy_mev[1] - energy_mev[0]
    fwhm = zlp.peak_of(counts).fwhm * step
    return Response(energy_mev[inside], counts[inside] / (counts[inside].sum() * step), fwhm, source)
