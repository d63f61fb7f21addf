"""Spectra brought to a common zero without resampling, which would correlate their noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..data.spectrum import EnergyAxis, Spectra
from ..data.units import mev
from . import zlp
from .gaps import bridged, widest_gap

COVERED = 0.9  # part of a channel's counts that the rows which have it must make up
LEVEL_CHANNELS = 9  # by so many the counts of a lost channel are judged
WIDEST_GAP = 32  # channels over which a line may be drawn


@dataclass(frozen=True, eq=False)
class Aligned:
    """Counts (m,) of one or more spectra on an axis energy_mev (m,) whose zero is their zero-loss peak.

    nan in a channel of which too little is known.
    """

    energy_mev: np.ndarray
    counts: np.ndarray
    rows: int

    @property
    def step_mev(self) -> float:
        return float(self.energy_mev[1] - self.energy_mev[0])

    @property
    def fwhm_mev(self) -> float:
        """FWHM of the zero-loss peak."""
        return zlp.peak_of(self.counts).fwhm * self.step_mev


def aligned_row(spectra: Spectra, row: int, zero_ev: float) -> Aligned:
    """One row, its zero carried as an offset of its axis."""
    axis = spectra.energy
    energy = np.arange(axis.size) * axis.step_ev + (axis.offset_ev - zero_ev)
    return Aligned(mev(energy), spectra.rows[row], 1)


@dataclass(frozen=True, eq=False)
class AlignedRows:
    """n spectra (n, m) of one axis, each with a zero of its own: the first channel of row i lies at first_mev[i].

    fwhm_mev: (n,) of their zero-loss peaks, nan where nobody asks. summed: (n,) spectra that make up each.
    """

    counts: np.ndarray
    first_mev: np.ndarray
    step_mev: float
    fwhm_mev: np.ndarray
    summed: np.ndarray


def aligned_rows(counts: np.ndarray, energy: EnergyAxis, zero_ev: np.ndarray, fwhm_ev: np.ndarray) -> AlignedRows:
    """Single spectra (n, m) on an axis, with the zeros and widths (n,) of their zero-loss peaks."""
    return AlignedRows(counts, mev(energy.offset_ev - zero_ev), mev(energy.step_ev), mev(fwhm_ev), np.ones(len(counts)))


def stack_aligned(spectra: Sequence[Aligned], *, with_fwhm: bool) -> AlignedRows:
    """Equally long spectra as rows."""
    return AlignedRows(
        np.array([s.counts for s in spectra]),
        np.array([s.energy_mev[0] for s in spectra]),
        spectra[0].step_mev,
        np.array([s.fwhm_mev if with_fwhm else np.nan for s in spectra]),
        np.array([s.rows for s in spectra]),
    )


def aligned_sum(spectra: Spectra, mask: np.ndarray, zero_ev: np.ndarray) -> Aligned | None:
    """Sum of the rows in mask (n,) that have a zero, shifted by whole channels; None if there is none.

    What is left of each shift, less than half a channel, widens the sum by a tenth of a meV at 0.4 meV per channel;
    the zero of the sum is measured on the sum. A channel that some rows have lost is the sum of the others over the
    part that these make up in the neighbouring channels, so that rows of unlike brightness leave no dip; it is nan
    where that is less than COVERED, as the noise of so little is not that of its counts.
    """
    rows = np.flatnonzero(mask & spectra.valid & np.isfinite(zero_ev))
    total = RunningSum(spectra.energy)
    total.add(spectra.rows[rows], zero_ev[rows])
    return total.aligned()


class RunningSum:
    """What `aligned_sum` gives of rows that come bit by bit; the same to the last digit however they are divided."""

    def __init__(self, energy: EnergyAxis) -> None:
        self._energy = energy
        self._total = _Shifted(energy)
        # Of the rows with lost channels: their counts, what they hold of their level in each channel, and would hold.
        self._gappy, self._present, self._expected = _Shifted(energy), _Shifted(energy), _Shifted(energy)

    def add(self, counts: np.ndarray, zero_ev: np.ndarray) -> None:
        """Add rows (n, m) with their zeros (n,), which lie on the axis."""
        lost = ~np.isfinite(counts)
        gappy = lost.any(axis=1)
        if not gappy.any():
            self._total.add(counts, zero_ev)
            return
        self._total.add(np.where(lost, 0.0, counts), zero_ev)
        counts, zero_ev, lost = counts[gappy], zero_ev[gappy], lost[gappy]
        level = uniform_filter1d(bridged(counts), LEVEL_CHANNELS, axis=1)
        level = np.maximum(level, 1e-12 * level.max(axis=1, keepdims=True))
        level[lost & (widest_gap(counts) > WIDEST_GAP)[:, None]] = np.inf  # nobody knows what there would have been
        self._gappy.add(np.where(lost, 0.0, counts), zero_ev)
        self._present.add(np.where(lost, 0.0, level), zero_ev)
        self._expected.add(level, zero_ev)

    def take(self, other: RunningSum) -> None:
        """Add the rows of another sum on the same axis."""
        for name in ("_total", "_gappy", "_present", "_expected"):
            getattr(self, name).take(getattr(other, name))

    def aligned(self) -> Aligned | None:
        """What all rows cover, from the zero of the sum; None where that is nothing, or has no zero-loss peak."""
        total, covered = self._total, self._total.covered
        if covered is None:
            return None
        counts = total.counts[covered].copy()
        if self._gappy.rows:
            level = uniform_filter1d(total.counts - self._gappy.counts, LEVEL_CHANNELS)[covered]  # of the other rows
            present, expected = (level + part.counts[covered] for part in (self._present, self._expected))
            with np.errstate(divide="ignore", invalid="ignore"):
                part = present / expected
                counts = np.where(present == expected, counts, np.where(part >= COVERED, counts / part, np.nan))
        zero = zlp.peak_of(counts).position
        if not np.isfinite(zero):
            return None
        return Aligned(mev((np.arange(counts.size) - zero) * self._energy.step_ev), counts, total.rows)


class _Shifted:
    """Plain sums of rows, shifted so that their zeros lie on one channel."""

    def __init__(self, energy: EnergyAxis) -> None:
        self._energy = energy
        self.counts = np.zeros(3 * energy.size)
        self._lowest, self._highest = energy.size, -energy.size
        self.rows = 0

    def add(self, counts: np.ndarray, zero_ev: np.ndarray) -> None:
        size = self._energy.size
        shifts = np.rint((zero_ev - self._energy.offset_ev) / self._energy.step_ev).astype(int)
        for row, shift in zip(counts, shifts.tolist()):
            self.counts[size - shift : 2 * size - shift] += row
        if len(shifts):
            self._lowest, self._highest = min(self._lowest, shifts.min()), max(self._highest, shifts.max())
            self.rows += len(shifts)

    def take(self, other: _Shifted) -> None:
        self.counts += other.counts
        self._lowest, self._highest = min(self._lowest, other._lowest), max(self._highest, other._highest)
        self.rows += other.rows

    @property
    def covered(self) -> slice | None:
        """The channels that all rows have; None where these are fewer than two."""
        size = self._energy.size
        if self.rows == 0 or self._highest - self._lowest > size - 2:
            return None
        return slice(size - self._lowest, 2 * size - self._highest)
