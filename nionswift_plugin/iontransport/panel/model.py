"""What the panel knows (Situation) and what it shows for it (Presentation). Pure: no host, no threads, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from eels_iontransport import wording
from eels_iontransport.acquire.estimate import Estimate
from eels_iontransport.acquire.outcome import Ending, Outcome, Progress
from eels_iontransport.acquire.outcome import State as RunState
from eels_iontransport.acquire.plan import FRAME_ROLES, LINE_ROLES
from eels_iontransport.data.record import Role
from eels_iontransport.wording import DOT, ReadoutText, Roles

from .form import ROW_LABELS

NO_MICROSCOPE = "No microscope. Existing data can be analysed: EELS > Ion Transport."


class State(Enum):
    """State of the panel, as its first line says it."""

    NO_MICROSCOPE = "no microscope"
    IDLE = "idle"  # a microscope, but something is missing: the first blocker says what
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    ABORTED = "aborted"
    FAULT = "fault"


COLOURS = {
    State.NO_MICROSCOPE: "#777777",
    State.IDLE: "#777777",
    State.READY: "#00755A",
    State.RUNNING: "#0072B2",
    State.DONE: "#00755A",
    State.ABORTED: "#B84A00",
    State.FAULT: "#B3261E",
}


@dataclass(frozen=True)
class Microscope:
    """The instrument as the panel names it."""

    name: str
    high_tension_kv: float | None = None
    beam_current_pa: float | None = None

    def __str__(self) -> str:
        return self.name if self.high_tension_kv is None else f"{self.name} {self.high_tension_kv:.3g} kV"


@dataclass(frozen=True)
class Survey:
    """A survey image that was taken: its field and the time of day."""

    label: str
    width_nm: float
    taken: str
    exists: bool = True  # False once its item was deleted

    def __str__(self) -> str:
        return f"{self.label} {self.width_nm:.0f} nm, {self.taken}"


@dataclass(frozen=True)
class Placed:
    """A labelled place on a survey, with what is worth knowing of it: "65 ± 2 nm off the edge"."""

    label: str
    note: str

    def __str__(self) -> str:
        return f"{self.label}  {self.note}" if self.note else self.label


@dataclass(frozen=True)
class Ended:
    """How the last run ended; `sentence` is what the operator reads."""

    state: State
    sentence: str


@dataclass(frozen=True)
class Situation:
    """All that the panel knows at one moment."""

    microscope: Microscope | None = None
    surveys: tuple[Survey, ...] = ()
    places: tuple[Placed, ...] = ()
    estimate: Estimate | None = None
    blockers: tuple[str, ...] = ()  # sentences of plan, fields and microscope, in the order of the panel
    is_surveying: bool = False
    is_running: bool = False
    progress: Progress | None = None  # of the run, once it has said anything
    stopping: bool = False
    ended: Ended | None = None
    roles: Roles = Roles()
    readout: Mapping[str, Any] | None = None
    provisional: bool = False  # the readout is not yet that of all rows
    notice: str = ""  # what went wrong with the last button


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
    survey_enabled: bool
    place_enabled: bool
    clear_enabled: bool
    plan_enabled: bool
    acquire_enabled: bool
    abort_enabled: bool
    hint: str
    hint_tooltip: str
    percent: int
    progress_text: str
    readout: ReadoutText = field(default_factory=ReadoutText)
    provisional: bool = False


def present(situation: Situation) -> Presentation:
    """The panel for a situation."""
    blockers = all_blockers(situation)
    state = state_of(situation, blockers)
    running, busy = state is State.RUNNING, state is State.RUNNING or situation.is_surveying
    surveyed = any(survey.exists for survey in situation.surveys)
    hint, tooltip = _hint(situation, blockers, busy)
    progress = situation.progress
    return Presentation(
        state=state,
        state_text=_state_text(state, situation),
        state_colour=COLOURS[state],
        beam_text=_beam_text(situation.microscope, situation.readout),
        survey_text="\n".join(str(survey) for survey in situation.surveys if survey.exists) or "No survey image yet.",
        places_text="\n".join(str(place) for place in situation.places) or "Nothing placed yet.",
        estimate_text=estimate_text(situation.estimate),
        survey_enabled=situation.microscope is not None and not busy,
        place_enabled=surveyed and not busy,
        clear_enabled=bool(situation.places) and not busy,
        plan_enabled=not running,
        acquire_enabled=not blockers and not busy,
        abort_enabled=running and not situation.stopping,
        hint=hint,
        hint_tooltip=tooltip,
        percent=_percent(situation),
        progress_text=progress_text(progress, situation.stopping) if progress else "",
        readout=_readout(situation),
        provisional=situation.provisional,
    )


def state_of(situation: Situation, blockers: tuple[str, ...]) -> State:
    """Running wins, then the end of the last run, until something about the next one changes."""
    if situation.is_running:
        return State.RUNNING
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


def estimate_text(estimate: Estimate | None) -> str:
    """ "5:00 min · 41 MB", and below it the dose where the beam current is known."""
    if estimate is None:
        return ""
    minutes = " min" if 60 <= round(estimate.seconds) < 3600 else ""
    parts = [wording.duration(estimate.seconds) + minutes, wording.size(estimate.bytes)]
    if math.isfinite(estimate.dose_per_nm2):
        mantissa, exponent = f"{estimate.dose_per_nm2:.1e}".split("e")
        dose = f"{mantissa}e{int(exponent)} e\N{SUPERSCRIPT MINUS}/nm\N{SUPERSCRIPT TWO}"
        return f" {DOT} ".join(parts) + f"\nDose {dose} per pixel of the line"
    return f" {DOT} ".join(parts)


def progress_text(progress: Progress, stopping: bool = False) -> str:
    """ "Vibrational 3/5 · pixel 18/40 · 1:42 left"."""
    parts = [f"{ROW_LABELS[progress.role]} {progress.step + 1}/{progress.steps}"]
    if progress.state is RunState.ACQUIRING:
        unit = "frame" if progress.role in FRAME_ROLES else "pixel" if progress.role in LINE_ROLES else "point"
        parts.append(f"{unit} {progress.rows_valid}/{progress.rows_planned}")
    else:
        parts.append(_BETWEEN[progress.state])
    if stopping:
        parts.append("stopping")
    elif math.isfinite(progress.remaining_s):
        parts.append(f"{wording.duration(progress.remaining_s)} left")
    return f" {DOT} ".join(parts)


_BETWEEN = {
    RunState.PREPARING: "preparing",
    RunState.SETTING: "setting the spectrometer",
    RunState.RESTORING: "bringing the microscope home",
}


def ended(outcome: Outcome, time_of_day: str) -> Ended:
    """The first line after a run."""
    if outcome.ending is Ending.COMPLETE and not outcome.problems:
        rows = sum(step.rows_valid for step in outcome.steps)
        steps = len(outcome.steps)
        return Ended(State.DONE, f"Done {time_of_day}. All {rows} rows, {steps} of {steps} steps.")
    states = {Ending.COMPLETE: State.FAULT, Ending.ABORTED: State.ABORTED}
    return Ended(states.get(outcome.ending, State.FAULT), outcome.sentence())


def _state_text(state: State, situation: Situation) -> str:
    if state is State.NO_MICROSCOPE:
        return NO_MICROSCOPE
    if situation.ended is not None and state is situation.ended.state:
        return situation.ended.sentence
    words = {State.IDLE: "Not ready", State.READY: "Ready", State.RUNNING: "Running"}
    return f"{words[state]} {DOT} {situation.microscope}"


def _beam_text(microscope: Microscope | None, readout: Mapping[str, Any] | None) -> str:
    """Beam current, and the resolution of the last run."""
    parts = []
    if microscope is not None and microscope.beam_current_pa is not None:
        parts.append(f"Beam {microscope.beam_current_pa:.3g} pA")
    width = ((readout or {}).get("zlp") or {}).get("fwhm_mev") or {}
    if width.get("value") is not None:
        parts.append(f"ZLP FWHM {width['value']:.1f} meV")
    return f" {DOT} ".join(parts)


def _hint(situation: Situation, blockers: tuple[str, ...], busy: bool) -> tuple[str, str]:
    if busy:
        return ("Taking the survey image.", "") if situation.is_surveying else ("", "")
    sentences = ((situation.notice,) if situation.notice else ()) + blockers
    return (sentences[0], "\n".join(sentences)) if sentences else ("", "")


def _percent(situation: Situation) -> int:
    if situation.is_running:
        return 0 if situation.progress is None else int(round(100 * min(max(situation.progress.fraction, 0.0), 1.0)))
    return 100 if situation.ended is not None and situation.ended.state is State.DONE else 0


# Doubts that only say that rows are still to come: of any step, and of the line that the boundary is looked for on.
_PREMATURE = ("ROWS_MISSING",)
_PREMATURE_ON_THE_LINE = ("BOUNDARY_TOO_SHORT", "BOUNDARY_NOT_FOUND", "BOUNDARY_AT_END")


def _readout(situation: Situation) -> ReadoutText:
    progress, readout = situation.progress, situation.readout
    role = progress.role if progress is not None and progress.state is RunState.ACQUIRING else None
    if situation.is_running and readout:
        premature = _PREMATURE + (_PREMATURE_ON_THE_LINE if role is Role.VIBRATIONAL else ())
        flags = [flag for flag in readout.get("flags", ()) if flag.get("code") not in premature]
        readout = {**readout, "flags": flags}
    if progress is None or role not in (Role.VIBRATIONAL, Role.CORE_LOSS):
        return wording.readout_text(readout, situation.roles)
    return wording.readout_text(
        readout,
        situation.roles,
        pixel=progress.rows_valid,
        pixels=progress.rows_planned,
        is_core_loss=role is Role.CORE_LOSS,
    )
