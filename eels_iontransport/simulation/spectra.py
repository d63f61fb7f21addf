"""Expected spectra at any position, spectrometer setting and energy shift.

Every loss is seen once through the response on a fine grid and kept as its integral over energy. A spectrum is then a
weighted sum of those integrals, read at the edges of the channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import factorial

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import fftconvolve

from ..data.spectrum import EnergyAxis
from . import losses
from .collection import ON_AXIS, Shares
from .losses import BOLTZMANN_MEV_PER_K
from .response import response
from .specimen import REFERENCE_THICKNESS, Mode, Specimen

Integral = Callable[[np.ndarray], np.ndarray]  # energies in eV -> probability of a loss below each

_FINE_MEV = 0.1
_RANGE_MEV = 1500.0
_COARSE_EV = 0.02
_COARSE_END_EV = 480.0
_PLURAL_ORDERS = 7
_EDGE_ORDERS = 5
_BLUR_CHANNELS = 0.6  # standard deviation of the spectrometer's own blur, in channels of the dispersion
_STEPS_PER_CHANNEL = 4
_MARGIN_CHANNELS = 64
_MARGIN_EV = 0.1


def _integral(energy_ev: np.ndarray, density_per_ev: np.ndarray) -> Integral:
    step = energy_ev[1] - energy_ev[0]
    upper = energy_ev + 0.5 * step
    total = np.cumsum(density_per_ev) * step
    return lambda at_ev: np.interp(at_ev, upper, total)


def _vibrational(specimen: Specimen) -> list[Integral]:
    """ZLP, aloof polaritons, polaritons inside, phonons of each phase: all seen through the response."""
    half = int(_RANGE_MEV / _FINE_MEV)
    energy = _FINE_MEV * np.arange(-half, half + 1)
    seen = response(energy)
    seen /= seen.sum() * _FINE_MEV

    def through_response(mode: Mode) -> np.ndarray:
        line = losses.vibration(energy, mode, specimen.temperature_k)
        return fftconvolve(line, seen, mode="same") * _FINE_MEV

    def moved(mode: Mode) -> Mode:
        return replace(mode, centre_mev=mode.centre_mev + specimen.polariton_offset_mev)

    modes = [*specimen.polaritons, *map(moved, specimen.polaritons)]
    modes += [mode for phase in specimen.phases for mode in phase.phonons]
    densities = [seen, *(through_response(mode) for mode in modes)]
    return [_integral(energy / 1000.0, 1000.0 * density) for density in densities]


def _electronic(specimen: Specimen) -> list[Integral]:
    """n-fold valence scattering, then each phase's edges with 0, 1, ... valence losses before or after."""
    energy = np.arange(0.0, _COARSE_END_EV, _COARSE_EV)
    padded = 2 * energy.size
    single = np.fft.rfft(losses.valence(energy) * _COARSE_EV, padded)

    def plural(first: np.ndarray | float, order: int) -> np.ndarray:
        return np.fft.irfft(first * single**order, padded)[: energy.size] / _COARSE_EV

    densities = [plural(1.0, order) for order in range(1, _PLURAL_ORDERS + 1)]
    for phase in specimen.phases:
        shifted = energy - phase.edge_shift_ev
        edge = phase.lithium * losses.lithium_edge(shifted) + phase.cobalt * losses.cobalt_edge(shifted)
        transform = np.fft.rfft(edge * _COARSE_EV, padded)
        densities += [plural(transform, order) for order in range(_EDGE_ORDERS)]
    return [_integral(energy, density) for density in densities]


@lru_cache(maxsize=8)
def _components(specimen: Specimen) -> tuple[Integral, ...]:
    return tuple(_vibrational(specimen) + _electronic(specimen))


@lru_cache(maxsize=8)
def _edge_shares(specimen: Specimen) -> np.ndarray:
    """Share of a single inelastic event that ionizes, for each phase."""
    energy = np.arange(0.0, _COARSE_END_EV, _COARSE_EV)
    totals = [edge(energy).sum() * _COARSE_EV for edge in (losses.lithium_edge, losses.cobalt_edge)]
    return np.array([phase.lithium * totals[0] + phase.cobalt * totals[1] for phase in specimen.phases])


def component_weights(specimen: Specimen, x_nm: float, shares: Shares = ON_AXIS) -> np.ndarray:
    """Probability of each component per incident electron at the position, in the order of the components.

    shares: what of it reaches the spectrometer. On the axis electrons are conserved: those that lost energy to
    vibrations are missing from the zero-loss peak, and t/lambda counts ionizations with the valence losses.
    """
    t = float(specimen.t_over_lambda(np.array([x_nm]))[0])
    share = specimen.weights(np.array([x_nm]))[0]
    quasi_elastic = np.exp(-t)
    polaritons = quasi_elastic * specimen.polariton_strength(np.array([x_nm]))[0]
    inside = t > 0.0
    phonons = np.concatenate([w * np.array([m.probability for m in p.phonons]) for w, p in zip(share, specimen.phases)])
    phonons *= quasi_elastic * t / REFERENCE_THICKNESS
    modes = [*specimen.polaritons, *(mode for phase in specimen.phases for mode in phase.phonons)]
    with_gain = 1.0 + np.exp([-mode.centre_mev / (BOLTZMANN_MEV_PER_K * specimen.temperature_k) for mode in modes])
    vibrations = float(np.concatenate([polaritons, phonons]) @ with_gain)
    valence = t * (1.0 - float(share @ _edge_shares(specimen)))
    plural = [quasi_elastic * valence**n / factorial(n) for n in range(1, _PLURAL_ORDERS + 1)]
    edges = [quasi_elastic * t * valence**n / factorial(n) for n in range(_EDGE_ORDERS)]
    others, impact = shares.weighting(t / REFERENCE_THICKNESS)
    return np.concatenate(
        [
            [others * (quasi_elastic - vibrations)],
            others * polaritons * (not inside),
            others * polaritons * inside,
            impact * phonons,
            others * np.array(plural),
            others * np.outer(share, edges).ravel(),
        ]
    )


class SpectrumModel:
    """Expected spectra of a specimen at one setting of the spectrometer.

    axis: nominal energy of the channels. Energy shifts move the spectrum along it by up to 0.1 eV or 64 channels.
    """

    def __init__(self, specimen: Specimen, axis: EnergyAxis) -> None:
        self._specimen = specimen
        margin = max(_MARGIN_EV, _MARGIN_CHANNELS * axis.step_ev)
        grid = np.arange(axis.offset_ev - margin, axis.end_ev + margin, axis.step_ev / _STEPS_PER_CHANNEL)
        integrals = np.array([component(grid) for component in _components(specimen)])
        integrals = gaussian_filter1d(integrals, _BLUR_CHANNELS * _STEPS_PER_CHANNEL, axis=1, mode="nearest")
        self._kept = np.flatnonzero(np.ptp(integrals, axis=1) > 1e-12)
        self._integrals = np.ascontiguousarray(integrals[self._kept])
        self._edges = axis.offset_ev + axis.step_ev * (np.arange(axis.size + 1) - 0.5)
        self._grid = grid

    def expected(self, x_nm: float, shifts_ev: np.ndarray, shares: Shares = ON_AXIS) -> np.ndarray:
        """Probability of each channel per incident electron, (shifts, channels), the spectrum moved by each shift.

        shares: what reaches the spectrometer, as for `component_weights`.
        """
        mixed = component_weights(self._specimen, x_nm, shares)[self._kept] @ self._integrals
        edges = [self._edges - shift for shift in np.atleast_1d(shifts_ev)]
        return np.array([np.diff(np.interp(at, self._grid, mixed)) for at in edges])
