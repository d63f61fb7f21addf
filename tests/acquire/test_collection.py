"""Steps that are collected off the axis: named, checked, set, recorded, and on the axis again for the next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.follow_ups import next_boundary, redo
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending, State
from eels_iontransport.acquire.plan import Exposure, Plan, Step, Watching, session_plan
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.site import ControlValue
from eels_iontransport.data.collection import Collection, collecting, collection_of
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.data.record import Record, Role
from eels_iontransport.simulation.collection import OFF_AXIS_RAD
from eels_iontransport.simulation.microscope import PATTERN_SHIFT, SimulatedMicroscope
from eels_iontransport.simulation.mishaps import Mishaps
from eels_iontransport.simulation.port import SimulatedPort

from .fake import line, site

SITE = sites.load("simulator")
ON, OFF = Collection.ON_AXIS, Collection.OFF_AXIS
VIBRATIONAL_OFF = "vibrational_off_axis"
EXPOSURES = {
    Role.ZLP: Exposure(0.1, 3),
    Role.ALOOF: Exposure(0.1, 3),
    Role.VIBRATIONAL: Exposure(0.1, 2),
    Role.VALENCE: Exposure(0.02, 2),
}
AS_FOUND = 0.002  # rad: nobody's alignment is exactly 0


def session(**changes) -> Plan:
    fields = {"name": "GB1", "material": "lco", "line": line(), "aloof": Point(0.0, -30.0), "roles": EXPOSURES}
    return session_plan(**{**fields, "exposures": EXPOSURES, "off_axis": [Role.VIBRATIONAL], **changes})


def test_names_of_settings_tell_the_collection():
    assert collection_of(VIBRATIONAL_OFF) is OFF and collection_of("vibrational") is ON
    assert collecting("vibrational", OFF) == collecting(VIBRATIONAL_OFF, OFF) == VIBRATIONAL_OFF
    assert collecting(VIBRATIONAL_OFF, ON) == "vibrational"


@pytest.mark.parametrize(
    ("role", "known"),
    [
        (Role.VIBRATIONAL, {ON: "vibrational", OFF: VIBRATIONAL_OFF}),
        (Role.POINTS, {ON: "vibrational", OFF: VIBRATIONAL_OFF}),
        (Role.IMAGE, {ON: "vibrational", OFF: VIBRATIONAL_OFF}),
        (Role.ZLP, {ON: "vibrational"}),
        (Role.ALOOF, {ON: "vibrational"}),
        (Role.VALENCE, {ON: "valence"}),
        (Role.CORE_LOSS, {ON: "core_loss"}),
    ],
)
def test_how_a_role_can_be_collected(role, known):
    assert SITE.collections(role) == known
    assert list(site().collections(role)) == [ON]  # where the site has no setting for it


def test_a_session_collects_the_roles_off_the_axis_that_it_is_asked_to():
    plan = session()
    assert [step.setting for step in plan.steps] == ["vibrational", "vibrational", VIBRATIONAL_OFF, "valence"]
    assert [plan.title(step) for step in plan.steps][2] == "GB1 L1 vibrational off axis"
    assert Plan.from_json(plan.to_json()) == plan
    assert redo(plan, 2).title(redo(plan, 2).steps[0]) == "GB1 L1 vibrational off axis (2)"
    assert next_boundary(plan).steps[2].setting == VIBRATIONAL_OFF
    assert plan.check(Field(100.0, 100.0), SITE) == []


@pytest.mark.parametrize("role", [Role.ZLP, Role.ALOOF, Role.VALENCE])
def test_what_cannot_be_collected_off_the_axis_is_refused(role):
    found = session(off_axis=[role]).check(Field(100.0, 100.0), SITE)
    assert any("only vibrational spectra of the specimen are collected off the axis" in sentence for sentence in found)


def test_a_site_that_cannot_collect_off_the_axis_says_so():
    (found,) = session().check(Field(100.0, 100.0), site())
    assert "has no setting 'vibrational_off_axis'" in found


def run(steps: tuple[Step, ...] | None = None, mishaps: Mishaps | None = None, the_site=SITE, **changes):
    microscope = SimulatedMicroscope(seed=11)
    microscope.survey()
    microscope.probe = Point(5.0, -7.0)
    microscope.set(PATTERN_SHIFT, AS_FOUND)
    microscope.suffer(mishaps)
    specimen = microscope.specimen
    plan = session(line=specimen.line(4, 6.0), aloof=specimen.aloof_point(), vacuum=specimen.vacuum_point())
    plan = replace(plan, steps=steps or plan.steps, **changes)
    before, recorder, states = dict(microscope.controls), MemoryRecorder(), []
    runner = Runner(SimulatedPort(microscope), recorder, the_site, clock=microscope.clock)
    outcome = runner.run(plan, lambda progress: states.append(progress.state) or runner.proceed())
    return outcome, recorder, microscope.controls == before, states


def test_a_run_sets_records_and_brings_home_the_deflection():
    outcome, recorder, home, _ = run()
    assert outcome.ending is Ending.COMPLETE and outcome.problems == () and home
    records = {sink.record.role: sink.record for sink in recorder.sinks}
    assert {role.value: record.setting for role, record in records.items()} == {
        "zlp": "vibrational", "aloof": "vibrational", "vibrational": VIBRATIONAL_OFF, "valence": "valence",
    }  # fmt: skip
    shifts = [records[role].settings[PATTERN_SHIFT] for role in EXPOSURES]
    assert shifts == [AS_FOUND, AS_FOUND, OFF_AXIS_RAD, AS_FOUND]  # the valence step is on the axis again
    assert Record.from_metadata(records[Role.VIBRATIONAL].to_metadata()) == records[Role.VIBRATIONAL]
    counts = {role: spectra.counts.sum(axis=-1).mean() for role, spectra in recorder.spectra().items()}
    assert counts[Role.VIBRATIONAL] < 0.05 * counts[Role.ALOOF] < counts[Role.VALENCE]


def test_the_zero_loss_off_the_axis_is_followed():
    drift = Mishaps(energy_mev=((0.0, 0.0), (600.0, 200.0)))
    step = Step(Role.VIBRATIONAL, VIBRATIONAL_OFF, 5.0, 3)
    outcome, recorder, home, _ = run((step,), drift, line=SimulatedMicroscope().specimen.line(20, 6.0))
    assert outcome.ending is Ending.COMPLETE and home
    spectra = recorder.spectra()[Role.VIBRATIONAL]
    zero_ev = spectra.energy.offset_ev + spectra.energy.step_ev * spectra.counts.argmax(axis=-1)
    assert np.abs(zero_ev).max() < 0.05  # the drift alone would have taken it to 0.1 eV


@pytest.mark.parametrize("mishaps", [Mishaps(stuck={PATTERN_SHIFT: 0}), Mishaps(refused={PATTERN_SHIFT: 0})])
def test_a_deflection_that_does_not_obey_ends_the_run(mishaps):
    outcome, recorder, home, _ = run(mishaps=mishaps)
    assert outcome.ending is Ending.FAULT and PATTERN_SHIFT in outcome.reason and home
    assert [step.rows_valid for step in outcome.steps] == [3, 3, 0, 0]


def test_a_deflection_that_does_not_come_back_ends_the_run_before_the_next_step():
    outcome, _, _, _ = run(mishaps=Mishaps(stuck={PATTERN_SHIFT: 1}))
    assert outcome.ending is Ending.FAULT
    assert f"Control '{PATTERN_SHIFT}' reads 0.06 after it was set to 0.002 for the valence setting" in outcome.reason
    assert [step.rows_valid for step in outcome.steps] == [3, 3, 4, 0]


def test_in_the_vacuum_there_is_no_zero_loss_to_check_off_the_axis():
    outcome, _, _, states = run(watching=Watching(check_zlp=True))
    assert outcome.ending is Ending.COMPLETE
    assert sum(a is not State.CHECK_ZLP and b is State.CHECK_ZLP for a, b in zip(states, states[1:])) == 1  # valence


def test_settings_that_name_the_deflection_have_their_own_value():
    valence = SITE.settings["valence"]
    named = replace(valence, controls=(*valence.controls, ControlValue(PATTERN_SHIFT, 0.001, 1e-4)))
    outcome, recorder, home, _ = run(the_site=replace(SITE, settings={**SITE.settings, "valence": named}))
    assert outcome.ending is Ending.COMPLETE and home
    assert [sink.record.settings[PATTERN_SHIFT] for sink in recorder.sinks][-1] == 0.001
