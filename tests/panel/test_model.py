"""What the panel shows, case by case."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

pytest.importorskip("nion.swift")

from eels_iontransport.acquire.estimate import Estimate
from eels_iontransport.acquire.outcome import Ending, Outcome, Progress, StepOutcome
from eels_iontransport.acquire.outcome import State as RunState
from eels_iontransport.data.record import Role, Status
from eels_iontransport.wording import Roles
from nionswift_plugin.iontransport.panel import view
from nionswift_plugin.iontransport.panel.bindings import values
from nionswift_plugin.iontransport.panel.model import (
    Ended,
    Microscope,
    Placed,
    Situation,
    State,
    Survey,
    ended,
    estimate_text,
    present,
    progress_text,
)

HERMES = Microscope("HERMES", 60.0, 21.0)
DETAIL = Survey("Detail", 64.0, "22:14")
READY = Situation(microscope=HERMES, surveys=(DETAIL,), places=(Placed("L1", "20.0 nm"),))
SCANNING = Progress(RunState.ACQUIRING, 2, 5, "GB1 L1 vibrational", Role.VIBRATIONAL, 18, 40, 0.451, 102.0)
RUNNING = replace(READY, is_running=True, progress=SCANNING)


@pytest.mark.parametrize(
    "situation, state, text",
    [
        (Situation(), State.NO_MICROSCOPE, "No microscope. Existing data can be analysed: EELS > Ion Transport."),
        (Situation(microscope=HERMES), State.IDLE, "Not ready · HERMES 60 kV"),
        (READY, State.READY, "Ready · HERMES 60 kV"),
        (replace(READY, blockers=("No line.",)), State.IDLE, "Not ready · HERMES 60 kV"),
        (RUNNING, State.RUNNING, "Running · HERMES 60 kV"),
        (replace(RUNNING, progress=None), State.RUNNING, "Running · HERMES 60 kV"),
        (replace(READY, ended=Ended(State.DONE, "Done 22:41.")), State.DONE, "Done 22:41."),
        (replace(READY, ended=Ended(State.FAULT, "Camera lost.")), State.FAULT, "Camera lost."),
        (replace(RUNNING, ended=Ended(State.FAULT, "Camera lost.")), State.RUNNING, "Running · HERMES 60 kV"),
    ],
)
def test_first_line(situation, state, text):
    shown = present(situation)
    assert (shown.state, shown.state_text) == (state, text)


# survey, place, clear, plan, acquire, abort
@pytest.mark.parametrize(
    "situation, enabled",
    [
        (Situation(), "---p--"),
        (Situation(microscope=HERMES), "s--p--"),
        (replace(READY, places=()), "sP-pa-"),
        (READY, "sPcpa-"),
        (replace(READY, blockers=("No line.",)), "sPcp--"),
        (replace(READY, surveys=(replace(DETAIL, exists=False),)), "s-cp--"),
        (replace(READY, is_surveying=True), "---p--"),
        (RUNNING, "-----b"),
        (replace(RUNNING, stopping=True), "------"),
        (replace(READY, ended=Ended(State.DONE, "Done.")), "sPcpa-"),
    ],
)
def test_what_cannot_run_is_disabled(situation, enabled):
    shown = present(situation)
    names = ("survey", "place", "clear", "plan", "acquire", "abort")
    letters = (c if getattr(shown, f"{n}_enabled") else "-" for c, n in zip("sPcpab", names, strict=True))
    assert "".join(letters) == enabled


@pytest.mark.parametrize(
    "situation, hint, others",
    [
        (Situation(), "There is no microscope to acquire with.", 0),
        (Situation(microscope=HERMES), "Take a survey image first: press Overview or Detail.", 0),
        (replace(READY, blockers=("First.", "Second.")), "First.", 1),
        (replace(READY, notice="The scan failed.", blockers=("First.",)), "The scan failed.", 1),
        (replace(READY, is_surveying=True, blockers=("First.",)), "Taking the survey image.", -1),
        (replace(RUNNING, blockers=("First.",)), "", -1),
        (READY, "", -1),
    ],
)
def test_the_first_blocker_is_said_and_the_tooltip_has_all(situation, hint, others):
    shown = present(situation)
    assert shown.hint == hint
    if others >= 0:
        assert shown.hint_tooltip.splitlines()[0] == hint and shown.hint_tooltip.count("\n") == others


@pytest.mark.parametrize(
    "progress, stopping, text",
    [
        (SCANNING, False, "Vibrational 3/5 · pixel 18/40 · 1:42 left"),
        (SCANNING, True, "Vibrational 3/5 · pixel 18/40 · stopping"),
        (replace(SCANNING, role=Role.ALOOF, step=1), False, "Aloof 2/5 · frame 18/40 · 1:42 left"),
        (replace(SCANNING, role=Role.POINTS), False, "Points 3/5 · point 18/40 · 1:42 left"),
        (
            replace(SCANNING, state=RunState.SETTING, remaining_s=math.nan),
            False,
            "Vibrational 3/5 · setting the spectrometer",
        ),
        (
            replace(SCANNING, state=RunState.RESTORING, remaining_s=0.4),
            False,
            "Vibrational 3/5 · bringing the microscope home · 0 s left",
        ),
    ],
)
def test_progress_text(progress, stopping, text):
    assert progress_text(progress, stopping) == text


def test_percent_follows_the_run():
    assert present(RUNNING).percent == 45
    assert present(replace(RUNNING, progress=None)).percent == 0
    assert present(replace(READY, ended=Ended(State.DONE, "Done."))).percent == 100
    assert present(replace(READY, ended=Ended(State.ABORTED, "Aborted."))).percent == 0


@pytest.mark.parametrize(
    "estimate, text",
    [
        (None, ""),
        (Estimate(300.0, 290.0, 41_000_000, 1e8, 2.1e7), "5:00 min · 41 MB\nDose 2.1e7 e⁻/nm² per pixel of the line"),
        (Estimate(45.0, 40.0, 4_260_000, math.nan, math.nan), "45 s · 4.26 MB"),
        (Estimate(7500.0, 7000.0, 900, math.nan, math.nan), "2 h 05 min · 900 B"),
    ],
)
def test_estimate_text(estimate, text):
    assert estimate_text(estimate) == text


@pytest.mark.parametrize(
    "microscope, readout, text",
    [
        (None, None, ""),
        (HERMES, None, "Beam 21 pA"),
        (replace(HERMES, beam_current_pa=None), None, ""),
        (HERMES, {"zlp": {"fwhm_mev": {"value": 8.14, "sigma": 0.01}}}, "Beam 21 pA · ZLP FWHM 8.1 meV"),
        (HERMES, {"zlp": {"fwhm_mev": {"value": None}}}, "Beam 21 pA"),
    ],
)
def test_second_line(microscope, readout, text):
    assert present(replace(READY, microscope=microscope, readout=readout)).beam_text == text


STEPS = (
    StepOutcome("GB1 A1 aloof", Role.ALOOF, 4, 4, Status.COMPLETE),
    StepOutcome("GB1 L1 vibrational", Role.VIBRATIONAL, 40, 40, Status.COMPLETE),
)


@pytest.mark.parametrize(
    "outcome, state, parts",
    [
        (Outcome(Ending.COMPLETE, "", STEPS), State.DONE, ["Done 22:41. All 44 rows, 2 of 2 steps."]),
        (Outcome(Ending.ABORTED, "Aborted by the operator.", STEPS), State.ABORTED, ["Aborted by the operator."]),
        (Outcome(Ending.FAULT, "Camera did not answer.", STEPS), State.FAULT, ["Camera did not answer.", "44 of 44"]),
        (Outcome(Ending.REFUSED, "The beam is blanked.", STEPS), State.FAULT, ["The beam is blanked."]),
        (
            Outcome(Ending.COMPLETE, "", STEPS, problems=("The probe is lost.",)),
            State.FAULT,
            ["44 of 44", "The probe is lost."],
        ),
    ],
)
def test_the_end_of_a_run(outcome, state, parts):
    said = ended(outcome, "22:41")
    assert said.state is state
    for part in parts:
        assert part in said.sentence


def test_survey_lines_leave_out_what_was_deleted():
    overview = Survey("Overview", 300.0, "22:10", exists=False)
    assert present(replace(READY, surveys=(overview, DETAIL))).survey_text == "Detail 64 nm, 22:14"
    assert present(replace(READY, surveys=(overview,))).survey_text == "No survey image yet."


def test_a_number_is_large_and_a_sentence_is_not():
    readout = {"ldo_peak": {"blue_shift_mev": {"value": 1.8, "sigma": 0.3}}, "flags": []}
    content = values(present(replace(READY, roles=Roles("LDO", ("Li", "Co")), readout=readout)))
    assert content["shift_number"] == "+1.8 ± 0.3 meV" and not content["shift_sentence_visible"]
    assert content["ratio_number"] == "" and content["ratio_sentence"] == "no core-loss scan yet"


@pytest.mark.parametrize("provisional, label", [(True, "LDO blue shift, provisional"), (False, "LDO blue shift")])
def test_a_number_that_may_change_says_so(provisional, label):
    readout = {"ldo_peak": {"blue_shift_mev": {"value": 1.8, "sigma": 0.3}}, "flags": []}
    situation = replace(READY, roles=Roles("LDO", ("Li", "Co")), readout=readout, provisional=provisional)
    content = values(present(situation))
    assert content["shift_label"] == label
    assert content["ratio_label"] == "Li:Co at boundary", "there is no number yet"


def test_what_is_not_determined_may_be_yet():
    situation = replace(READY, roles=Roles("LDO"), readout={"ldo_peak": {}, "flags": []})
    assert values(present(situation))["shift_sentence"] == "not determined"
    assert values(present(replace(situation, provisional=True)))["shift_sentence"] == "not determined yet"


def test_long_sentences_are_cut_where_the_tooltip_has_all_of_them():
    long = "The background fitted at 43-45 eV misses the counts at 48-54 eV, before the edges, by +1.1 %; see the fit."
    content = values(
        present(
            replace(
                READY, notice=long, roles=Roles("LDO"), readout={"flags": [{"code": "LDO_RAILED", "message": long}]}
            )
        )
    )
    for name in ("hint", "flags"):
        assert len(content[name]) <= 84 and content[name].endswith(" …")
        assert long in content[f"{name}_tooltip"]
    assert content["shift"] == f"not determined: {long[:-1]}" and len(content["shift_sentence"]) <= 84


def test_everything_that_the_view_binds_to_is_there():
    """A name that is bound and missing would only be seen when the panel opens."""
    bound: set[str] = set()

    def collect(description):
        for value in description.values() if isinstance(description, dict) else description:
            if isinstance(value, (dict, list, tuple)):
                collect(value)
            elif isinstance(value, str) and value.startswith("@binding(shown."):
                bound.add(value[len("@binding(shown.") : -1])

    collect(view.describe(["LiCoO2"]))
    assert len(bound) > 20
    assert bound <= values(present(READY)).keys()


def test_rows_still_to_come_are_no_flag():
    flags = [
        {"code": "ROWS_MISSING", "message": "22 of 40 rows hold no data and are left out."},
        {"code": "BOUNDARY_NOT_FOUND", "message": "No boundary stands out."},
        {"code": "WIDTHS_DIFFER", "message": "Widths differ along the line."},
    ]
    readout = {"flags": flags}
    core_loss = replace(RUNNING, progress=replace(SCANNING, role=Role.CORE_LOSS, step=4))
    assert present(replace(RUNNING, readout=readout)).readout.flags == "1 flag: Widths differ along the line."
    assert present(replace(core_loss, readout=readout)).readout.flags == "2 flags: No boundary stands out."
    assert present(replace(READY, readout=readout)).readout.flags.startswith("3 flags: 22 of 40 rows")
