"""The zero-loss peak: where it is, how wide, how high, and whether the detector was full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.spectrum import Spectra

SATURATION_MARGIN = 0.98  # a channel above this part of full scale is no longer linear
PLATEAU_CHANNELS = 3  # so many equal maxima side by side are a clipped peak, not chance

COARSE_CHANNELS = 0.1  # uncertainty of the vertex of a peak with too few channels to try a second fit


class Peak(NamedTuple):
    """A zero-loss peak in channels; nan where the maximum of the spectrum is no peak."""

    position: float
    sigma: float
    fwhm: float
    height: float


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
    position nan: the top that would tell is gone. A row whose maximum lies at an end of the axis has no ZLP.
    """
    n = len(spectra.rows)
    values = np.full((4, n), np.nan)
    saturated = np.zeros(n, bool)
    for i in np.flatnonzero(spectra.valid):
        counts = spectra.rows[i]
        saturated[i] = _is_saturated(counts, spectra.saturation_level)
        if not saturated[i]:
            values[:, i] = peak_of(counts, variance_per_count)
    step = spectra.energy.step_ev
    return ZeroLoss(
        spectra.energy.offset_ev + values[0] * step, values[1] * step, values[2] * step, values[3], saturated
    )


def integral(spectra: Spectra, zero_ev: np.ndarray, half_width_ev: float) -> np.ndarray:
    """Counts of every row within half_width_ev of its zero, with fractional channels at both ends; (n,).

    Whole channels would make the integral jump by a channel whenever the peak moves by a fraction of one.
    """
    edges = np.arange(spectra.energy.size + 1) - 0.5
    cumulative = np.concatenate([np.zeros((len(spectra.rows), 1)), np.cumsum(spectra.rows, axis=1)], axis=1)
    result = np.full(len(spectra.rows), np.nan)
    for i in np.flatnonzero(spectra.valid & np.isfinite(zero_ev)):
        low, high = (np.array([-1, 1]) * half_width_ev + zero_ev[i] - spectra.energy.offset_ev) / spectra.energy.step_ev
        if low >= edges[0] and high <= edges[-1]:
            result[i] = np.interp(high, edges, cumulative[i]) - np.interp(low, edges, cumulative[i])
    return result


def _is_saturated(counts: np.ndarray, level: float | None) -> bool:
    top = counts.max()
    if top <= 0:
        return False
    if level is not None:
        return bool(top >= SATURATION_MARGIN * level)
    peak = int(counts.argmax())
    return bool(np.all(counts[peak : peak + PLATEAU_CHANNELS] == top)) and peak + PLATEAU_CHANNELS <= counts.size


def peak_of(counts: np.ndarray, variance_per_count: float = 1.0) -> Peak:
    """The zero-loss peak of one spectrum (m,), in channels.

    sigma holds the counting noise and what fitting only the upper part of the top changes: no ZLP is a Gaussian.
    """
    nothing = Peak(*(np.nan,) * 4)
    top = int(counts.argmax())
    upper = _above(counts, top, 0.5)
    if upper is None:
        return nothing
    fit = _parabola(counts, top, upper, variance_per_count)
    if fit is None:
        return nothing
    position, noise, height = fit
    narrow = _above(counts, top, 0.75)
    other = _parabola(counts, top, narrow, variance_per_count) if narrow is not None and narrow != upper else None
    # Two fits of overlapping channels differ by up to twice the noise; what goes beyond is the wrong model.
    model = max(0.0, (other[0] - position) ** 2 - 4 * noise**2) if other is not None else COARSE_CHANNELS**2
    return Peak(position, float(np.sqrt(noise**2 + model)), _width(counts, top, height), height)


def _above(counts: np.ndarray, top: int, part: float) -> slice | None:
    """The channels around the maximum above a part of it, three at least; None where they reach an end of the axis."""
    below = counts < part * counts[top]
    left, right = np.flatnonzero(below[:top]), np.flatnonzero(below[top:])
    if counts[top] <= 0 or not left.size or not right.size:
        return None
    return slice(min(int(left[-1]) + 1, top - 1), max(top + int(right[0]), top + 2))


def _parabola(
    counts: np.ndarray, top: int, channels: slice, variance_per_count: float
) -> tuple[float, float, float] | None:
    """Vertex of the weighted parabola through ln counts, its noise, and its height; None without a vertex."""
    x, y = np.arange(channels.start, channels.stop) - top, counts[channels]
    if np.any(y <= 0):
        return None
    # ln y has variance v / y, v being the variance per count.
    design = np.stack([np.ones(x.size), x, x**2], axis=1) * np.sqrt(y / variance_per_count)[:, None]
    inverse = np.linalg.pinv(design.T @ design)
    level, slope, bend = inverse @ (design.T @ (np.log(y) * np.sqrt(y / variance_per_count)))
    if bend >= 0:
        return None
    vertex = -slope / (2 * bend)
    gradient = np.array([0.0, -1 / (2 * bend), -vertex / bend])
    return top + float(vertex), float(np.sqrt(gradient @ inverse @ gradient)), float(np.exp(level + slope * vertex / 2))


def _width(counts: np.ndarray, top: int, height: float) -> float:
    """FWHM in channels, by linear interpolation of the two crossings of half the height."""
    half = 0.5 * height
    left = top - int(np.argmax(counts[top::-1] < half))
    right = top + int(np.argmax(counts[top:] < half))
    rise = left + (half - counts[left]) / (counts[left + 1] - counts[left])
    fall = right - (half - counts[right]) / (counts[right - 1] - counts[right])
    return float(fall - rise)
