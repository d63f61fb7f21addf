"""What standard deviation of a shift is to be expected of more dose.

What the spectra tell grows with their dose; what is known beforehand, the aloof shapes and how far the polaritons'
common offset can be, does not, and neither does a systematic part. Of p passes along the line

    sigma^2 = stretch w^T (p I_pass + I_prior + I_limits)^-1 w + systematic^2

with w the weights of the centres, I_pass the Fisher information of one pass, and I_limits what areas and widths near
their limits cannot be (`Information.covariance_within_limits`). The stretch for misfit is kept as it is, and so are
specimen, drift and response: a damaged specimen has no outlook.

This is the sigma to be expected. The one that a readout quotes is that of its very spectra, and jumps by a factor of
two when a width comes to its limit or an area to zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..measure.alignment import Aligned
from .engine import fit
from .fitting import Setup, pose
from .information import Information, information
from .result import Decomposition, misfit_stretch

MISFIT_SIGMA = 3.0  # a misfit of so many standard deviations is none of noise


@dataclass(frozen=True, eq=False)
class Solved:
    """A fit at its optimum, of N problems: information, stretch of the variances (N,), and rows (r,): which spectra.

    reduced_chi2, its standard deviation from noise and from what is not known of noise, each (N,).
    """

    informations: tuple[Information, ...]
    stretch: np.ndarray
    rows: np.ndarray
    reduced_chi2: np.ndarray
    chi2_sigma: np.ndarray

    @property
    def misses(self) -> bool:
        """Whether the model misses the spectra by more than noise, which no dose mends."""
        return bool((self.reduced_chi2 > 1 + MISFIT_SIGMA * self.chi2_sigma).any())


def solve(setup: Setup, spectra: Sequence[Aligned], together: Decomposition) -> Solved:
    """A fit of spectra, taken up where it ended. Raises UnusableInput."""
    posed = pose(setup, spectra, start=together if setup.mode == "shared" else None)
    fits = fit(posed.layout, posed.data, posed.starts)
    found = tuple(information(posed.layout, posed.data, fits, i) for i in range(len(fits.theta)))
    correlation, unknown = setup.noise.correlation, setup.noise.relative_sigma or 0.0
    degrees = np.maximum(fits.degrees.sum(axis=1), 1.0)
    return Solved(
        found,
        misfit_stretch(fits, correlation),
        posed.windowed.rows,
        fits.reduced_chi2 * correlation,
        np.hypot(np.sqrt(2 * correlation / degrees), unknown),
    )


@dataclass(frozen=True, eq=False)
class Part:
    """A fit that the shift is made of: vector (P,) of the centres' weights, passes (n,) of its spectra so far.

    stretch: of its variances for misfit.
    """

    information: Information
    vector: np.ndarray
    passes: np.ndarray
    stretch: float

    @property
    def now(self) -> float:
        """The variance with what was taken."""
        return self._of(self.information.expected_covariance)

    def after(self, passes: float) -> float:
        """The variance after so many passes in all."""
        return self._of(self.information.covariance_within_limits(passes / self.passes))

    def with_aloof(self, factor: float) -> float:
        """The variance with so many times the dose of the aloof spectrum."""
        layout = self.information.layout
        known = [1.0 if prior.indices[0] in layout.offset else factor for prior in layout.priors]
        return self._of(self.information.covariance_within_limits(1.0, known))

    def _of(self, covariance: np.ndarray) -> float:
        return self.stretch * float(self.vector @ covariance @ self.vector)


@dataclass(frozen=True, eq=False)
class Forecast:
    """The standard deviation to be expected of a shift, by dose.

    relative_spread: how far it may be off, as a part of it, as the peak is not known better.
    """

    parts: tuple[Part, ...]
    relative_spread: float
    systematic_mev: float = 0.0

    @cached_property
    def now(self) -> float:
        """From what was taken so far."""
        return self._sigma(part.now for part in self.parts)

    def after(self, passes: float) -> float:
        """After so many passes in all."""
        return self._sigma(part.after(passes) for part in self.parts)

    def with_aloof(self, factor: float) -> float:
        """With the line as it is, and so many times the dose of the aloof spectrum."""
        return self._sigma(part.with_aloof(factor) for part in self.parts)

    def _sigma(self, variances: Iterable[float]) -> float:
        return math.sqrt(sum(variances) + self.systematic_mev**2)


def forecast(
    informations: Sequence[Information],
    stretch: np.ndarray,
    line: int,
    of_spectra: np.ndarray,
    passes: np.ndarray,
    systematic_mev: float = 0.0,
    noise_spread: float = 0.0,
) -> Forecast | None:
    """The forecast of a weighted sum of a line's centres in n spectra; None where one of them is not determined.

    informations: one of all spectra fitted together, or one of each. stretch (N,): of the variances of each.
    of_spectra, passes (n,): weights of the spectra, and their passes so far. systematic_mev: what does not shrink.
    noise_spread: relative standard deviation of the noise's variance.
    """
    if not (passes[of_spectra != 0] > 0).all():
        return None
    slices = [slice(None)] if len(informations) == 1 else [slice(i, i + 1) for i in range(len(informations))]
    parts, spreads = [], [0.0]
    for one, own, factor in zip(informations, slices, stretch):
        used = of_spectra[own] != 0
        vector = one.of_centres(line, of_spectra[own])
        if vector is None:
            return None
        if used.any():
            # A spectrum without weight may not have been taken, and then grows with the others.
            parts.append(Part(one, vector, np.where(passes[own] > 0, passes[own], passes[passes > 0].min()), factor))
            spreads += (_relative_area_sigma(one, line) * np.sqrt(factor))[used].tolist()
    return Forecast(tuple(parts), math.hypot(max(spreads), 0.5 * noise_spread), systematic_mev)


def _relative_area_sigma(one: Information, line: int) -> np.ndarray:
    """Of a line in each spectrum, (n,): a line that is stronger by as much is placed so much better."""
    at = one.area(line)
    areas, sigma = one.values[at], np.sqrt(np.diag(one.expected_covariance)[at])
    return np.where(areas > 0, sigma / np.where(areas > 0, areas, 1.0), np.inf)
