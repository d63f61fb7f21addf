"""What `filling` runs in a process of its own: Swift's window, in which a line is acquired in each way, in turn.

    python -m benchmarks.filling_window FOLDER ROWS ROUNDS

Writes FOLDER/measured.json: for each way what was measured in each round.
"""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from nion.instrumentation import Acquisition, DataChannel, scan_base
from nion.utils import Model, Registry
from PySide6 import QtCore

from eels_iontransport.acquire import site
from eels_iontransport.acquire.outcome import Ending, Progress
from eels_iontransport.acquire.plan import Exposure, Plan, session_plan
from eels_iontransport.acquire.step import Engine
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.data.record import Role
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.specimen import SURVEY_NM
from nionswift_plugin.iontransport import demo, live, menus, window
from nionswift_plugin.iontransport.host import run as host_run
from nionswift_plugin.iontransport.host import survey, workspaces
from nionswift_plugin.iontransport.host.subscan import along
from nionswift_plugin.iontransport.panel.runs import Run

from .filling import ITEM, RESULTS, SWIFT, TIMEOUT_S, Filled

EXPOSURE_S = 0.01
TICK_MS = 10
QUIET_S = 1.5  # between two lines, for thumbnails and the like
PLACE = "filling"
ROLES = (Role.ZLP, Role.ALOOF, Role.VIBRATIONAL)


class Meter:
    """Takes down the window's ticks, the frames that the camera takes, and how many rows of the line are delivered."""

    def __init__(self, microscope: SimulatedMicroscope) -> None:
        self._ticks: list[float] = []
        self._frames: list[tuple[float, float]] = []
        self._delivered = 0
        self._timer = QtCore.QTimer()
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(lambda: self._ticks.append(time.perf_counter()))
        self._timer.start()
        frame = microscope.frame

        def timed_frame(position: Point, exposure_s: float) -> np.ndarray:
            self._frames.append((time.perf_counter(), time.process_time()))
            return frame(position, exposure_s)

        microscope.frame = timed_frame  # type: ignore[method-assign]

    def clear(self) -> None:
        self._ticks, self._frames, self._delivered = [], [], 0

    def rows(self, number: int) -> None:
        """So many rows have been delivered by now; any thread."""
        self._delivered = number

    def filled(self, rows: int) -> Filled:
        """While the frames of the line are taken, which are the last ones: cores that this process keeps busy, the time
        between two ticks below which 99 % are, the longest one, and rows a second."""
        assert self._delivered == rows, f"{self._delivered} of {rows} rows came"
        frames = self._frames[-rows:]
        (began, busy_before), (ended, busy_after) = frames[0], frames[-1]
        ticks = [began, *(tick for tick in self._ticks if began < tick < ended), ended]
        gaps_ms = sorted(1e3 * (after - before) for before, after in itertools.pairwise(ticks))
        seconds = ended - began
        return {
            "cores": (busy_after - busy_before) / seconds,
            "gap_ms": gaps_ms[int(0.99 * len(gaps_ms))],
            "longest_ms": gaps_ms[-1],
            "rate": (rows - 1) / seconds,
        }


class CountedChannel(DataChannel.DataItemDataChannel):
    """Swift's own way from the camera into an item, which tells how many rows have come."""

    def __init__(self, document_model: Any, names: Any, camera_id: str, on_rows: Callable[[int], None]) -> None:
        super().__init__(document_model, "Swift alone", names)
        self._camera_id, self._on_rows = camera_id, on_rows

    def update_data(
        self, channel: Any, source_data: Any, source_slice: Any, dest_slice: slice, data_metadata: Any
    ) -> None:
        super().update_data(channel, source_data, source_slice, dest_slice, data_metadata)
        if channel.segments[0] == self._camera_id:
            self._on_rows(dest_slice.stop // data_metadata.data_shape[-1])


class PanelRun(Run):
    """A run of the panel that tells how many rows of the line have come."""

    on_rows: Callable[[int], None]

    def _follow(self, progress: Progress) -> None:
        super()._follow(progress)
        tell(progress, self.on_rows)


def tell(progress: Progress, on_rows: Callable[[int], None]) -> None:
    if progress.role is Role.VIBRATIONAL:
        on_rows(progress.rows_valid)


class Bench:
    """The window with the simulated microscope at the pace of the clock, and a line on its specimen."""

    def __init__(self, swift: Any, panel: Any, field: Field, rows: int) -> None:
        self.swift, self.panel, self.field, self.rows = swift, panel, field, rows
        self.document_model = swift.document_model
        self.site = site.load(demo.SITE)
        self.microscope = demo.simulated_microscope(1.0, 3)
        self.meter = Meter(self.microscope)
        self.microscope.use("vibrational")
        self.line = self.microscope.specimen.line(rows, demo.LENGTH_NM)
        self.ways: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            SWIFT: self.by_swift,
            ITEM: self.as_item,
            RESULTS: self.with_results,
        }

    async def take(self, way: str) -> Filled:
        """One line, of which nothing is left in the document."""
        before = list(self.document_model.data_items)
        self.meter.clear()
        await self.ways[way]()
        filled = self.meter.filled(self.rows)
        made = [item for item in self.document_model.data_items if item not in before and "Subscan" not in item.title]
        for item in sorted(made, key=lambda item: not item.title.endswith("vibrational")):
            if item in self.document_model.data_items:  # results go with their line
                self.document_model.remove_data_item(item)
        await asyncio.sleep(QUIET_S)
        return filled

    async def by_swift(self) -> None:
        """As Swift's acquisition panel does it."""
        self.one_display()
        stem = Registry.get_component("stem_controller")
        scan, camera = stem.scan_controller, stem.eels_camera
        parameters = camera.get_frame_parameters(0)
        parameters.exposure_ms, parameters.processing = 1e3 * EXPOSURE_S, "sum_project"
        stream = scan_base.make_synchronized_scan_data_stream(
            scan_hardware_source=scan,
            scan_frame_parameters=along(scan, self.field, self.line),
            camera_hardware_source=camera,
            camera_frame_parameters=parameters,
        )
        bench = self

        class Provider:
            def get_data_channel(self, title: str, names: Any, **kwargs: Any) -> CountedChannel:
                channel = CountedChannel(bench.document_model, names, camera.hardware_source_id, bench.meter.rows)
                channel.on_display_data_item = bench.show_spectra
                return channel

        done = asyncio.Event()
        models = Model.PropertyModel(0), Model.PropertyModel(False)
        loop = self.swift.event_loop
        acquisition = Acquisition.start_acquire(
            stream, "Swift alone", stream.channel_names, Provider(), None, *models, loop, done.set
        )
        await done.wait()
        assert not acquisition.is_error

    async def as_item(self) -> None:
        self.one_display()
        run = host_run.start_run(
            self.document_model,
            self.plan(),
            self.site,
            field=self.field,
            on_progress=lambda progress: tell(progress, self.meter.rows),
            on_item=lambda item, record: self.show(item) if record.role is Role.VIBRATIONAL else None,
        )
        await until(lambda: not run.is_running)
        assert run.outcome is not None and run.outcome.ending is Ending.COMPLETE, run.outcome

    async def with_results(self) -> None:
        """As the panel does it, with the results workspace on the screen."""
        workspaces.arrange(self.swift, "results", "Ion Transport Results", menus._COLUMNS, {})
        PanelRun.on_rows = staticmethod(self.meter.rows)
        runs = self.panel.controller.runs
        runs.run = runs.last = run = PanelRun(self.document_model, self.plan(), self.site, self.field)
        await until(lambda: run.has_live_results)
        line = run.items()[Role.VIBRATIONAL]
        self.show(line)
        await until(lambda: not self.panel.controller.is_busy)
        assert run.outcome is not None and run.outcome.ending is Ending.COMPLETE, run.outcome
        await until(lambda: live.is_settled(self.document_model, line))

    def one_display(self) -> None:
        workspaces.arrange(self.swift, PLACE, "Filling", [(1.0, [(PLACE, 1.0)])], {})

    def show_spectra(self, item: Any) -> None:
        if item.data_shape[-1] == self.microscope.camera.channels:
            self.show(item)

    def show(self, item: Any) -> None:
        """In the one display, or where the results workspace has a place for the survey."""
        display = self.document_model.get_display_item_for_data_item(item)
        workspaces.fill(self.swift, {PLACE: display, menus.SURVEY: display})

    def plan(self) -> Plan:
        specimen = self.microscope.specimen
        frames = Exposure(0.1, 5)
        plan = session_plan(
            name="GB1",
            material=demo.MATERIAL,
            line=self.line,
            aloof=specimen.aloof_point(),
            vacuum=specimen.vacuum_point(),
            roles=ROLES,
            exposures={Role.ZLP: frames, Role.ALOOF: frames, Role.VIBRATIONAL: Exposure(EXPOSURE_S, 1)},
        )
        *first, line = plan.steps
        return replace(plan, steps=(*first, replace(line, engine=Engine.SYNCHRONIZED)))


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.05)


async def measure(swift: Any, panel: Any, rows: int, rounds: int) -> dict[str, list[Filled]]:
    """The first round, in which caches fill, does not count; the ways take turns in going first."""
    loop = asyncio.get_running_loop()
    demo.simulated_microscope(1.0, 3)
    _, field = await loop.run_in_executor(None, survey.take, SURVEY_NM)
    bench = Bench(swift, panel, field, rows)
    measured: dict[str, list[Filled]] = {way: [] for way in bench.ways}
    ways = list(bench.ways)
    for index in range(rounds + 1):
        for way in ways[index % 3 :] + ways[: index % 3]:
            filled = await bench.take(way)
            if index:
                measured[way].append(filled)
    return measured


def main(folder: Path, rows: int, rounds: int) -> None:
    async def then(swift: Any, panel: Any) -> None:
        try:
            measured = await measure(swift, panel, rows, rounds)
            (folder / "measured.json").write_text(json.dumps(measured), "utf-8")
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # the window has no other way to close by itself without asking

    faulthandler.dump_traceback_later(TIMEOUT_S - 10.0, exit=True)
    window.run(folder / "project", then)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
