"""The zero-loss peak: where it is, how wide, how high, and whether the detector was full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.spectrum import EnergyAxis, Spectra

SATURATION_MARGIN = 0.98  # a channel above this part of full scale is no longer linear
PLATEAU_CHANNELS = 3  # so many equal maxima side by side are a clipped peak, not chance

COARSE_CHANNELS = 0.1  # uncertainty of the vertex of a peak with too few channels to try a second fit
_REACH = 24  # channels to both sides of a maximum that are looked at; a wider peak is looked at again with more
_LOW = 0.4  # part of the maximum below which a spectrum has to fall within them


class Peak(NamedTuple):
    """A zero-loss peak in channels; nan where the maximum of the spectrum is no peak."""

    position: float
    sigma: float
    fwhm: float
    height: float


@dataclass(frozen=True, eq=False)
class Peaks:
    """Zero-loss peaks of n spectra in channels, all (n,); nan where the maximum of a spectrum is no peak.

    noise: standard deviation of the position at a variance of one per count. other: the position by the upper part of
    the top alone, nan where that has too few channels. height: counts at the maximum. saturated: bool.
    """

    position: np.ndarray
    noise: np.ndarray
    other: np.ndarray
    fwhm: np.ndarray
    height: np.ndarray
    saturated: np.ndarray

    def sigma(self, variance_per_count: float) -> np.ndarray:
        """Of the position: counting noise, and what fitting only the upper part changes, as no ZLP is a Gaussian."""
        noise = variance_per_count * self.noise**2
        # Two fits of overlapping channels differ by up to twice the noise; what goes beyond is the wrong model.
        model = np.maximum((self.other - self.position) ** 2 - 4 * noise, 0.0)
        return np.sqrt(noise + np.where(np.isfinite(model), model, COARSE_CHANNELS**2))


@dataclass(frozen=True, eq=False)
class ZeroLoss:
    """Zero-loss peaks of n spectra; nan where there is none to measure."""

    position_ev: np.ndarray
    position_sigma_ev: np.ndarray
    fwhm_ev: np.ndarray
    height: np.ndarray  # counts at the maximum
    saturated: np.ndarray  # bool

    @property
    def found(self) -> np.ndarray:
        return np.isfinite(self.position_ev)


def measure(spectra: Spectra, variance_per_count: float = 1.0) -> ZeroLoss:
    """Position, width and height of the ZLP of every row.

    The position is the vertex of a weighted parabola through ln counts above half maximum. Saturated rows keep
    position nan: the top that would tell is gone. A row whose maximum lies at an end of the axis has no ZLP, nor has
    one with a channel without a number among those that tell.
    """
    return on_axis(find_valid(spectra), spectra.energy, variance_per_count)


def on_axis(peaks: Peaks, energy: EnergyAxis, variance_per_count: float) -> ZeroLoss:
    """Peaks in eV, with the noise that the counts have."""
    step = energy.step_ev
    position, sigma = energy.offset_ev + peaks.position * step, peaks.sigma(variance_per_count) * step
    return ZeroLoss(position, sigma, peaks.fwhm * step, peaks.height, peaks.saturated)


def find_valid(spectra: Spectra) -> Peaks:
    """The peaks of the valid rows, nan for the others."""
    if spectra.valid.all():
        return find(spectra.rows, spectra.saturation_level)
    found = find(spectra.rows[spectra.valid], spectra.saturation_level)
    n = len(spectra.rows)
    return replace_rows(_peaks_of(np.full((5, n), np.nan), np.zeros(n, bool)), spectra.valid, found)


def replace_rows(peaks: Peaks, rows: np.ndarray, others: Peaks) -> Peaks:
    """Peaks of n spectra with those of some rows, given by mask or number, in place of what they were."""
    columns = {}
    for name, values in vars(peaks).items():
        columns[name] = values.copy()
        columns[name][rows] = getattr(others, name)
    return Peaks(**columns)


def without(peaks: Peaks, rows: np.ndarray) -> Peaks:
    """Peaks of n spectra, but none for some rows, given by mask (n,)."""
    count = int(rows.sum())
    return replace_rows(peaks, rows, _peaks_of(np.full((5, count), np.nan), peaks.saturated[rows]))


def peak_of(counts: np.ndarray, variance_per_count: float = 1.0) -> Peak:
    """The zero-loss peak of one spectrum (m,), in channels."""
    found = find(counts[None])
    sigma = found.sigma(variance_per_count)
    return Peak(*(float(values[0]) for values in (found.position, sigma, found.fwhm, found.height)))


def find(rows: np.ndarray, saturation_level: float | None = None) -> Peaks:
    """The zero-loss peaks of spectra (n, m), in channels; a saturated spectrum has none."""
    top = tops(rows)
    height = rows[np.arange(len(rows)), top]
    full = _saturated(rows, top, height, saturation_level)
    columns = np.full((5, len(rows)), np.nan)
    for chosen, around in _neighbourhoods(rows, top, (height > 0) & ~full):
        columns[:, chosen] = _peaks(around, height[chosen], top[chosen])
    return _peaks_of(columns, full)


def saturated(spectra: Spectra) -> np.ndarray:
    """Valid rows whose maximum the detector could not hold, (n,) bool."""
    top = tops(spectra.rows)
    height = spectra.rows[np.arange(len(top)), top]
    return spectra.valid & _saturated(spectra.rows, top, height, spectra.saturation_level)


def half_maximum(rows: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Channels before and after the maximum (n,) at which spectra (n, m) are first below half of it.

    -1 and m where a maximum is not above zero, or none is below on its either side.
    """
    height = rows[np.arange(len(rows)), top]
    before, after = np.full(len(rows), -1), np.full(len(rows), rows.shape[1])
    for chosen, around in _neighbourhoods(rows, top, height > 0):
        left, right = _crossings(around, 0.5 * height[chosen])
        seen = np.isfinite(left + right)
        before[chosen[seen]] = (top[chosen] - left)[seen].astype(int)
        after[chosen[seen]] = (top[chosen] + right)[seen].astype(int)
    return before, after


def integral(spectra: Spectra, zero_ev: np.ndarray, half_width_ev: float) -> np.ndarray:
    """Counts of every row within half_width_ev of its zero, with fractional channels at both ends; (n,).

    Whole channels would make the integral jump by a channel whenever the peak moves by a fraction of one. nan where
    the axis does not hold all of it, or a channel has no number.
    """
    axis, result = spectra.energy, np.full(len(spectra.rows), np.nan)
    zero, half_width = (zero_ev - axis.offset_ev) / axis.step_ev, half_width_ev / axis.step_ev
    low, high = zero - half_width, zero + half_width
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(spectra.valid & (low >= -0.5) & (high <= axis.size - 0.5))
    if not rows.size:
        return result
    low, high = low[rows, None], high[rows, None]
    channels = np.floor(low + 0.5).astype(int) + np.arange(int(2 * half_width) + 2)
    part = np.clip(np.minimum(channels + 0.5, high) - np.maximum(channels - 0.5, low), 0.0, 1.0)
    counts = spectra.rows[rows[:, None], np.clip(channels, 0, axis.size - 1)]
    result[rows] = np.where(part > 0, counts * part, 0.0).sum(axis=1)
    return result


def tops(rows: np.ndarray) -> np.ndarray:
    """Channel of the maximum of every spectrum (n, m); channels without a number do not count."""
    top = rows.argmax(axis=1)
    gaps = np.flatnonzero(~np.isfinite(rows[np.arange(len(rows)), top]))
    if gaps.size:
        top[gaps] = np.where(np.isfinite(rows[gaps]), rows[gaps], -np.inf).argmax(axis=1)
    return top


def _saturated(rows: np.ndarray, top: np.ndarray, height: np.ndarray, level: float | None) -> np.ndarray:
    if level is not None:
        return (height > 0) & (height >= SATURATION_MARGIN * level)
    after = top[:, None] + np.arange(PLATEAU_CHANNELS)
    plateau = np.take_along_axis(rows, np.minimum(after, rows.shape[1] - 1), axis=1) == height[:, None]
    return (height > 0) & plateau.all(axis=1) & (after[:, -1] < rows.shape[1])


def _peaks_of(columns: np.ndarray, full: np.ndarray) -> Peaks:
    position, noise, other, fwhm, height = columns
    return Peaks(position, noise, other, fwhm, height, full)


def _neighbourhoods(rows: np.ndarray, top: np.ndarray, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The wanted spectra in groups: which they are, and the channels about their maxima, as far as the peak reaches."""
    left, reach = np.flatnonzero(wanted), _REACH
    while left.size:
        around = _around(rows, left, top[left], reach)
        low = around < _LOW * around[:, reach, None]
        told = low[:, :reach].any(axis=1) & low[:, reach:].any(axis=1) | (reach >= rows.shape[1])
        if told.any():
            yield left[told], around[told]
        left, reach = left[~told], min(4 * reach, rows.shape[1])


def _around(rows: np.ndarray, chosen: np.ndarray, top: np.ndarray, reach: int) -> np.ndarray:
    """The channels (c, 2 reach + 1) about the maximum of the chosen spectra; nan beyond the axis."""
    channels = top[:, None] + np.arange(-reach, reach + 1)
    around = rows[chosen[:, None], np.clip(channels, 0, rows.shape[1] - 1)]
    return np.where((channels >= 0) & (channels < rows.shape[1]), around, np.nan)


def _peaks(around: np.ndarray, height: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Position, noise, other position, FWHM and height (5, c) of peaks from the channels about their maxima."""
    first, last = _above(around, 0.5 * height)
    position, noise, vertex_height = _parabola(around, first, last)
    width = _width(around, vertex_height)
    first_narrow, last_narrow = _above(around, 0.75 * height)
    other, _, _ = _parabola(around, first_narrow, last_narrow)
    other = np.where((first_narrow == first) & (last_narrow == last), np.nan, other)
    columns = np.array([position + top, noise, other + top, width, vertex_height])
    columns[:, ~np.isfinite(position + width)] = np.nan
    return columns


def _above(around: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last channel, from the maximum, of those about it above a level (c,), three at least.

    A channel without a number counts as above, and spoils the fit; nan where there is an end of the axis.
    """
    left, right = _crossings(around, level)
    return np.minimum(1 - left, -1), np.maximum(right - 1, 1)


def _crossings(around: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many channels before and after the maximum lie the first below a level (c,); nan where none does."""
    reach = around.shape[1] // 2
    below = around < level[:, None]
    left, right = below[:, reach::-1], below[:, reach:]
    return tuple(np.where(side.any(axis=1), side.argmax(axis=1), np.nan) for side in (left, right))  # type: ignore[return-value]


def _parabola(around: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertex of the weighted parabola through ln counts, from the maximum; its noise, and its height, all (c,).

    nan without a vertex. The noise is that of a variance of one per count, which makes the variance of ln y 1 / y.
    """
    reach = around.shape[1] // 2
    x = np.arange(-reach, reach + 1.0)
    inside = (x >= first[:, None]) & (x <= last[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        usable = inside.any(axis=1) & np.all((around > 0) | ~inside, axis=1)
        weight = np.where(inside & usable[:, None], around, 0.0)
        top = around[:, reach]
        values = np.where(weight > 0, np.log(np.where(weight > 0, around, 1.0) / top[:, None]), 0.0)
        # Polynomials that are orthogonal under the weights: 1, d, q.
        total = weight.sum(axis=1)
        mean = (weight * x).sum(axis=1) / total
        d = x - mean[:, None]
        moment = weight * d * d
        square, cube = moment.sum(axis=1) / total, (moment * d).sum(axis=1) / total
        q = d**2 - (cube / square)[:, None] * d - square[:, None]
        norm = (weight * q**2).sum(axis=1)
        level, slope, bend = (
            (weight * values).sum(axis=1) / total,
            (weight * values * d).sum(axis=1) / (total * square),
            (weight * values * q).sum(axis=1) / norm,
        )
        vertex = 0.5 * cube / square - 0.5 * slope / bend
        noise = np.sqrt(1 / (total * square) + (slope / bend) ** 2 / norm) / np.abs(2 * bend)
        at_vertex = level + slope * vertex + bend * (vertex**2 - cube / square * vertex - square)
        columns = np.array([mean + vertex, noise, top * np.exp(np.minimum(at_vertex, 700.0))])
        columns[:, ~(usable & (bend < 0))] = np.nan
    return columns[0], columns[1], columns[2]


def _width(around: np.ndarray, height: np.ndarray) -> np.ndarray:
    """FWHM in channels, by linear interpolation of the two crossings of half the height."""
    half = 0.5 * height
    edges = []
    for sign, crossing in zip((-1, 1), _crossings(around, half)):
        outer = np.nan_to_num(crossing, nan=1.0).astype(int)
        place = around.shape[1] // 2 + sign * outer
        rows = np.arange(len(around))
        below, above = around[rows, place], around[rows, place - sign]
        with np.errstate(divide="ignore", invalid="ignore"):
            edges.append(crossing - (half - below) / (above - below))
    return edges[0] + edges[1]
