"""Backgrounds under vibrational features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.errors import UnusableInput

REFERENCE_MEV = 50.0  # energy at which the logarithm is zero, for conditioning only


def log_polynomial(energy_mev: np.ndarray, order: int) -> np.ndarray:
    """Basis of a smooth tail: (E/50)^-2 ln(E/50)^j for j = 0..order; shape (order + 1, m), E > 0.

    A cubic from 22 meV describes the measured tails of a monochromated ZLP, which no power law does.
    """
    ratio = energy_mev / REFERENCE_MEV
    return np.array([ratio**-2.0 * np.log(ratio) ** j for j in range(order + 1)])


@dataclass(frozen=True)
class PowerLaw:
    """A E^-r with E in meV."""

    amplitude: float
    exponent: float

    def __call__(self, energy_mev: np.ndarray) -> np.ndarray:
        return self.amplitude * energy_mev**-self.exponent


def two_window_power_law(
    energy_mev: np.ndarray,
    counts: np.ndarray,
    variance: np.ndarray,
    windows_mev: tuple[tuple[float, float], tuple[float, float]],
    iterations: int = 50,
) -> PowerLaw:
    """Least-squares power law through two separate windows, one before and one after the features.

    energy_mev, counts, variance: (m,); channels without a number are left out. Fitted by Gauss-Newton in (ln A, r),
    thus exact on an exact power law. Raises UnusableInput when a window lies outside the data, at or below zero loss,
    or holds no counts.
    """
    inside = np.zeros(energy_mev.shape, bool)
    means = []
    for low, high in windows_mev:
        window = (energy_mev >= low) & (energy_mev <= high)
        if low <= 0 or window.sum() < 2:
            raise UnusableInput(
                f"The background window {low:g}-{high:g} meV is not covered by the spectrum "
                f"({energy_mev[0]:.0f} to {energy_mev[-1]:.0f} meV); choose a window inside it and above 0."
            )
        window &= np.isfinite(counts)
        if counts[window].sum() <= 0:
            raise UnusableInput(f"The background window {low:g}-{high:g} meV holds no counts; choose another window.")
        inside |= window
        means.append((np.log(energy_mev[window]).mean(), np.log(counts[window].mean())))
    log_energy, y = np.log(energy_mev[inside]), counts[inside]
    weight = 1.0 / np.sqrt(variance[inside])
    exponent = -(means[1][1] - means[0][1]) / (means[1][0] - means[0][0])
    centre = log_energy.mean()  # the amplitude at the middle of the windows hardly depends on the exponent
    level = means[0][1] - exponent * (centre - means[0][0])
    for _ in range(iterations):
        model = np.exp(level - exponent * (log_energy - centre))
        jacobian = np.stack([model, -(log_energy - centre) * model]) * weight
        step = np.linalg.lstsq(jacobian.T, (y - model) * weight, rcond=None)[0]
        level, exponent = level + step[0], exponent + step[1]
        if np.abs(step).max() < 1e-12:
            break
    return PowerLaw(float(np.exp(level + exponent * centre)), float(exponent))
