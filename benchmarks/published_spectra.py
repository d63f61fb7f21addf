"""Spectra of the published model, made with scipy alone: what the fits under test and their peers are given.

Seven Voigt lines on a power-law tail, Poisson noise on the sum, and the true tail taken off again, so that only the
fit of the lines is compared. Dose 1 has the areas of the source: some 1e3 to 1e4 counts in a channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import voigt_profile

CHANNELS = 176
FIRST_MEV, STEP_MEV = 25.0, 0.4

# Centre, sigma, gamma in meV, area in counts meV. The shapes of the polaritons are known from an aloof spectrum.
POLARITONS = np.array([[33.6, 4.1, 0.9], [54.6, 4.8, 1.0], [73.6, 5.2, 1.1]])
POLARITON_AREAS = np.array([7.25e4, 1.2e4, 8.75e4])
PHONONS = np.array([[40.6, 4.6, 0.7], [49.6, 4.4, 0.7], [66.2, 4.4, 0.8], [80.6, 5.0, 0.8]])
PHONON_AREAS = np.array([6.5e4, 4.5e4, 1.35e5, 7.0e4])
LDO = 1  # among the phonons

SHIFT_MEV = 1.8
BOUNDARY_WIDTH = 0.075  # standard deviation of the boundary's profile, in lengths of the line
AREA_SCATTER, CENTRE_SCATTER_MEV = 0.08, 0.15  # of the lines from spectrum to spectrum
TAIL_COUNTS, TAIL_EXPONENT = 3e4, -2.5  # at the first channel


@dataclass(frozen=True, eq=False)
class PublishedSpectra:
    """n spectra along a line across a boundary, background subtracted.

    energy_mev: (m,). counts, sigma: (n, m), sigma from the counts as recorded. ldo_mev: (n,), true centres.
    """

    dose: float
    energy_mev: np.ndarray
    counts: np.ndarray
    sigma: np.ndarray
    ldo_mev: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    def some(self, number: int) -> PublishedSpectra:
        """So many of them, evenly spread along the line."""
        chosen = np.linspace(0, len(self) - 1, number).round().astype(int)
        return PublishedSpectra(
            self.dose, self.energy_mev, self.counts[chosen], self.sigma[chosen], self.ldo_mev[chosen]
        )

    def mean(self) -> PublishedSpectra:
        """Their mean, as one spectrum."""
        sigma = np.sqrt(np.sum(self.sigma**2, axis=0, keepdims=True)) / len(self)
        return PublishedSpectra(
            self.dose, self.energy_mev, self.counts.mean(axis=0, keepdims=True), sigma, self.ldo_mev.mean(keepdims=True)
        )


def published_spectra(number: int, dose: float, seed: int) -> PublishedSpectra:
    """So many spectra along a line whose middle is a boundary with an LDO line SHIFT_MEV higher."""
    random = np.random.default_rng(seed)
    energy = FIRST_MEV + STEP_MEV * np.arange(CHANNELS)
    place = np.linspace(-0.5, 0.5, number)
    centres = np.tile(PHONONS[:, 0], (number, 1))
    free = np.arange(len(PHONONS)) != LDO
    centres[:, free] += CENTRE_SCATTER_MEV * random.standard_normal((number, free.sum()))
    centres[:, LDO] += SHIFT_MEV * np.exp(-0.5 * (place / BOUNDARY_WIDTH) ** 2)
    areas = np.concatenate([POLARITON_AREAS, PHONON_AREAS])
    areas = areas * (1 + AREA_SCATTER * random.standard_normal((number, areas.size)))
    expected = np.array([_lines(energy, a, c) for a, c in zip(areas, centres)])
    tail = TAIL_COUNTS * (energy / FIRST_MEV) ** TAIL_EXPONENT
    recorded = random.poisson(dose * (expected + tail)).astype(float)
    sigma = np.sqrt(np.maximum(recorded, 1.0))
    return PublishedSpectra(dose, energy, recorded - dose * tail, sigma, centres[:, LDO])


def _lines(energy_mev: np.ndarray, areas: np.ndarray, centres_mev: np.ndarray) -> np.ndarray:
    shapes = np.concatenate([POLARITONS, np.column_stack([centres_mev, PHONONS[:, 1:]])])
    return sum(a * voigt_profile(energy_mev - c, s, g) for a, (c, s, g) in zip(areas, shapes))
