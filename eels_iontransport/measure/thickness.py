"""Relative thickness t/lambda = ln(I_total / I_zlp) from spectra that hold the zero-loss peak (Egerton, log-ratio)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.flags import Flag, unique
from ..data.noise import NoiseModel
from ..data.spectrum import Spectra
from . import zlp
from .splitting import split_zero_loss

MINIMUM_LOSS_EV = 25.0  # a spectrum that ends before has not seen the plasmons
DARK_MARGIN_EV = 4.0  # so far below the zero the tail of the ZLP is gone
DARK_CHANNELS = 8  # fewer do not tell a dark level from noise
DARK_SIGNIFICANCE = 3.0
DARK_FLAG = 0.05  # part of t/lambda that may come from the dark level without a remark
TAIL_FRACTION = 0.25  # last part of the loss range, to which the tail is fitted
TAIL_BLOCKS = 8
TAIL_EXPONENTS = (1.5, 8.0)  # below, the tail has no believable integral; above, it has none worth adding
TAIL_FALLBACK = 2.0
DIPOLE_EXPONENT = 3.0  # single dipole scattering falls so fast at least; a slower fall is a hump of plural scattering


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
    flags: list[Flag] = []
    saturated = zlp.saturated(spectra)
    if saturated.any():
        flags.append(Flag("THICKNESS_SATURATED", "The ZLP is saturated, so t/lambda is not known there."))
    rows = np.flatnonzero(spectra.valid & ~saturated)
    if rows.size:
        counts = spectra.rows if rows.size == len(spectra.rows) else spectra.rows[rows]
        columns[:, rows], doubts = _measured(spectra.energy.energies_ev, counts, noise)
        flags.extend(doubts)
    value, sigma, systematic, tail, dark = columns
    return Thickness(value, sigma, systematic, tail, dark, unique(flags))


def _measured(energy_ev: np.ndarray, counts: np.ndarray, noise: NoiseModel | None) -> tuple[np.ndarray, list[Flag]]:
    """Value, sigma, systematic, tail correction and dark correction of spectra (n, m), (5, n), and doubts."""
    dark, dark_sigma = _dark_level(energy_ev, counts)
    signal = counts - dark[:, None] if dark.any() else counts
    split = split_zero_loss(energy_ev, signal)
    reach_ev = energy_ev[-1] - energy_ev[split.top]
    long = reach_ev >= MINIMUM_LOSS_EV
    total = signal.sum(axis=1)
    usable = split.found & long & (split.zero > 0) & (total > 0)
    flags = _refusals(split.found, long, usable, reach_ev)
    columns = np.full((5, len(counts)), np.nan)
    if not usable.any():
        return columns, flags
    tail, doubts = _tails(energy_ev, signal, split.top, split.loss, usable)
    with np.errstate(divide="ignore", invalid="ignore"):
        known, total = total, total + tail[0]
        value = np.log(total / split.zero)
        undone = np.log((total + dark * energy_ev.size) / (split.zero + dark * split.loss))
        dark_correction = value - undone
        by_mirror = np.where(split.mirrored > 0, 0.5 * np.log(split.mirrored / split.zero), 0.0)
        by_dark = dark_sigma * (energy_ev.size / total - split.loss / split.zero)
        systematic = np.sqrt((tail[2] / total) ** 2 + (0.5 * dark_correction) ** 2 + by_mirror**2 + by_dark**2)
        sigma = np.hypot(_counting_sigma(counts, noise, split.loss, split.zero, total), tail[1] / total)
        tail_correction = value - np.log(known / split.zero)
    columns[:, usable] = np.array([value, sigma, systematic, tail_correction, dark_correction])[:, usable]
    if np.any(np.abs(dark_correction[usable]) > DARK_FLAG * np.abs(value[usable])):
        message = "The counts below the zero-loss peak show a dark level; it was subtracted for t/lambda."
        doubts.append(Flag("DARK_LEVEL", message))
    return columns, flags + doubts


def _refusals(found: np.ndarray, long: np.ndarray, usable: np.ndarray, reach_ev: np.ndarray) -> list[Flag]:
    """Why there is no value of some spectra, all (n,)."""
    flags = []
    if not found.all():
        message = "A spectrum shows no zero-loss peak; t/lambda is not known there."
        flags.append(Flag("THICKNESS_NO_ZLP", message))
    if (found & ~long).any():
        shortest = reach_ev[found & ~long].min()
        message = f"The spectra end {shortest:.3g} eV above the zero; t/lambda needs at least {MINIMUM_LOSS_EV:g} eV."
        flags.append(Flag("SHORT_LOSS_RANGE", message))
    if (found & long & ~usable).any():
        flags.append(Flag("THICKNESS_NO_COUNTS", "A spectrum holds no counts; t/lambda is not known there."))
    return flags


def _counting_sigma(
    counts: np.ndarray, noise: NoiseModel | None, first_loss: np.ndarray, zero: np.ndarray, total: np.ndarray
) -> np.ndarray:
    """Errors (n,) of ln(total / zero), whose derivative is 1/total by the loss and 1/total - 1/zero by the ZLP."""
    if noise is None:
        return np.full(len(counts), np.nan)
    variance = noise.variance(counts)
    near = variance[:, : int(first_loss.max())]
    of_zero = np.where(np.arange(near.shape[1]) < first_loss[:, None], near, 0.0).sum(axis=1)
    of_loss = variance.sum(axis=1) - of_zero
    return np.sqrt(noise.correlation * (of_loss / total**2 + of_zero * (1 / total - 1 / zero) ** 2))


def _dark_level(energy_ev: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels well below the zero and their errors, (n,); 0 where they do not stand out of the noise."""
    channels = np.searchsorted(energy_ev, energy_ev[zlp.tops(counts)] - DARK_MARGIN_EV)
    level, error = np.zeros(len(counts)), np.zeros(len(counts))
    enough = np.flatnonzero(channels >= DARK_CHANNELS)
    if not enough.size:
        return level, error
    channels = channels[enough]
    below = np.arange(int(channels.max())) < channels[:, None]
    part = np.where(below, counts[enough, : below.shape[1]], 0.0)
    mean = part.sum(axis=1) / channels
    variance = (np.where(below, part - mean[:, None], 0.0) ** 2).sum(axis=1) / (channels - 1)
    spread = np.sqrt(variance / channels)
    seen = np.abs(mean) > DARK_SIGNIFICANCE * spread
    level[enough[seen]], error[enough[seen]] = mean[seen], spread[seen]
    return level, error


def _tails(
    energy_ev: np.ndarray, signal: np.ndarray, top: np.ndarray, first: np.ndarray, usable: np.ndarray
) -> tuple[np.ndarray, list[Flag]]:
    """What lies beyond the end of the axis, (3, n): counts, their error from the noise of the fit, and doubt of them.

    A E^-r, r at least 3, fitted to blocks of the last part of the axis and integrated from its end to infinity.
    """
    start = first.copy()
    for channel in np.unique(top[usable]):
        loss_ev = energy_ev - energy_ev[channel]
        start[top == channel] = np.searchsorted(loss_ev, (1 - TAIL_FRACTION) * loss_ev[-1])
    start = np.maximum(start, first)
    usable = usable & (energy_ev.size - start >= 2 * TAIL_BLOCKS)
    tails, decaying = np.zeros((3, len(signal))), True
    for channel in np.unique(start[usable]):
        rows = np.flatnonzero(usable & (start == channel))
        blocks = np.array_split(signal[rows, channel:], TAIL_BLOCKS, axis=1)
        levels = np.array([block.mean(axis=1) for block in blocks])
        errors = np.array([block.std(axis=1, ddof=1) / np.sqrt(block.shape[1]) for block in blocks])
        centres = np.array([block.mean() for block in np.array_split(energy_ev[channel:], TAIL_BLOCKS)])
        end_ev = energy_ev[-1] - energy_ev[top[rows]]
        logarithm = np.log((centres[:, None] - energy_ev[top[rows]]) / end_ev)
        tails[:, rows], known = _tail(levels, errors, logarithm, end_ev / (energy_ev[1] - energy_ev[0]))
        decaying = decaying and bool(known.all())
    if decaying:
        return tails, []
    message = "The loss does not fall towards the end of the axis; t/lambda lacks what lies beyond."
    return tails, [Flag("TAIL_NOT_DECAYING", message)]


def _tail(
    levels: np.ndarray, errors: np.ndarray, logarithm: np.ndarray, end_channels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Counts, error and doubt (3, n) of tails, from the blocks (b, n) before the end, and whether they decay, (n,).

    logarithm (b, n): of the blocks' energies over that of the end, which lies end_channels (n,) from the zero.
    """
    seen = levels.mean(axis=0) > DARK_SIGNIFICANCE * np.sqrt(np.mean(errors**2, axis=0) / TAIL_BLOCKS)
    positive = seen & (levels > 0).all(axis=0)
    safe = np.where(positive, levels, 1.0)
    # Blocks hold nearly equal counts: one common relative error is steadier than that of each block.
    relative = np.maximum(np.sqrt(np.mean((errors / safe) ** 2, axis=0)), 1e-9)
    middle, values = logarithm.mean(axis=0), np.log(safe)
    norm = ((logarithm - middle) ** 2).sum(axis=0)
    slope = ((logarithm - middle) * values).sum(axis=0) / norm
    fitted = positive & (-slope > TAIL_EXPONENTS[0]) & (-slope < TAIL_EXPONENTS[1])
    exponent = np.maximum(-slope, DIPOLE_EXPONENT)
    counts = np.exp(np.where(fitted, values.mean(axis=0) - slope * middle, 0.0)) * end_channels / (exponent - 1)
    by_slope = np.where(-slope > DIPOLE_EXPONENT, 1 / (exponent - 1), 0.0)
    sigma = counts * relative * np.sqrt((by_slope - middle) ** 2 / norm + 1 / len(levels))
    unknown = np.maximum(levels[-2:].mean(axis=0), 0.0) * end_channels / (TAIL_FALLBACK - 1)
    tails = np.where(fitted, (counts, sigma, 0.5 * counts), (0.0 * counts, 0.0 * counts, 0.5 * unknown))
    return np.where(seen, tails, 0.0), fitted | ~seen
