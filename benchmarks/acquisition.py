"""What acquiring through Swift costs, on the simulated microscope at the pace of the clock, with the window at work."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from nion.instrumentation import Acquisition, scan_base

from eels_iontransport.acquire.port import Frames
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.data.record import Role
from nionswift_plugin.iontransport.host import recovery
from nionswift_plugin.iontransport.host.subscan import along
from tests.swift.microscope_context import FIELD, Begun, Lab, open_lab

from .figure import Figure, spread

WINDOW_S = 0.02  # the real window looks for work so often
PARKED_PIXELS, PARKED_S = 100, 0.05
LINE, LINE_S = Line(Point(0.0, 10.0), Point(0.0, 30.0), 100), 0.01
REPEATS = 7
IMAGE, IMAGE_PIXELS = Field(32.0, 32.0, Point(0.0, 20.0)), (64, 64)
OVERHEAD_MS, RATIO, ABORT_S, VISIBLE_S, IMAGE_S = 6.0, 1.05, 0.15, 0.3, 0.3


class Rows:
    """When each row of a run was taken, and when it was seen in the item."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.seen: list[float] = []
        self._item: Any = None

    def on_item(self, item: Any, record: Any) -> None:
        if record.role is Role.VIBRATIONAL:
            self._item = item

    def on_progress(self, progress: Any) -> None:
        while len(self.taken) < progress.rows_valid:
            self.taken.append(time.perf_counter())

    def look(self) -> None:
        if self._item is not None and len(self.seen) < len(self.taken) and self._item.data is not None:
            visible = int(np.count_nonzero(self._item.data[:, ::64].any(axis=1)))
            self.seen += [time.perf_counter()] * (visible - len(self.seen))

    def overheads_ms(self) -> list[float]:
        return [1e3 * (step - PARKED_S) for step in np.diff(self.taken)]

    def delays_s(self) -> list[float]:
        return [seen - taken for seen, taken in zip(self.seen, self.taken)]


def run_line(lab: Lab) -> Rows:
    """A run as the operator starts it, with its journal and item."""
    rows = Rows()
    plan = lab.line_plan(PARKED_PIXELS, PARKED_S, 1)
    run = lab.start(plan, on_progress=rows.on_progress, on_item=rows.on_item)
    while run.is_running:
        lab.window.periodic()
        rows.look()
        time.sleep(WINDOW_S)
    lab.window.periodic()
    rows.look()
    return rows


def parked_ms(begun: Begun) -> list[float]:
    """Time that the microscope alone takes for each point beyond its exposure: no journal, no item."""

    def work() -> list[float]:
        taken = []
        for point in Line(LINE.start, LINE.end, PARKED_PIXELS).points():
            started = time.perf_counter()
            begun.microscope.set_probe(point)
            begun.microscope.acquire_frames(PARKED_S, 1)
            taken.append(1e3 * (time.perf_counter() - started - PARKED_S))
        return taken

    return list(begun.call(work))


def our_line(begun: Begun) -> float:
    started = time.perf_counter()
    begun.scan_line(LINE, LINE_S, lambda first, frames: None)
    return time.perf_counter() - started


def hosts_line(lab: Lab, begun: Begun) -> float:
    """The same line as the host takes it: its own stream into its own array."""
    parameters = lab.camera.get_frame_parameters(0)
    parameters.exposure_ms, parameters.processing = 1e3 * LINE_S, "sum_project"

    def scan() -> None:
        stream = scan_base.make_synchronized_scan_data_stream(
            scan_hardware_source=lab.scan,
            scan_frame_parameters=along(lab.scan, FIELD, LINE),
            camera_hardware_source=lab.camera,
            camera_frame_parameters=parameters,
        )
        Acquisition.acquire_immediate(stream)

    started = time.perf_counter()
    begun.call(scan)
    return time.perf_counter() - started


def cancel_after(begun: Begun, seconds: float, function: Callable[..., Any], *arguments: Any) -> float:
    """Time from a cancel until the function has returned."""
    asked: list[float] = []

    def cancel() -> None:
        asked.append(time.perf_counter())
        begun.microscope.cancel()

    def work() -> float:
        threading.Timer(seconds, cancel).start()
        function(*arguments)
        return time.perf_counter()

    ended = begun.call(work)
    begun.call(begun.microscope.end)
    begun.call(begun.microscope.begin)
    return float(ended - asked[0])


def cancels(begun: Begun) -> list[float]:
    """Of long and short exposures, parked and along a line."""

    def park_and_take(exposure_s: float, frames: int) -> Frames:
        begun.microscope.set_probe(Point(0.0, 10.0))
        return begun.microscope.acquire_frames(exposure_s, frames)

    taken = []
    for exposure_s in (0.01, 3.0):
        for _ in range(REPEATS):
            taken.append(cancel_after(begun, 0.4, park_and_take, exposure_s, 1000))
            taken.append(
                cancel_after(begun, 0.4, begun.microscope.scan_line, LINE, exposure_s, lambda first, frames: None)
            )
    return taken


def images(begun: Begun) -> list[float]:
    taken = []
    for _ in range(3 * REPEATS):
        started = time.perf_counter()
        begun.call(begun.microscope.image, IMAGE, IMAGE_PIXELS)
        taken.append(time.perf_counter() - started)
    return taken


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, open_lab(Path(folder), time_scale=1.0) as lab:
        recovery.journal_folder = lambda document_model: Path(folder)  # not with the user's own
        lab.pump_pause_s = WINDOW_S
        rows = run_line(lab)
        begun = Begun(lab, FIELD)
        parked = parked_ms(begun)
        pairs = [(our_line(begun), hosts_line(lab, begun)) for _ in range(REPEATS)]
        aborts, frames = cancels(begun), images(begun)
        begun.call(begun.microscope.end)
        del lab, begun
    overheads, delays = rows.overheads_ms(), rows.delays_s()
    ours, hosts = (statistics.median(values) for values in zip(*pairs))
    return [
        Figure(
            "parked run, beyond the exposure of a point: median",
            "ms",
            statistics.median(overheads),
            high=OVERHEAD_MS,
            spread=spread(overheads),
        ),
        Figure("  mean", "ms", statistics.fmean(overheads)),
        Figure("  of which camera and probe: median", "ms", statistics.median(parked), spread=spread(parked)),
        Figure("row taken until visible in its item: longest", "s", max(delays), high=VISIBLE_S, spread=spread(delays)),
        Figure(
            "synchronized line, time against the host's own",
            "",
            ours / hosts,
            high=RATIO,
            spread=spread([our / host for our, host in pairs]),
        ),
        Figure("abort until frames end: longest", "s", max(aborts), high=ABORT_S, spread=spread(aborts)),
        Figure(
            "reference image of 64 x 64: median", "s", statistics.median(frames), high=IMAGE_S, spread=spread(frames)
        ),
    ]
