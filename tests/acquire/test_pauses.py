"""Between rows: pause and resume, a beam that is lost, a check of the ZLP, a disk that fills."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.acquire.disk_guard import LEAST_BYTES
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending, State
from eels_iontransport.acquire.plan import Engine, Step, Watching
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.site import Beam
from eels_iontransport.acquire.thread import start_in_thread
from eels_iontransport.acquire.watch import BeamState
from eels_iontransport.data.geometry import Point
from eels_iontransport.data.record import Role, Status

from .fake import START, FakeMicroscope, plan, site
from .test_runner import ROWS, at

BEAM = Beam("current", 1e12, "blank", lost_below=0.5, back_above=0.8, settle_s=1.0, give_up_s=60.0)
VACUUM = Point(0.0, -48.0)


def make(microscope: FakeMicroscope, **changes) -> tuple[Runner, MemoryRecorder]:
    recorder = MemoryRecorder()
    return Runner(microscope, recorder, site(beam=BEAM), clock=microscope.clock, **changes), recorder


def nothing(event: str, microscope: FakeMicroscope) -> None:
    pass


class Seen(list):
    """Progress that is kept, and acted on."""

    def __init__(self, action=lambda progress: None) -> None:
        super().__init__()
        self._action = action

    def __call__(self, progress) -> None:
        self.append(progress)
        self._action(progress)

    def reasons(self, state: State) -> list[str]:
        return [progress.reason for progress in self if progress.state is state and progress.reason]


PAUSES = {"at the first frames": 1, "in the line": 5, "at the last pixel but one": 16, "at the last pixel": 17}


@pytest.mark.parametrize("case", PAUSES)
def test_a_pause_waits_at_the_end_of_the_row_and_goes_on(case):
    microscope = FakeMicroscope()
    runner, recorder = make(microscope)
    microscope.hook = at("frames", PAUSES[case], lambda event, microscope: runner.pause())
    seen = Seen(lambda progress: runner.resume() if progress.state is State.PAUSED else None)
    outcome = runner.run(plan(), seen)
    assert outcome.ending is Ending.COMPLETE and microscope.is_home() and not runner.is_paused
    assert tuple(step.rows_valid for step in outcome.steps) == ROWS
    assert seen.reasons(State.PAUSED) == ([] if PAUSES[case] == 17 else ["Paused by you."])
    np.testing.assert_allclose(recorder.spectra()[Role.VIBRATIONAL].counts[:, 0], 3 * 200.0 * np.arange(5))


def test_while_it_is_paused_the_probe_rests_in_the_vacuum_and_nothing_is_taken():
    microscope = FakeMicroscope()
    runner, _ = make(microscope)
    microscope.hook = at("frames", 5, lambda event, microscope: runner.pause())
    paused = threading.Event()
    seen = Seen(lambda progress: paused.set() if progress.state is State.PAUSED else None)
    handle = start_in_thread(runner, plan(), seen)
    assert paused.wait(5.0) and runner.is_paused and handle.is_running
    before = len(microscope.events)
    assert handle.join(0.3) is None and len(microscope.events) == before and microscope.probe == VACUUM
    assert seen[-1].rows_valid == 3
    handle.resume()
    assert handle.join(5.0).ending is Ending.COMPLETE


@pytest.mark.parametrize("nth, rows", [(1, (4, 0, 0, 0, 0)), (5, (4, 6, 3, 0, 0)), (16, (4, 6, 5, 5, 4))])
def test_an_abort_while_it_is_paused(nth, rows):
    microscope = FakeMicroscope()
    runner, recorder = make(microscope)
    microscope.hook = at("frames", nth, lambda event, microscope: runner.pause())
    outcome = runner.run(plan(), Seen(lambda progress: runner.abort() if progress.state is State.PAUSED else None))
    assert outcome.ending is Ending.ABORTED and microscope.is_home()
    assert tuple(step.rows_valid for step in outcome.steps) == rows
    for sink in recorder.sinks:
        partial = sink.record.rows_valid < sink.record.rows_planned
        assert sink.finished and sink.record.status is (Status.ABORTED if partial else Status.COMPLETE)
    microscope.hook = nothing
    assert runner.run(plan()).ending is Ending.COMPLETE


def test_a_pause_of_an_earlier_run_does_not_hold_the_next():
    runner, _ = make(FakeMicroscope())
    runner.pause()
    assert not runner.is_paused and runner.run(plan()).ending is Ending.COMPLETE


# when the beam is away (s); rows taken again
LOSSES = {
    "in the vacuum ZLP": (0.015, 5.0, 1),
    "in the line": (0.15, 8.0, 1),
    "at the start": (-1.0, 3.0, 0),
}


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize("case", LOSSES)
def test_a_lost_beam_pauses_the_run_and_no_row_without_it_is_kept(case, engine):
    lost, back, retaken = LOSSES[case]
    microscope = FakeMicroscope(dark=lambda time_s: lost <= time_s < back, controls={**START, "current": 20e-12})
    microscope.bright = 7.0
    runner, recorder = make(microscope)
    steps = [*plan().steps[:2], Step(Role.VIBRATIONAL, "vibrational", 0.01, 1, 6, engine), *plan().steps[3:]]
    seen = Seen()
    outcome = runner.run(plan(steps=tuple(steps)), seen)
    assert outcome.ending is Ending.COMPLETE and microscope.is_home()
    assert outcome.retaken == retaken
    for sink in recorder.sinks:
        assert sink.record.beam_current_pa == pytest.approx(20.0)
        assert (sink.spectra().counts[:, 0] != 0).all()
        assert all(note.beam_current_pa == pytest.approx(20.0) for note in sink.notes)
    if retaken:
        reasons = seen.reasons(State.PAUSED)
        assert reasons[0] == "Paused: beam lost 00:00 (0 % of its current at the start)"
        assert any(reason.startswith("Paused: beam back, settling") for reason in reasons)
        states = [progress.beam for progress in seen if progress.state is State.PAUSED]
        assert set(states) == {BeamState.LOST, BeamState.SETTLING}
    assert outcome.paused_s == pytest.approx(back - max(lost, 0.0) + BEAM.settle_s, abs=0.5)
    assert outcome.steps[2].rows_valid == 30


def test_a_beam_that_flickers_is_not_back():
    microscope = FakeMicroscope(dark=lambda time_s: 0.15 <= time_s < 20.0 and time_s % 0.9 < 0.5)
    runner, recorder = make(microscope)
    seen = Seen()
    outcome = runner.run(plan(), seen)
    assert outcome.ending is Ending.COMPLETE
    taken = [progress for progress in seen if progress.state is State.ACQUIRING]
    assert len([progress for progress in taken if progress.beam is not BeamState.OK]) == 0
    assert outcome.paused_s > 19.0 and outcome.retaken == 1


@pytest.mark.parametrize("engine", Engine)
def test_a_beam_that_does_not_come_back_ends_the_run(engine):
    microscope = FakeMicroscope(dark=lambda time_s: time_s >= 0.12)
    runner, recorder = make(microscope)
    steps = (*plan().steps[:2], Step(Role.VIBRATIONAL, "vibrational", 0.01, 1, 4, engine))
    outcome = runner.run(plan(steps=steps))
    assert outcome.ending is Ending.FAULT and microscope.is_home()
    assert outcome.reason.startswith("The beam was lost and did not come back within 60 s")
    record = recorder.sinks[2].record
    assert record.status is Status.FAULT and record.reason == outcome.reason
    assert 0 < record.rows_valid == outcome.steps[2].rows_valid < 20
    assert (recorder.sinks[2].spectra().counts[1 : record.rows_valid, 0] != 0).all()
    microscope.dark = lambda time_s: False
    assert runner.run(plan()).ending is Ending.COMPLETE


def test_a_beam_that_is_blanked_by_hand_pauses_the_run():
    microscope = FakeMicroscope()
    runner, _ = make(microscope)
    microscope.hook = at("frames", 5, lambda event, m: m.controls.update(blank=1.0))
    seen = Seen(lambda p: microscope.controls.update(blank=0.0) if p.state is State.PAUSED else None)
    outcome = runner.run(plan(), seen)
    assert outcome.ending is Ending.COMPLETE and outcome.retaken == 1
    assert seen.reasons(State.PAUSED)[0] == "Paused: beam lost 00:00 (blanked)"


def test_a_beam_that_is_not_watched_is_not_waited_for():
    microscope = FakeMicroscope(dark=lambda time_s: True)
    runner, _ = make(microscope)
    outcome = runner.run(plan(watching=Watching(beam=False)))
    assert outcome.ending is Ending.COMPLETE and outcome.paused_s == 0.0


def test_an_abort_while_the_beam_is_lost():
    microscope = FakeMicroscope(dark=lambda time_s: time_s >= 0.15)
    runner, recorder = make(microscope)
    outcome = runner.run(plan(), Seen(lambda p: runner.abort() if p.state is State.PAUSED else None))
    assert outcome.ending is Ending.ABORTED and microscope.is_home()
    assert recorder.sinks[2].record.status is Status.ABORTED


CHECKED = plan(watching=Watching(check_zlp=True))


def test_between_two_settings_the_operator_looks_at_the_zlp():
    microscope = FakeMicroscope()
    runner, recorder = make(microscope)
    places = []

    def look(progress) -> None:
        if progress.state is State.CHECK_ZLP and progress.frames is not None:
            places.append(microscope.probe)
            runner.proceed()

    seen = Seen(look)
    outcome = runner.run(CHECKED, seen)
    assert outcome.ending is Ending.COMPLETE and tuple(step.rows_valid for step in outcome.steps) == ROWS
    checks = [progress for progress in seen if progress.state is State.CHECK_ZLP and progress.frames]
    assert [(p.title, p.frames.energy.step_ev) for p in checks] == [("GB1 L1 valence", 0.05), ("GB1 L1 core loss", 0.1)]
    assert places == [VACUUM, VACUUM]


def test_an_early_proceed_does_not_skip_the_check_and_an_abort_ends_it():
    microscope = FakeMicroscope()
    runner, _ = make(microscope)
    microscope.hook = at("frames", 5, lambda event, microscope: runner.proceed())
    outcome = runner.run(CHECKED, Seen(lambda p: runner.abort() if p.state is State.CHECK_ZLP else None))
    assert outcome.ending is Ending.ABORTED and microscope.is_home()
    assert tuple(step.rows_valid for step in outcome.steps) == (4, 6, 5, 0, 0)


# how it ends; whether the beam is blanked
ENDS = {
    "complete": (nothing, 1.0),
    "fault": (at("frames", 5, lambda event, m: m.set_control("nothing", m.controls["missing"])), 1.0),
    "aborted": (None, 0.0),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_beam_is_blanked_at_the_end_where_that_is_asked(case):
    hook, blanked = ENDS[case]
    microscope = FakeMicroscope()
    runner, _ = make(microscope)
    microscope.hook = hook or at("frames", 5, lambda event, microscope: runner.abort())
    outcome = runner.run(plan(watching=Watching(blank_at_end=True)))
    assert outcome.ending.value == case and microscope.controls["blank"] == blanked
    microscope.controls["blank"] = 0.0
    assert microscope.is_home()


def test_a_blanker_that_fails_is_a_problem_and_the_rest_comes_home():
    microscope = FakeMicroscope()
    runner, _ = make(microscope)

    def stuck(event, microscope):
        raise MicroscopeFault("No.")

    microscope.hook = at("set blank", 1, stuck)
    outcome = runner.run(plan(watching=Watching(blank_at_end=True)))
    assert outcome.problems == ("Could not blank the beam: No; do it by hand.",) and microscope.is_home()


def test_a_disk_without_room_is_a_refusal():
    microscope = FakeMicroscope()
    runner, _ = make(microscope, free_bytes=lambda: 900_000_000)
    outcome = runner.run(plan())
    assert outcome.ending is Ending.REFUSED and "0.9 GB free" in outcome.reason and microscope.count("begin") == 0


def no_disk() -> int:
    raise OSError(5, "Input/output error")


def test_a_disk_that_cannot_be_asked():
    microscope = FakeMicroscope()
    outcome = make(microscope, free_bytes=no_disk)[0].run(plan())
    assert outcome.ending is Ending.REFUSED and "cannot be asked for its room" in outcome.reason
    answers = [10**12]
    runner, _ = make(microscope, free_bytes=lambda: answers.pop() if answers else no_disk())
    assert runner.run(plan()).ending is Ending.COMPLETE


def test_a_disk_that_fills_ends_the_run_in_order():
    microscope = FakeMicroscope()
    runner, recorder = make(
        microscope, free_bytes=lambda: 2 * 10**9 if microscope.clock.now_s < 12.0 else LEAST_BYTES - 1
    )
    long = plan(steps=tuple(replace(step, exposure_s=1.0) for step in plan().steps))
    outcome = runner.run(long)
    assert outcome.ending is Ending.FAULT and outcome.reason.startswith("The disk is nearly full: 200 MB are free")
    assert outcome.steps[2].status is Status.FAULT and 0 < outcome.steps[2].rows_valid < 5 and microscope.is_home()
