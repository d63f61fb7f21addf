"""What the panel shows, case by case."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

pytest.importorskip("nion.swift")

from eels_iontransport.acquire.estimate import Estimate
from eels_iontransport.acquire.outcome import DriftSummary, Ending, Outcome, Progress, StepOutcome
from eels_iontransport.acquire.outcome import State as RunState
from eels_iontransport.data.record import Role, Status
from eels_iontransport.wording import Roles
from nionswift_plugin.iontransport.panel import view
from nionswift_plugin.iontransport.panel.bindings import values
from nionswift_plugin.iontransport.panel.model import present
from nionswift_plugin.iontransport.panel.sentences import (
    ended,
    estimate_text,
    moved_text,
    progress_text,
    watch_text,
    zero_text,
)
from nionswift_plugin.iontransport.panel.situation import Ended, Microscope, Placed, Situation, State, Survey, ZeroLoss

HERMES = Microscope("HERMES", 60.0, 21.0)
ZERO = ZeroLoss(8.1, 0.1, -3.2, 0.62)
DETAIL = Survey("Detail", 64.0, "22:14")
READY = Situation(microscope=HERMES, surveys=(DETAIL,), places=(Placed("L1", "20.0 nm"),))
SCANNING = Progress(RunState.ACQUIRING, 2, 5, "GB1 L1 vibrational", Role.VIBRATIONAL, 18, 40, 0.451, 102.0)
RUNNING = replace(READY, is_running=True, progress=SCANNING)
PASSES = replace(SCANNING, rows_valid=98, rows_planned=320, passes=8, pass_index=2)


def waiting(state: RunState, reason: str) -> Situation:
    return replace(RUNNING, progress=replace(SCANNING, state=state, reason=reason))


WAITING = waiting(RunState.WAITING, "Waiting: drift 1.4 nm/min (limit 0.5)")
CHECKING = waiting(RunState.CHECK_ZLP, "Check the ZLP, then continue.")
PAUSED = replace(waiting(RunState.PAUSED, "Paused by you."), pausing=True)
BEAM_LOST = replace(PAUSED.progress, reason="Paused: beam lost 02:03 (blanked)")


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
        (WAITING, State.WAITING, "Waiting: drift 1.4 nm/min (limit 0.5)"),
        (CHECKING, State.CHECK_ZLP, "Check the ZLP, then continue."),
        (PAUSED, State.PAUSED, "Paused by you."),
        (
            replace(PAUSED, progress=BEAM_LOST),
            State.PAUSED,
            "Paused: beam lost 02:03 (blanked)",
        ),
    ],
)
def test_first_line(situation, state, text):
    shown = present(situation)
    assert (shown.state, shown.state_text) == (state, text)


# survey, place, clear, plan, acquire, pause, abort
@pytest.mark.parametrize(
    "situation, enabled",
    [
        (Situation(), "---p---"),
        (Situation(microscope=HERMES), "s--p---"),
        (replace(READY, places=()), "sP-pa--"),
        (READY, "sPcpa--"),
        (replace(READY, blockers=("No line.",)), "sPcp---"),
        (replace(READY, surveys=(replace(DETAIL, exists=False),)), "s-cp---"),
        (replace(READY, is_surveying=True), "---p---"),
        (RUNNING, "-----wb"),
        (PAUSED, "-----wb"),
        (CHECKING, "-----wb"),
        (waiting(RunState.RESTORING, ""), "------b"),
        (replace(RUNNING, stopping=True), "-------"),
        (replace(READY, ended=Ended(State.DONE, "Done.")), "sPcpa--"),
    ],
)
def test_what_cannot_run_is_disabled(situation, enabled):
    shown = present(situation)
    names = ("survey", "place", "clear", "plan", "acquire", "pause", "abort")
    letters = (c if getattr(shown, f"{n}_enabled") else "-" for c, n in zip("sPcpawb", names, strict=True))
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
    "situation, pause, proceed, question",
    [
        (RUNNING, "Pause", "", ""),
        (replace(RUNNING, pausing=True), "Resume", "", ""),
        (PAUSED, "Resume", "", ""),
        (WAITING, "Pause", "Start anyway", ""),
        (CHECKING, "Pause", "Continue", "Waiting for a frame to show."),
        (
            replace(CHECKING, zero=ZERO),
            "Pause",
            "Continue",
            "ZLP 8.1 meV · at −3.2 meV · peak 62 %",
        ),
        (replace(CHECKING, stopping=True), "Pause", "", "Waiting for a frame to show."),
        (READY, "Pause", "", ""),
    ],
)
def test_what_the_run_asks_and_what_answers_it(situation, pause, proceed, question):
    shown = present(situation)
    assert (shown.pause_text, shown.proceed_text, shown.question) == (pause, proceed, question)


@pytest.mark.parametrize(
    "zero, text",
    [
        (ZeroLoss(8.14, math.nan, 0.0, 0.05), "ZLP 8.1 meV · at +0.0 meV · peak 5 %"),
        (ZeroLoss(saturated=True), "saturated"),
        (ZeroLoss(fraction_of_full_scale=0.003), "No zero-loss peak in the range of this setting."),
    ],
)
def test_what_frames_show_of_the_zero_loss(zero, text):
    assert zero_text(zero) == text


@pytest.mark.parametrize(
    "progress, orders, text",
    [
        (SCANNING, {}, "Vibrational 3/5 · pixel 18/40 · 1:42 left"),
        (SCANNING, {"stopping": True}, "Vibrational 3/5 · pixel 18/40 · stopping"),
        (SCANNING, {"pausing": True}, "Vibrational 3/5 · pixel 18/40 · pausing after this row"),
        (PAUSED.progress, {"pausing": True}, "Vibrational 3/5 · pixel 18/40 · 1:42 left"),
        (PASSES, {}, "Vibrational pass 3/8 · pixel 18/40 · 1:42 left"),
        (replace(PASSES, rows_valid=120), {}, "Vibrational pass 3/8 · pixel 40/40 · 1:42 left"),
        (replace(PASSES, rows_valid=80), {}, "Vibrational pass 3/8 · pixel 0/40 · 1:42 left"),
        (replace(SCANNING, role=Role.ALOOF, step=1), {}, "Aloof 2/5 · frame 18/40 · 1:42 left"),
        (replace(SCANNING, role=Role.POINTS), {}, "Points 3/5 · point 18/40 · 1:42 left"),
        (
            replace(SCANNING, state=RunState.SETTING, remaining_s=math.nan),
            {},
            "Vibrational 3/5 · setting the spectrometer",
        ),
        (WAITING.progress, {}, "Vibrational 3/5 · before its first row · 1:42 left"),
        (
            replace(SCANNING, state=RunState.RESTORING, remaining_s=0.4),
            {},
            "Vibrational 3/5 · bringing the microscope home · 0 s left",
        ),
    ],
)
def test_progress_text(progress, orders, text):
    assert progress_text(progress, **orders) == text


@pytest.mark.parametrize(
    "progress, text",
    [
        (SCANNING, ""),
        (replace(SCANNING, journal="/data"), "18 rows in the journal"),
        (replace(PASSES, journal="/data", saturated_frames=2), "Step 3/5 · 98 rows in the journal · 2 saturated"),
        (replace(SCANNING, journal="/data", rows_valid=0), ""),
    ],
)
def test_what_has_been_kept_is_said(progress, text):
    assert watch_text(progress) == text
    assert present(replace(READY, progress=progress)).watch_text == "", "no run, no news"


@pytest.mark.parametrize(
    "changes, text",
    [
        ({}, ""),
        ({"beam_current_pa": 20.96}, "21 pA"),
        ({"beam_current_pa": 20.96, "drift_nm_per_min": 0.31}, "21 pA · drift 0.3 nm/min"),
    ],
)
def test_the_second_line_follows_the_run(changes, text):
    assert present(replace(RUNNING, progress=replace(SCANNING, **changes))).beam_text == text


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


def test_free_disk_is_beside_what_a_run_needs():
    assert estimate_text(Estimate(45.0, 40.0, 4_260_000, math.nan, math.nan), 410_000_000_000) == (
        "45 s · 4.26 MB · free 410 GB"
    )


@pytest.mark.parametrize(
    "microscope, readout, text",
    [
        (None, None, ""),
        (HERMES, None, "21 pA"),
        (replace(HERMES, beam_current_pa=None), None, ""),
        (HERMES, {"zlp": {"fwhm_mev": {"value": 8.14, "sigma": 0.01}}}, "ZLP 8.1 meV · 21 pA"),
        (HERMES, {"zlp": {"fwhm_mev": {"value": None}}}, "21 pA"),
    ],
)
def test_second_line(microscope, readout, text):
    assert present(replace(READY, microscope=microscope, readout=readout)).beam_text == text


def test_a_test_frame_is_newer_than_the_last_run():
    readout = {"zlp": {"fwhm_mev": {"value": 8.14, "sigma": 0.01}}}
    situation = replace(READY, readout=readout, zero=ZeroLoss(7.9, 0.1, 0.0, 0.62))
    assert present(situation).beam_text == "ZLP 7.9 meV · peak 62 % · 21 pA"


STEPS = (
    StepOutcome("GB1 A1 aloof", Role.ALOOF, 4, 4, Status.COMPLETE),
    StepOutcome("GB1 L1 vibrational", Role.VIBRATIONAL, 40, 40, Status.COMPLETE),
)


@pytest.mark.parametrize(
    "outcome, state, parts",
    [
        (Outcome(Ending.COMPLETE, "", STEPS), State.DONE, ["Done 22:41. All 44 rows, 2 of 2 steps."]),
        (
            Outcome(Ending.COMPLETE, "", STEPS, drift=DriftSummary(0.42, 0.1, 0.1)),
            State.DONE,
            ["Done 22:41. All 44 rows, 2 of 2 steps. Line moved 0.4 ± 0.1 nm, followed to 0.1 nm."],
        ),
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


@pytest.mark.parametrize(
    "drift, text",
    [
        (DriftSummary(0.42, 0.1, 0.1), "Line moved 0.4 ± 0.1 nm, followed to 0.1 nm."),
        (
            DriftSummary(3.02, 0.1, 0.1, since_first_run=True),
            "Line moved 3.0 ± 0.1 nm since the first run, followed to 0.1 nm.",
        ),
        (DriftSummary(0.02, 0.004, 0.013), "Line moved 0.02 ± 0.01 nm, followed to 0.004 nm."),
        (
            DriftSummary(0.42, math.nan, 0.1, problem="It is dark."),
            "How far the line moved in the end is not known: It is dark.",
        ),
    ],
)
def test_how_far_the_line_moved(drift, text):
    assert moved_text(drift).startswith(text)
    aborted = ended(Outcome(Ending.ABORTED, "Aborted by the operator.", STEPS, drift=drift), "22:41")
    assert text in aborted.sentence and "+-" not in aborted.sentence


def test_drift_of_the_last_run_is_beside_the_survey():
    assert present(replace(READY, drift_nm_per_min=0.31)).survey_text == "Detail 64 nm, 22:14 · drift 0.3 nm/min"


def test_survey_lines_leave_out_what_was_deleted():
    overview = Survey("Overview", 300.0, "22:10", exists=False)
    assert present(replace(READY, surveys=(overview, DETAIL))).survey_text == "Detail 64 nm, 22:14"
    assert present(replace(READY, surveys=(overview,))).survey_text == "No survey image yet."


def test_a_number_is_large_and_a_sentence_is_not():
    readout = {"ldo_peak": {"blue_shift_mev": {"value": 1.8, "sigma": 0.3}}, "flags": []}
    content = values(present(replace(READY, roles=Roles("LDO", ("Li", "Co")), readout=readout)))
    assert content["shift_number"] == "+1.8 ± 0.3 meV" and not content["shift_sentence_visible"]
    assert content["ratio_number"] == "" and content["ratio_sentence"] == "no core-loss scan yet"


@pytest.mark.parametrize(
    "progress, is_line_known, shift",
    [
        (SCANNING, False, "boundary not reached (pixel 18 of 40)"),
        (SCANNING, True, "+1.8 ± 0.3 meV"),  # by passes of an earlier run
        (PASSES, False, "+1.8 ± 0.3 meV"),
    ],
)
def test_a_line_that_was_taken_before_has_its_boundary(progress, is_line_known, shift):
    readout = {"ldo_peak": {"blue_shift_mev": {"value": 1.8, "sigma": 0.3}}, "flags": []}
    readout["regions"] = {"boundary": {"pixels": [19, 21]}}
    situation = replace(RUNNING, roles=Roles("LDO"), readout=readout, provisional=True)
    assert present(replace(situation, progress=progress, is_line_known=is_line_known)).readout.shift == shift


@pytest.mark.parametrize(
    "provisional, progress, label",
    [
        (True, None, "LDO blue shift, provisional"),
        (True, replace(PASSES, role=Role.CORE_LOSS), "LDO blue shift, provisional"),
        (True, PASSES, "LDO blue shift, provisional, pass 3 of 8"),
        (False, PASSES, "LDO blue shift"),
    ],
)
def test_a_number_that_may_change_says_so(provisional, progress, label):
    readout = {"ldo_peak": {"blue_shift_mev": {"value": 1.8, "sigma": 0.3}}, "flags": []}
    situation = replace(READY, roles=Roles("LDO", ("Li", "Co")), readout=readout, provisional=provisional)
    situation = (
        replace(situation, progress=replace(progress, pass_index=2, state=RunState.RESTORING))
        if progress
        else situation
    )
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
    flags += [{"code": "CORE_LOSS_REGION_EMPTY", "message": "No usable core-loss spectrum lies in the grain 2."}]
    readout = {"flags": flags}
    core_loss = replace(RUNNING, progress=replace(SCANNING, role=Role.CORE_LOSS, step=4))
    assert present(replace(RUNNING, readout=readout)).readout.flags == "2 flags: Widths differ along the line."
    assert present(replace(core_loss, readout=readout)).readout.flags == "2 flags: No boundary stands out."
    assert present(replace(READY, readout=readout)).readout.flags.startswith("4 flags: 22 of 40 rows")
