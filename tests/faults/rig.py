"""A simulated microscope with runner and journal on which runs go wrong on order, and all that is known of a run."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import numpy as np

from eels_iontransport.acquire import disk_guard, journal_files
from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.journal import JournalRecorder
from eels_iontransport.acquire.memory import MemoryRecorder, MemorySink
from eels_iontransport.acquire.outcome import Outcome, Progress
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.port import Frames, RowNote, RowSink
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.site import Site
from eels_iontransport.acquire.writer import StorageFault
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.data.record import Record
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.simulation.camera import Camera
from eels_iontransport.simulation.microscope import DISPERSION, ENERGY_OFFSET, SimulatedMicroscope
from eels_iontransport.simulation.port import SimulatedPort
from eels_iontransport.simulation.specimen import SURVEY_NM, lco_boundary

CHANNELS = 640
PLENTY = 10**12  # bytes
_WRITE = journal_files._write

Action = Callable[["Rig"], None]


def site() -> Site:
    """The simulated one, with a beam that is given up sooner."""
    known = sites.load("simulator")
    beam = replace(known.beam, settle_s=2.0, give_up_s=20.0)
    return replace(known, beam=beam, camera=replace(known.camera, channels=CHANNELS))


class Port(SimulatedPort):
    """The simulated port, which tells of each action before it is done and knows whether its live views run."""

    def __init__(self, microscope: SimulatedMicroscope, tell: Callable[[str], None]) -> None:
        super().__init__(microscope)
        self._tell = tell
        self.live = True

    def begin(self) -> None:
        self.live = False
        self._tell("begin")
        super().begin()

    def end(self) -> None:
        self._tell("end")
        super().end()
        self.live = True

    def set_control(self, name: str, value: float) -> None:
        self._tell("control")
        super().set_control(name, value)

    def set_probe(self, point: Point | None) -> None:
        self._tell("probe")
        super().set_probe(point)

    def acquire_frames(self, exposure_s: float, frames: int) -> Frames:
        """Also of a synchronized scan, which takes one frame at each pixel."""
        self._tell("frames")
        return super().acquire_frames(exposure_s, frames)

    def image(self, area: Field, pixels: tuple[int, int]) -> np.ndarray:
        self._tell("image")
        return super().image(area, pixels)


class Items(MemoryRecorder):
    """The place of a run's items; told of each action as a document would be."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def begin(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> MemorySink:
        self._tell("item")
        sink = Item(record, energy, step_nm, title, self._tell)
        self.sinks.append(sink)
        return sink


class Item(MemorySink):
    def __init__(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str, tell: Any) -> None:
        super().__init__(record, energy, step_nm, title)
        self._tell = tell

    def write(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        self._tell("row")
        super().write(index, counts, note)

    def finish(self, record: Record) -> None:
        self._tell("item end")
        super().finish(record)


class Acknowledged:
    """Keeps the rows that another recorder has taken: (title, counts) in order."""

    def __init__(self, inner: JournalRecorder) -> None:
        self._inner = inner
        self.rows: list[tuple[str, np.ndarray]] = []

    def begin(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> RowSink:
        return _AcknowledgedSink(self._inner.begin(record, energy, step_nm, title), title, self.rows)


class _AcknowledgedSink:
    def __init__(self, inner: RowSink, title: str, rows: list[tuple[str, np.ndarray]]) -> None:
        self._inner, self._title, self._rows = inner, title, rows

    def write(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        row = (self._title, np.array(counts, np.float32))
        try:
            self._inner.write(index, counts, note)
        except StorageFault as error:
            if error.row_is_kept:
                self._rows.append(row)
            raise
        self._rows.append(row)

    def finish(self, record: Record) -> None:
        self._inner.finish(record)


@dataclass(frozen=True)
class Ran:
    """A run that has ended: what it said, where its rows went, and what was found and left of the microscope."""

    plan: Plan
    outcome: Outcome
    acknowledged: list[tuple[str, np.ndarray]]
    items: list[MemorySink]
    journals: Path
    found: dict[str, Any]
    left: dict[str, Any]
    progress: list[Progress]
    actions: Counter[str]
    said: list[str]  # to the operator, beside the outcome


@dataclass
class Trigger:
    """Does something before the nth (from 1) of an action."""

    before: str
    nth: int
    does: Action
    done: bool = False


class Rig:
    """One microscope and one runner for run after run."""

    def __init__(self, folder: Path) -> None:
        specimen = replace(lco_boundary(), speckle=0.3)
        self.microscope = SimulatedMicroscope(specimen, seed=5, camera=Camera(channels=CHANNELS))
        self.microscope.field = Field(SURVEY_NM, SURVEY_NM)
        self.microscope.probe = Point(30.0, -40.0)
        self.microscope.set(DISPERSION, 0.01)  # no setting of a step, so that each is changed
        self.microscope.set(ENERGY_OFFSET, -1.5)
        self.port = Port(self.microscope, self._tell)
        self.folder = folder
        self.numbers = itertools.count()
        self.free_bytes: Callable[[], int] = lambda: PLENTY
        self.look: Callable[[Progress], None] = lambda progress: None  # the display
        self.trigger: Trigger | None = None
        self.refuses: dict[str, Exception] = {}  # actions that fail from now on
        self.disk_is_full = False  # for the next write of the journal, of which half is done
        self.said: list[str] = []
        self._actions: Counter[str] = Counter()
        self._recorder: Any = None
        self.runner = Runner(
            self.port, self, site(), clock=self.microscope.clock, free_bytes=self._free, journal=lambda: str(folder)
        )

    def begin(self, *arguments: Any) -> RowSink:
        """The recorder of the run under way: Swift makes one for each run."""
        return self._recorder.begin(*arguments)

    def run(self, plan: Plan) -> Ran:
        items = Items(self._tell)
        journals = self.folder / f"{next(self.numbers)}"
        self._recorder = acknowledged = Acknowledged(JournalRecorder(journals, items))
        self._actions, self.said = Counter(), []
        found, progress = self.state(), []

        def look(now: Progress) -> None:
            progress.append(now)
            self._tell("progress")
            self.look(now)

        with mock.patch.object(journal_files, "_write", self._write):
            outcome = self.runner.run(plan, look)
        return Ran(
            plan,
            outcome,
            acknowledged.rows,
            items.sinks,
            journals,
            found,
            self.state(),
            progress,
            self._actions,
            self.said,
        )

    def state(self) -> dict[str, Any]:
        """All that has to come home."""
        port = self.port
        return {**self.microscope.controls, "probe": port.get_probe(), "live": port.live}

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        self.trigger, self.look, self.free_bytes = None, lambda progress: None, lambda: PLENTY
        self.refuses, self.disk_is_full = {}, False
        self.microscope.suffer(None)

    def bring_home(self, state: dict[str, Any]) -> None:
        """What the operator does by hand where a run could not."""
        for name in self.microscope.controls:
            self.microscope.set(name, state[name])
        self.microscope.probe, self.port.live = state["probe"], state["live"]

    def _tell(self, action: str) -> None:
        self._actions[action] += 1
        trigger = self.trigger
        if trigger is not None and trigger.before == action and self._actions[action] == trigger.nth:
            trigger.done = True
            trigger.does(self)
        if action in self.refuses:
            raise self.refuses[action]

    def _write(self, file: BinaryIO, data: bytes) -> None:
        """Of the journal's rows, their lines and the header before them."""
        self._tell("write")
        if self.disk_is_full:
            self.disk_is_full = False
            _WRITE(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        _WRITE(file, data)

    def _free(self) -> int:
        self._tell("disk")
        return self.free_bytes()


@contextlib.contextmanager
def watchful() -> Iterator[None]:
    """The disk is asked for its room before every row."""
    with mock.patch.object(disk_guard, "LOOK_S", 0.0):
        yield
