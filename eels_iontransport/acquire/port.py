"""What the runner needs of a microscope, and where rows go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..data.geometry import Field, Line, Point
from ..data.record import Record
from ..data.spectrum import EnergyAxis


class MicroscopeFault(RuntimeError):
    """The microscope did not do what was asked; the message is one sentence for the operator."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames as the camera gave them: counts (frames, channels), already summed over the detector's height."""

    counts: np.ndarray
    energy: EnergyAxis
    saturation_level: float | None = None  # counts at which a channel of one frame is full
    electrons_per_count: float | None = None


@dataclass(frozen=True)
class RowNote:
    """What is known of one row beyond its counts; goes into the journal."""

    time: str  # UTC, ISO 8601, when its last frame was taken
    place: Point | None = None  # where on the specimen it belongs (plan), nm
    drift_nm: tuple[float, float] | None = None  # (y, x) correction that was in force
    beam_current_pa: float | None = None
    saturated_frames: int | None = None  # frames of the step so far with a full channel; None: level unknown
    zero_moved_ev: float | None = None  # change of the energy offset since the item began; None where not followed


class Microscope(Protocol):
    """A STEM with an EELS camera. Every method may be called from the runner's thread."""

    def missing(self) -> list[str]:
        """One sentence for each thing that stands in the way of acquiring; empty when ready."""
        ...

    def field(self) -> Field | None:
        """The field of the last survey image; None without a survey."""
        ...

    def begin(self) -> None:
        """A run starts: stop live views and remember what they were; forget an earlier `cancel`.

        Raises MicroscopeFault. `end` follows in every case, also when this raises.
        """
        ...

    def end(self) -> None:
        """The run has ended: bring the live views and camera parameters back as `begin` found them."""
        ...

    def get_control(self, name: str) -> float:
        """Raises MicroscopeFault."""
        ...

    def set_control(self, name: str, value: float) -> None:
        """Raises MicroscopeFault."""
        ...

    def get_probe(self) -> Point | None:
        """Where the probe is parked; None when it is not parked."""
        ...

    def set_probe(self, point: Point | None) -> None:
        """Park the probe, or release it with None. Raises MicroscopeFault."""
        ...

    def acquire_frames(self, exposure_s: float, frames: int) -> Frames:
        """Take frames at the parked probe; returns early with fewer when cancelled. Raises MicroscopeFault."""
        ...

    def image(self, area: Field, pixels: tuple[int, int]) -> np.ndarray:
        """One dark-field frame (y, x) of an area, quickly; the probe is where it was parked afterwards.

        Raises MicroscopeFault.
        """
        ...

    def scan_line(self, line: Line, exposure_s: float, on_rows: Callable[[int, Frames], None]) -> None:
        """One traversal of a line by a synchronized scan, one frame for each pixel.

        `on_rows(first, frames)` is called in this thread with the pixels first.. as they come, at least every 0.3 s.
        Returns early when cancelled. Raises MicroscopeFault, and whatever `on_rows` raises.
        """
        ...

    def cancel(self) -> None:
        """Make `acquire_frames` and `scan_line` return as soon as the camera can; from any thread.

        It holds until the next `begin`: frames asked for after it are not taken, so that no cancel falls between two
        calls.
        """
        ...


class RowSink(Protocol):
    """Where one step's rows go. All calls come from the runner's thread."""

    def write(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        """Row `index` is complete: counts (channels,)."""
        ...

    def finish(self, record: Record) -> None:
        """The step has ended, however it ended; called exactly once."""
        ...


class Recorder(Protocol):
    """Makes a sink for each step: an item in Swift, an array in a test."""

    def begin(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> RowSink: ...
