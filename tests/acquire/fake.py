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
from eels_iontransport.simulation.clock import Clock

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
    """Counts of a frame: 100 x the place on the specimen (x in nm), and a zero-loss peak where `zero_ev` is given.

    Time passes only while frames and images are taken, and the specimen drifts with it.
    """

    controls: dict[str, float] = field(default_factory=lambda: dict(START))
    probe: Point | None = PARKED
    view: Field | None = Field(100.0, 100.0)
    saturation_level: float | None = 1e6
    hook: Callable[[str, FakeMicroscope], None] = lambda event, microscope: None  # called before each action
    drift_nm_per_s: tuple[float, float] = (0.0, 0.0)  # (y, x)
    dots: tuple[tuple[float, float], ...] = (
        (-6.0, -3.0),
        (1.0, 9.0),
        (5.0, 3.0),
        (-2.0, 1.0),
        (7.0, 11.0),
    )  # (y, x) nm
    zero_ev: Callable[[float], float] | None = None  # energy of the zero-loss peak when the offset is as it was
    dark: Callable[[float], bool] = lambda time_s: False  # whether the beam is lost

    def __post_init__(self) -> None:
        self.events: list[str] = []
        self.live = True
        self.begun = 0
        self.stuck: set[str] = set()  # controls that keep their value silently
        self.bright = 0.0
        self.clock = Clock()
        self._rng = np.random.default_rng(1)
        self._cancelled = threading.Event()

    def _event(self, event: str) -> None:
        self.events.append(event)
        self.hook(event, self)

    def count(self, prefix: str) -> int:
        return sum(event.startswith(prefix) for event in self.events)

    def is_home(self) -> bool:
        return (
            self.controls == {**START, "current": self.controls["current"]}
            and self.probe == PARKED
            and self.live
            and self.begun == 0
        )

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
        if name == "current" and self.dark(self.clock.now_s):
            return 0.0
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
        counts = [self._counts(self.probe, exposure_s) for _ in range(taken)]
        return self._frames(np.array(counts).reshape(taken, CHANNELS))

    def _counts(self, place: Point, exposure_s: float) -> np.ndarray:
        counts = np.full(CHANNELS, 100.0 * (place.x_nm - self.moved_nm()[1]) + self.bright)
        if self.dark(self.clock.now_s):
            counts[:] = 0.0
        if self.zero_ev is not None:
            energies = self.controls["offset"] + self.controls["dispersion"] * np.arange(CHANNELS)
            zero_ev = self.zero_ev(self.clock.now_s)
            counts += 1e4 * np.exp(-0.5 * ((energies - zero_ev) / (1.5 * self.controls["dispersion"])) ** 2)
        self.clock.wait(exposure_s)
        return counts

    def moved_nm(self) -> tuple[float, float]:
        """(y, x) by which the specimen has moved."""
        return self.drift_nm_per_s[0] * self.clock.now_s, self.drift_nm_per_s[1] * self.clock.now_s

    def _frames(self, counts: np.ndarray) -> Frames:
        energy = EnergyAxis(self.controls["offset"], self.controls["dispersion"], CHANNELS)
        return Frames(counts, energy, self.saturation_level, electrons_per_count=2.0)

    def image(self, area: Field, pixels: tuple[int, int]) -> np.ndarray:
        """Dots that stay where they are on the specimen, with a little noise."""
        self._event("image")
        self.clock.wait(0.05)
        fractions = np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in pixels), indexing="ij")
        moved_y, moved_x = self.moved_nm()
        y = fractions[0] * area.height_nm + area.centre.y_nm - moved_y
        x = fractions[1] * area.width_nm + area.centre.x_nm - moved_x
        image = np.zeros(pixels)
        for dot_y, dot_x in self.dots:
            image += np.exp(-0.5 * ((y - dot_y) ** 2 + (x - dot_x) ** 2) / 1.5**2)
        return image + 0.02 * self._rng.standard_normal(pixels)

    def scan_line(self, line: Line, exposure_s: float, on_rows: Callable[[int, Frames], None]) -> None:
        """Two pixels at a time."""
        self._event(f"scan {line.start}")
        points = line.points()
        for first in range(0, len(points), 2):
            if self._cancelled.is_set():
                return
            self._event("rows")
            counts = [self._counts(point, exposure_s) for point in points[first : first + 2]]
            on_rows(first, self._frames(np.array(counts)))

    def cancel(self) -> None:
        self._cancelled.set()
