"""Whatever happens during a run: rows taken are kept and counted, the reason is said, and the microscope is home."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending, State
from eels_iontransport.acquire.plan import Plan, Step
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.thread import start_in_thread
from eels_iontransport.data.record import Record, Role, Status

from .fake import CHANNELS, PARKED, START, FakeMicroscope, plan, site

ROWS = (4, 6, 5, 5, 5)


def run(microscope: FakeMicroscope, the_plan: Plan | None = None, recorder: MemoryRecorder | None = None):
    recorder = recorder or MemoryRecorder()
    runner = Runner(microscope, recorder, site())
    return runner.run(the_plan or plan()), recorder, runner


def test_a_whole_session_gives_every_row_and_comes_home():
    microscope = FakeMicroscope()
    outcome, recorder, _ = run(microscope)
    assert outcome.ending is Ending.COMPLETE and outcome.reason == "" and outcome.problems == ()
    assert tuple(step.rows_valid for step in outcome.steps) == ROWS
    assert microscope.is_home() and microscope.count("begin") == microscope.count("end") == 1
    assert [sink.title for sink in recorder.sinks] == [
        "GB1 vacuum ZLP", "GB1 A1 aloof", "GB1 L1 vibrational", "GB1 L1 valence", "GB1 L1 core loss",
    ]  # fmt: skip
    spectra = recorder.spectra()
    line = spectra[Role.VIBRATIONAL]
    np.testing.assert_allclose(line.counts[:, 0], 3 * 100.0 * np.arange(5) * 2.0)  # three frames at x = 0, 2, .. 8 nm
    assert line.valid.all() and line.step_nm == 2.0 and line.energy.step_ev == 0.0004
    assert line.saturation_level == 3e6 and line.frames == 3 and line.noise.electrons_per_count == 2.0
    assert spectra[Role.ALOOF].counts.shape == (6, CHANNELS) and spectra[Role.ALOOF].step_nm is None
    assert (spectra[Role.ALOOF].counts == -3000.0).all()
    assert (spectra[Role.ZLP].counts == -4800.0).all()  # 48 nm left of the centre: as far as the field allows
    assert spectra[Role.CORE_LOSS].energy.step_ev == 0.1
    record = recorder.sinks[2].record
    assert record.status is Status.COMPLETE and record.rows_valid == 5 and record.saturated_frames == 0
    assert record.beam_current_pa == pytest.approx(20.0)
    assert record.settings == {"dispersion": 0.0004, "offset": -0.005}
    assert Plan.from_data(record.plan) == plan()


def test_points_are_rows_of_summed_frames():
    microscope = FakeMicroscope()
    points = tuple(replace(PARKED, x_nm=x) for x in (3.0, 7.0))
    outcome, recorder, _ = run(microscope, plan(steps=(Step(Role.POINTS, "vibrational", 0.01, 2),), points=points))
    assert outcome.ending is Ending.COMPLETE
    np.testing.assert_allclose(recorder.spectra()[Role.POINTS].counts[:, 3], [600.0, 1400.0])
    assert recorder.spectra()[Role.POINTS].step_nm is None


def at(prefix: str, nth: int, action):
    """A hook that acts at the nth event (from 1) that begins with `prefix`."""

    def hook(event: str, microscope: FakeMicroscope) -> None:
        if event.startswith(prefix) and microscope.count(prefix) == nth:
            action(event, microscope)

    return hook


def fault(event: str, microscope: FakeMicroscope) -> None:
    raise MicroscopeFault(f"Broken at {event}.")


def crash(event: str, microscope: FakeMicroscope) -> None:
    raise ZeroDivisionError("division by zero")


# what happens, when; rows of the five steps that are kept; words of the reason
FAULTS = {
    "camera at the first frame": ("frames", 1, fault, (0, 0, 0, 0, 0), "Broken at frames"),
    "camera in the aloof frames": ("frames", 2, fault, (4, 0, 0, 0, 0), "Broken at frames"),
    "camera at the third pixel": ("frames", 5, fault, (4, 6, 2, 0, 0), "Broken at frames"),
    "camera at the very last pixel": ("frames", 17, fault, (4, 6, 5, 5, 4), "Broken at frames"),
    "probe refused": ("probe", 4, fault, (4, 6, 1, 0, 0), "Broken at probe"),
    "control refused at first": ("set dispersion", 1, fault, (0, 0, 0, 0, 0), "Broken at set dispersion"),
    "control refused before valence": ("set dispersion", 2, fault, (4, 6, 5, 0, 0), "Broken at set dispersion"),
    "begin refused": ("begin", 1, fault, (0, 0, 0, 0, 0), "Broken at begin"),
    "a bug in the camera's driver": ("frames", 4, crash, (4, 6, 1, 0, 0), "unforeseen happened (division by zero)"),
    "a bug while reading back": ("get offset", 8, crash, (4, 6, 5, 0, 0), "unforeseen happened"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_keeps_the_rows_and_comes_home(case):
    prefix, nth, action, rows, words = FAULTS[case]
    microscope = FakeMicroscope(hook=at(prefix, nth, action))
    outcome, recorder, runner = run(microscope)
    assert outcome.ending is Ending.FAULT and words in outcome.reason
    assert tuple(step.rows_valid for step in outcome.steps) == rows
    assert microscope.is_home(), microscope.controls
    for sink in recorder.sinks:
        assert sink.finished
        assert sink.spectra().valid.sum() == sink.record.rows_valid
        if sink.record.rows_valid < sink.record.rows_planned:
            assert sink.record.status is Status.FAULT and sink.record.reason == outcome.reason
    assert str(sum(rows)) in outcome.sentence()
    microscope.hook = lambda event, microscope: None
    assert runner.run(plan()).ending is Ending.COMPLETE and microscope.is_home()


ABORTS = {
    "before the first row": ("set dispersion", 1, (0, 0, 0, 0, 0)),
    "while the first frames are taken": ("frames", 1, (0, 0, 0, 0, 0)),
    "in the middle of the line": ("frames", 5, (4, 6, 2, 0, 0)),
    "between two settings": ("set dispersion", 2, (4, 6, 5, 0, 0)),
    "at the last pixel": ("frames", 17, (4, 6, 5, 5, 4)),
}


@pytest.mark.parametrize("case", ABORTS)
def test_abort_at_any_moment(case):
    prefix, nth, rows = ABORTS[case]
    microscope, recorder = FakeMicroscope(), MemoryRecorder()
    runner = Runner(microscope, recorder, site())
    microscope.hook = at(prefix, nth, lambda event, microscope: runner.abort())
    outcome = runner.run(plan())
    assert outcome.ending is Ending.ABORTED and "operator" in outcome.reason
    assert tuple(step.rows_valid for step in outcome.steps) == rows
    assert microscope.is_home()
    for sink in recorder.sinks:
        partial = sink.record.rows_valid < sink.record.rows_planned
        assert sink.finished and sink.record.status is (Status.ABORTED if partial else Status.COMPLETE)
    microscope.hook = lambda event, microscope: None
    assert runner.run(plan()).ending is Ending.COMPLETE and microscope.is_home()


def test_an_abort_after_the_last_frame_keeps_a_complete_run():
    microscope = FakeMicroscope()
    runner = Runner(microscope, MemoryRecorder(), site())
    microscope.hook = at("end", 1, lambda event, microscope: runner.abort())
    assert runner.run(plan()).ending is Ending.COMPLETE


def test_abort_without_a_run_does_not_spoil_the_next():
    microscope = FakeMicroscope()
    runner = Runner(microscope, MemoryRecorder(), site())
    runner.abort()
    assert runner.run(plan()).ending is Ending.COMPLETE


def test_abort_from_another_thread_and_one_run_at_a_time():
    microscope, reached, go_on = FakeMicroscope(), threading.Event(), threading.Event()
    runner = Runner(microscope, MemoryRecorder(), site())

    def hold(event, microscope):
        reached.set()
        go_on.wait(5.0)

    microscope.hook = at("frames", 4, hold)
    done = []
    handle = start_in_thread(runner, plan(), on_done=done.append)
    assert reached.wait(5.0) and handle.is_running and handle.outcome is None
    with pytest.raises(RuntimeError, match="under way"):
        runner.run(plan())
    handle.abort()
    go_on.set()
    outcome = handle.join(5.0)
    assert outcome is not None and done == [outcome]
    assert outcome.ending is Ending.ABORTED and outcome.steps[2].rows_valid == 1 and microscope.is_home()


def test_abort_right_after_the_start_counts():
    runner = Runner(FakeMicroscope(), MemoryRecorder(), site())
    runner.claim()
    runner.abort()
    assert runner.run(plan(), claimed=True).ending is Ending.ABORTED


def test_a_control_that_does_not_obey_is_named_with_its_reading():
    microscope = FakeMicroscope()
    microscope.stuck = {"dispersion"}
    outcome, _, _ = run(microscope)
    assert outcome.ending is Ending.FAULT
    assert outcome.reason.startswith("Control 'dispersion' reads 0.5 after it was set to 0.0004 for the vibrational")
    assert microscope.is_home()


def test_teardown_goes_on_when_a_part_of_it_fails():
    microscope = FakeMicroscope()
    microscope.hook = at("set dispersion 0.5", 1, fault)
    outcome, _, _ = run(microscope)
    assert outcome.ending is Ending.COMPLETE
    assert len(outcome.problems) == 1 and "'dispersion' back to 0.5" in outcome.problems[0]
    assert outcome.problems[0] in outcome.sentence()
    assert microscope.controls["offset"] == START["offset"] and microscope.probe == PARKED and microscope.live


def test_only_what_was_touched_is_brought_back():
    microscope = FakeMicroscope(hook=at("begin", 1, fault))
    run(microscope)
    assert microscope.count("set") == 0 and microscope.count("probe") == 0 and microscope.count("end") == 1


def test_a_program_that_is_stopped_still_comes_home():
    def interrupt(event, microscope):
        raise KeyboardInterrupt

    microscope, recorder = FakeMicroscope(hook=at("frames", 5, interrupt)), MemoryRecorder()
    runner = Runner(microscope, recorder, site())
    with pytest.raises(KeyboardInterrupt):
        runner.run(plan())
    assert microscope.is_home() and not runner.is_running
    assert recorder.sinks[2].record.status is Status.FAULT and recorder.sinks[2].record.rows_valid == 2


def test_refusals_touch_nothing():
    for microscope, words in (
        (FakeMicroscope(view=None), "survey"),
        (FakeMicroscope(controls={**START, "blank": 1.0}), "blanked"),
        (FakeMicroscope(controls={"offset": 0.0, "current": 1e-11, "blank": 0.0}), "no control 'dispersion'"),
        (FakeMicroscope(hook=at("missing", 1, crash)), "unforeseen"),
    ):
        before = dict(microscope.controls)
        outcome, recorder, runner = run(microscope)
        assert outcome.ending is Ending.REFUSED and words in outcome.reason and outcome.reason in outcome.blockers
        assert outcome.sentence() == outcome.reason
        assert recorder.sinks == [] and microscope.controls == before
        assert not any(event.startswith(("set", "probe", "begin")) for event in microscope.events)


def test_saturated_frames_are_counted_before_they_are_summed():
    microscope = FakeMicroscope(saturation_level=700.0)  # the line's frames hold 0, 200, .. 800 counts
    _, recorder, _ = run(microscope, plan(steps=(Step(Role.VIBRATIONAL, "vibrational", 0.01, 3),)))
    assert recorder.sinks[0].record.saturated_frames == 3
    assert recorder.sinks[0].record.saturation_level == 2100.0
    microscope = FakeMicroscope(saturation_level=None)
    _, recorder, _ = run(microscope)
    assert recorder.sinks[0].record.saturated_frames is None


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda m: m.controls.update(dispersion=0.05), "energy axis changed"),
        (lambda m: m.controls.update(offset=-0.1), "energy axis changed"),
    ],
)
def test_a_spectrometer_touched_by_hand_ends_the_step(change, words):
    microscope = FakeMicroscope(hook=at("frames", 5, lambda event, m: change(m)))
    outcome, recorder, _ = run(microscope)
    assert outcome.ending is Ending.FAULT and words in outcome.reason
    assert recorder.sinks[2].record.rows_valid == 2 and microscope.is_home()


@pytest.mark.parametrize("extra", [-1, 1])
def test_a_camera_that_gives_another_number_of_frames(extra):
    microscope = FakeMicroscope()
    original = microscope.acquire_frames
    microscope.acquire_frames = lambda exposure_s, frames: original(exposure_s, frames + extra)
    outcome, _, _ = run(microscope)
    assert outcome.ending is Ending.FAULT and f"gave {4 + extra} of 4 frames" in outcome.reason


class FullDisk(MemoryRecorder):
    """Fails where `when` says: at begin, at the second row or at the end of the third item."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when

    def begin(self, record, energy, step_nm, title):
        if record.role is Role.VIBRATIONAL and self.when == "begin":
            raise OSError(28, "No space left on device")
        sink = super().begin(record, energy, step_nm, title)
        if record.role is Role.VIBRATIONAL:
            write, finish = sink.write, sink.finish

            def failing_write(index, counts, note):
                if self.when == "write" and index == 1:
                    raise OSError(28, "No space left on device")
                write(index, counts, note)

            def failing_finish(record: Record):
                finish(record)
                if self.when == "finish":
                    raise OSError(28, "No space left on device")

            sink.write, sink.finish = failing_write, failing_finish
        return sink


@pytest.mark.parametrize("when, rows", [("begin", 0), ("write", 1), ("finish", 5)])
def test_a_full_disk_is_a_fault_with_a_sentence(when, rows):
    microscope = FakeMicroscope()
    outcome, _, _ = run(microscope, recorder=FullDisk(when))
    assert outcome.ending is Ending.FAULT and "No space left" in outcome.reason
    assert outcome.steps[2].rows_valid == rows and outcome.steps[2].status is Status.FAULT
    assert outcome.problems == () and microscope.is_home()


def test_progress_counts_up_and_a_broken_display_does_not_end_the_run():
    seen = []
    runner = Runner(FakeMicroscope(), MemoryRecorder(), site())
    runner.run(plan(), seen.append)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == pytest.approx(1.0)
    assert [p.state for p in seen if p.state is not State.ACQUIRING] == [
        State.PREPARING, State.SETTING, State.SETTING, State.SETTING, State.RESTORING,
    ]  # fmt: skip
    rows = [progress.rows_valid for progress in seen if progress.role is Role.VALENCE]
    assert rows == [0, 0, 1, 2, 3, 4, 5]
    outcome = runner.run(plan(), lambda progress: 1 / 0)
    assert outcome.ending is Ending.COMPLETE


def test_long_exposures_are_asked_in_parts_that_the_host_survives():
    microscope = FakeMicroscope()
    steps = (Step(Role.VIBRATIONAL, "vibrational", 6.0, 10), Step(Role.ZLP, "vibrational", 0.2, 7))
    outcome, recorder, _ = run(microscope, plan(steps=steps))
    assert outcome.ending is Ending.COMPLETE
    asked = [event for event in microscope.events if event.startswith("frames")]
    assert asked[:4] == ["frames 3"] * 3 + ["frames 1"] and asked[-4:] == ["frames 2"] * 3 + ["frames 1"]
    assert recorder.spectra()[Role.VIBRATIONAL].counts[1, 0] == 10 * 200.0
