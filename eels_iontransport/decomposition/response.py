"""The instrument's response: what a line of no width looks like, measured on the zero-loss peak."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..data.errors import UnusableInput
from ..measure import zlp
from . import voigt_sum

REACH_MEV = 120.0  # beyond it the tails hold less than a hundredth of the response
SHORTEST_REACH_FWHM = 2.0  # a peak cut off nearer than this to its zero does not show its tails
TOLERABLE_MISFIT = 1e-3  # above it, the centre of a weak line may move by more than a tenth of a meV


@dataclass(frozen=True, eq=False)
class Response:
    """Response on an even grid: energy_mev (r,), density (r,) in 1/meV with unit area, and the FWHM of its ZLP.

    source says where it is from. Lines are fitted through the sum of Voigts that describes the density. like: a
    response that differs from this one in its noise only, whose Voigts are near.
    """

    energy_mev: np.ndarray
    density: np.ndarray
    fwhm_mev: float
    source: str
    like: Response | None = None

    def broadening(self, fwhm_mev: float) -> float:
        """Standard deviation in meV of the Gaussian that widens the response to a ZLP of this FWHM; 0 if it is wider.

        A row sums frames between which the energy jitters, a vacuum ZLP is summed frame by frame aligned: the row is
        wider, and so is every line in it.
        """
        excess = fwhm_mev**2 - self.fwhm_mev**2
        return float(np.sqrt(excess / (8 * np.log(2)))) if excess > 0 else 0.0

    @cached_property
    def components(self) -> np.ndarray:
        """The Voigts whose sum the response is, (j, 4): weight, offset_mev, sigma_mev, gamma_mev; weights sum to 1."""
        start = self.like.components if self.like is not None else None
        return voigt_sum.describe(self.energy_mev, self.density, self.fwhm_mev, start)

    @cached_property
    def misfit(self) -> float:
        """Largest deviation of a line seen through the components from one seen as measured, over its maximum."""
        return voigt_sum.misfit(self.energy_mev, self.density, self.components)

    @property
    def is_described(self) -> bool:
        """Whether the components describe the response well enough for the centres of weak lines."""
        return self.misfit <= TOLERABLE_MISFIT

    def components_for(self, fwhm_mev: float) -> np.ndarray:
        """The components (j, 4), widened to a ZLP of this FWHM."""
        widened = self.components.copy()
        widened[:, 2] = np.hypot(widened[:, 2], self.broadening(fwhm_mev))
        return widened

    def transform(self, omega: np.ndarray) -> np.ndarray:
        """Fourier transform at the angular frequencies omega (1/meV), (w,) complex; 1 at omega = 0."""
        step = self.energy_mev[1] - self.energy_mev[0]
        return np.exp(-1j * np.outer(omega, self.energy_mev)) @ self.density * step


def from_vacuum(energy_mev: np.ndarray, counts: np.ndarray) -> Response:
    """Response from a vacuum ZLP whose zero lies at 0 meV; energy_mev, counts: (m,).

    The vacuum has to be far from the specimen: phonon polaritons reach beyond a hundred nm. Raises UnusableInput for a
    peak without a width, or cut off.
    """
    return _normalised(energy_mev, _without_gaps(counts), "vacuum ZLP")


def from_gain_side(energy_mev: np.ndarray, counts: np.ndarray) -> Response:
    """Response from a specimen spectrum: the gain side, where no loss is, mirrored onto the loss side.

    Raises UnusableInput as `from_vacuum` does.
    """
    counts = _without_gaps(counts)
    core = 0.5 * zlp.peak_of(counts).fwhm * (energy_mev[1] - energy_mev[0])
    mirrored = np.interp(-np.abs(energy_mev), energy_mev, counts, left=0.0, right=0.0)
    return _normalised(energy_mev, np.where(np.abs(energy_mev) < core, counts, mirrored), "gain side")


def _without_gaps(counts: np.ndarray) -> np.ndarray:
    """Counts with channels that are not numbers read off their neighbours."""
    known = np.isfinite(counts)
    if 2 * known.sum() < counts.size:
        raise UnusableInput("Most channels of the zero-loss peak hold no number; record it again.")
    channels = np.arange(counts.size)
    return np.interp(channels, channels[known], counts[known])


def _normalised(energy_mev: np.ndarray, counts: np.ndarray, source: str) -> Response:
    step = energy_mev[1] - energy_mev[0]
    reach = min(REACH_MEV, -energy_mev[0], energy_mev[-1])
    inside = np.abs(energy_mev) <= min(REACH_MEV, -energy_mev[0])
    fwhm = zlp.peak_of(counts).fwhm * step
    area = counts[inside].sum() * step
    if not (fwhm > 0 and area > 0):
        raise UnusableInput(
            f"The response cannot be taken from the {source}: it shows no whole, unsaturated peak; record it again."
        )
    if reach < SHORTEST_REACH_FWHM * fwhm:
        raise UnusableInput(
            f"The response cannot be taken from the {source}: its peak is {fwhm:.0f} meV wide and seen to {reach:.0f} "
            "meV only; change the energy offset, or choose a finer dispersion."
        )
    return Response(energy_mev[inside], counts[inside] / area, fwhm, source)
