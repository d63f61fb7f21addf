"""Follows the zero-loss peak on the detector, and says by how much the energy offset must change to keep it there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ..data.spectrum import EnergyAxis

LEAVING = 0.7  # part of the way from the target to the window's end from which the peak is about to leave
_LEAST_RATIO = 8.0  # the peak has to be so many times higher than the rest of the spectrum
_LEAST_SPREADS = 10.0  # and so many standard deviations of the rest above it


class ZeroState(Enum):
    INSIDE = "inside"
    LEAVING = "leaving"
    OUTSIDE = "outside"
    NOT_FOUND = "not found"


@dataclass(frozen=True)
class ZeroPlace:
    """Where the zero-loss peak is, and what to do.

    position_ev: on the axis that was given; nan where it was not found. change_ev: what to add to the energy of
    channel 0 to bring the peak back to its target; 0 while it is inside, nan where it was not found.
    """

    state: ZeroState
    position_ev: float
    change_ev: float
    sentence: str = ""


class ZeroFollower:
    """Watches the zero-loss peak of a setting.

    window_ev: lowest and highest energy where it may be. target_ev: where it belongs; the middle of the window where
    it is not given. Raises ValueError where the target is not inside the window.

    Energies are those of the axis at the start of the item: when the offset is changed, the channels keep the
    energies of that axis, on which the peak comes back to its target.
    """

    def __init__(self, window_ev: tuple[float, float], target_ev: float | None = None) -> None:
        self._low, self._high = window_ev
        self._target = 0.5 * (self._low + self._high) if target_ev is None else target_ev
        if not self._low < self._target < self._high:
            raise ValueError(f"The target {self._target} eV is not inside the window {self._low} to {self._high} eV.")

    def look(self, counts: np.ndarray, energy: EnergyAxis) -> ZeroPlace:
        """Where the peak of counts (channels,) or (frames, channels), summed, is; `energy` as at the item's start."""
        spectrum = np.atleast_2d(np.asarray(counts, float)).sum(axis=0)
        position = zero_position(spectrum, energy)
        if math.isnan(position):
            return ZeroPlace(ZeroState.NOT_FOUND, math.nan, math.nan, "There is no zero-loss peak on the detector.")
        inside = self._low <= position <= self._high
        end = self._high if position > self._target else self._low
        if inside and (position - self._target) / (end - self._target) < LEAVING:
            return ZeroPlace(ZeroState.INSIDE, position, 0.0)
        state = ZeroState.LEAVING if inside else ZeroState.OUTSIDE
        words = "is about to leave" if inside else "has left"
        return ZeroPlace(
            state,
            position,
            position - self._target,
            f"The zero-loss peak at {1e3 * position:.1f} meV {words} its window of {1e3 * self._low:.0f} to "
            f"{1e3 * self._high:.0f} meV.",
        )


def zero_position(spectrum: np.ndarray, energy: EnergyAxis) -> float:
    """Energy (eV) of the zero-loss peak: centroid of what is above half of the highest channel, about it.

    nan where the highest channel is at an end of the axis or does not stand out of the rest.
    """
    if not np.isfinite(spectrum).any():
        return math.nan
    counts = np.where(np.isfinite(spectrum), spectrum, 0.0)
    top = int(counts.argmax())
    half = 0.5 * counts[top]
    rest = float(np.median(counts))
    spread = 1.4826 * float(np.median(np.abs(counts - rest)))
    if not half > 0 or counts[top] < max(_LEAST_RATIO * rest, rest + _LEAST_SPREADS * spread):
        return math.nan
    below = np.flatnonzero(counts < half)
    first, last = below[below < top], below[below > top]
    if not first.size or not last.size:
        return math.nan
    channels = np.arange(first[-1] + 1, last[0])
    weight = counts[channels] - half
    return float(energy.offset_ev + energy.step_ev * (channels @ weight) / weight.sum())
