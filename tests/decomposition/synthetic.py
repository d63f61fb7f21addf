"""Spectra made without the code that fits them: Voigts of scipy convolved by brute force on a fine grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import voigt_profile

from eels_iontransport.measure.alignment import Aligned

FINE_MEV = 0.05
STEP_MEV = 0.4
REACH_MEV = 150.0

# centre, sigma, gamma (meV), area as a part of the ZLP: intrinsic lines of a grain
POLARITONS = ((33.6, 2.0, 1.0, 2.6e-3), (54.6, 2.4, 1.2, 4e-4), (73.6, 2.6, 1.2, 3.2e-3))
PHONONS = ((40.6, 2.2, 0.9, 2.2e-3), (49.6, 2.2, 0.9, 1.6e-3), (66.2, 2.2, 1.0, 4.5e-3), (80.6, 2.6, 1.1, 2.4e-3))


def response(energy_mev: np.ndarray) -> np.ndarray:
    """A core of 8 meV with the tail levels measured on a HERMES, relative to its maximum."""
    distance = np.abs(energy_mev)
    tail = 2e-3 * (np.maximum(distance, 12.0) / 40.0) ** -1.9
    return np.exp(-0.5 * (energy_mev / 3.37) ** 2) + tail * (1 - np.exp(-((distance / 12.0) ** 6)))


def spectrum(lines: Sequence[tuple[float, float, float, float]], electrons: float, zero_mev: float = 0.0) -> Aligned:
    """Expected counts of a ZLP of so many electrons and lines through the response, from -200 to 400 meV."""
    kernel_energy = np.arange(-REACH_MEV, REACH_MEV + FINE_MEV / 2, FINE_MEV)
    kernel = response(kernel_energy)
    kernel /= kernel.sum() * FINE_MEV
    fine = np.arange(-200.0, 500.0, FINE_MEV)
    intrinsic = sum((area * voigt_profile(fine - c, s, g) for c, s, g, area in lines), np.zeros_like(fine))
    losses = np.convolve(intrinsic, kernel, mode="same") * FINE_MEV
    area = response(np.arange(-300.0, 500.0, FINE_MEV)).sum() * FINE_MEV
    energy = zero_mev + STEP_MEV * np.arange(-500, 1000)
    return Aligned(energy, electrons * STEP_MEV * (response(energy) / area + np.interp(energy, fine, losses)), 1)


def noisy(expected: Aligned, random: np.random.Generator) -> Aligned:
    return Aligned(expected.energy_mev, random.poisson(expected.counts).astype(float), 1)


def grain(
    shift_mev: float = 0.0, scale: float = 1.0, polaritons: float = 0.5
) -> list[tuple[float, float, float, float]]:
    """Lines in transmission, the LDO line moved by shift_mev."""
    phonons = [(c + (shift_mev if i == 1 else 0.0), s, g, scale * a) for i, (c, s, g, a) in enumerate(PHONONS)]
    return [(c, s, g, polaritons * a) for c, s, g, a in POLARITONS] + phonons
