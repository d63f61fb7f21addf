"""The instrument's response: what a line of no width looks like, measured on the zero-loss peak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..measure import zlp

REACH_MEV = 120.0  # beyond it the tails hold less than a hundredth of the response


@dataclass(frozen=True, eq=False)
class Response:
    """Response on an even grid: energy_mev (r,), density (r,) in 1/meV with unit area; source says where it is from."""

    energy_mev: np.ndarray
    density: np.ndarray
    source: str

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
    core = 0.5 * _fwhm(energy_mev, counts)
    mirrored = np.interp(-np.abs(energy_mev), energy_mev, counts, left=0.0, right=0.0)
    return _normalised(energy_mev, np.where(np.abs(energy_mev) < core, counts, mirrored), "gain side")


def _normalised(energy_mev: np.ndarray, counts: np.ndarray, source: str) -> Response:
    inside = np.abs(energy_mev) <= min(REACH_MEV, -energy_mev[0])
    step = energy_mev[1] - energy_mev[0]
    return Response(energy_mev[inside], counts[inside] / (counts[inside].sum() * step), source)


def _fwhm(energy_mev: np.ndarray, counts: np.ndarray) -> float:
    step = energy_mev[1] - energy_mev[0]
    return zlp.peak_of(counts).fwhm * step
