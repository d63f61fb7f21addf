"""Plans: a correlated session in the right order, strict JSON, and a sentence for each thing that cannot run."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import pytest

from eels_iontransport.acquire.drift import DriftSettings
from eels_iontransport.acquire.plan import Engine, Exposure, Plan, Step, Watching, session_plan, vacuum_point
from eels_iontransport.acquire.site import Beam, Range
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Area, Field, Line, Point
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
    "image": plan(
        steps=(Step(Role.IMAGE, "vibrational", 0.002, passes=5, engine=Engine.SYNCHRONIZED, take=2),),
        area=Area(Field(6.0, 8.0, Point(1.0, 2.0), 0.3), 3, 4),
    ),
    "followed": plan(
        strip_nm=3.0,
        drift=DriftSettings(every_rows=5, lattice_nm=0.28),
        reference=Field(20.0, 20.0),
        watching=Watching(check_zlp=True, blank_at_end=True),
    ),
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


def test_a_plan_of_an_earlier_version_still_reads():
    content = plan().to_data()
    for key in ("area", "strip_nm", "drift", "reference", "watching"):
        del content[key]
    for step in content["steps"]:
        for key in ("passes", "engine", "take"):
            del step[key]
    assert Plan.from_data(content) == plan()


BROKEN = {
    "unknown key in the drift": (changed("drift", {"every": 3}), "plan, drift: the key 'every' is not known"),
    "no number in the drift": (changed("drift", {"every_s": "5"}), "plan, drift: 'every_s' must be a finite number"),
    "part of a row in the drift": (changed("drift", {"every_rows": 1.5}), "'every_rows' must be a whole number"),
    "no lattice": (changed("drift", {"lattice_nm": "cubic"}), "'lattice_nm' must be a finite number"),
    "no flag": (changed("watching", "check_zlp", 1), "plan, watching: 'check_zlp' must be true or false, not 1"),
    "no passes": (changed("steps", 0, "passes", None), "'passes' must be a whole number, not null"),
    "an area without columns": (
        changed("area", {"field": asdict(FIELD), "rows": 3}),
        "plan, area: the key 'columns' is missing",
    ),
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


IMAGE = Step(Role.IMAGE, "vibrational", 0.01, 2)


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
    "no passes": (with_step(passes=0), FIELD, "0 passes are asked for"),
    "passes of a vacuum ZLP": (
        plan(steps=(Step(Role.ZLP, "vibrational", 0.1, 4, passes=2),)),
        FIELD,
        "only a line or an image has passes",
    ),
    "more rows than an item holds": (with_step(passes=200_001), FIELD, "1000005 rows are more than the 1000000"),
    "a scan of many frames": (with_step(engine=Engine.SYNCHRONIZED), FIELD, "a scan takes one frame at each pixel"),
    "a scan of one place": (
        plan(steps=(Step(Role.ALOOF, "vibrational", 0.1, 1, engine=Engine.SYNCHRONIZED),)),
        FIELD,
        "the scan cannot run along",
    ),
    "a strip of no width": (plan(strip_nm=-1.0), FIELD, "The strip along the boundary is -1.0 nm wide"),
    "a strip that leaves the field": (
        plan(strip_nm=3.0, line=Line(Point(49.0, 0), Point(49.0, 10), 5)),
        FIELD,
        r"The line with its strip of 3 nm reaches \(x [0-9.]*, y 50.5\) nm, outside",
    ),
    "a line too near to the edge for the drift": (
        plan(drift=DriftSettings(limit_nm=6.0), line=Line(Point(0, 0), Point(0, 45), 5)),
        FIELD,
        "nearer to the edge of the survey's field than the 6.0 nm",
    ),
    "no area": (plan(steps=(IMAGE,)), FIELD, "There is no area for the spectrum image"),
    "an area of no pixels": (
        plan(steps=(IMAGE,), area=Area(FIELD, 0, 4)),
        FIELD,
        "The spectrum image has 0 x 4 pixels",
    ),
    "an area of no size": (plan(steps=(IMAGE,), area=Area(Field(0.0, 4.0), 2, 4)), FIELD, "spectrum image is empty"),
    "an area outside": (
        plan(steps=(IMAGE,), area=Area(Field(20.0, 20.0, Point(0.0, 45.0)), 4, 4)),
        FIELD,
        "The spectrum image reaches",
    ),
    "a control beyond its range": (
        plan(),
        FIELD,
        "Control 'offset' may be set between -10 and 10, and 40 is asked for",
        site(ranges={"offset": Range(-10.0, 10.0)}),
    ),
    "no blanker to blank with": (
        plan(watching=Watching(blank_at_end=True)),
        FIELD,
        "The site names no blanker",
        site(beam=Beam("current", 1e12)),
    ),
    "no frames": (with_step(frames=0), FIELD, "0 frames are asked for"),
}


@pytest.mark.parametrize("case", CHECKS)
def test_what_cannot_run_is_one_sentence(case):
    the_plan, field, words, *the_site = CHECKS[case]
    sentences = the_plan.check(field, *(the_site or [site()]))
    assert len(sentences) >= 1
    with pytest.raises(UnusableInput, match=words):
        raise UnusableInput(" ".join(sentences))
    assert all(sentence.endswith(".") for sentence in sentences)
    assert len(sentences) == len(set(sentences))


WHOLE = {
    "a session": plan(),
    "a strip": plan(strip_nm=5.0),
    "drift": plan(drift=DriftSettings(limit_nm=10.0)),
    "an image": plan(steps=(IMAGE,), area=Area(Field(20.0, 30.0), 4, 6)),
    "scanned passes": with_step(engine=Engine.SYNCHRONIZED, frames=1, passes=100),
}


@pytest.mark.parametrize("case", WHOLE)
def test_whole_plans_pass(case):
    assert WHOLE[case].check(FIELD, site()) == []


def test_rows_places_and_lines_of_a_spectrum_image():
    area = Area(Field(6.0, 8.0), 3, 4)
    image = plan(steps=(replace(IMAGE, passes=2),), area=area)
    (step,) = image.steps
    assert (image.rows(step), image.pixels(step), image.step_nm(step)) == (24, 12, 2.0)
    assert image.places(step, FIELD) == area.points()
    assert [point for line in image.lines(step) for point in line.points()] == list(area.points())
    assert image.title(step) == "GB1 spectrum image"


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
