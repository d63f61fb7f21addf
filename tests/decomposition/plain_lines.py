"""Lines on a spectrum's own energy axis, with their derivatives: plain Voigts, or Voigts seen through the response."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.fft import irfft, next_fast_len

from eels_iontransport.decomposition.response import Response
from eels_iontransport.measure.lineshapes import voigt_with_derivatives

Lines = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

PADDING_MEV = 130.0  # room on both sides of the fit window, so that tails do not come round the circle


class LineShapes(Protocol):
    def __call__(self, centre: np.ndarray, sigma: np.ndarray, gamma: np.ndarray) -> Lines:
        """Lines of unit area and their derivatives by centre, sigma and gamma; each (k, m), in 1/meV."""
        ...


class SeenVoigts:
    """Voigt lines through a response (j, 4) of Voigts: weight, offset, sigma, gamma; on energy_mev (m,)."""

    def __init__(self, energy_mev: np.ndarray, response: np.ndarray):
        self._energy, self._response = energy_mev, response

    def __call__(self, centre: np.ndarray, sigma: np.ndarray, gamma: np.ndarray) -> Lines:
        parts = []
        for share, offset, more_sigma, more_gamma in self._response:
            width = np.hypot(sigma, more_sigma)
            value, *slopes = voigt_with_derivatives(self._energy, centre + offset, width, gamma + more_gamma)
            slopes[1] = slopes[1] * (sigma / width)[:, None]
            parts.append(share * np.array([value, *slopes]))
        return tuple(sum(parts))


class ConvolvedVoigts:
    """Voigt lines convolved with the response, on an even axis energy_mev (m,).

    broadening_mev: standard deviation of a Gaussian by which the response is wider in this spectrum.

    Worked in Fourier space, where a Voigt is exp(-i w c - sigma^2 w^2 / 2 - gamma |w|), the convolution a product and
    each derivative a factor: exact for any response sampled finer than half its width.
    """

    def __init__(self, energy_mev: np.ndarray, response: Response, broadening_mev: float = 0.0):
        step = energy_mev[1] - energy_mev[0]
        pad = int(np.ceil(PADDING_MEV / step))
        self._size = next_fast_len(energy_mev.size + 2 * pad, real=True)
        self._window = slice(pad, pad + energy_mev.size)
        self._omega = 2 * np.pi * np.fft.rfftfreq(self._size, step)
        wider = np.exp(-0.5 * (broadening_mev * self._omega) ** 2)
        start = np.exp(1j * self._omega * (energy_mev[0] - pad * step))
        self._kernel = response.transform(self._omega) * wider * start / step

    def __call__(self, centre: np.ndarray, sigma: np.ndarray, gamma: np.ndarray) -> Lines:
        centre, sigma, gamma = (np.asarray(p, float)[:, None] for p in (centre, sigma, gamma))
        w = self._omega
        line = self._kernel * np.exp(-1j * w * centre - 0.5 * (sigma * w) ** 2 - gamma * w)
        transforms = np.stack([line, -1j * w * line, -sigma * w**2 * line, -w * line])
        value, by_centre, by_sigma, by_gamma = irfft(transforms, self._size)[:, :, self._window]
        return value, by_centre, by_sigma, by_gamma
