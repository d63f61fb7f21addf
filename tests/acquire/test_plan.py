"""Plans: a correlated session in the right order, strict JSON, and a sentence for each thing that cannot run."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from eels_iontransport.acquire.plan import Exposure, Plan, Step, session_plan, vacuum_point
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.data.record import Role

from .fake import line, plan, site

FIELD = Field(100.0, 100.0)


def test_a_session_runs_on_one_line_with_core_loss_last():
    roles = (Role.CORE_LOSS, Role.VIBRATIONAL, Role.ZLP, Role.VALENCE, Role.ALOOF)
    session = session_plan(name="GB1", material="lco", line=line(), aloof=Point(0.0, -30.0), roles=roles)
    assert [step.role.value for step in session.steps] == ["zlp", "aloof", "vibrational", "valence", "core_loss"]
    assert [step.setting for step in session.steps] == ["vibrational"] * 3 + ["valence", "core_loss"]
    assert session.check(FIELD, site()) == []
    places = [session.places(step, FIELD) for step in session.steps]
    assert places[2] == places[3] == places[4] == line().points()


def test_a_session_with_some_of_the_steps_and_exposures_of_its_own():
    session = session_plan(
        name="GB1", material="lco", line=line(), aloof=None, roles=[Role.VALENCE],
        exposures={Role.VALENCE: Exposure(0.03, 7)},
    )  # fmt: skip
    assert session.steps == (Step(Role.VALENCE, "valence", 0.03, 7),)
    assert session.check(FIELD, site()) == []


PLANS = {
    "whole": plan(),
    "points": plan(points=(Point(1.0, 2.0), Point(-3.5, 4.0)), line=None),
    "vacuum": plan(vacuum=Point(-1.0, -40.0)),
    "empty": Plan("", "lco", ()),
}


@pytest.mark.parametrize("name", PLANS)
def test_json_both_ways(name):
    assert Plan.from_json(PLANS[name].to_json()) == PLANS[name]
    assert Plan.from_data(json.loads(json.dumps(PLANS[name].to_data()))) == PLANS[name]


def changed(*path_and_value):
    *path, value = path_and_value

    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def without(*path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


BROKEN = {
    "unknown key": (changed("exposure", 1.0), "plan: the key 'exposure' is not known"),
    "unknown key in a step": (changed("steps", 1, "dwell", 3), r"plan, steps\[1\]: the key 'dwell' is not known"),
    "unknown engine": (changed("steps", 1, "engine", "steam"), "'engine' must be one of parked, synchronized"),
    "missing key": (without("material"), "the key 'material' is missing"),
    "missing key in the line": (without("line", "pixels"), "plan, line: the key 'pixels' is missing"),
    "another schema": (changed("schema", "eels_iontransport/plan/9"), "'schema' must be"),
    "unknown role": (changed("steps", 0, "role", "phonon"), "'role' must be one of zlp, aloof"),
    "text for a number": (changed("steps", 0, "exposure_s", "0.1"), "'exposure_s' must be a finite number, not '0.1'"),
    "truth for a number": (changed("steps", 0, "frames", True), "'frames' must be a whole number, not True"),
    "part of a frame": (changed("steps", 0, "frames", 2.5), "'frames' must be a whole number, not 2.5"),
    "not a number": (changed("aloof", "x_nm", math.nan), "'x_nm' must be a finite number"),
    "a list for a point": (changed("aloof", [1.0, 2.0]), "plan, aloof: a table of keys is expected here, not a list"),
    "a table for the steps": (changed("steps", {}), "'steps' must be a list, not a table"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plan_is_refused_by_key_and_reason(case):
    change, words = BROKEN[case]
    content = plan().to_data()
    change(content)
    with pytest.raises(UnusableInput, match=words):
        Plan.from_data(content)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '"plan"'])
def test_text_that_is_no_plan(text):
    with pytest.raises(UnusableInput, match="plan"):
        Plan.from_json(text)


def with_step(**changes):
    return plan(steps=(replace(plan().steps[2], **changes),))


CHECKS = {
    "no survey": (plan(), None, "There is no survey image"),
    "nothing selected": (plan(steps=()), FIELD, "Nothing is selected"),
    "no line": (plan(line=None), FIELD, "There is no line"),
    "no aloof point": (plan(aloof=None, vacuum=Point(0, 0)), FIELD, "There is no aloof point"),
    "no points": (plan(steps=(Step(Role.POINTS, "vibrational", 0.1, 1),)), FIELD, "There are no points"),
    "a line of no length": (plan(line=Line(Point(1, 1), Point(1, 1), 5)), FIELD, "The line has no length"),
    "a line of no pixels": (plan(line=replace(line(), pixels=0)), FIELD, "The line has 0 pixels"),
    "a line beyond reason": (plan(line=replace(line(), pixels=10**7)), FIELD, "The line has 10000000 pixels"),
    "a line that leaves the field": (
        plan(line=Line(Point(0, 0), Point(0, 51), 5)),
        FIELD,
        r"The line reaches \(x 51.0, y 0.0\) nm, outside the survey's field of 100 x 100 nm",
    ),
    "an aloof point outside": (plan(aloof=Point(0, -65.0)), FIELD, r"The aloof point reaches \(x -65.0"),
    "a vacuum point outside": (plan(vacuum=Point(80.0, 0)), FIELD, "The vacuum ZLP point reaches"),
    "a point outside": (
        plan(steps=(Step(Role.POINTS, "vibrational", 0.1, 1),), points=(Point(0, 0), Point(0, 99.0))),
        FIELD,
        "The point reaches",
    ),
    "a point lost": (plan(aloof=Point(math.nan, 0.0)), FIELD, "The aloof point reaches"),
    "unknown setting": (with_step(setting="phonon"), FIELD, "no setting 'phonon'; it has vibrational, valence"),
    "no exposure": (with_step(exposure_s=0.0), FIELD, "the exposure is 0 s"),
    "negative exposure": (with_step(exposure_s=-1.0), FIELD, "the exposure is -1 s"),
    "an exposure that is no number": (with_step(exposure_s=math.nan), FIELD, "the exposure is nan s"),
    "an exposure beyond the host": (with_step(exposure_s=61.0), FIELD, "a single frame of 61 s is longer than the 60"),
    "no frames": (with_step(frames=0), FIELD, "0 frames are asked for"),
}


@pytest.mark.parametrize("case", CHECKS)
def test_what_cannot_run_is_one_sentence(case):
    the_plan, field, words = CHECKS[case]
    sentences = the_plan.check(field, site())
    assert len(sentences) >= 1
    with pytest.raises(UnusableInput, match=words):
        raise UnusableInput(" ".join(sentences))
    assert all(sentence.endswith(".") for sentence in sentences)
    assert len(sentences) == len(set(sentences))


def test_the_whole_plan_passes():
    assert plan().check(FIELD, site()) == []


VACUUM = {
    "given": (plan(vacuum=Point(1.0, 2.0)), FIELD, Point(1.0, 2.0)),
    "left of the line": (plan(), FIELD, Point(0.0, -48.0)),
    "no aloof point": (plan(aloof=None), FIELD, None),
    "no line": (plan(line=None, aloof=Point(10.0, 0.0)), FIELD, Point(48.0, 0.0)),
    "on the middle of the line": (plan(aloof=Point(0.0, 5.0)), FIELD, None),
    "already at the edge": (plan(aloof=Point(0.0, -49.9)), FIELD, Point(0.0, -49.9)),
}


@pytest.mark.parametrize("case", VACUUM)
def test_the_vacuum_point(case):
    the_plan, field, expected = VACUUM[case]
    found = vacuum_point(the_plan, field)
    assert (found is None) == (expected is None)
    if found and expected:
        assert (found.y_nm, found.x_nm) == pytest.approx((expected.y_nm, expected.x_nm))


@pytest.mark.parametrize("rotation", [0.0, 0.4, 2.0])
def test_the_vacuum_point_lies_beyond_the_aloof_point_at_the_edge_of_any_field(rotation):
    field = Field(200.0, 150.0, Point(10.0, -20.0), rotation)
    start, aloof = field.point((0.6, 0.5)), field.point((0.5, 0.3))
    the_line = Line(field.point((0.55, 0.5)), field.point((0.65, 0.5)), 4)
    vacuum = vacuum_point(plan(line=the_line, aloof=aloof), field)
    assert vacuum is not None and field.contains(vacuum)
    assert min(field.fraction(vacuum)) == pytest.approx(0.02)
    along = (aloof.y_nm - start.y_nm, aloof.x_nm - start.x_nm)
    beyond = (vacuum.y_nm - aloof.y_nm, vacuum.x_nm - aloof.x_nm)
    assert along[0] * beyond[1] - along[1] * beyond[0] == pytest.approx(0.0, abs=1e-9)
    assert along[0] * beyond[0] + along[1] * beyond[1] > 0
