"""The runner on the simulated HERMES: raw frames arrive unchanged, and mishaps leave it as it was."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Exposure, Plan, session_plan
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.thread import start_in_thread
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.data.record import Role, Status
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.port import SimulatedPort
from eels_iontransport.simulation.session import Places, acquire_all

from .watched import Watched, call_at, fault_at

EXPOSURES = {
    Role.ZLP: (0.1, 3),
    Role.ALOOF: (0.1, 4),
    Role.VIBRATIONAL: (0.1, 2),
    Role.VALENCE: (0.02, 3),
    Role.CORE_LOSS: (0.5, 2),
}
PARKED = Point(5.0, -7.0)


def make_microscope(time_scale: float | None = None) -> SimulatedMicroscope:
    microscope = SimulatedMicroscope(seed=11, time_scale=time_scale)
    microscope.survey()
    microscope.probe = PARKED
    return microscope


def make_plan(microscope: SimulatedMicroscope, pixels: int = 6, **changes) -> Plan:
    specimen = microscope.specimen
    plan = session_plan(
        name="GB1",
        material="lco",
        line=specimen.line(pixels, 6.0),
        aloof=specimen.aloof_point(),
        vacuum=specimen.vacuum_point(),
        exposures={role: Exposure(*exposure) for role, exposure in EXPOSURES.items()},
    )
    return replace(plan, **changes)


def is_home(microscope: SimulatedMicroscope, controls: dict[str, float]) -> bool:
    return microscope.controls == controls and microscope.probe == PARKED


def test_the_rows_are_the_raw_counts_of_the_camera():
    microscope, recorder = make_microscope(), MemoryRecorder()
    plan = make_plan(microscope)
    outcome = Runner(SimulatedPort(microscope), recorder, sites.load("simulator")).run(plan)
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    assert plan.line and plan.aloof and plan.vacuum
    twin = make_microscope()
    expected = acquire_all(twin, Places(plan.line, plan.aloof, plan.vacuum), exposures=EXPOSURES)
    for role, spectra in recorder.spectra().items():
        np.testing.assert_allclose(spectra.counts, expected[role].counts, rtol=1e-6, err_msg=role.value)
        assert spectra.energy == expected[role].energy
        assert spectra.saturation_level == pytest.approx(expected[role].saturation_level)
        assert spectra.noise == expected[role].noise
        assert spectra.valid.all()
    assert recorder.sinks[0].record.beam_current_pa == pytest.approx(20.0)


# Frames of a ZLP of 0.3 s and an aloof spectrum of 0.4 s are one sequence each; then each pixel is one.
MISHAPS = {
    "camera fault at the first frame": (fault_at("acquire_frames", 1), (0, 0, 0, 0, 0)),
    "camera fault in the line": (fault_at("acquire_frames", 6), (3, 4, 3, 0, 0)),
    "camera fault at the last pixel": (fault_at("acquire_frames", 20), (3, 4, 6, 6, 5)),
    "control refused for valence": (fault_at("set_control", 3), (3, 4, 6, 0, 0)),
    "probe refused": (fault_at("set_probe", 2), (3, 0, 0, 0, 0)),
    "views do not stop": (fault_at("begin", 1), (0, 0, 0, 0, 0)),
}


@pytest.mark.parametrize("case", MISHAPS)
def test_a_mishap_keeps_the_rows_and_the_next_run_works(case):
    hook, rows = MISHAPS[case]
    microscope, recorder = make_microscope(), MemoryRecorder()
    controls = dict(microscope.controls)
    port = Watched(SimulatedPort(microscope), hook)
    runner = Runner(port, recorder, sites.load("simulator"))
    outcome = runner.run(make_plan(microscope))
    assert outcome.ending is Ending.FAULT and outcome.reason.startswith("Broken at") and not outcome.problems
    assert tuple(step.rows_valid for step in outcome.steps) == rows
    assert is_home(microscope, controls)
    for sink in recorder.sinks:
        spectra = sink.spectra()
        assert spectra.valid.sum() == sink.record.rows_valid
        assert np.isfinite(spectra.counts[spectra.valid]).all() and np.isnan(spectra.counts[~spectra.valid]).all()
    port.hook = None
    assert runner.run(make_plan(microscope)).ending is Ending.COMPLETE and is_home(microscope, controls)


ABORTS = {"before the first row": (1, 0), "in the middle": (4, 3), "at the last pixel": (6, 5)}


@pytest.mark.parametrize("case", ABORTS)
def test_abort(case):
    nth, rows = ABORTS[case]
    microscope, recorder = make_microscope(), MemoryRecorder()
    controls = dict(microscope.controls)
    port = Watched(SimulatedPort(microscope))
    runner = Runner(port, recorder, sites.load("simulator"))
    port.hook = call_at("acquire_frames", nth, runner.abort)
    steps = make_plan(microscope).steps[2:3]
    outcome = runner.run(make_plan(microscope, steps=steps))
    assert outcome.ending is Ending.ABORTED and outcome.steps[0].rows_valid == rows
    assert [sink.record.status for sink in recorder.sinks] == ([Status.ABORTED] if rows else [])
    assert is_home(microscope, controls)
    port.hook = None
    assert runner.run(make_plan(microscope)).ending is Ending.COMPLETE


def test_abort_within_a_long_exposure_does_not_wait_for_it():
    microscope, recorder = make_microscope(time_scale=1.0), MemoryRecorder()
    controls = dict(microscope.controls)
    plan = make_plan(microscope)
    long = replace(plan, steps=(replace(plan.steps[2], exposure_s=20.0, frames=2),))
    handle = start_in_thread(Runner(SimulatedPort(microscope), recorder, sites.load("simulator")), long)
    time.sleep(0.3)
    asked = time.monotonic()
    handle.abort()
    outcome = handle.join(5.0)
    assert outcome is not None and outcome.ending is Ending.ABORTED
    assert time.monotonic() - asked < 1.0
    assert is_home(microscope, controls)


def test_frames_kept_when_a_sequence_of_frames_is_aborted():
    microscope, recorder = make_microscope(time_scale=1.0), MemoryRecorder()
    plan = make_plan(microscope)
    many = replace(plan, steps=(replace(plan.steps[0], exposure_s=0.05, frames=400),))
    handle = start_in_thread(Runner(SimulatedPort(microscope), recorder, sites.load("simulator")), many)
    time.sleep(0.8)
    handle.abort()
    outcome = handle.join(5.0)
    assert outcome is not None and outcome.ending is Ending.ABORTED
    assert 5 <= outcome.steps[0].rows_valid <= 40
    assert recorder.sinks[0].spectra().valid.sum() == outcome.steps[0].rows_valid


REFUSALS = {
    "no survey": (lambda m: setattr(m, "field", None), {}, "no survey image"),
    "aloof point outside": (lambda m: setattr(m, "field", Field(100.0, 100.0)), {}, "aloof point reaches"),
    "line outside": (lambda m: setattr(m, "field", Field(500.0, 30.0, Point(0, -95.0))), {}, "line reaches"),
    "beam blanked": (lambda m: m.set("C_Blank", 1.0), {}, "The beam is blanked"),
    "nothing selected": (lambda m: None, {"steps": ()}, "Nothing is selected"),
    "no aloof point": (lambda m: None, {"aloof": None}, "no aloof point"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_why_and_touches_nothing(case):
    prepare, changes, words = REFUSALS[case]
    microscope, recorder = make_microscope(), MemoryRecorder()
    plan = make_plan(microscope, **changes)
    prepare(microscope)
    controls = dict(microscope.controls)
    port = Watched(SimulatedPort(microscope))
    outcome = Runner(port, recorder, sites.load("simulator")).run(plan)
    assert outcome.ending is Ending.REFUSED and words in " ".join(outcome.blockers)
    assert recorder.sinks == [] and is_home(microscope, controls) and not any(port.counts.values())


def test_a_site_file_of_another_microscope_is_noticed_before_anything_moves():
    microscope = make_microscope()
    outcome = Runner(SimulatedPort(microscope), MemoryRecorder(), sites.load("hermes_template")).run(
        make_plan(microscope)
    )
    assert outcome.ending is Ending.REFUSED and "CHANGE_dispersion" in outcome.reason
