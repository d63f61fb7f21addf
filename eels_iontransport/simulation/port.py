"""The simulated microscope behind the acquisition port: no Swift, no waiting unless its clock runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from ..acquire.port import Frames, MicroscopeFault
from ..data.geometry import Field, Line, Point
from .microscope import SimulatedMicroscope
from .mishaps import CameraFault

IMAGE_DWELL_S = 2e-6  # of one pixel of a dark-field image
DELIVERY_S = 0.2  # exposure of the pixels that a synchronized scan delivers together


class SimulatedPort:
    """Implements `acquire.port.Microscope`."""

    def __init__(self, microscope: SimulatedMicroscope) -> None:
        self.microscope = microscope
        self._cancelled = threading.Event()

    def missing(self) -> list[str]:
        return []

    def field(self) -> Field | None:
        return self.microscope.field

    def begin(self) -> None:
        self._cancelled.clear()

    def end(self) -> None:
        """Nothing runs on its own here, so there is nothing to bring back."""

    def get_control(self, name: str) -> float:
        try:
            return self.microscope.get(name)
        except KeyError:
            raise MicroscopeFault(f"The simulated microscope has no control '{name}'; check the site file.") from None

    def set_control(self, name: str, value: float) -> None:
        try:
            self.microscope.set(name, value)
        except KeyError:
            raise MicroscopeFault(f"The simulated microscope has no control '{name}'; check the site file.") from None
        except ValueError as error:
            raise MicroscopeFault(str(error)) from None

    def get_probe(self) -> Point | None:
        return self.microscope.probe

    def set_probe(self, point: Point | None) -> None:
        field = self.microscope.field
        if point is not None and field is not None and not field.contains(point):
            raise MicroscopeFault(
                f"The probe cannot reach (x {point.x_nm:.1f}, y {point.y_nm:.1f}) nm, which lies outside the survey's "
                "field; move the point inside or take a wider survey."
            )
        self.microscope.probe = point

    def acquire_frames(self, exposure_s: float, frames: int) -> Frames:
        microscope = self.microscope
        if microscope.probe is None:
            raise MicroscopeFault("The probe is not parked; park it before taking frames.")
        try:
            counts = microscope.frames(exposure_s, frames, cancelled=self._cancelled)
        except CameraFault as error:
            raise MicroscopeFault(str(error)) from None
        return self._wrap(counts)

    def image(self, area: Field, pixels: tuple[int, int]) -> np.ndarray:
        microscope = self.microscope
        image = microscope.image(area, pixels)
        microscope.clock.wait(pixels[0] * pixels[1] * IMAGE_DWELL_S, self._cancelled)
        return image

    def scan_line(self, line: Line, exposure_s: float, on_rows: Callable[[int, Frames], None]) -> None:
        parked = self.microscope.probe
        together = max(1, int(DELIVERY_S / exposure_s))
        points = line.points()
        try:
            for first in range(0, len(points), together):
                frames = self._frames_at(points[first : first + together], exposure_s)
                if len(frames.counts):
                    on_rows(first, frames)
                if self._cancelled.is_set():
                    return
        finally:
            self.microscope.probe = parked

    def _frames_at(self, points: Sequence[Point], exposure_s: float) -> Frames:
        """One frame at each of the points; fewer when cancelled."""
        rows = []
        for point in points:
            self.set_probe(point)
            frames = self.acquire_frames(exposure_s, 1)
            if not len(frames.counts):
                break
            rows.append(frames.counts[0])
        counts = np.array(rows, dtype=np.float32).reshape(len(rows), self.microscope.camera.channels)
        return self._wrap(counts)

    def _wrap(self, counts: np.ndarray) -> Frames:
        camera = self.microscope.camera
        return Frames(counts, self.microscope.energy, camera.saturation_level_counts, 1.0 / camera.counts_per_electron)

    def cancel(self) -> None:
        self._cancelled.set()
