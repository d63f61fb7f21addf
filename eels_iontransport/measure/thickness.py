"""Relative thickness t/lambda = ln(I_total / I_zlp) from spectra that hold the zero-loss peak (Egerton, log-ratio)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.flags import Flag, unique
from ..data.noise import NoiseModel
from ..data.spectrum import Spectra
from . import zlp

MINIMUM_LOSS_EV = 25.0  # a spectrum that ends before has not seen the plasmons
VALLEY_LIMIT_EV = 10.0  # the loss of any solid has set in by then
DARK_MARGIN_EV = 4.0  # so far below the zero the tail of the ZLP is gone
DARK_CHANNELS = 8  # fewer do not tell a dark level from noise
DARK_SIGNIFICANCE = 3.0
DARK_FLAG = 0.05  # part of t/lambda that may come from the dark level without a remark
TAIL_FRACTION = 0.25  # last part of the loss range, to which the tail is fitted
TAIL_BLOCKS = 8
TAIL_EXPONENTS = (1.5, 8.0)  # below, the tail has no believable integral; above, it has none worth adding
TAIL_FALLBACK = 2.0
DIPOLE_EXPONENT = 3.0  # single dipole scattering falls so fast at least; a slower fall is a hump of plural scattering
UNKNOWN = (np.nan,) * 5


@dataclass(frozen=True, eq=False)
class Thickness:
    """t/lambda of n spectra, all (n,); nan where it cannot be measured.

    sigma: counting noise. systematic: half of each correction and of the disagreement of two ways to end the ZLP.
    tail_correction, dark_correction: what the extrapolated tail and the dark level added to the value.
    """

    value: np.ndarray
    sigma: np.ndarray
    systematic: np.ndarray
    tail_correction: np.ndarray
    dark_correction: np.ndarray
    flags: tuple[Flag, ...] = ()

    @property
    def total_sigma(self) -> np.ndarray:
        return np.hypot(self.sigma, self.systematic)


def t_over_lambda(spectra: Spectra, noise: NoiseModel | None = None) -> Thickness:
    """Thickness in mean free paths of every row.

    The ZLP ends at the minimum between it and the loss; the mirrored gain side is the second opinion. The loss beyond
    the end of the axis is extrapolated as A E^-r. A dark level that stands out well below the zero is removed.
    noise: overrides that of the spectra; without either, sigma is nan.
    """
    noise = noise or spectra.noise
    columns = np.full((5, len(spectra.rows)), np.nan)
    peaks = zlp.measure(spectra)
    flags: list[Flag] = []
    for i in np.flatnonzero(spectra.valid):
        if peaks.saturated[i]:
            flags.append(Flag("THICKNESS_SATURATED", "The ZLP is saturated, so t/lambda is not known there."))
            continue
        columns[:, i], doubts = _row(spectra.energy.energies_ev, spectra.rows[i], noise)
        flags.extend(doubts)
    value, sigma, systematic, tail, dark = columns
    return Thickness(value, sigma, systematic, tail, dark, unique(flags))


class _Split(NamedTuple):
    """What belongs to the ZLP of a row."""

    top: int  # channel of the maximum
    loss: int  # first channel of the loss
    mirrored: float  # counts of the ZLP if its loss side were its gain side


def split_zero_loss(energy_ev: np.ndarray, counts: np.ndarray) -> tuple[float, float, int] | None:
    """(energy of the maximum, counts of the ZLP, first channel of the loss) of one spectrum; None without a ZLP."""
    split = _split(energy_ev, counts)
    if split is None:
        return None
    return float(energy_ev[split.top]), float(counts[: split.loss].sum()), split.loss


def _row(energy_ev: np.ndarray, counts: np.ndarray, noise: NoiseModel | None) -> tuple[tuple[float, ...], list[Flag]]:
    """(value, sigma, systematic, tail correction, dark correction) and doubts; nan where it cannot be measured."""
    dark, dark_sigma = _dark_level(energy_ev, counts)
    signal = counts - dark
    split = _split(energy_ev, signal)
    if split is None:
        return UNKNOWN, [Flag("THICKNESS_NO_ZLP", "A spectrum shows no zero-loss peak; t/lambda is not known there.")]
    reach_ev = energy_ev[-1] - energy_ev[split.top]
    if reach_ev < MINIMUM_LOSS_EV:
        message = f"The spectra end {reach_ev:.3g} eV above the zero; t/lambda needs at least {MINIMUM_LOSS_EV:g} eV."
        return UNKNOWN, [Flag("SHORT_LOSS_RANGE", message)]
    zero, loss = float(signal[: split.loss].sum()), float(signal[split.loss :].sum())
    if zero <= 0 or zero + loss <= 0:
        return UNKNOWN, [Flag("THICKNESS_NO_COUNTS", "A spectrum holds no counts; t/lambda is not known there.")]
    tail, flags = _tail(energy_ev - energy_ev[split.top], signal, split.loss)
    total = zero + loss + tail.counts
    value = float(np.log(total / zero))
    dark_correction = value - float(np.log((total + dark * counts.size) / (zero + dark * split.loss)))
    if abs(dark_correction) > DARK_FLAG * abs(value):
        message = "The counts below the zero-loss peak show a dark level; it was subtracted for t/lambda."
        flags.append(Flag("DARK_LEVEL", message))
    doubts = (
        tail.systematic / total,
        0.5 * dark_correction,
        0.5 * float(np.log(split.mirrored / zero)) if split.mirrored > 0 else 0.0,
        dark_sigma * (counts.size / total - split.loss / zero),
    )
    sigma = float(np.hypot(_counting_sigma(counts, noise, split.loss, zero, total), tail.sigma / total))
    systematic = float(np.sqrt(np.sum(np.square(doubts))))
    return (value, sigma, systematic, value - float(np.log((zero + loss) / zero)), dark_correction), flags


def _counting_sigma(counts: np.ndarray, noise: NoiseModel | None, first_loss: int, zero: float, total: float) -> float:
    """Error of ln(total / zero), whose derivative is 1/total by the loss and 1/total - 1/zero by the ZLP."""
    if noise is None:
        return np.nan
    variance = noise.variance(counts) * noise.correlation
    of_zero, of_loss = variance[:first_loss].sum(), variance[first_loss:].sum()
    return float(np.sqrt(of_loss / total**2 + of_zero * (1 / total - 1 / zero) ** 2))


def _dark_level(energy_ev: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Level well below the zero and its error; (0, 0) where it does not stand out of the noise."""
    below = counts[energy_ev < energy_ev[int(counts.argmax())] - DARK_MARGIN_EV]
    if below.size < DARK_CHANNELS:
        return 0.0, 0.0
    level, error = float(below.mean()), float(below.std(ddof=1) / np.sqrt(below.size))
    return (level, error) if abs(level) > DARK_SIGNIFICANCE * error else (0.0, 0.0)


def _split(energy_ev: np.ndarray, signal: np.ndarray) -> _Split | None:
    """None where the maximum is no peak inside the axis or the loss side has no room."""
    top = int(signal.argmax())
    half = signal < 0.5 * signal[top]
    if signal[top] <= 0 or not half[:top].any() or not half[top:].any():
        return None
    left, right = int(np.flatnonzero(half[:top])[-1]), top + int(np.flatnonzero(half[top:])[0])
    width = right - left
    reach = int(np.searchsorted(energy_ev, energy_ev[top] + VALLEY_LIMIT_EV))
    valley = signal[right : min(reach, signal.size)]
    if valley.size < 2:
        return None
    smooth = min(2 * width + 1, valley.size)  # a noisy minimum would jump about a flat valley
    middles = np.convolve(valley, np.ones(smooth) / smooth, "valid")
    end = right + smooth // 2 + int(np.argmin(middles))
    gain_side = signal[: max(left - width, 0) + 1].sum()
    mirrored = float(signal[: min(right + width, end) + 1].sum() + gain_side)
    return _Split(top, end + 1, mirrored)


class _Tail(NamedTuple):
    """Counts beyond the end of the axis, their error from the noise of the fit, and half of them as doubt."""

    counts: float = 0.0
    sigma: float = 0.0
    systematic: float = 0.0


def _tail(loss_ev: np.ndarray, signal: np.ndarray, first: int) -> tuple[_Tail, list[Flag]]:
    """A E^-r, r at least 3, fitted to blocks of the last part of the axis and integrated from its end to infinity."""
    step, end = loss_ev[1] - loss_ev[0], loss_ev[-1]
    start = max(first, int(np.searchsorted(loss_ev, (1 - TAIL_FRACTION) * end)))
    if signal.size - start < 2 * TAIL_BLOCKS:
        return _Tail(), []
    blocks = np.array_split(signal[start:], TAIL_BLOCKS)
    centres = np.array([block.mean() for block in np.array_split(loss_ev[start:], TAIL_BLOCKS)])
    levels = np.array([block.mean() for block in blocks])
    errors = np.array([block.std(ddof=1) / np.sqrt(block.size) for block in blocks])
    if levels.mean() <= DARK_SIGNIFICANCE * np.sqrt(np.mean(errors**2) / TAIL_BLOCKS):
        return _Tail(), []
    if (levels > 0).all():
        # Blocks hold nearly equal counts: one common relative error is steadier than that of each block.
        relative = max(float(np.sqrt(np.mean((errors / levels) ** 2))), 1e-9)
        weights = np.full(levels.shape, 1 / relative)
        fit, covariance = np.polyfit(np.log(centres / end), np.log(levels), 1, w=weights, cov="unscaled")
        if TAIL_EXPONENTS[0] < -fit[0] < TAIL_EXPONENTS[1]:
            steep = -fit[0] > DIPOLE_EXPONENT
            exponent = max(float(-fit[0]), DIPOLE_EXPONENT)
            counts = float(np.exp(fit[1])) * end / (exponent - 1) / step
            gradient = np.array([1 / (exponent - 1) if steep else 0.0, 1.0])
            return _Tail(counts, counts * float(np.sqrt(gradient @ covariance @ gradient)), 0.5 * counts), []
    unknown = max(float(levels[-2:].mean()), 0.0) * end / (TAIL_FALLBACK - 1) / step
    message = "The loss does not fall towards the end of the axis; t/lambda lacks what lies beyond."
    return _Tail(systematic=0.5 * unknown), [Flag("TAIL_NOT_DECAYING", message)]
