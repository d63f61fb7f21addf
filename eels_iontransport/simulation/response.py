"""What the spectrometer makes of electrons that lost nothing: the zero-loss peak with its tails.

The tails are a smooth form fitted to both sides of vibrational spectra of a Nion HERMES at 60 kV (the loss side
without the losses of the specimen above 90 meV). Relative to the maximum the loss side is 2e-3 at 40 meV, 2e-4 at 135
meV and 1e-4 at 200 meV; its slope in the double-logarithmic plot passes from -2.8 through -1.3 to -1.9, so that it is
no power law. The gain side is about half as high.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

RESPONSE_FWHM_MEV = 8.0
_TAIL_STARTS_MEV = 11.0  # the tails give way to the core below this
_TAIL_ENDS_MEV = 600.0  # nothing was measured beyond this


def loss_tail(energy_mev: np.ndarray) -> np.ndarray:
    """Tail on the loss side relative to the maximum, at positive energies in meV."""
    x = np.asarray(energy_mev, float)
    steep = 9.2984e-3 * (x / 20.0) ** -3.0625
    flat = 1.4202e-3 * (1.0 + (x / 12.468) ** 2) ** -0.5
    step = 6.0643e-4 * np.exp(-0.5 * (np.log(x / 51.587) / 0.41982) ** 2)
    return steep + flat + step


def gain_tail(energy_mev: np.ndarray) -> np.ndarray:
    """Tail on the gain side relative to the maximum, at the absolute values of the energies in meV."""
    x = np.asarray(energy_mev, float)
    return 1.8524e-3 * (x / 20.0) ** -4.4264 + 2.5803e-2 * (1.0 + (x / 7.3891) ** 2) ** -0.9293


def _relative(energy_mev: np.ndarray, sigma_mev: float) -> np.ndarray:
    energy = np.asarray(energy_mev, float)
    x = np.maximum(np.abs(energy), 1e-3)
    tail = np.where(energy > 0, loss_tail(x), gain_tail(x))
    window = -np.expm1(-((x / _TAIL_STARTS_MEV) ** 6)) / (1.0 + (x / _TAIL_ENDS_MEV) ** 4)
    return np.exp(-0.5 * (energy / sigma_mev) ** 2) + tail * window


def _fwhm(sigma_mev: float) -> float:
    def half(x: float) -> float:
        return float(_relative(np.array([x]), sigma_mev)[0]) - 0.5

    return brentq(half, 0.0, 9.0) - brentq(half, -9.0, 0.0)


def core_sigma(fwhm_mev: float) -> float:
    """Standard deviation in meV of the core that gives the response its FWHM in meV (4 to 12)."""
    return brentq(lambda sigma: _fwhm(sigma) - fwhm_mev, 0.3 * fwhm_mev, 0.6 * fwhm_mev)


def response(energy_mev: np.ndarray, fwhm_mev: float = RESPONSE_FWHM_MEV) -> np.ndarray:
    """Relative response at the energies in meV, close to 1 at zero."""
    return _relative(energy_mev, core_sigma(fwhm_mev))
