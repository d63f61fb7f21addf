"""Where the zero-loss peak of a low-loss spectrum ends and the loss begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import zlp

VALLEY_LIMIT_EV = 10.0  # the loss of any solid has set in by then


@dataclass(frozen=True, eq=False)
class Split:
    """What belongs to the ZLP of n spectra, all (n,).

    found: whether the maximum is a peak inside the axis with room on its loss side; the rest holds only there.
    top: channel of the maximum. loss: first channel of the loss. zero: counts before it. mirrored: counts of the ZLP
    if its loss side were its gain side.
    """

    found: np.ndarray
    top: np.ndarray
    loss: np.ndarray
    zero: np.ndarray
    mirrored: np.ndarray


def split_zero_loss(energy_ev: np.ndarray, signal: np.ndarray) -> Split:
    """Split spectra (n, m) at the minimum, smoothed, between their ZLP and the loss. energy_ev: (m,)."""
    channels = energy_ev.size
    top = zlp.tops(signal)
    left, right = zlp.half_maximum(signal, top)
    width = right - left
    reach = np.minimum(np.searchsorted(energy_ev, energy_ev[top] + VALLEY_LIMIT_EV), channels)
    found = (left >= 0) & (reach - right >= 2)
    left, right, reach = np.where(found, (left, right, reach), np.array([[0], [0], [2]]))
    smooth = np.minimum(2 * width + 1, reach - right)  # a noisy minimum would jump about a flat valley
    smooth = np.where(found, smooth, 1)
    total = cumulative(signal, int(max(reach.max(initial=2), (right + width).max(where=found, initial=0) + 1)))
    end = right + smooth // 2 + _lowest(total, right, reach, smooth)
    gain_side = _before(total, np.maximum(left - width, 0) + 1)
    mirrored = _before(total, np.minimum(right + width, end) + 1) + gain_side
    return Split(found, top, end + 1, _before(total, end + 1), mirrored)


def cumulative(rows: np.ndarray, channels: int) -> np.ndarray:
    """Sums (n, channels + 1) of the counts before each of the first channels of spectra (n, m)."""
    channels = min(channels, rows.shape[1])
    result = np.zeros((len(rows), channels + 1))
    np.cumsum(rows[:, :channels], axis=1, out=result[:, 1:])
    return result


def _before(total: np.ndarray, channel: np.ndarray) -> np.ndarray:
    return total[np.arange(len(total)), np.minimum(channel, total.shape[1] - 1)]


def _lowest(total: np.ndarray, first: np.ndarray, end: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """Where, from `first` on, the running mean of `smooth` channels before `end` is lowest; all (n,)."""
    places = np.arange(int((end - first - smooth).max(initial=0)) + 1)
    start = first[:, None] + places
    stop = start + smooth[:, None]
    inside = stop <= end[:, None]
    rows, last = np.arange(len(total))[:, None], total.shape[1] - 1
    sums = total[rows, np.minimum(stop, last)] - total[rows, np.minimum(start, last)]
    return np.where(inside, sums, np.inf).argmin(axis=1)
