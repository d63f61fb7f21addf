"""Somebody else uses camera or scan during a run: what they spoil is taken again, or the run ends with a sentence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from nion.instrumentation import Acquisition, camera_base

from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.geometry import Point
from eels_iontransport.data.record import Role

from .microscope_context import PARKED, Lab, lab, record_of
from .test_line_scan import LINE, begin

__all__ = ["begin", "lab"]  # fixtures


def expose_longer(lab: Lab) -> None:
    parameters = lab.camera.get_current_frame_parameters()
    parameters.exposure_ms *= 3
    lab.camera.set_current_frame_parameters(parameters)


def take_sequence(lab: Lab) -> None:
    """As the host's own acquisition panel takes one."""
    parameters = lab.camera.get_frame_parameters(0)
    parameters.exposure_ms, parameters.processing = 300.0, "sum_project"
    threading.Thread(
        target=lambda: Acquisition.acquire_immediate(camera_base.make_sequence_data_stream(lab.camera, parameters, 2))
    ).start()


USERS: dict[str, Callable[[Lab], Any]] = {
    "view of the camera": lambda lab: lab.camera.start_playing(),
    "view of the scan": lambda lab: lab.scan.start_playing(),
    "both views": lambda lab: (lab.scan.start_playing(), lab.camera.start_playing()),
    "another exposure": expose_longer,
}


@pytest.mark.parametrize("user", [*USERS, "another acquisition"])
def test_parked_frames_that_others_spoil_are_taken_again(lab, begin, user):
    lab.microscope.clock.time_scale = 4.0
    begun, place = begin(), Point(0.0, 17.0)
    begun.call(begun.microscope.set_probe, place)
    quiet = begun.call(begun.microscope.acquire_frames, 0.1, 10).counts.sum(axis=1)
    timer = threading.Timer(0.1, {**USERS, "another acquisition": take_sequence}[user], [lab])
    timer.start()
    frames = begun.call(begun.microscope.acquire_frames, 0.1, 20)
    assert not timer.is_alive() and not lab.camera.is_playing and not lab.scan.is_playing
    assert frames.counts.sum(axis=1) == pytest.approx(np.full(20, quiet.mean()), rel=0.01)
    lab.stem.set_probe_position(PARKED)


@pytest.mark.parametrize("user", USERS)
def test_the_rest_of_a_line_that_others_spoil_is_scanned_again(lab, begin, user):
    lab.microscope.clock.time_scale = 4.0
    begun, quiet, rows, firsts = begin(), [], [], []
    begun.scan_line(LINE, 0.1, lambda first, frames: quiet.extend(frames.counts.sum(axis=1)))

    def on_rows(first: int, frames: Any) -> None:
        firsts.append((first, len(rows)))
        rows.extend(frames.counts.sum(axis=1))

    timer = threading.Timer(0.25, USERS[user], [lab])
    timer.start()
    begun.scan_line(LINE, 0.1, on_rows)
    assert not timer.is_alive() and not lab.camera.is_playing and not lab.scan.is_playing
    assert len(rows) == LINE.pixels and all(first == before for first, before in firsts)
    assert rows == pytest.approx(quiet, rel=0.01)


def test_a_run_outlives_a_live_view(lab):
    lab.microscope.clock.time_scale = 10.0
    started = []

    def meddle(progress) -> None:
        if progress.rows_valid == 3 and not started:
            started.append(threading.Timer(0.05, lab.camera.start_playing))
            started[0].start()

    outcome, run = lab.run(lab.line_plan(pixels=8, exposure_s=0.2, frames=5), on_progress=meddle)
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    totals = run.items()[Role.VIBRATIONAL].data.sum(axis=1)
    assert totals == pytest.approx(np.full(8, totals.mean()), rel=0.03)


class Persistent:
    """Somebody at the window who starts a live view whenever it was stopped."""

    def __init__(self, lab: Lab, source: Any) -> None:
        self._loop, self._source, self._stays = lab.window.event_loop, source, True
        self._loop.call_soon_threadsafe(self._work)

    def _work(self) -> None:
        if self._stays:
            self._source.start_playing()
            self._loop.call_later(0.2, self._work)

    def leave(self) -> None:
        self._stays = False
        self._source.abort_playing(sync_timeout=10.0)


@pytest.mark.parametrize("who", ["camera", "scan"])
def test_somebody_who_does_not_give_way_ends_the_run(lab, who):
    lab.microscope.clock.time_scale = 1.0
    before, people = lab.state(), []

    def come(progress) -> None:
        if progress.rows_valid == 1 and not people:
            people.append(Persistent(lab, getattr(lab, who)))

    outcome, run = lab.run(lab.line_plan(exposure_s=0.1, frames=3), on_progress=come)
    people[0].leave()
    assert outcome.ending is Ending.FAULT and "Somebody else uses the camera or the scan" in outcome.reason
    assert record_of(run.items()[Role.VIBRATIONAL]).rows_valid >= 1
    lab.microscope.clock.time_scale = 100.0
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE
    assert lab.state() == before


def test_somebody_who_does_not_give_way_ends_a_line(lab, begin):
    lab.microscope.clock.time_scale = 1.0
    begun, somebody = begin(), Persistent(lab, lab.scan)
    with pytest.raises(MicroscopeFault, match="Somebody else"):
        begun.scan_line(LINE, 0.1, lambda first, frames: None)
    somebody.leave()


def test_no_listener_is_left(lab):
    def listeners() -> int:
        events = (lab.camera.acquisition_state_changed_event, lab.stem.probe_state_changed_event)
        return sum(event.listener_count for event in events)

    before = listeners()
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE
    time.sleep(0.05)
    assert listeners() == before
