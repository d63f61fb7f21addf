"""A Swift document without a window on the simulated devices, for tests of acquiring."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nion.instrumentation.test import AcquisitionTestContext
from nion.swift import Facade
from nion.swift.test import TestContext
from nion.utils import Geometry, Registry

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.outcome import Outcome
from eels_iontransport.acquire.plan import Exposure, Plan, session_plan
from eels_iontransport.acquire.port import Frames
from eels_iontransport.data.geometry import Field, Line
from eels_iontransport.data.record import Record, Role
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.specimen import SURVEY_NM
from nionswift_plugin.iontransport.host import run as host_run
from nionswift_plugin.iontransport.host.instrument import SwiftMicroscope
from nionswift_plugin.iontransport.host.main_thread import MainThread
from nionswift_plugin.iontransport_simulator.devices import Devices

TIME_SCALE = 100.0
FIELD = Field(SURVEY_NM, SURVEY_NM)
PARKED = Geometry.FloatPoint(0.25, 0.75)
EXPOSURES = {
    Role.ZLP: Exposure(0.1, 3),
    Role.ALOOF: Exposure(0.1, 4),
    Role.VIBRATIONAL: Exposure(0.1, 2),
    Role.VALENCE: Exposure(0.02, 3),
    Role.CORE_LOSS: Exposure(0.5, 2),
}


class Lab:
    """The document, the simulated microscope behind it, and a run at a time."""

    def __init__(self, devices: Devices, context: Any) -> None:
        self.microscope: SimulatedMicroscope = devices.microscope
        self.window = context.document_controller
        self.document_model = context.document_model
        self.stem = Registry.get_component("stem_controller")
        self.scan, self.camera = self.stem.scan_controller, self.stem.eels_camera
        self.site = sites.load("simulator")
        self.pump_pause_s = 0.003

    def pump(self, done: Callable[[], bool], timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end, "the host did not get there in time"
            self.window.periodic()
            time.sleep(self.pump_pause_s)
        self.window.periodic()

    def survey(self, width_nm: float = SURVEY_NM) -> None:
        """A survey through Swift's own scan, so that its image, with the marker of the probe, is in the document."""
        parameters = self.scan.get_current_frame_parameters()
        parameters.fov_nm, parameters.pixel_size = width_nm, Geometry.IntSize(64, 64)
        self.scan.set_current_frame_parameters(parameters)
        self.scan.start_playing(sync_timeout=10.0)
        self.scan.get_next_xdatas_to_finish(10.0)
        self.scan.stop_playing(sync_timeout=10.0)
        self.window.periodic()

    def plan(self, pixels: int = 6, **changes: Any) -> Plan:
        specimen = self.microscope.specimen
        plan = session_plan(
            name="GB1",
            material="lco",
            line=specimen.line(pixels, 6.0),
            aloof=specimen.aloof_point(),
            vacuum=specimen.vacuum_point(),
            exposures=EXPOSURES,
        )
        return replace(plan, **changes)

    def line_plan(self, pixels: int = 6, exposure_s: float = 0.1, frames: int = 2) -> Plan:
        step = replace(self.plan().steps[2], exposure_s=exposure_s, frames=frames)
        return self.plan(pixels, steps=(step,))

    def start(self, plan: Plan, field: Field | None = FIELD, **callbacks: Any) -> host_run.SwiftRun:
        return host_run.start_run(self.document_model, plan, self.site, field=field, **callbacks)

    def run(self, plan: Plan, field: Field | None = FIELD, **callbacks: Any) -> tuple[Outcome, host_run.SwiftRun]:
        run = self.start(plan, field, **callbacks)
        self.pump(lambda: not run.is_running)
        assert run.outcome is not None
        return run.outcome, run

    def state(self) -> dict[str, Any]:
        """All that has to come home."""
        return {
            "controls": dict(self.microscope.controls),
            "probe": self.stem.probe_position,
            "camera": self.camera.get_current_frame_parameters().as_dict(),
            "field": (self.stem.scan_context.fov_nm, self.stem.scan_context.rotation_rad),
            "playing": (self.camera.is_playing, self.scan.is_playing),
        }


class Begun:
    """A microscope in a run, whose methods are called from another thread while the window goes on."""

    def __init__(self, lab: Lab, field: Field) -> None:
        self._lab = lab
        self.microscope = SwiftMicroscope(lab.site, field, MainThread(lab.document_model))
        self.call(self.microscope.begin)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.extend((function(*arguments), None))
            except BaseException as error:
                outcome.extend((None, error))

        thread = threading.Thread(target=work)
        thread.start()
        self._lab.pump(lambda: not thread.is_alive())
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    def scan_line(self, line: Line, exposure_s: float, on_rows: Callable[[int, Frames], None]) -> None:
        self.call(self.microscope.scan_line, line, exposure_s, on_rows)


def record_of(item: Any) -> Record:
    record = Record.from_metadata(item.metadata)
    assert record is not None
    return record


@contextlib.contextmanager
def open_lab(folder: Path, time_scale: float = TIME_SCALE) -> Iterator[Lab]:
    """A lab with a survey in its document; the probe is parked somewhere."""
    Facade.initialize()
    setup = TestContext.TestSetup()
    devices = Devices(SimulatedMicroscope(seed=5, time_scale=time_scale), str(folder))
    with AcquisitionTestContext.AcquisitionTestContext(devices, is_eels=True) as context:
        made = Lab(devices, context)
        made.stem.set_probe_position(PARKED)
        made.survey()
        yield made
        made.window.periodic()
    del setup, made, context
    gc.collect()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path) as made:
        yield made
        del made
