"""Spectra made ready: their noise, and of every row the zero-loss peak, its integral and the normalised spectrum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .data.noise import NoiseModel
from .data.spectrum import EnergyAxis, Spectra
from .data.units import ev, mev
from .materials.recipe import Interval
from .measure import noise as noises
from .measure import zlp
from .measure.alignment import Aligned, AlignedRows, aligned_rows, aligned_sum
from .memory import Seen, seen

ZLP_HALF_WIDTH_MEV = 2.5  # the ZLP integral by which spectra are normalised runs this far to both sides
MAP_MARGIN_MEV = 8.0  # normalised spectra show this much beyond the fit window ...
LOWEST_MEV = 5.0  # ... but no ZLP


@dataclass(frozen=True, eq=False)
class Prepared:
    """Spectra with their noise model, zero-loss peaks and ZLP integrals (n,).

    normalised: counts over ZLP integral in 1/meV, (n, m), on normalised_axis around the window that was asked for; nan
    without data. Interpolated, thus for displays and for looking for boundaries, never for fits. None where no window
    was asked for, or the spectra end before. version, token: as in `Seen`.
    """

    spectra: Spectra
    noise: NoiseModel
    zero: zlp.ZeroLoss
    integral: np.ndarray
    version: np.ndarray
    token: int
    normalised: np.ndarray | None = None
    normalised_axis: EnergyAxis | None = None

    @property
    def usable(self) -> np.ndarray:
        """Rows with data and a zero, (n,)."""
        return self.spectra.valid & self.zero.found

    def total(self, mask: np.ndarray | None = None) -> Aligned | None:
        """The sum of the rows in mask, aligned; of all usable ones without."""
        if mask is None:
            return self._sum
        return aligned_sum(self.spectra, mask, self.zero.position_ev)

    def aligned(self, rows: np.ndarray) -> AlignedRows:
        """Some rows, by number, each on an axis of its own."""
        zero = self.zero
        return aligned_rows(self.spectra.rows[rows], self.spectra.energy, zero.position_ev[rows], zero.fwhm_ev[rows])

    @cached_property
    def _sum(self) -> Aligned | None:
        return aligned_sum(self.spectra, self.usable, self.zero.position_ev)


def prepare(spectra: Spectra, noise: NoiseModel | None = None) -> Prepared:
    """Measure noise, unless it is known, and zero-loss peaks of every row."""
    return Preparer(noise=noise).prepare(seen(spectra))


class Preparer:
    """Prepares one input again and again, measuring only the rows that have changed."""

    _peaks: zlp.Peaks

    def __init__(self, window_mev: Interval | None = None, noise: NoiseModel | None = None) -> None:
        """window_mev: around which to normalise. noise: None to estimate it from the spectra."""
        self._window_mev = window_mev
        self._given = noise
        self._last: Prepared | None = None
        self._noise: NoiseModel | None = None
        self._blocks: dict[tuple[int, int], noises.Blocks] = {}  # by row and version

    def prepare(self, given: Seen) -> Prepared:
        """The input with all that is measured on it, each row as if it were measured alone."""
        spectra, last = given.spectra, self._last
        if last is not None and last.token == given.token:
            self._last = replace(last, spectra=spectra) if spectra is not last.spectra else last
            return self._last
        noise = self._given or self._estimated(given)
        same = last is not None and last.spectra.rows.shape == spectra.rows.shape
        changed = given.version != last.version if last is not None and same else np.ones(len(spectra.rows), bool)
        part = spectra if changed.all() else _part(spectra, changed)
        peaks = zlp.find_valid(part)
        position = spectra.energy.offset_ev + peaks.position * spectra.energy.step_ev
        integral = zlp.integral(part, position, ev(ZLP_HALF_WIDTH_MEV))
        axis = self._axis(spectra.energy)
        normalised = _normalised(part, position, integral, axis) if axis is not None else None
        if not changed.all() and last is not None:
            peaks = zlp.replace_rows(self._peaks, changed, peaks)
            integral = _replaced(last.integral, changed, integral)
            if last.normalised is not None and normalised is not None:
                normalised = _replaced(last.normalised, changed, normalised)
        self._peaks = peaks
        zero = zlp.on_axis(peaks, spectra.energy, noise.variance_per_count * noise.correlation)
        self._last = Prepared(spectra, noise, zero, integral, given.version, given.token, normalised, axis)
        return self._last

    def _estimated(self, given: Seen) -> NoiseModel:
        """The noise of the rows that an estimate is made from; only blocks of new ones are looked at."""
        sample = noises.sampled_rows(given.spectra.valid)
        keys = [(int(row), int(given.version[row])) for row in sample]
        if self._noise is None or keys != list(self._blocks):
            new = [key for key in keys if key not in self._blocks]
            blocks = noises.blocks_of(given.spectra.rows[[row for row, _ in new]])
            found = {key: noises.Blocks(blocks.level[i], blocks.products[i]) for i, key in enumerate(new)}
            self._blocks = {key: found.get(key) or self._blocks[key] for key in keys}
            self._noise = noises.reconciled(noises.estimate_from(list(self._blocks.values())), given.spectra.noise)
        return self._noise

    def _axis(self, energy: EnergyAxis) -> EnergyAxis | None:
        """The axis of the normalised spectra."""
        if self._window_mev is None:
            return None
        low, high = self._window_mev
        low_ev, high_ev = ev(max(low - MAP_MARGIN_MEV, LOWEST_MEV)), ev(high + MAP_MARGIN_MEV)
        size = int((high_ev - low_ev) / energy.step_ev)
        return EnergyAxis(low_ev, energy.step_ev, size) if size >= 2 and high_ev <= energy.end_ev else None


def _normalised(spectra: Spectra, zero_ev: np.ndarray, integral: np.ndarray, axis: EnergyAxis) -> np.ndarray:
    result = np.full((len(spectra.rows), axis.size), np.nan)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(np.isfinite(zero_ev) & (integral > 0))
    # Both axes have the same step: a row is seen through the same fraction of a channel all along.
    start = (axis.offset_ev - (spectra.energy.offset_ev - zero_ev[rows])) / axis.step_ev
    channel = np.floor(start).astype(int)
    part = (start - channel)[:, None]
    places = np.clip(channel[:, None] + np.arange(axis.size + 1), 0, spectra.energy.size - 1)
    counts = spectra.rows[rows[:, None], places]
    result[rows] = (counts[:, :-1] + part * np.diff(counts, axis=1)) / (integral[rows, None] * mev(axis.step_ev))
    return result


def _part(spectra: Spectra, rows: np.ndarray) -> Spectra:
    return replace(spectra, counts=spectra.rows[rows], valid=spectra.valid[rows])


def _replaced(array: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    result = array.copy()
    result[rows] = values
    return result
