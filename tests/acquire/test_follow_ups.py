"""Plans that follow from a plan, and never take the place of what was acquired."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eels_iontransport.acquire.drift import DriftSettings
from eels_iontransport.acquire.follow_ups import more_passes, next_boundary, next_name, redo
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Area, Field, Point
from eels_iontransport.data.record import Role

from .fake import plan


def titles(the_plan: Plan) -> list[str]:
    return [the_plan.title(step) for step in the_plan.steps]


def test_more_passes_on_the_same_line_count_on():
    first = plan(strip_nm=2.0)
    more = more_passes(first, 6)
    assert titles(more) == ["GB1 L1 vibrational (2)", "GB1 L1 valence (2)", "GB1 L1 core loss (2)"]
    assert [step.passes for step in more.steps] == [6, 6, 6]
    assert replace(more, steps=first.steps) == first
    assert titles(more_passes(more, 1)) == ["GB1 L1 vibrational (3)", "GB1 L1 valence (3)", "GB1 L1 core loss (3)"]


def test_more_passes_of_one_setting_only():
    assert titles(more_passes(plan(), 2, roles=[Role.VIBRATIONAL])) == ["GB1 L1 vibrational (2)"]


@pytest.mark.parametrize("steps, roles", [(2, (Role.VIBRATIONAL,)), (3, (Role.CORE_LOSS, Role.ALOOF))])
def test_more_passes_without_a_line(steps, roles):
    with pytest.raises(UnusableInput, match="no step on a line"):
        more_passes(plan(steps=plan().steps[:steps]), 2, roles=roles)


TITLES = {
    "nothing known": ((), "GB1 A1 aloof (2)"),
    "taken again before": (("GB1 A1 aloof", "GB1 A1 aloof (2)"), "GB1 A1 aloof (3)"),
    "a partial item": (("GB1 A1 aloof (2) (3 of 6 rows)", "GB1 A1 aloof (3)"), "GB1 A1 aloof (4)"),
    "items of others": (("GB1 L1 valence (2)", "GB1 A1 aloof (2) LDO centre"), "GB1 A1 aloof (2)"),
}


@pytest.mark.parametrize("case", TITLES)
def test_a_step_taken_again_has_an_item_of_its_own(case):
    known, title = TITLES[case]
    again = redo(plan(), 1, known)
    assert titles(again) == [title]
    assert replace(again.steps[0], take=1) == plan().steps[1]


def test_a_step_that_is_not_there():
    with pytest.raises(IndexError):
        redo(plan(), 5)


def test_the_next_boundary_keeps_the_steps_and_forgets_the_places():
    first = more_passes(
        plan(
            points=(Point(1, 1),), vacuum=Point(2, 2), area=Area(Field(1, 1), 2, 2), reference=Field(9, 9),
            drift=DriftSettings(every_s=5.0), strip_nm=3.0,
        ),
        4,
    )  # fmt: skip
    second = next_boundary(first)
    assert second == Plan(
        "GB2", "lco", tuple(replace(step, take=1) for step in first.steps), strip_nm=3.0,
        drift=DriftSettings(every_s=5.0), watching=first.watching,
    )  # fmt: skip
    assert titles(second)[0] == "GB2 L1 vibrational"


@pytest.mark.parametrize(
    "name, following",
    [("GB1", "GB2"), ("GB9", "GB10"), ("GB09", "GB10"), ("A2 b12", "A2 b13"), ("edge", "edge 2"), ("", ""), ("7", "8")],
)
def test_names_count_on(name, following):
    assert next_name(name) == following
