"""What is typed in the panel, and the plan or the sentence that comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("nion.swift")

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.plan import Engine, Plan, Watching, session_plan
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.data.record import Role
from nionswift_plugin.iontransport.panel.form import (
    Form,
    Places,
    can_collect_off_axis,
    count_or_none,
    engine_for,
    field_nm,
    scanned,
)

SITE = sites.load("simulator")
LINE = (Point(0.0, -10.0), Point(0.0, 10.0))
PLACES = Places(aloof=Point(0.0, -95.0), points=(Point(1.0, 2.0),), line=LINE)


def test_the_form_as_it_opens_is_the_session_of_the_science_package():
    """With its frames divided among passes, and with all that looks after a run."""
    plan, problems = Form().plan(PLACES, SITE)
    expected = session_plan(name="GB1", material="lco", line=Line(*LINE, 40), aloof=PLACES.aloof)
    assert problems == ()
    steps = [replace(step, frames=step.frames * step.passes, passes=1) for step in plan.steps]
    assert tuple(steps) == expected.steps and (plan.name, plan.material, plan.line) == ("GB1", "lco", expected.line)
    assert [step.passes for step in plan.steps] == [1, 1, 4, 1, 1]
    assert (plan.aloof, plan.points, plan.strip_nm) == (PLACES.aloof, PLACES.points, 0.0)
    assert plan.drift == SITE.drift and plan.watching == Watching(check_zlp=True)
    assert plan.check(Field(300.0, 300.0), SITE) == []


@pytest.mark.parametrize(
    "form, changes",
    [
        (Form(drift_lock=False), {"drift": None}),
        (Form(check_zlp=False), {"watching": Watching()}),
        (Form(blank_at_end=True), {"watching": Watching(check_zlp=True, blank_at_end=True)}),
        (Form(strip_nm=" 3,5 "), {"strip_nm": 3.5}),
    ],
)
def test_what_is_ticked_is_in_the_plan(form, changes):
    assert form.plan(PLACES, SITE)[0] == replace(Form().plan(PLACES, SITE)[0], **changes)


def test_only_what_can_be_is_collected_off_the_axis():
    form = Form(off_axis=True).with_row(Role.POINTS, chosen=True)
    plan, _ = form.plan(PLACES, SITE)
    assert {step.role for step in plan.steps if step.is_off_axis} == {Role.POINTS, Role.VIBRATIONAL}
    assert plan.check(Field(300.0, 300.0), SITE) == []
    assert "GB1 L1 vibrational off axis" in [plan.title(step) for step in plan.steps]
    assert not any(step.is_off_axis for step in replace(form, off_axis=False).plan(PLACES, SITE)[0].steps)


def test_a_site_without_a_setting_for_it_collects_on_the_axis():
    on_axis = {name: setting for name, setting in SITE.settings.items() if not name.endswith("_off_axis")}
    site = replace(SITE, settings=on_axis)
    assert can_collect_off_axis(SITE) and not can_collect_off_axis(site)
    assert not any(step.is_off_axis for step in Form(off_axis=True).plan(PLACES, site)[0].steps)


# A move of the parked probe takes 6 ms here, more than a tenth of a frame below 60 ms.
@pytest.mark.parametrize(
    "role, exposure_s, frames, engine",
    [
        (Role.VALENCE, 0.02, 1, Engine.SYNCHRONIZED),
        (Role.VIBRATIONAL, 0.059, 1, Engine.SYNCHRONIZED),
        (Role.VIBRATIONAL, 0.061, 1, Engine.PARKED),
        (Role.VALENCE, 0.02, 2, Engine.PARKED),
        (Role.POINTS, 0.02, 1, Engine.PARKED),
        (Role.ALOOF, 0.02, 1, Engine.PARKED),
        (Role.VALENCE, -1.0, 1, Engine.PARKED),
    ],
)
def test_the_scan_runs_along_where_parking_would_cost_time(role, exposure_s, frames, engine):
    assert engine_for(role, exposure_s, frames, SITE) is engine


def test_which_steps_are_scanned_is_said():
    plan, _ = Form().with_row(Role.VALENCE, frames="1", passes="5").plan(PLACES, SITE)
    assert scanned(plan) == ("Valence",) and scanned(Form().plan(PLACES, SITE)[0]) == ()
    assert next(step for step in plan.steps if step.role is Role.VALENCE).passes == 5


def test_only_chosen_steps_are_planned_and_in_the_order_of_the_panel():
    form = Form().with_row(Role.POINTS, chosen=True)
    for role in (Role.ZLP, Role.VALENCE, Role.CORE_LOSS):
        form = form.with_row(role, chosen=False)
    plan, _ = form.plan(PLACES, SITE)
    assert [step.role for step in plan.steps] == [Role.ALOOF, Role.POINTS, Role.VIBRATIONAL]


@pytest.mark.parametrize("typed, seconds", [("0.25", 0.25), (" 0,25 ", 0.25), ("1e-2", 0.01), ("3", 3.0)])
def test_exposures_as_people_type_them(typed, seconds):
    plan, problems = Form().with_row(Role.VIBRATIONAL, exposure=typed).plan(PLACES, SITE)
    assert problems == ()
    assert next(step for step in plan.steps if step.role is Role.VIBRATIONAL).exposure_s == seconds


@pytest.mark.parametrize(
    "form, sentence",
    [
        (Form(name="  "), "Name: give this place a name, such as GB1."),
        (Form(pixels="many"), "Line: 'many' is not a whole number of pixels."),
        (Form(pixels="0"), "Line: 0 pixels cannot be taken; give 1 to 100000."),
        (Form(pixels="2.5"), "Line: '2.5' is not a whole number of pixels."),
        (Form().with_row(Role.ALOOF, exposure="abc"), "Aloof: 'abc' is not an exposure in seconds, such as 0.1."),
        (Form().with_row(Role.ALOOF, exposure=""), "Aloof: '' is not an exposure in seconds, such as 0.1."),
        (Form(strip_nm="wide"), "Line: 'wide' is not the width of a strip in nm, such as 3, or 0 for none."),
        (Form(strip_nm="-1"), "Line: '-1' is not the width of a strip in nm, such as 3, or 0 for none."),
        (Form(strip_nm="nan"), "Line: 'nan' is not the width of a strip in nm, such as 3, or 0 for none."),
        (Form().with_row(Role.VALENCE, passes="0"), "Valence: 0 passes cannot be taken; give 1 to 100000."),
        (Form().with_row(Role.CORE_LOSS, frames="-1"), "Core loss: -1 frames cannot be taken; give 1 to 100000."),
    ],
)
def test_what_cannot_be_read_is_a_sentence_and_no_plan(form, sentence):
    assert form.plan(PLACES, SITE) == (None, (sentence,))


def test_every_unreadable_entry_is_named_in_order():
    form = Form(name="", pixels="x").with_row(Role.ZLP, exposure="?", frames="!")
    _, problems = form.plan(PLACES, SITE)
    assert [problem.split(":")[0] for problem in problems] == ["Name", "Line", "Vacuum ZLP", "Vacuum ZLP"]


def test_an_unreadable_entry_of_a_step_not_chosen_does_not_matter():
    plan, problems = Form().with_row(Role.VALENCE, exposure="?", chosen=False).plan(PLACES, SITE)
    assert problems == () and isinstance(plan, Plan)


def test_a_plan_without_places_has_none():
    plan, _ = Form().plan(Places(), SITE)
    assert (plan.line, plan.aloof, plan.points) == (None, None, ())


@pytest.mark.parametrize("typed, width_nm", [("64", 64.0), ("64,5", 64.5), (" 300 ", 300.0)])
def test_field_of_view(typed, width_nm):
    assert field_nm(typed, "Detail") == width_nm


@pytest.mark.parametrize("typed", ["", "wide", "0", "-5", "nan", "1e9"])
def test_field_of_view_that_is_none(typed):
    with pytest.raises(UnusableInput, match="Detail: .* is not a field of view in nm"):
        field_nm(typed, "Detail")


@pytest.mark.parametrize("typed, count", [("40", 40), ("", None), ("0", None), ("x", None)])
def test_count_or_none(typed, count):
    assert count_or_none(typed) == count
