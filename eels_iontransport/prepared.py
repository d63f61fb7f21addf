"""Spectra made ready: their noise, and of every row the zero-loss peak, its integral and the normalised spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .data.flags import Flag
from .data.noise import NoiseModel
from .data.record import Role
from .data.spectrum import EnergyAxis, Spectra
from .data.units import ev, mev
from .input_noise import InputNoise, surest
from .materials.recipe import Interval
from .measure import noise as noises
from .measure import zlp
from .measure.alignment import WIDEST_GAP, Aligned, AlignedRows, aligned_rows, aligned_sum
from .measure.gaps import widest_gap
from .memory import Seen, new_number, seen

ZLP_HALF_WIDTH_MEV = 2.5  # the ZLP integral by which spectra are normalised runs this far to both sides
MAP_MARGIN_MEV = 8.0  # normalised spectra show this much beyond the fit window ...
LOWEST_MEV = 5.0  # ... but no ZLP
SIGNIFICANTLY_NEGATIVE = 5.0  # sigma


@dataclass(frozen=True, eq=False)
class Prepared:
    """Spectra with their noise model, zero-loss peaks and ZLP integrals (n,).

    Channels far below zero, which no counting makes, are nan like those that were lost. widest_gap: (n,) the most of
    these side by side.
    normalised: counts over ZLP integral in 1/meV, (n, m), on normalised_axis around the window that was asked for; nan
    without data. Interpolated, thus for displays and for looking for boundaries, never for fits. None where no window
    was asked for, or the spectra end before. version, token: as in `Seen`. doubts: about the noise model.
    """

    spectra: Spectra
    noise: NoiseModel
    zero: zlp.ZeroLoss
    integral: np.ndarray
    version: np.ndarray
    token: int
    widest_gap: np.ndarray
    normalised: np.ndarray | None = None
    normalised_axis: EnergyAxis | None = None
    doubts: tuple[Flag, ...] = ()

    @property
    def usable(self) -> np.ndarray:
        """Rows with data and a zero, (n,)."""
        return self.spectra.valid & self.zero.found

    @property
    def summable(self) -> np.ndarray:
        """Usable rows that take part in sums, (n,): few rows with a wide gap would take these channels from all."""
        usable = self.usable
        whole = usable & (self.widest_gap <= WIDEST_GAP)
        return whole if 2 * whole.sum() >= usable.sum() else usable

    def total(self, mask: np.ndarray | None = None) -> Aligned | None:
        """The sum of the rows in mask that take part in sums, aligned; of all of them without."""
        if mask is None:
            return self._sum
        return aligned_sum(self.spectra, mask & self.summable, self.zero.position_ev)

    def total_integral(self, mask: np.ndarray) -> float:
        """ZLP counts of the same rows."""
        return float(np.nansum(self.integral[mask & self.summable]))

    def aligned(self, rows: np.ndarray) -> AlignedRows:
        """Some rows, by number, each on an axis of its own."""
        zero = self.zero
        return aligned_rows(self.spectra.rows[rows], self.spectra.energy, zero.position_ev[rows], zero.fwhm_ev[rows])

    @cached_property
    def _sum(self) -> Aligned | None:
        return aligned_sum(self.spectra, self.summable, self.zero.position_ev)


def prepare(spectra: Spectra, noise: NoiseModel | None = None) -> Prepared:
    """Measure noise, unless it is known, and zero-loss peaks of every row."""
    return Preparer(noise=noise).prepare(seen(spectra))


def prepare_all(preparers: Mapping[str, Preparer], inputs: Mapping[str, Seen]) -> dict[str, Prepared]:
    """Inputs by role, each prepared with the preparer of its role.

    Frames of one place, as vacuum and aloof spectra are taken, tell the noise of all that was taken with the same
    dispersion.
    """
    roles = [role for role in inputs if role != Role.VIBRATIONAL.value]
    told = [(inputs[role].spectra.energy, preparers[role].of_frames(inputs[role])) for role in roles]
    return {role: preparers[role].prepare(g, surest(g.spectra.energy, told)) for role, g in inputs.items()}


@dataclass(frozen=True, eq=False)
class _Measured:
    """What is measured on each of some rows, whichever others there are."""

    peaks: zlp.Peaks
    integral: np.ndarray
    widest_gap: np.ndarray
    normalised: np.ndarray | None

    def renewed(self, rows: np.ndarray, others: _Measured) -> _Measured:
        """With other values for the rows in a mask."""
        normalised = None
        if self.normalised is not None and others.normalised is not None:
            normalised = _replaced(self.normalised, rows, others.normalised)
        return _Measured(
            zlp.replace_rows(self.peaks, rows, others.peaks),
            _replaced(self.integral, rows, others.integral),
            _replaced(self.widest_gap, rows, others.widest_gap),
            normalised,
        )


def _measure(spectra: Spectra, normalised_axis: EnergyAxis | None) -> _Measured:
    peaks = zlp.find_valid(spectra)
    position = spectra.energy.offset_ev + peaks.position * spectra.energy.step_ev
    integral = zlp.integral(spectra, position, ev(ZLP_HALF_WIDTH_MEV))
    gap = widest_gap(spectra.rows)
    cut = np.isfinite(position) & np.isnan(integral) & (gap > 0)
    if cut.any():  # a channel was lost so close to the zero that nothing tells its counts
        peaks, position = zlp.without(peaks, cut), np.where(cut, np.nan, position)
    normalised = _normalised(spectra, position, integral, normalised_axis) if normalised_axis is not None else None
    return _Measured(peaks, integral, gap, normalised)


class Preparer:
    """Prepares one input again and again, measuring only the rows that have changed."""

    _measured: _Measured
    _lowest: np.ndarray  # counts in each row
    _negative: np.ndarray  # channels far below zero in each row

    def __init__(self, window_mev: Interval | None = None, noise: NoiseModel | None = None) -> None:
        """window_mev: around which to normalise. noise: None to estimate it from the spectra."""
        self._window_mev = window_mev
        self._given = noise
        self._last: Prepared | None = None
        self._looked_at = np.empty(0, int)  # versions of the rows as they were given
        self._token: int | None = None  # of what was prepared last ...
        self._frames: NoiseModel | None = None  # ... and with which noise of frames
        self._noise = InputNoise()

    def prepare(self, given: Seen, frames: NoiseModel | None = None) -> Prepared:
        """The input with all that is measured on it, each row as if it were measured alone.

        frames: noise model of frames that the same camera took in the same setting.
        """
        last = self._last
        if last is not None and self._token == given.token and self._frames == frames:
            self._last = _renamed(last, given.spectra)
            return self._last
        noise, doubts = self._noise_of(given, frames)
        energy = given.spectra.energy
        # What was made of the same rows with another noise is not this.
        token = new_number() if self._token == given.token else given.token
        self._token, self._frames = given.token, frames
        spectra, changed, version = self._changed(given, noise)
        axis = self._axis(energy)
        if changed.all():
            self._measured = _measure(spectra, axis)
        elif changed.any():
            part = replace(spectra, counts=spectra.rows[changed], valid=spectra.valid[changed])
            self._measured = self._measured.renewed(changed, _measure(part, axis))
        measured = self._measured
        zero = zlp.on_axis(measured.peaks, energy, noise.variance_per_count * noise.correlation)
        self._last = Prepared(
            spectra,
            noise,
            zero,
            measured.integral,
            version,
            token,
            measured.widest_gap,
            measured.normalised,
            axis,
            doubts,
        )
        return self._last

    def of_frames(self, given: Seen) -> NoiseModel | None:
        """The noise that sets frames of one place apart, where the rows are such."""
        return self._noise.of_frames(given)

    def _changed(self, given: Seen, noise: NoiseModel) -> tuple[Spectra, np.ndarray, np.ndarray]:
        """Spectra without channels far below zero, which rows are not as they were (n,), and the versions (n,)."""
        last = self._last
        is_new = last is None or last.spectra.counts.shape != given.spectra.counts.shape
        changed = np.ones(len(given.version), bool) if is_new else given.version != self._looked_at
        spectra, negative = self._without_negative(given.spectra, noise, changed)
        version = given.version
        if last is not None and not is_new:
            elsewhere = ~changed & (negative != self._negative)  # as the noise is not what it was
            version = np.where(changed, given.version, last.version)
            version[elsewhere] = new_number()
            changed = changed | elsewhere
        self._looked_at, self._negative = given.version, negative
        return spectra, changed, version

    def _without_negative(self, spectra: Spectra, noise: NoiseModel, changed: np.ndarray) -> tuple[Spectra, np.ndarray]:
        """Spectra with nan for channels significantly below zero, and how many these are in each row (n,)."""
        lowest = np.fmin.reduce(spectra.rows[changed], axis=1)
        self._lowest = lowest if changed.all() else _replaced(self._lowest, changed, lowest)
        limit = -SIGNIFICANTLY_NEGATIVE * float(np.sqrt(noise.variance(np.zeros(1))[0]))
        negative = np.zeros(len(spectra.rows), int)
        rows = np.flatnonzero(spectra.valid & (self._lowest < limit))
        if not rows.size:
            return spectra, negative
        counts = spectra.counts.copy()
        below = spectra.rows[rows] < limit
        np.atleast_2d(counts)[rows] = np.where(below, np.nan, spectra.rows[rows])
        negative[rows] = below.sum(axis=1)
        return replace(spectra, counts=counts), negative

    def _noise_of(self, given: Seen, frames: NoiseModel | None) -> tuple[NoiseModel, tuple[Flag, ...]]:
        """The noise model to use, and what is odd about it."""
        if self._given is not None:
            return self._given, ()
        measured = self._noise.estimated(given)
        noise = noises.reconciled(measured, given.spectra.noise, frames)
        return noise, noises.doubts(measured, noise)

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


def _renamed(prepared: Prepared, spectra: Spectra) -> Prepared:
    """The same data with the name, metadata and passes that they have now."""
    own = prepared.spectra
    if own.metadata is spectra.metadata and own.passes is spectra.passes and own.name == spectra.name:
        return prepared
    named = replace(own, metadata=spectra.metadata, name=spectra.name, passes=spectra.passes, parts=spectra.parts)
    return replace(prepared, spectra=named)


def _replaced(array: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    result = array.copy()
    result[rows] = values
    return result
