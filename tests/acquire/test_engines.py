"""Passes, strips and images with both engines: every row from its place, and the same account of what was taken."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Engine, Plan, Step
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.data.geometry import Area, Field, Line, Point
from eels_iontransport.data.record import Role, Status

from .fake import FakeMicroscope, line, plan, site
from .test_runner import at, fault

LINE = 100.0 * 2.0 * np.arange(5)  # counts of one frame at each pixel


def line_plan(engine: Engine = Engine.PARKED, passes: int = 3, frames: int = 1, **changes) -> Plan:
    step = Step(Role.VIBRATIONAL, "vibrational", 0.01, frames, passes, engine)
    return plan(**{"steps": (step,), **changes})


def run(microscope: FakeMicroscope, the_plan: Plan, on_progress=None):
    recorder = MemoryRecorder()
    runner = Runner(microscope, recorder, site(), clock=microscope.clock)
    return runner.run(the_plan, on_progress), recorder, runner


@pytest.mark.parametrize("engine", Engine)
def test_passes_are_kept_apart(engine):
    seen = []
    outcome, recorder, _ = run(FakeMicroscope(), line_plan(engine), seen.append)
    assert outcome.ending is Ending.COMPLETE and outcome.steps[0].rows_valid == 15
    (sink,) = recorder.sinks
    assert (sink.record.passes, sink.record.rows_planned, sink.record.shape) == (3, 15, (3, 5))
    spectra = sink.spectra()
    np.testing.assert_allclose(spectra.passes[:, :, 0], np.broadcast_to(LINE, (3, 5)))
    np.testing.assert_allclose(spectra.counts[:, 0], 3 * LINE)
    assert spectra.step_nm == 2.0
    assert [note.place for note in sink.notes] == list(line().points()) * 3
    passes = [(progress.pass_index, progress.passes) for progress in seen if progress.state.value == "acquiring"]
    assert passes == sorted(passes) and set(passes) == {(0, 3), (1, 3), (2, 3)}


@pytest.mark.parametrize("engine, moves", [(Engine.PARKED, 15), (Engine.SYNCHRONIZED, 3)])
def test_the_engines_differ_in_how_they_get_there(engine, moves):
    microscope = FakeMicroscope()
    run(microscope, line_plan(engine))
    assert microscope.count("probe" if engine is Engine.PARKED else "scan") - (engine is Engine.PARKED) == moves


@pytest.mark.parametrize("engine", Engine)
def test_a_spectrum_image_is_taken_row_by_row(engine):
    area = Area(Field(6.0, 8.0, Point(3.0, 20.0)), 3, 4)
    steps = (Step(Role.IMAGE, "vibrational", 0.01, 1, 2, engine),)
    outcome, recorder, _ = run(FakeMicroscope(), plan(steps=steps, area=area))
    assert outcome.ending is Ending.COMPLETE
    (sink,) = recorder.sinks
    record = sink.record
    assert (record.shape, record.columns, record.line_step_nm) == ((2, 3, 4), 4, 2.0)
    assert [note.place.x_nm for note in sink.notes] == pytest.approx([17.0, 19.0, 21.0, 23.0] * 6)
    assert [note.place.y_nm for note in sink.notes][:12:4] == pytest.approx([1.0, 3.0, 5.0])
    np.testing.assert_allclose(sink.spectra().passes[1, :, 0], 100.0 * np.tile([17.0, 19.0, 21.0, 23.0], 3))


def test_a_strip_spreads_frames_and_passes_over_its_width():
    microscope = FakeMicroscope()
    vertical = Line(Point(0.0, 0.0), Point(10.0, 0.0), 2)  # the strip lies along x, which the counts tell
    the_plan = line_plan(passes=2, frames=2, strip_nm=4.0, line=vertical)
    outcome, recorder, _ = run(microscope, the_plan)
    assert outcome.ending is Ending.COMPLETE
    probed = [event for event in microscope.events if event.startswith("probe")][:8]
    assert [float(event.split("x_nm=")[1].rstrip(")")) for event in probed] == pytest.approx(
        [-1.5, 0.5] * 2 + [-0.5, 1.5] * 2
    )
    np.testing.assert_allclose(recorder.sinks[0].spectra().passes[:, 0, 0], [-100.0, 100.0])


@pytest.mark.parametrize("nth, rows", [(2, 0), (6, 2), (20, 9)])
def test_a_row_that_an_abort_cuts_short_is_none(nth, rows):
    microscope, recorder = FakeMicroscope(), MemoryRecorder()
    runner = Runner(microscope, recorder, site(), clock=microscope.clock)
    microscope.hook = at("frames", nth, lambda event, microscope: runner.abort())
    outcome = runner.run(line_plan(passes=2, frames=2, strip_nm=4.0))
    assert outcome.ending is Ending.ABORTED and outcome.steps[0].rows_valid == rows
    assert [sink.record.rows_valid for sink in recorder.sinks] == ([rows] if rows else [])


def test_the_probe_settles_at_each_place():
    microscope = FakeMicroscope()
    Runner(microscope, MemoryRecorder(), site(probe_settle_s=0.5), clock=microscope.clock).run(line_plan())
    assert microscope.clock.now_s == pytest.approx(15 * 0.51)


def test_a_strip_of_a_scan_has_one_place_for_each_pass():
    microscope = FakeMicroscope()
    run(microscope, line_plan(Engine.SYNCHRONIZED, passes=4, strip_nm=4.0))
    starts = [event.split("y_nm=")[1].split(",")[0] for event in microscope.events if event.startswith("scan")]
    assert sorted(map(float, starts)) == pytest.approx([-1.5, -0.5, 0.5, 1.5])


# when it happens: the nth delivery of rows (two pixels, two, one); rows that are kept
MOMENTS = {"first": (1, 0), "in the first pass": (2, 2), "at a pass's end": (3, 4), "in the last pass": (9, 14)}


@pytest.mark.parametrize("case", MOMENTS)
def test_a_fault_in_a_scan_keeps_the_rows(case):
    nth, rows = MOMENTS[case]
    microscope = FakeMicroscope(hook=at("rows", nth, fault))
    outcome, recorder, runner = run(microscope, line_plan(Engine.SYNCHRONIZED))
    assert outcome.ending is Ending.FAULT and outcome.reason == "Broken at rows." and microscope.is_home()
    assert outcome.steps[0].rows_valid == rows
    for sink in recorder.sinks:
        assert (
            sink.finished and sink.record.status is Status.FAULT and sink.record.rows_valid == rows == len(sink.notes)
        )
    microscope.hook = lambda event, microscope: None
    assert runner.run(line_plan(Engine.SYNCHRONIZED)).ending is Ending.COMPLETE


@pytest.mark.parametrize("nth, rows", [(1, 2), (2, 4), (5, 9), (9, 15)])
def test_an_abort_in_a_scan_keeps_what_came(nth, rows):
    microscope, recorder = FakeMicroscope(), MemoryRecorder()
    runner = Runner(microscope, recorder, site(), clock=microscope.clock)
    microscope.hook = at("rows", nth, lambda event, microscope: runner.abort())
    outcome = runner.run(line_plan(Engine.SYNCHRONIZED))
    assert outcome.ending is (Ending.COMPLETE if rows == 15 else Ending.ABORTED) and microscope.is_home()
    assert outcome.steps[0].rows_valid == rows == recorder.sinks[0].record.rows_valid
    microscope.hook = lambda event, microscope: None
    assert runner.run(line_plan(Engine.SYNCHRONIZED)).ending is Ending.COMPLETE


def test_a_partial_pass_counts_for_the_pixels_that_it_reached():
    microscope = FakeMicroscope(hook=at("rows", 8, fault))  # two passes and two pixels of the third
    _, recorder, _ = run(microscope, line_plan(Engine.SYNCHRONIZED))
    spectra = recorder.sinks[0].spectra()
    assert spectra.valid.all()
    np.testing.assert_allclose(spectra.counts[:, 0], LINE * [3, 3, 2, 2, 2])


def test_a_pause_in_a_scan_goes_on_with_the_next_pixel():
    microscope, recorder = FakeMicroscope(), MemoryRecorder()
    runner = Runner(microscope, recorder, site(), clock=microscope.clock)

    def pause(event, microscope):
        runner.pause()
        threading.Timer(0.05, runner.resume).start()

    microscope.hook = at("rows", 4, pause)
    assert runner.run(line_plan(Engine.SYNCHRONIZED)).ending is Ending.COMPLETE
    np.testing.assert_allclose(recorder.sinks[0].spectra().passes[:, :, 0], np.broadcast_to(LINE, (3, 5)))
    assert microscope.count("scan") == 4 and f"scan {line().points()[2]}" in microscope.events


STRANGE = {
    "too few": (lambda on_rows, frames: on_rows(0, frames), "gave 2 of 5 pixels"),
    "out of order": (lambda on_rows, frames: on_rows(1, frames), "pixels 1 to 2 where 0 of 5 came before"),
    "too many": (lambda on_rows, frames: [on_rows(i, frames) for i in (0, 2, 4)], "pixels 4 to 5 where 4 of 5"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_scan_that_gives_other_pixels_is_a_sentence(case):
    deliver, words = STRANGE[case]
    microscope = FakeMicroscope()
    frames = replace(microscope._frames(np.zeros((2, 32))), energy=microscope._frames(np.zeros((0, 32))).energy)
    microscope.scan_line = lambda the_line, exposure_s, on_rows: deliver(on_rows, frames)
    outcome, _, _ = run(microscope, line_plan(Engine.SYNCHRONIZED))
    assert outcome.ending is Ending.FAULT and words in outcome.reason and microscope.is_home()
