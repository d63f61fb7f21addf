"""Losses on fine grids: vibrations, valence excitations with plural scattering, and the edges of Li and Co.

Every function returns a spectrum on its own grid that integrates to the stated probability, not yet seen through the
spectrometer's response.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from .specimen import Mode

BOLTZMANN_MEV_PER_K = 0.08617333


def vibration(energy_mev: np.ndarray, mode: Mode, temperature_k: float) -> np.ndarray:
    """Loss and gain of one mode at unit probability of loss, in 1/meV, on a uniform grid around zero.

    E D / ((E^2 - E0^2)^2 + E^2 D^2) with the gain side lower by exp(-E / kT), convolved with a Gaussian.
    """
    step = energy_mev[1] - energy_mev[0]
    squared = (energy_mev**2 - mode.centre_mev**2) ** 2 + (energy_mev * mode.damping_mev) ** 2
    loss = np.abs(energy_mev) * mode.damping_mev / squared
    loss /= loss[energy_mev > 0].sum() * step
    gain = np.exp(np.minimum(energy_mev, 0.0) / (BOLTZMANN_MEV_PER_K * temperature_k))
    reach = np.arange(-np.ceil(6 * mode.gaussian_mev / step), np.ceil(6 * mode.gaussian_mev / step) + 1) * step
    spread = np.exp(-0.5 * (reach / mode.gaussian_mev) ** 2)
    return fftconvolve(loss * gain, spread / spread.sum(), mode="same")


# Energy (eV), width (eV), share of the integrated single-scattering loss.
_INTERBAND = ((7.9, 3.2, 0.09), (14.0, 7.0, 0.09), (20.0, 6.0, 0.07))
_PLASMON = (26.5, 12.0, 0.75)
_GAP_EV = 2.0


def valence(energy_ev: np.ndarray) -> np.ndarray:
    """Single scattering by valence electrons, in 1/eV, area 1, on a uniform grid that starts at zero.

    Damped oscillators above a gap; they fall with E^-3 far above the plasmon.
    """
    total = np.zeros_like(energy_ev)
    step = energy_ev[1] - energy_ev[0]
    for centre, width, share in (*_INTERBAND, _PLASMON):
        squared = (energy_ev**2 - centre**2) ** 2 + (energy_ev * width) ** 2
        line = energy_ev * width / np.maximum(squared, 1e-12)
        total += share * line / (line.sum() * step)
    total *= -np.expm1(-((energy_ev / _GAP_EV) ** 4))
    return total / (total.sum() * step)


def _edge(energy_ev: np.ndarray, onset_ev: float, width_ev: float, height: float, lines: tuple) -> np.ndarray:
    """A smooth step that falls as E^-3, with Gaussian white lines (centre, FWHM, height); heights in 1/eV."""
    step = 0.5 * (1.0 + np.tanh((energy_ev - onset_ev) / width_ev))
    result = height * step * (onset_ev / np.maximum(energy_ev, onset_ev)) ** 3
    for centre, fwhm, peak in lines:
        result = result + peak * np.exp(-4.0 * np.log(2.0) * ((energy_ev - centre) / fwhm) ** 2)
    return result


def lithium_edge(energy_ev: np.ndarray) -> np.ndarray:
    """Li K at unit density per unit of t/lambda, in 1/eV: weak part 54.5-56.5 eV, main peak at 61 eV."""
    return _edge(energy_ev, 56.0, 0.8, 6.0e-4, ((55.5, 1.6, 8.0e-4), (61.0, 3.0, 2.6e-3)))


def cobalt_edge(energy_ev: np.ndarray) -> np.ndarray:
    """Co M2,3 at unit density per unit of t/lambda, in 1/eV: weak part 58-60 eV, main part 61-68 eV."""
    return _edge(energy_ev, 60.5, 1.2, 1.1e-3, ((59.0, 1.7, 5.0e-4), (64.5, 5.5, 2.4e-3)))
