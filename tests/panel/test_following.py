"""What can follow a run, and what is told of it to an operator who is not there."""

from __future__ import annotations

import pytest

pytest.importorskip("nion.swift")

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.outcome import Ending, Outcome, StepOutcome
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Point
from eels_iontransport.data.record import Role, Status
from nionswift_plugin.iontransport.panel.following import Following
from nionswift_plugin.iontransport.panel.form import Form, Places
from nionswift_plugin.iontransport.panel.news import UNATTENDED_S, News
from nionswift_plugin.iontransport.panel.situation import State

PLACES = Places(aloof=Point(0.0, -95.0), line=(Point(0.0, -10.0), Point(0.0, 10.0)))
PLAN, _ = Form().plan(PLACES, sites.load("simulator"))
DONE, BROKEN = Status.COMPLETE, Status.FAULT


def after(*states: Status | None, ending: Ending = Ending.COMPLETE) -> Following:
    steps = [
        StepOutcome(PLAN.title(step), step.role, PLAN.rows(step), status=status)
        for step, status in zip(PLAN.steps, (*states, *[None] * 5))
    ]
    return Following(PLAN, Outcome(ending, "", tuple(steps)))


@pytest.mark.parametrize(
    "states, steps, doubtful, has_line",
    [
        ((DONE,) * 5, ("Vacuum ZLP", "Aloof", "Vibrational", "Valence", "Core loss"), 4, True),
        ((DONE, DONE, BROKEN), ("Vacuum ZLP", "Aloof", "Vibrational"), 2, True),
        ((DONE, BROKEN), ("Vacuum ZLP", "Aloof"), 1, False),
        ((), (), 0, False),
    ],
)
def test_steps_that_were_begun_can_be_taken_again(states, steps, doubtful, has_line):
    following = after(*states)
    assert (following.steps, following.doubtful, following.has_line) == (steps, doubtful, has_line)


def test_a_refused_run_has_nothing_to_follow():
    assert after(DONE, ending=Ending.REFUSED).steps == ()


def test_the_same_step_in_an_item_of_its_own():
    plan = after(DONE, DONE, DONE).redo(2, ["GB1 L1 vibrational (2)"])
    assert [plan.title(step) for step in plan.steps] == ["GB1 L1 vibrational (3)"] and plan.line == PLAN.line
    with pytest.raises(UnusableInput, match="choose a step"):
        after(DONE).redo(1, [])


def test_more_passes_are_those_of_the_vibrational_line():
    plan = after(DONE, DONE, DONE, DONE, DONE).more_passes(" 6 ", [])
    assert [(step.role, step.passes, step.frames) for step in plan.steps] == [(Role.VIBRATIONAL, 6, 5)]
    for typed in ("", "0", "many"):
        with pytest.raises(UnusableInput, match="is not a whole number of passes"):
            after(DONE).more_passes(typed, [])


# What is heard, by whom the run was paused, how long after the last click; whether it is told.
@pytest.mark.parametrize(
    "state, by_operator, later_s, told",
    [
        (State.FAULT, False, 0.0, True),
        (State.DONE, False, 1.0, False),
        (State.DONE, False, UNATTENDED_S, True),
        (State.CHECK_ZLP, False, 1.0, False),
        (State.CHECK_ZLP, False, UNATTENDED_S, True),
        (State.PAUSED, False, 0.0, True),
        (State.PAUSED, True, UNATTENDED_S, False),
        (State.ABORTED, False, UNATTENDED_S, False),
    ],
)
def test_what_is_told_is_told_once(state, by_operator, later_s, told):
    news = News()
    news.touched(1000.0)
    assert not news.heard(State.RUNNING, False, 1000.0)
    assert news.heard(state, by_operator, 1000.0 + later_s) is told
    assert not news.heard(state, by_operator, 1001.0 + later_s)
    news.heard(State.RUNNING, False, 1002.0 + later_s)
    assert news.heard(state, by_operator, 1003.0 + later_s) is told
