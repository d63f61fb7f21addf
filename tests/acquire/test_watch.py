"""The beam watch: tables of looks (time, current, blanked) and the states that follow."""

from __future__ import annotations

import math

import pytest

from eels_iontransport.acquire.site import Beam
from eels_iontransport.acquire.watch import BeamState, BeamWatch

OK, LOST, SETTLING, GIVEN_UP = BeamState.OK, BeamState.LOST, BeamState.SETTLING, BeamState.GIVEN_UP
BEAM = Beam("current", lost_below=0.5, back_above=0.8, settle_s=5.0, give_up_s=60.0)

# (time in s, current in pA, expected state) from a start at 20 pA
COURSES = {
    "steady": [(0, 20, OK), (10, 19, OK), (20, 21, OK)],
    "low but not lost": [(0, 20, OK), (10, 10.1, OK), (20, 10.1, OK)],
    "lost and back": [(0, 20, OK), (10, 9.9, LOST), (20, 20, SETTLING), (24.9, 20, SETTLING), (25, 20, OK)],
    "between the thresholds it is not back": [(0, 20, OK), (10, 0, LOST), (20, 15, LOST), (30, 15, LOST)],
    "flicker is one loss": [
        (0, 20, OK), (10, 0, LOST), (11, 20, SETTLING), (12, 0, LOST), (13, 20, SETTLING), (17.9, 20, SETTLING),
        (18, 20, OK),
    ],
    "a dip while settling begins it anew": [
        (0, 20, OK), (10, 0, LOST), (11, 20, SETTLING), (14, 15, LOST), (15, 20, SETTLING), (19, 20, SETTLING),
        (20, 20, OK),
    ],
    "flicker that never settles is given up": [
        (0, 20, OK), (10, 0, LOST), (30, 20, SETTLING), (32, 0, LOST), (69.9, 20, SETTLING), (70, 20, GIVEN_UP),
    ],
    "given up is for good": [(0, 20, OK), (10, 0, LOST), (70, 0, GIVEN_UP), (80, 20, GIVEN_UP), (200, 20, GIVEN_UP)],
    "back in time": [(0, 20, OK), (10, 0, LOST), (64, 20, SETTLING), (69, 20, OK), (75, 20, OK)],
    "a second loss has its own limit": [
        (0, 20, OK), (10, 0, LOST), (50, 20, SETTLING), (55, 20, OK), (60, 0, LOST), (80, 0, LOST), (120, 0, GIVEN_UP),
    ],
    "a reading that is no number": [(0, 20, OK), (10, math.nan, LOST), (11, math.inf, LOST), (12, 20, SETTLING)],
    "dark current below zero": [(0, 20, OK), (10, -0.1, LOST)],
    "not measured": [(0, None, OK), (10, None, OK)],
}  # fmt: skip


@pytest.mark.parametrize("course", COURSES)
def test_courses_of_the_beam(course):
    watch = BeamWatch(BEAM)
    assert [watch.look(current, False, time) for time, current, _ in COURSES[course]] == [
        s for *_, s in COURSES[course]
    ]


def test_a_blanked_beam_is_lost_whatever_the_current():
    watch = BeamWatch(BEAM, 20.0)
    states = [
        watch.look(current, blanked, t) for t, current, blanked in [(0, 20, True), (1, None, True), (2, 20, False)]
    ]
    assert states == [LOST, LOST, SETTLING]


@pytest.mark.parametrize(
    ("start", "first", "state"), [(20.0, 5.0, LOST), (None, 5.0, OK), (0.0, 5.0, OK), (None, 0.0, LOST)]
)
def test_the_current_at_the_start_is_given_or_the_first_one(start, first, state):
    assert BeamWatch(BEAM, start).look(first, False, 0.0) is state


def test_without_settling_the_beam_is_back_at_once():
    watch = BeamWatch(Beam(settle_s=0.0), 20.0)
    assert [watch.look(c, False, t) for t, c in enumerate((0.0, 20.0))] == [LOST, OK]


def test_what_the_operator_reads():
    watch = BeamWatch(BEAM, 20.0)
    watch.look(20.0, False, 0.0)
    assert watch.sentence(1.0) == ""
    watch.look(2.0, False, 100.0)
    assert watch.sentence(223.0) == "Beam lost 02:03 (10 % of its current at the start)"
    watch.look(20.0, False, 130.0)
    assert watch.sentence(131.0).startswith("Beam back, settling")
    watch.look(20.0, True, 140.0)
    assert "blanked" in watch.sentence(140.0)
    watch.look(20.0, True, 160.0)
    assert watch.sentence(160.0) == (
        "The beam was lost and did not come back within 60 s (blanked); bring it back and take the rest."
    )
