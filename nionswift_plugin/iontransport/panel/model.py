"""What the panel shows (Presentation) for what it knows (Situation). Pure: no host, no threads, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from eels_iontransport import wording
from eels_iontransport.acquire.outcome import State as RunState
from eels_iontransport.data.record import Role
from eels_iontransport.wording import DOT, ReadoutText

from . import sentences
from .situation import Situation, State

NO_MICROSCOPE = "No microscope. Existing data can be analysed: EELS > Ion Transport."

COLOURS = {
    State.NO_MICROSCOPE: "#777777",
    State.IDLE: "#888888",
    State.READY: "#00755A",
    State.RUNNING: "#0072B2",
    State.WAITING: "#B84A00",
    State.CHECK_ZLP: "#B84A00",
    State.PAUSED: "#B84A00",
    State.DONE: "#00755A",
    State.ABORTED: "#B84A00",
    State.FAULT: "#B3261E",
}
PROCEED = {State.WAITING: "Start anyway", State.CHECK_ZLP: "Continue"}  # what the operator can answer
_STATES = {RunState.WAITING: State.WAITING, RunState.CHECK_ZLP: State.CHECK_ZLP, RunState.PAUSED: State.PAUSED}


@dataclass(frozen=True)
class Presentation:
    """Text and enabled states of every control that changes by itself."""

    state: State
    state_text: str
    state_colour: str
    beam_text: str
    survey_text: str
    places_text: str
    estimate_text: str
    scanned_text: str
    survey_enabled: bool
    place_enabled: bool
    clear_enabled: bool
    plan_enabled: bool
    off_axis_enabled: bool
    acquire_enabled: bool
    pause_text: str
    pause_enabled: bool
    abort_enabled: bool
    proceed_text: str
    question: str
    hint: str
    hint_tooltip: str
    percent: int
    progress_text: str
    watch_text: str
    advice_text: str
    test_enabled: bool
    follow_up_text: str
    follow_up_enabled: bool
    passes_enabled: bool
    steps: list[str]
    leftover: str
    readout: ReadoutText = field(default_factory=ReadoutText)
    provisional: str = ""


def present(situation: Situation) -> Presentation:
    """The panel for a situation."""
    blockers = all_blockers(situation)
    state = state_of(situation, blockers)
    running, busy = situation.is_running, situation.is_running or situation.is_surveying or situation.is_testing
    surveyed = any(survey.exists for survey in situation.surveys)
    hint, tooltip = _hint(situation, blockers, busy)
    progress = situation.progress
    ending = situation.stopping or (progress is not None and progress.state is RunState.RESTORING)
    return Presentation(
        state=state,
        state_text=_state_text(state, situation),
        state_colour=COLOURS[state],
        beam_text=_beam_text(situation),
        survey_text=_survey_text(situation),
        places_text="\n".join(str(place) for place in situation.places) or "Nothing placed yet.",
        estimate_text=sentences.estimate_text(situation.estimate, situation.free_bytes),
        scanned_text=sentences.scanned_text(situation.scanned),
        survey_enabled=situation.microscope is not None and not busy,
        place_enabled=surveyed and not busy,
        clear_enabled=bool(situation.places) and not busy,
        plan_enabled=not running,
        off_axis_enabled=situation.can_collect_off_axis and not running,
        acquire_enabled=not blockers and not busy,
        pause_text="Resume" if situation.pausing else "Pause",
        pause_enabled=running and not ending,
        abort_enabled=(running and not situation.stopping) or situation.is_testing,
        proceed_text=PROCEED.get(state, "") if not situation.stopping else "",
        question=_question(state, situation),
        hint=hint,
        hint_tooltip=tooltip,
        percent=_percent(situation),
        progress_text=_progress_text(situation),
        watch_text=sentences.watch_text(progress) if running and progress else "",
        advice_text=situation.exposure_advice,
        test_enabled=situation.microscope is not None and not busy,
        follow_up_text="Follow up" if situation.steps and not running else "",
        follow_up_enabled=bool(situation.steps) and situation.microscope is not None and not busy,
        passes_enabled=situation.has_line_steps and situation.microscope is not None and not busy,
        steps=list(situation.steps),
        leftover="" if running else situation.leftover,
        readout=_readout(situation),
        provisional=sentences.provisional_text(progress) if situation.provisional else "",
    )


def state_of(situation: Situation, blockers: tuple[str, ...]) -> State:
    """A run wins, then the end of the last run, until something about the next one changes."""
    if situation.is_running:
        return State.RUNNING if situation.progress is None else _STATES.get(situation.progress.state, State.RUNNING)
    if situation.ended is not None:
        return situation.ended.state
    if situation.microscope is None:
        return State.NO_MICROSCOPE
    return State.IDLE if blockers else State.READY


def all_blockers(situation: Situation) -> tuple[str, ...]:
    """Every reason why Acquire is disabled, in the order in which the operator meets them."""
    if situation.microscope is None:
        return ("There is no microscope to acquire with.",)
    if not any(survey.exists for survey in situation.surveys):
        return ("Take a survey image first: press Overview or Detail.", *situation.blockers)
    return situation.blockers


def _state_text(state: State, situation: Situation) -> str:
    if state is State.NO_MICROSCOPE:
        return NO_MICROSCOPE
    if situation.ended is not None and state is situation.ended.state:
        return situation.ended.sentence
    if state in (State.WAITING, State.PAUSED, State.CHECK_ZLP) and situation.progress is not None:
        return situation.progress.reason or state.value.capitalize()
    words = {State.IDLE: "Not ready", State.READY: "Ready", State.RUNNING: "Running"}
    return f"{words[state]} {DOT} {situation.microscope}"


def _beam_text(situation: Situation) -> str:
    if situation.is_running:
        return sentences.running_beam_text(situation.progress)
    return sentences.beam_text(situation.microscope, situation.zero, situation.readout)


def _survey_text(situation: Situation) -> str:
    lines = [str(survey) for survey in situation.surveys if survey.exists]
    if lines and math.isfinite(situation.drift_nm_per_min) and not situation.is_running:
        lines[-1] += f" {DOT} {sentences.drift_text(situation.drift_nm_per_min)}"
    return "\n".join(lines) or "No survey image yet."


def _question(state: State, situation: Situation) -> str:
    """What is said beside the button that answers the run."""
    return sentences.zero_text(situation.zero) if state is State.CHECK_ZLP else ""


def _progress_text(situation: Situation) -> str:
    if not situation.is_running or situation.progress is None:
        return ""
    return sentences.progress_text(situation.progress, stopping=situation.stopping, pausing=situation.pausing)


def _hint(situation: Situation, blockers: tuple[str, ...], busy: bool) -> tuple[str, str]:
    if busy:
        if situation.is_testing:
            return "Taking test frames.", ""
        return ("Taking the survey image.", "") if situation.is_surveying else ("", "")
    said = ((situation.notice,) if situation.notice else ()) + blockers
    return (said[0], "\n".join(said)) if said else ("", "")


def _percent(situation: Situation) -> int:
    if situation.is_running:
        return 0 if situation.progress is None else int(round(100 * min(max(situation.progress.fraction, 0.0), 1.0)))
    return 100 if situation.ended is not None and situation.ended.state is State.DONE else 0


# Doubts that only say that rows are still to come: of any step, of the line that the boundary is looked for on, and of
# core loss.
_PREMATURE = ("ROWS_MISSING",)
_PREMATURE_OF: Mapping[Role | None, tuple[str, ...]] = {
    Role.VIBRATIONAL: ("BOUNDARY_TOO_SHORT", "BOUNDARY_NOT_FOUND", "BOUNDARY_AT_END"),
    Role.CORE_LOSS: ("CORE_LOSS_EMPTY", "CORE_LOSS_REGION_EMPTY"),
}


def _readout(situation: Situation) -> ReadoutText:
    progress, readout = situation.progress, situation.readout
    taking = progress is not None and progress.state in (RunState.ACQUIRING, RunState.PAUSED)
    role = progress.role if progress is not None and taking else None
    if situation.is_running and readout:
        premature = _PREMATURE + _PREMATURE_OF.get(role, ())
        flags = [flag for flag in readout.get("flags", ()) if flag.get("code") not in premature]
        readout = {**readout, "flags": flags}
    if progress is None or role not in (Role.VIBRATIONAL, Role.CORE_LOSS):
        return wording.readout_text(readout, situation.roles)
    pixel, pixels = sentences.row_of_pass(progress)
    return wording.readout_text(
        readout,
        situation.roles,
        pixel=pixels if progress.pass_index or situation.is_line_known else pixel,
        pixels=pixels,
        is_core_loss=role is Role.CORE_LOSS,
    )
