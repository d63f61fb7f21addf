"""The simulated microscope behind the acquisition port: no Swift, no waiting unless its clock runs."""

from __future__ import annotations

import threading

from ..acquire.port import Frames, MicroscopeFault
from ..data.geometry import Field, Point
from .microscope import SimulatedMicroscope


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
        counts = microscope.frames(exposure_s, frames, cancelled=self._cancelled)
        camera = microscope.camera
        return Frames(counts, microscope.energy, camera.saturation_level_counts, 1.0 / camera.counts_per_electron)

    def cancel(self) -> None:
        self._cancelled.set()
