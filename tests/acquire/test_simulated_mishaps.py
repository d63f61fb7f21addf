"""Every kind of plan on the simulated HERMES, with what goes wrong at its first, a middle and its last moments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending, State
from eels_iontransport.acquire.plan import Engine, Plan, Step
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.zero_follow import zero_position
from eels_iontransport.data.geometry import Area, Field, Point
from eels_iontransport.data.record import Role, Status
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.mishaps import BeamChange, Mishaps, flicker
from eels_iontransport.simulation.port import SimulatedPort

PARKED = Point(5.0, -7.0)
SITE = sites.load("simulator")


def make_microscope() -> SimulatedMicroscope:
    microscope = SimulatedMicroscope(seed=11)
    microscope.survey()
    microscope.probe = PARKED
    return microscope


def vibrational(frames: int, passes: int, engine: Engine = Engine.PARKED) -> Step:
    return Step(Role.VIBRATIONAL, "vibrational", 0.1, frames, passes, engine)


STEPS = {
    "vacuum ZLP": (Step(Role.ZLP, "vibrational", 0.1, 24),),
    "aloof": (Step(Role.ALOOF, "vibrational", 0.1, 24),),
    "points": (Step(Role.POINTS, "vibrational", 0.1, 4),),
    "line": (vibrational(4, 1),),
    "passes": (vibrational(1, 4),),
    "scanned passes": (vibrational(1, 4, Engine.SYNCHRONIZED),),
    "strip": (vibrational(2, 2),),
    "image": (Step(Role.IMAGE, "vibrational", 0.1, 2),),
    "scanned image": (Step(Role.IMAGE, "vibrational", 0.1, 1, 2, Engine.SYNCHRONIZED),),
    "session": (
        Step(Role.ZLP, "vibrational", 0.1, 6),
        Step(Role.ALOOF, "vibrational", 0.1, 6),
        vibrational(1, 1),
        Step(Role.VALENCE, "valence", 0.1, 1),
        Step(Role.CORE_LOSS, "core_loss", 0.1, 1),
    ),
}  # each takes 24 frames of 0.1 s, a session 30


def make_plan(microscope: SimulatedMicroscope, kind: str) -> Plan:
    specimen = microscope.specimen
    line = specimen.line(6, 6.0)
    return Plan(
        "GB1", "lco", STEPS[kind],
        line=line, aloof=specimen.aloof_point(), vacuum=specimen.vacuum_point(), points=line.points(),
        area=Area(Field(3.0, 4.0, line.start), 3, 4), strip_nm=2.0 if kind == "strip" else 0.0,
    )  # fmt: skip


def make(microscope: SimulatedMicroscope) -> tuple[Runner, MemoryRecorder]:
    recorder = MemoryRecorder()
    return Runner(SimulatedPort(microscope), recorder, SITE, clock=microscope.clock), recorder


def frames_of(kind: str) -> int:
    return 30 if kind == "session" else 24


def check_account(microscope, controls, outcome, recorder) -> None:
    """What holds however a run has ended."""
    assert microscope.controls == controls and microscope.probe == PARKED and not outcome.problems
    for step, sink in zip([step for step in outcome.steps if step.rows_valid], recorder.sinks, strict=True):
        record = sink.record
        assert (
            sink.finished and step.rows_valid == record.rows_valid == len(sink.notes) and step.status is record.status
        )
        assert (record.status is Status.COMPLETE) == (record.rows_valid == record.rows_planned)
        assert record.status is Status.COMPLETE or record.reason == outcome.reason
        rows = sink._counts[: record.rows_valid]
        assert np.isfinite(rows).all() and np.isnan(sink._counts[record.rows_valid :]).all()
        assert rows.max(axis=1).min() > 0.2 * np.median(rows.max(axis=1))  # none was taken without the beam


def go_on(microscope, kind) -> None:
    microscope.suffer(None)
    assert make(microscope)[0].run(make_plan(microscope, kind)).ending is Ending.COMPLETE


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("moment", [0, 0.5, 1.0])
def test_a_camera_that_fails(kind, moment):
    microscope = make_microscope()
    controls, last = dict(microscope.controls), frames_of(kind) - 1
    microscope.suffer(Mishaps(camera_fault_at=round(moment * last)))
    runner, recorder = make(microscope)
    outcome = runner.run(make_plan(microscope, kind))
    assert outcome.ending is Ending.FAULT and "camera" in outcome.reason.lower() and outcome.reason.endswith(".")
    check_account(microscope, controls, outcome, recorder)
    rows, planned = (sum(getattr(step, name) for step in outcome.steps) for name in ("rows_valid", "rows_planned"))
    assert rows == 0 if moment == 0 else 0 < rows < planned
    go_on(microscope, kind)


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0])
def test_a_beam_that_is_lost_and_comes_back(kind, moment):
    microscope = make_microscope()
    controls, seconds = dict(microscope.controls), 0.1 * frames_of(kind)
    lost_s = 0.02 + moment * (seconds - 0.1)
    microscope.suffer(Mishaps(beam=(BeamChange(lost_s, lost_s + 4.0),)))
    runner, recorder = make(microscope)
    seen: list = []
    outcome = runner.run(make_plan(microscope, kind), seen.append)
    assert outcome.ending is Ending.COMPLETE and outcome.paused_s > 3.5
    assert any(progress.state is State.PAUSED and "beam lost" in progress.reason for progress in seen)
    check_account(microscope, controls, outcome, recorder)


@pytest.mark.parametrize("kind", ["vacuum ZLP", "line", "scanned passes", "session"])
def test_a_beam_that_flickers_is_waited_for(kind):
    microscope = make_microscope()
    controls = dict(microscope.controls)
    microscope.suffer(Mishaps(beam=flicker(1.0, 21.0, 0.8)))
    runner, recorder = make(microscope)
    outcome = runner.run(make_plan(microscope, kind))
    assert outcome.ending is Ending.COMPLETE and outcome.paused_s > 19.0
    check_account(microscope, controls, outcome, recorder)


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("nth", [1, 7])
def test_an_abort(kind, nth):
    microscope = make_microscope()
    controls = dict(microscope.controls)
    runner, recorder = make(microscope)
    count = 0

    def abort(progress) -> None:
        nonlocal count
        count += progress.state is State.ACQUIRING
        if count == nth:
            runner.abort()

    outcome = runner.run(make_plan(microscope, kind), abort)
    assert outcome.ending in (Ending.ABORTED, Ending.COMPLETE)
    check_account(microscope, controls, outcome, recorder)
    go_on(microscope, kind)


@pytest.mark.parametrize("mishaps, words", [
    (Mishaps(refused={"ZLPoffset": 0}), "ZLPoffset"),
    (Mishaps(stuck={"EELS_eVPerChannel": 0}), "Control 'EELS_eVPerChannel' reads"),
    (Mishaps(refused={"EELS_eVPerChannel": 1}), "EELS_eVPerChannel"),
    (Mishaps(camera_stall_at=9), "camera"),
])  # fmt: skip
def test_what_does_not_obey_ends_a_session_in_a_sentence(mishaps, words):
    microscope = make_microscope()
    microscope.set("EELS_eVPerChannel", 0.01)
    microscope.suffer(mishaps)
    runner, recorder = make(microscope)
    outcome = runner.run(make_plan(microscope, "session"))
    assert outcome.ending is Ending.FAULT and words in outcome.reason
    for sink in recorder.sinks:
        assert sink.finished and sink.record.status in (Status.COMPLETE, Status.FAULT)
    assert microscope.probe == PARKED
    go_on(microscope, "session")


@pytest.mark.parametrize("kind", ["aloof", "line", "passes", "scanned passes", "image"])
def test_a_zero_loss_peak_that_drifts_is_brought_back(kind):
    microscope = make_microscope()
    controls = dict(microscope.controls)
    microscope.suffer(Mishaps(energy_mev=((0.0, 0.0), (2.4, 150.0))))
    runner, recorder = make(microscope)
    outcome = runner.run(make_plan(microscope, kind))
    assert outcome.ending is Ending.COMPLETE
    check_account(microscope, controls, outcome, recorder)
    (sink,) = recorder.sinks
    zeros = np.array([zero_position(row, sink._energy) for row in sink._counts])
    assert sink.notes[-1].zero_moved_ev > 0.05
    within_a_chunk = 0.5 * 0.15 / 2.4  # eV that it drifts between two looks at the most
    assert np.abs(zeros).max() < 0.7 * 0.05 + within_a_chunk + 0.005


def test_a_pass_that_an_abort_cuts_short_is_read_as_far_as_it_came():
    microscope = make_microscope()
    runner, recorder = make(microscope)
    plan = make_plan(microscope, "scanned passes")
    plan = replace(plan, steps=(replace(plan.steps[0], exposure_s=0.2),))
    outcome = runner.run(plan, lambda p: runner.abort() if p.rows_valid == 15 else None)
    assert outcome.ending is Ending.ABORTED and outcome.steps[0].rows_valid == 15
    spectra = recorder.sinks[0].spectra()
    assert spectra.valid.all()
    strength = spectra.counts.sum(axis=1)
    assert strength[:3].mean() / strength[3:].mean() == pytest.approx(3 / 2, rel=0.1)
