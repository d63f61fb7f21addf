"""Test frames: what is taken for them, and what they say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

pytest.importorskip("nion.swift")

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.exposure import Advice
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.data.record import Role
from nionswift_plugin.iontransport.panel.form import Form, Places
from nionswift_plugin.iontransport.panel.trial import FRAMES, advice_text, before, trial_plan

SITE = sites.load("simulator")
PLACES = Places(aloof=Point(0.0, -95.0), line=(Point(0.0, -10.0), Point(0.0, 10.0)))


def plan(**exposures: str):
    form = Form()
    for role, exposure in exposures.items():
        form = form.with_row(Role(role), exposure=exposure)
    made, _ = form.plan(PLACES, SITE)
    assert made is not None
    return made


def test_one_step_for_each_setting_with_its_longest_exposure():
    steps = trial_plan(plan(aloof="0.25")).steps
    assert [(s.setting, s.role, s.exposure_s, s.frames, s.passes) for s in steps] == [
        ("vibrational", Role.ZLP, 0.25, FRAMES, 1),
        ("valence", Role.ZLP, 0.02, FRAMES, 1),
        ("core_loss", Role.POINTS, 0.5, 1, 1),
    ]


def test_it_can_run_where_the_plan_can_and_touches_no_pixel_of_the_line():
    trial, wanted = trial_plan(plan()), plan()
    assert trial.check(Field(300.0, 300.0), SITE) == [] and trial.drift is None
    assert not trial.watching.check_zlp and not trial.watching.follow_zero and not trial.watching.blank_at_end
    nearest = min(math.hypot(p.y_nm - q.y_nm, p.x_nm - q.x_nm) for p in trial.points for q in wanted.line.points())
    assert nearest >= 1.0


def test_without_a_line_only_the_vacuum_is_looked_at():
    alone = replace(plan(), line=None, steps=plan().steps[:2])
    assert trial_plan(alone).points == () and len(trial_plan(alone).steps) == 1


@pytest.mark.parametrize(
    "role, places",
    [(Role.VIBRATIONAL, PLACES), (Role.POINTS, PLACES), (Role.POINTS, Places(points=(Point(1.0, 2.0),)))],
)
def test_off_the_axis_a_frame_is_taken_on_the_specimen(role, places):
    """In the vacuum nothing comes there."""
    form = Form(off_axis=True)
    for other in Role:
        form = form.with_row(other, chosen=other is role) if other in form.rows else form
    wanted, _ = form.plan(replace(places, points=(Point(1.0, 2.0),)), SITE)
    trial = trial_plan(wanted)
    assert [(s.setting, s.role) for s in trial.steps] == [("vibrational_off_axis", Role.POINTS)]
    assert trial.points == ((before(wanted.line),) if wanted.line else (Point(1.0, 2.0),))
    assert trial.check(Field(300.0, 300.0), SITE) == []


def test_the_place_before_a_tilted_line():
    assert before(Line(Point(0.0, 0.0), Point(3.0, 4.0), 11)) == Point(pytest.approx(-0.6), pytest.approx(-0.8))
    assert before(Line(Point(1.0, 1.0), Point(2.0, 2.0), 1)) == Point(-1.0, -1.0)


@pytest.mark.parametrize(
    "setting, exposure_s, advice, text",
    [
        ("vibrational", 0.1, Advice(0.62, 0.12, "..."), "Vibrational: peak 62 % · at most 0.12 s"),
        ("valence", 0.02, Advice(0.82, 0.019, "..."), "Valence: peak 82 % · at most 0.019 s, not 0.02"),
        ("core_loss", 0.5, Advice(0.004, 60.0, "..."), "Core loss: peak 0.4 % · at most 60 s"),
        ("valence", 0.1, Advice(1.0, math.nan, "Saturated at 0.1 s."), "Valence: Saturated at 0.1 s."),
    ],
)
def test_advice(setting, exposure_s, advice, text):
    assert advice_text(setting, exposure_s, advice) == text
