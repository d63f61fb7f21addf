"""The instrument's response: what a line of no width looks like, measured on the zero-loss peak."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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

    def components_for(self, fwhm_mev: float) -> np.ndarray:
        """The Voigts that make up the response, (j, 4), widened to a ZLP of this FWHM: weight, offset, sigma, gamma."""
        widened = self.components.copy()
        widened[:, 2] = np.hypot(widened[:, 2], self.broadening(fwhm_mev))
        return widened

    @cached_property
    def components(self) -> np.ndarray:
        return _as_voigts(self.energy_mev, self.density)

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


def _as_voigts(energy_mev: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Interim."""
    from .engine import fit
    from .problem import Data, Layout

    widths = np.array([[3.0, 0.3], [4.0, 1.0], [3.0, 8.0], [3.0, 30.0]])
    k = len(widths)
    start = np.concatenate([np.zeros(k), widths[:, 0], widths[:, 1]])
    lower = np.concatenate([np.full(k, -3.0), np.full(k, 0.5), np.full(k, 0.01)])
    upper = np.concatenate([np.full(k, 3.0), np.full(k, 15.0), np.full(k, 60.0)])
    index = np.arange(3 * k).reshape(3, 1, k)
    layout = Layout(*index, np.full(k, -1), lower, upper)
    sigma = 0.01 * np.maximum(density, 1e-5 * density.max())
    plain = np.array([[[[1.0, 0.0, 0.0, 0.0]]]])
    data = Data(*(a[None, None] for a in (energy_mev, density, sigma)), np.empty((1, 1, 0, energy_mev.size)), plain)
    fits = fit(layout, data, start[None])
    centre, s, g = (p[0, 0] for p in layout.line_parameters(fits.theta))
    weight = fits.areas[0, 0]
    return np.stack([weight / weight.sum(), centre, s, g], axis=-1)[weight > 0]
