"""A microscope of a few lines, with faults on order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from eels_iontransport.acquire.plan import Plan, Step
from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.acquire.site import Beam, Camera, ControlValue, Setting, Site
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.data.record import Role
from eels_iontransport.data.spectrum import EnergyAxis

CHANNELS = 32
START = {"dispersion": 0.5, "offset": -3.0, "current": 20e-12, "blank": 0.0}
PARKED = Point(1.0, 2.0)


def site(**changes: object) -> Site:
    def setting(step: float, offset: float) -> Setting:
        return Setting((ControlValue("dispersion", step, 1e-6), ControlValue("offset", offset, 1e-6)), timeout_s=0.05)

    settings = {
        "vibrational": setting(0.0004, -0.005),
        "valence": setting(0.05, -1.0),
        "core_loss": setting(0.1, 40.0),
    }
    fields = {"name": "fake", "settings": settings, "beam": Beam("current", 1e12, "blank"), "camera": Camera(CHANNELS)}
    return Site(**{**fields, **changes})


def line(pixels: int = 5) -> Line:
    return Line(Point(0.0, 0.0), Point(0.0, 10.0), pixels)


def plan(**changes: object) -> Plan:
    steps = (
        Step(Role.ZLP, "vibrational", 0.01, 4),
        Step(Role.ALOOF, "vibrational", 0.01, 6),
        Step(Role.VIBRATIONAL, "vibrational", 0.01, 3),
        Step(Role.VALENCE, "valence", 0.01, 2),
        Step(Role.CORE_LOSS, "core_loss", 0.01, 2),
    )
    fields = {"name": "GB1", "material": "lco", "steps": steps, "line": line(), "aloof": Point(0.0, -30.0)}
    return Plan(**{**fields, **changes})


@dataclass
class FakeMicroscope:
    """Counts of a frame: 100 x the number of the probe position (x in nm), plus one in channel 0 for the setting."""

    controls: dict[str, float] = field(default_factory=lambda: dict(START))
    probe: Point | None = PARKED
    view: Field | None = Field(100.0, 100.0)
    saturation_level: float | None = 1e6
    hook: Callable[[str, FakeMicroscope], None] = lambda event, microscope: None  # called before each action

    def __post_init__(self) -> None:
        self.events: list[str] = []
        self.live = True
        self.begun = 0
        self.stuck: set[str] = set()  # controls that keep their value silently
        self.bright = 0.0
        self.drift = (0.0, 0.0)  # (y, x) nm by which the specimen has moved
        self._cancelled = threading.Event()

    def _event(self, event: str) -> None:
        self.events.append(event)
        self.hook(event, self)

    def count(self, prefix: str) -> int:
        return sum(event.startswith(prefix) for event in self.events)

    def is_home(self) -> bool:
        return self.controls == START and self.probe == PARKED and self.live and self.begun == 0

    def missing(self) -> list[str]:
        self._event("missing")
        return []

    def field(self) -> Field | None:
        return self.view

    def begin(self) -> None:
        self.begun += 1
        self.live = False
        self._cancelled.clear()
        self._event("begin")

    def end(self) -> None:
        self.begun -= 1
        self.live = True
        self._event("end")

    def get_control(self, name: str) -> float:
        self._event(f"get {name}")
        if name not in self.controls:
            raise MicroscopeFault(f"The microscope has no control '{name}'; correct the site file.")
        return self.controls[name]

    def set_control(self, name: str, value: float) -> None:
        self._event(f"set {name} {value:g}")
        if name not in self.stuck:
            self.controls[name] = value

    def get_probe(self) -> Point | None:
        return self.probe

    def set_probe(self, point: Point | None) -> None:
        self._event(f"probe {point}")
        self.probe = point

    def acquire_frames(self, exposure_s: float, frames: int) -> Frames:
        self._event(f"frames {frames}")
        taken = 0 if self._cancelled.is_set() else frames
        assert self.probe is not None
        counts = np.full((taken, CHANNELS), 100.0 * self.probe.x_nm + self.bright)
        return self._frames(counts)

    def _frames(self, counts: np.ndarray) -> Frames:
        energy = EnergyAxis(self.controls["offset"], self.controls["dispersion"], CHANNELS)
        return Frames(counts, energy, self.saturation_level, electrons_per_count=2.0)

    def image(self, area: Field, pixels: tuple[int, int]) -> np.ndarray:
        """A dot that stays where it is on the specimen, which has moved by `drift`."""
        self._event("image")
        y, x = ((np.arange(n) + 0.5) / n - 0.5 for n in pixels)
        y, x = (y * area.height_nm - self.drift[0])[:, None], (x * area.width_nm - self.drift[1])[None, :]
        return np.exp(-0.5 * (y**2 + x**2) / (0.1 * area.width_nm) ** 2)

    def scan_line(self, line: Line, exposure_s: float, on_rows: Callable[[int, Frames], None]) -> None:
        """Two pixels at a time."""
        self._event(f"scan {line.start}")
        points = line.points()
        for first in range(0, len(points), 2):
            if self._cancelled.is_set():
                return
            self._event("rows")
            counts = [np.full(CHANNELS, 100.0 * point.x_nm + self.bright) for point in points[first : first + 2]]
            on_rows(first, self._frames(np.array(counts)))

    def cancel(self) -> None:
        self._cancelled.set()
