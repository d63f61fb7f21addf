"""Gains and losses of the same lines fitted together: exp(-E / kT) of each other, as the electrons see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import savgol_filter
from scipy.special import voigt_profile

from ..data.noise import NoiseModel
from .alignment import Aligned
from .background import REFERENCE_MEV, log_polynomial
from .gaps import bridged

Interval = tuple[float, float]

FEWEST_CHANNELS = 20  # on either side
_COLDEST_MEV = 0.5  # kT below which no gain is seen of anything
_TRIALS = 20
_STEADY = 1e-2  # part of its error by which 1 / kT may still move
_LONGEST = 0.5  # part of itself by which 1 / kT may change in a step


@dataclass(frozen=True, eq=False)
class Features:
    """An aligned spectrum with its zero-loss peak, and the lines that it shows on the loss side.

    lines: (k, 3) centre, sigma, gamma in meV as they are without the instrument; their areas are fitted again.
    response: (j, 4) weight, offset, sigma, gamma in meV of Voigts whose sum, of unit area, the lines are seen through.
    """

    spectrum: Aligned
    lines: np.ndarray
    response: np.ndarray


def _smooth(spectrum: Aligned) -> np.ndarray:
    """Counts (m,) of the tails with less noise: cubics through as many channels as the zero-loss peak is wide.

    Noise in a tail by which another is described would count as structure of both, and in weights it pulls fits down.
    """
    width = spectrum.fwhm_mev / spectrum.step_mev
    channels = 2 * int(0.5 * width) + 1 if np.isfinite(width) else 0
    counts = bridged(spectrum.counts[None])[0]
    return savgol_filter(counts, channels, 3) if 4 < channels <= counts.size else counts


class Choice(NamedTuple):
    """What is fitted: |E| within a window in meV, and the orders of the backgrounds under losses and gains."""

    window_mev: Interval
    loss_order: int
    gain_order: int


class BalanceFit(NamedTuple):
    """1 / kT in 1/meV and its variance; what the gains, and 1 / kT against the expected one, take off chi-squared.

    energy_mev: at which the gains tell it, in the mean.
    """

    inverse: float
    variance: float
    over_none: float
    over_expected: float
    energy_mev: float


class Sides:
    """A spectrum around its zero, and its lines on both sides as they are seen."""

    def __init__(self, features: Features, noise: NoiseModel, vacuum: Aligned | None, reach: float) -> None:
        spectrum = features.spectrum
        near = np.abs(spectrum.energy_mev) <= reach
        self.energy, self.counts = spectrum.energy_mev[near], spectrum.counts[near]
        self.variance = noise.variance(_smooth(spectrum)[near], spectrum.rows)
        self.tail = None
        if vacuum is not None:
            scale = np.nanmax(spectrum.counts) / np.nanmax(vacuum.counts)
            tail = np.interp(self.energy, vacuum.energy_mev, _smooth(vacuum), left=np.nan, right=np.nan)
            self.tail = scale * tail
            self.variance += np.where(self.energy < 0, scale**2 * noise.variance(tail, vacuum.rows), 0.0)
        self.lines = features.lines
        self._kept: dict[float, tuple[np.ndarray, np.ndarray]] = {}  # every choice of window asks for the same
        self._make_lines(features, spectrum.step_mev, reach)

    def _make_lines(self, features: Features, step: float, reach: float) -> None:
        """Losses on a grid of whole steps, and the response that brings them to the channels of the spectrum."""
        count = int(np.ceil(reach / step)) + 1
        self._grid = step * np.arange(-count, count + 1)
        first = int(np.rint(self.energy[0] / step)) if self.energy.size else 0
        offset = self.energy[0] - first * step if self.energy.size else 0.0
        weight, place, sigma, gamma = features.response.T[:, :, None]
        distance = step * np.arange(-2 * count, 2 * count + 1) + offset
        response = (weight * voigt_profile(distance - place, sigma, gamma)).sum(axis=0) * step
        centre, sigma, gamma = self.lines.T[:, :, None]
        # An oscillator's losses are odd in E, so that they vanish at zero, where the gains would else have no end.
        losses = voigt_profile(self._grid - centre, sigma, gamma) - voigt_profile(self._grid + centre, sigma, gamma)
        losses = np.where(self._grid > 0, losses, 0.0)
        self._mirrored = losses[:, ::-1]
        self._size = next_fast_len(self._grid.size + response.size - 1, real=True)
        self._response, self._first = rfft(response, self._size), first + 3 * count
        self.losses = self._seen(losses)

    def _seen(self, lines: np.ndarray) -> np.ndarray:
        seen = irfft(rfft(lines, self._size, axis=1) * self._response, self._size, axis=1)
        return seen[:, self._first : self._first + self.energy.size]

    def gains(self, inverse: float) -> tuple[np.ndarray, np.ndarray]:
        """The gains (k, m) of lines of unit area at 1 / kT, and their slopes by it; those asked for are kept."""
        if inverse not in self._kept:
            self._kept[inverse] = self._gains(inverse)
        return self._kept[inverse]

    def _gains(self, inverse: float) -> tuple[np.ndarray, np.ndarray]:
        gains = self._mirrored * np.exp(np.minimum(self._grid, 0.0) * inverse)
        both = self._seen(np.concatenate([gains, self._grid * gains]))
        return both[: len(gains)], both[len(gains) :]

    def covers(self, window: Interval) -> bool:
        low, high = window
        channels = [self._inside((low, high)) & (np.sign(self.energy) == side) for side in (-1, 1)]
        whole = self.energy.size > 0 and min(-self.energy[0], self.energy[-1]) >= high - self.step
        return bool(whole and low > 0 and len(self.lines) and all(c.sum() > FEWEST_CHANNELS for c in channels))

    @property
    def step(self) -> float:
        return float(self.energy[1] - self.energy[0]) if self.energy.size > 1 else np.inf

    def _inside(self, window: Interval) -> np.ndarray:
        distance = np.abs(self.energy)
        known = np.isfinite(self.counts) & np.isfinite(self.variance)
        return known & (distance >= window[0]) & (distance <= window[1])

    def problem(self, choice: Choice) -> _Problem:
        """The channels of a window and the backgrounds of some order, over the noise."""
        window, loss_order, gain_order = choice
        inside = self._inside(window)
        energy, sigma = self.energy[inside], np.sqrt(self.variance[inside])
        losses, gains = energy > 0, energy < 0
        background = np.zeros((loss_order + gain_order + 2, energy.size))
        background[: loss_order + 1, losses] = log_polynomial(energy[losses], loss_order)
        if self.tail is None:
            background[loss_order + 1 :, gains] = log_polynomial(-energy[gains], gain_order)
        else:
            logarithm = np.log(-energy[gains] / REFERENCE_MEV)
            powers = logarithm ** np.arange(gain_order + 1)[:, None]
            background[loss_order + 1 :, gains] = self.tail[inside][gains] * powers
        return _Problem(self, inside, sigma, background / sigma, self.counts[inside] / sigma)


class _Problem(NamedTuple):
    """What is fitted of one spectrum: counts (m,), and backgrounds (b, m), all over sigma (m,)."""

    sides: Sides
    inside: np.ndarray
    sigma: np.ndarray
    background: np.ndarray
    counts: np.ndarray

    def solve(self, inverse: float | None) -> _Solved:
        """The best areas and backgrounds at 1 / kT; None: without gains."""
        gains, slopes = self.sides.gains(inverse) if inverse is not None else np.zeros((2, *self.sides.losses.shape))
        columns = np.concatenate([(self.sides.losses + gains)[:, self.inside] / self.sigma, self.background]).T
        length = np.sqrt((columns**2).sum(axis=0))
        basis, triangle = np.linalg.qr(columns / length)
        along = basis.T @ self.counts
        residual = self.counts - basis @ along
        areas = (np.linalg.lstsq(triangle, along, rcond=None)[0] / length)[: len(gains)]
        gain, slope = (areas @ (g[:, self.inside] / self.sigma) for g in (gains, slopes))
        free = slope - basis @ (basis.T @ slope)  # of areas and backgrounds (variable projection)
        chi2, pull, weight = (float(product) for product in (residual @ residual, free @ residual, free @ free))
        freedom = columns.shape[0] - columns.shape[1]
        return _Solved(chi2, pull, weight, float(gain @ gain), float(-slope @ gain), freedom)


class _Solved(NamedTuple):
    """Chi-squared; of its change with 1 / kT the pull and the weight; gains squared, and times their energies."""

    chi2: float
    pull: float
    weight: float
    gains: float
    energies: float
    freedom: int  # channels less parameters


def fit(sides: Sequence[Sides], choice: Choice, start: float, expected: float, correlation: float) -> BalanceFit:
    """Gauss-Newton in 1 / kT, all else being solved for at every step."""
    problems = [s.problem(choice) for s in sides]
    inverse, best = start, [p.solve(start) for p in problems]
    for _ in range(_TRIALS):
        pull, weight = (sum(getattr(s, name) for s in best) for name in ("pull", "weight"))
        if not weight > 0:
            break
        step = float(np.clip(pull / weight, -_LONGEST * abs(inverse) - 0.01, _LONGEST * abs(inverse) + 0.01))
        inverse = min(inverse + step, 1 / _COLDEST_MEV)
        best = [p.solve(inverse) for p in problems]
        if step**2 * weight < _STEADY**2:
            break
    chi2, weight = sum(s.chi2 for s in best), sum(s.weight for s in best)
    freedom, gains = sum(s.freedom for s in best) - 1, sum(s.gains for s in best)
    stretch = max(1.0, correlation * chi2 / max(freedom, 1))
    none, at_expected = (sum(p.solve(at).chi2 for p in problems) for at in (None, expected))
    variance = stretch / weight if weight > 0 else np.inf
    energy = sum(s.energies for s in best) / gains if gains > 0 else np.nan
    return BalanceFit(inverse, variance, (none - chi2) / stretch, (at_expected - chi2) / stretch, energy)
