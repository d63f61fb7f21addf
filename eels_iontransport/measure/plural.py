"""Plural scattering under core-loss edges, worked out from a valence scan of the same pixels.

The valence spectrum gives the single-scattering distribution S by the Fourier logarithm; what it holds beyond S is
plural scattering (double plasmons, edges followed by a plasmon). That part, brought to the scale of the core-loss
spectrum where the two overlap, is subtracted from it. Without noise this is the same as deconvolution, but counts
stay counts: their noise is neither amplified nor correlated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.flags import Flag
from ..data.spectrum import Spectra
from . import zlp
from .splitting import Split, cumulative, split_zero_loss

OVERLAP_END_EV = 45.0
MINIMUM_OVERLAP_EV = 4.0
SHIFT_LIMIT_EV = 3.0
_ITERATIONS, _CONVERGED_EV = 20, 1e-6  # of the search for the zero
_ROWS_AT_A_TIME = 8  # for the processor's cache
_EXTENSION = 4  # the axis is lengthened so often for the Fourier transform, filled with the extrapolated tail


@dataclass(frozen=True, eq=False)
class Plural:
    """Plural scattering in n core-loss spectra; nan rows where it is unknown.

    counts: (n, channels) on the axis of the core-loss spectra. scale: (n,) core-loss over valence counts per eV.
    zero_ev: (n,) where the core-loss axis reads zero loss, from the overlap with the valence scan.
    """

    counts: np.ndarray
    scale: np.ndarray
    zero_ev: np.ndarray
    flags: tuple[Flag, ...] = ()

    @property
    def known(self) -> np.ndarray:
        return np.isfinite(self.scale)


def plural_scattering(core_loss: Spectra, valence: Spectra) -> Plural:
    """Plural scattering of every row of `core_loss` from the same row of `valence`.

    Rows where either is not valid, the valence scan has no usable ZLP, or the two do not overlap between the start of
    the core-loss axis and 45 eV stay nan, with a flag.
    """
    n, m = core_loss.rows.shape
    result = Plural(np.full((n, m), np.nan), np.full(n, np.nan), np.full(n, np.nan))
    if len(valence.rows) != n:
        message = (
            f"The valence scan has {len(valence.rows)} pixels and the core-loss scan {n}; plural scattering stays."
        )
        return Plural(result.counts, result.scale, result.zero_ev, (Flag("PLURAL_PIXELS", message),))
    wanted = np.flatnonzero(core_loss.valid & valence.valid)
    usable = wanted[~zlp.saturated(valence)[wanted]]
    split = split_zero_loss(valence.energy.energies_ev, valence.rows[usable])
    for top in np.unique(split.top[split.found]):  # their axes from the zero on are the same
        same = np.flatnonzero(split.found & (split.top == top))
        loss = _relative_loss(valence, usable[same], split, same, core_loss.energy.step_ev)
        _fill(result, core_loss, usable[same], core_loss.energy.step_ev * np.arange(loss.shape[1]), loss)
    if result.known[wanted].all():
        return result
    message = "The valence scan has no usable ZLP or does not overlap the core-loss scan; plural scattering stays."
    return replace(result, flags=(Flag("PLURAL_UNKNOWN", message),))


def single_scattering(loss_ev: np.ndarray, loss: np.ndarray, tail_exponent: float = 3.0) -> np.ndarray:
    """Single-scattering distribution by the Fourier logarithm; same shape and units as `loss`, (m,) or (n, m).

    loss_ev: uniform, starts at zero. loss: probability of each channel relative to the zero-loss intensity, without
    the ZLP itself. Beyond the axis it is taken to fall as E^-tail_exponent.
    """
    size = loss.shape[-1]
    fall = (np.arange(size, _EXTENSION * size) / (size - 1.0)) ** -tail_exponent
    rows = np.atleast_2d(loss)
    parts = [_logarithm(rows[i : i + _ROWS_AT_A_TIME], fall)[:, :size] for i in range(0, len(rows), _ROWS_AT_A_TIME)]
    return np.concatenate(parts).reshape(loss.shape) if parts else loss.copy()


def _logarithm(loss: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """The Fourier logarithm of 1 + losses (n, m) that go on as `fall` (k,); (n, m + k)."""
    level = loss[:, -max(loss.shape[1] // 50, 4) :].mean(axis=1, keepdims=True)
    padded = np.concatenate([loss, level * fall], axis=1)
    padded -= np.linspace(0, 1, padded.shape[1]) * padded[:, -1:]  # ends where it starts, or it would ring
    transform = np.fft.rfft(padded)
    transform += 1
    phase = np.angle(transform)
    if np.abs(np.diff(phase)).max() > np.pi:
        phase = np.unwrap(phase)
    transform.real, transform.imag = np.log(np.abs(transform)), phase
    return np.fft.irfft(transform, padded.shape[1])


def _fill(result: Plural, core_loss: Spectra, rows: np.ndarray, loss_ev: np.ndarray, loss: np.ndarray) -> None:
    """Work out plural scattering of some rows from their losses (r, k) on a common axis (k,)."""
    energy = core_loss.energy.energies_ev
    overlap = (energy >= max(energy[0], 5.0)) & (energy <= OVERLAP_END_EV)
    short = overlap.sum() * core_loss.energy.step_ev < MINIMUM_OVERLAP_EV
    if short or not loss_ev.size or loss_ev[-1] < OVERLAP_END_EV + SHIFT_LIMIT_EV:
        return
    scale, zero = _match(energy[overlap], core_loss.rows[np.ix_(rows, overlap)], loss_ev, loss)
    good = np.isfinite(scale)
    if not good.any():
        return
    rows, loss, scale, zero = rows[good], loss[good], scale[good], zero[good]
    plural = loss - single_scattering(loss_ev, loss)
    counts = scale[:, None] * _extended(loss_ev, plural, energy, zero)
    result.counts[rows], result.scale[rows], result.zero_ev[rows] = counts, scale, zero


def _extended(loss_ev: np.ndarray, plural: np.ndarray, energy: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Spectra (r, k) on another axis (m,) that reads zero loss at zero (r,); they go on as E^-3 beyond their end."""
    end, lowest, highest = loss_ev[-1], zero.min(initial=np.inf), zero.max(initial=-np.inf)
    before, first, last = (int(np.searchsorted(energy, e, "right")) for e in (highest, end + lowest, end + highest))
    result = np.repeat(plural[:, -1:], energy.size, axis=1)
    result[:, :last] = _Shifted(loss_ev, energy[:last], zero)(plural)
    ratio = np.maximum((energy[first:] - zero[:, None]) / end, 1.0)
    result[:, first:] /= ratio * ratio * ratio
    result[:, :before][energy[:before] < zero[:, None]] = 0.0
    return result


def _relative_loss(valence: Spectra, rows: np.ndarray, split: Split, same: np.ndarray, step_ev: float) -> np.ndarray:
    """Losses (r, k) of rows with their maximum in the same channel, per channel of step_ev, over the ZLP intensity.

    The axis starts at the zero. split: of more spectra, of which `same` are the rows.
    """
    step, top, channels = valence.energy.step_ev, int(split.top[same[0]]), valence.energy.size
    end_ev = step * (channels - 0.5 - top)
    size = max(int((end_ev - 0.5 * step_ev) // step_ev), 0)
    borders = step_ev * (np.arange(size + 1) - 0.5) / step + top + 0.5  # in channels from the first border
    channel = np.minimum(borders.astype(int), channels - 1)
    result = np.empty((len(rows), size))
    for i in range(0, len(rows), _ROWS_AT_A_TIME):
        part = slice(i, i + _ROWS_AT_A_TIME)
        total = cumulative(valence.rows[rows[part]], channels)
        first = split.loss[same[part], None]
        low, high = total.take(channel, axis=1), total.take(channel + 1, axis=1)
        before = low + (borders - channel) * (high - low) - np.take_along_axis(total, first, axis=1)
        result[part] = np.diff(np.where(borders > first, before, 0.0)) / split.zero[same[part], None]
    return result


def _match(
    energy: np.ndarray, counts: np.ndarray, loss_ev: np.ndarray, loss: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zeros (n,) that bring valence (n, k) to core-loss spectra (n, m); nan where they do not fit.

    Both axes have the same step.
    """
    zero = np.zeros(len(loss))
    scale = counts.sum(axis=1) / _Shifted(loss_ev, energy, zero)(loss).sum(axis=1)
    slope = np.gradient(loss, loss_ev, axis=1)
    moving = np.arange(len(loss))
    for _ in range(_ITERATIONS):
        shifted = _Shifted(loss_ev, energy, zero[moving])
        model, moved = shifted(loss[moving]), shifted(slope[moving])
        weight = 1 / np.maximum(model, 1e-12 * model.max(axis=1, keepdims=True))
        scale[moving], step = _least_squares(model, -scale[moving, None] * moved, counts[moving], weight)
        zero[moving] += np.clip(step, -1.0, 1.0)
        good = (np.abs(zero[moving]) <= SHIFT_LIMIT_EV) & np.isfinite(scale[moving]) & (scale[moving] > 0)
        scale[moving[~good]] = zero[moving[~good]] = np.nan
        moving = moving[good & (np.abs(step) >= _CONVERGED_EV)]
        if not moving.size:
            break
    return scale, zero


def _least_squares(
    first: np.ndarray, second: np.ndarray, values: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients, (n,) each, by which two functions come closest to values; all (n, m)."""
    weighted = first * weight
    a, b = np.einsum("nm,nm->n", weighted, first), np.einsum("nm,nm->n", weighted, second)
    x = np.einsum("nm,nm->n", weighted, values)
    weighted = second * weight
    c, y = np.einsum("nm,nm->n", weighted, second), np.einsum("nm,nm->n", weighted, values)
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = a * c - b**2
        return (c * x - b * y) / determinant, (a * y - b * x) / determinant


class _Shifted:
    """Spectra on an even axis from zero, seen on another of the same step whose zeros lie elsewhere."""

    def __init__(self, axis: np.ndarray, energy: np.ndarray, zero: np.ndarray) -> None:
        """axis (k,), energy (m,), zero (n,): where `energy` reads the zero of each spectrum."""
        start = (energy[0] - zero) / (axis[1] - axis[0])
        channel = np.floor(start).astype(int)
        self._part = (start - channel)[:, None]
        channels = np.clip(channel[:, None] + np.arange(energy.size + 1), 0, axis.size - 1)
        self._places = channels + axis.size * np.arange(len(zero))[:, None]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values (n, k) interpolated, (n, m); those at the ends go on beyond."""
        seen = values.ravel().take(self._places)
        return seen[:, :-1] + self._part * np.diff(seen, axis=1)
