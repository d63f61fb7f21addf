"""Plural scattering under core-loss edges, worked out from a valence scan of the same pixels.

The valence spectrum gives the single-scattering distribution S by the Fourier logarithm; what it holds beyond S is
plural scattering (double plasmons, edges followed by a plasmon). That part, brought to the scale of the core-loss
spectrum where the two overlap, is subtracted from it. Without noise this is the same as deconvolution, but counts
stay counts: their noise is neither amplified nor correlated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.flags import Flag, unique
from ..data.spectrum import Spectra
from . import thickness, zlp

OVERLAP_END_EV = 45.0
MINIMUM_OVERLAP_EV = 4.0
SHIFT_LIMIT_EV = 3.0
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


class _Row(NamedTuple):
    counts: np.ndarray
    scale: float
    zero_ev: float


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
    flags = []
    zeros = zlp.measure(valence)
    for i in np.flatnonzero(core_loss.valid & valence.valid).tolist():
        row = None if zeros.saturated[i] else _row(core_loss, valence, i)
        if row is None:
            message = (
                "The valence scan has no usable ZLP or does not overlap the core-loss scan; plural scattering stays."
            )
            flags.append(Flag("PLURAL_UNKNOWN", message))
            continue
        result.counts[i], result.scale[i], result.zero_ev[i] = row
    return Plural(result.counts, result.scale, result.zero_ev, unique(flags))


def single_scattering(loss_ev: np.ndarray, loss: np.ndarray, tail_exponent: float = 3.0) -> np.ndarray:
    """Single-scattering distribution by the Fourier logarithm; same shape and units as `loss`.

    loss_ev: uniform, starts at zero. loss: probability of each channel relative to the zero-loss intensity, without
    the ZLP itself. Beyond the axis it is taken to fall as E^-tail_exponent.
    """
    size = loss.size
    beyond = np.arange(size, _EXTENSION * size)
    level = float(np.mean(loss[-max(size // 50, 4) :]))
    padded = np.concatenate([loss, level * (beyond / (size - 1.0)) ** -tail_exponent])
    padded -= np.linspace(0, padded[-1], padded.size)  # ends where it starts, or the transform would ring
    transform = np.fft.rfft(padded)
    phase = np.unwrap(np.angle(1 + transform))
    logarithm = np.log(np.abs(1 + transform)) + 1j * phase
    return np.fft.irfft(logarithm, padded.size)[:size]


def _row(core_loss: Spectra, valence: Spectra, i: int) -> _Row | None:
    energy, counts = core_loss.energy.energies_ev, core_loss.rows[i]
    low_loss = _relative_loss(valence, i, core_loss.energy.step_ev)
    if low_loss is None or low_loss[0].size == 0:
        return None
    loss_ev, loss = low_loss
    overlap = (energy >= max(energy[0], 5.0)) & (energy <= OVERLAP_END_EV)
    if overlap.sum() * core_loss.energy.step_ev < MINIMUM_OVERLAP_EV or loss_ev[-1] < OVERLAP_END_EV + SHIFT_LIMIT_EV:
        return None
    matched = _match(energy[overlap], counts[overlap], loss_ev, loss)
    if matched is None:
        return None
    scale, zero = matched
    plural = loss - single_scattering(loss_ev, loss)
    end = loss_ev[-1]
    extended = np.where(
        energy - zero <= end,
        np.interp(energy - zero, loss_ev, plural, left=0.0),
        plural[-1] * (np.maximum(energy - zero, end) / end) ** -3.0,
    )
    return _Row(scale * extended, scale, zero)


def _relative_loss(valence: Spectra, i: int, step_ev: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Loss per channel of step_ev over the zero-loss intensity, on an axis from zero; None without a ZLP."""
    split = thickness.split_zero_loss(valence.energy.energies_ev, valence.rows[i])
    if split is None:
        return None
    step = valence.energy.step_ev
    zero_ev, intensity, first = split
    loss_counts = np.where(np.arange(valence.energy.size) < first, 0.0, valence.rows[i])
    edges = valence.energy.offset_ev - zero_ev + step * (np.arange(valence.energy.size + 1) - 0.5)
    cumulative = np.concatenate([[0.0], np.cumsum(loss_counts)])
    channels = int((edges[-1] - 0.5 * step_ev) // step_ev)
    loss_ev = step_ev * np.arange(channels)
    bins = step_ev * (np.arange(channels + 1) - 0.5)
    return loss_ev, np.diff(np.interp(bins, edges, cumulative)) / intensity


def _match(energy: np.ndarray, counts: np.ndarray, loss_ev: np.ndarray, loss: np.ndarray) -> tuple[float, float] | None:
    """Scale and zero that bring the valence spectrum to the core-loss spectrum; None where they do not fit."""
    zero = 0.0
    scale = float(counts.sum() / np.interp(energy, loss_ev, loss).sum())
    slope = np.gradient(loss, loss_ev)
    for _ in range(20):
        model, moved = (np.interp(energy - zero, loss_ev, y) for y in (loss, -slope))
        design = np.stack([model, scale * moved], axis=1)
        weight = 1 / np.sqrt(np.maximum(model, 1e-12 * model.max()))
        scale, step = np.linalg.lstsq(design * weight[:, None], counts * weight, rcond=None)[0]
        zero += float(np.clip(step, -1.0, 1.0))
        if abs(zero) > SHIFT_LIMIT_EV or not np.isfinite(scale) or scale <= 0:
            return None
        if abs(step) < 1e-6:
            break
    return float(scale), zero
