"""What goes wrong with the simulated microscope, on order: beam, camera, controls, drift, energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

CAMERA_PATIENCE_S = 5.0  # after which a camera that gives no frame counts as stuck


class CameraFault(RuntimeError):
    """The camera gives no frame; the message is one sentence for the operator."""


@dataclass(frozen=True)
class BeamChange:
    """From start_s to end_s the beam is `factor` times what it should be: 0 is lost, above 1 too bright."""

    start_s: float
    end_s: float = np.inf
    factor: float = 0.0


@dataclass(frozen=True)
class Mishaps:
    """Times are s of the microscope's clock and frames are counted (from 0), both since the order was given.

    beam: changes of the current, which is read and seen in the frames alike; where they overlap, they multiply.
    camera_fault_at: the frame at which the camera fails, and goes on failing. camera_stall_at, camera_stall_s: the
    frame before which it is silent, once, and for how long; beyond CAMERA_PATIENCE_S that is a fault too.
    refused, stuck: how often a control can be set before it refuses, or silently keeps its value. lag_s: how long a
    control still reads its old value. drift_nm: (time, y, x) of the specimen, beside the steady drift, straight
    between the times and constant outside them. energy_mev: (time, energy) of the zero loss in the same way.
    """

    beam: tuple[BeamChange, ...] = ()
    camera_fault_at: int | None = None
    camera_stall_at: int | None = None
    camera_stall_s: float = np.inf
    refused: Mapping[str, int] = field(default_factory=dict)
    stuck: Mapping[str, int] = field(default_factory=dict)
    lag_s: Mapping[str, float] = field(default_factory=dict)
    drift_nm: tuple[tuple[float, float, float], ...] = ()
    energy_mev: tuple[tuple[float, float], ...] = ()

    def beam_factor(self, start_s: float, end_s: float | None = None) -> float:
        """Factor of the beam at a time, or its mean from start to end."""
        end = start_s if end_s is None else end_s
        inside = {t for change in self.beam for t in (change.start_s, change.end_s) if start_s < t < end}
        edges = np.array([start_s, *sorted(inside), end])
        widths = np.diff(edges) if end > start_s else np.ones(1)
        return float(np.average([self._factor(t) for t in edges[:-1]], weights=widths))

    def stall_s(self, frame: int) -> float:
        """How long the camera is silent before a frame."""
        return self.camera_stall_s if frame == self.camera_stall_at else 0.0

    def fails(self, frame: int) -> bool:
        return self.camera_fault_at is not None and frame >= self.camera_fault_at

    def displacement_nm(self, time_s: float) -> tuple[float, float]:
        """(y, x) of the specimen at a time."""
        if not self.drift_nm:
            return 0.0, 0.0
        times, y, x = np.array(self.drift_nm, float).T
        return float(np.interp(time_s, times, y)), float(np.interp(time_s, times, x))

    def energy_shift_ev(self, time_s: float) -> float:
        """Of the zero-loss peak at a time."""
        if not self.energy_mev:
            return 0.0
        times, energy = np.array(self.energy_mev, float).T
        return 1e-3 * float(np.interp(time_s, times, energy))

    def _factor(self, time_s: float) -> float:
        return float(np.prod([c.factor for c in self.beam if c.start_s <= time_s < c.end_s]))


def flicker(start_s: float, end_s: float, period_s: float, share: float = 0.5) -> tuple[BeamChange, ...]:
    """A beam that is away for a share of each period from start to end."""
    starts = np.arange(start_s, end_s, period_s)
    return tuple(BeamChange(float(t), float(min(t + share * period_s, end_s))) for t in starts)


class Controls:
    """Values of controls that obey as the mishaps let them."""

    def __init__(self, values: dict[str, float]) -> None:
        self.values = values  # what was set; what is read may lag behind
        self._before: dict[str, tuple[float, float]] = {}  # old value, and until when it is read
        self._times_set: dict[str, int] = {}

    def forget(self) -> None:
        """Begin to count anew; what lags behind arrives."""
        self._before, self._times_set = {}, {}

    def read(self, control: str, time_s: float) -> float:
        """Raises KeyError for a control that is not there."""
        value = self.values[control]
        old, until_s = self._before.get(control, (value, -np.inf))
        return old if time_s < until_s else value

    def set(self, control: str, value: float, time_s: float, mishaps: Mishaps) -> None:
        """Raises ValueError where the control refuses."""
        times = self._times_set.get(control, 0)
        self._times_set[control] = times + 1
        if times >= mishaps.refused.get(control, np.inf):
            raise ValueError(f"Control '{control}' refuses to be set to {value:g}; check the microscope.")
        if times >= mishaps.stuck.get(control, np.inf):
            return
        if control in mishaps.lag_s:
            self._before[control] = (self.read(control, time_s), time_s + mishaps.lag_s[control])
        self.values[control] = float(value)
