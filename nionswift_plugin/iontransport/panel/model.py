"""What the panel knows (Situation) and what it shows for it (Presentation). Pure: no host, no threads, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Mapping

from eels_iontransport.acquire.estimate import Estimate

from . import wording
from .wording import DOT, ReadoutText, Roles

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
class Progress:
    """How far a run has come."""

    step: str
    step_number: int
    steps: int
    row: int
    rows: int
    fraction: float
    seconds_left: float | None = None
    is_line: bool = False


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
    progress: Progress | None = None  # while a run is on
    stopping: bool = False
    ended: Ended | None = None
    roles: Roles = Roles()
    readout: Mapping[str, Any] | None = None
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
        beam_text=_beam_text(situation.microscope),
        survey_text=f" {DOT} ".join(str(survey) for survey in situation.surveys if survey.exists) or "No survey image yet.",
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
    )


def state_of(situation: Situation, blockers: tuple[str, ...]) -> State:
    """Running wins, then the end of the last run, until something about the next one changes."""
    if situation.progress is not None:
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
    """ "5 min · 41 MB · 2.1e7 e⁻/nm² per pixel"; the dose only where the beam current is known."""
    if estimate is None:
        return ""
    parts = [wording.duration(estimate.seconds), wording.size(estimate.bytes)]
    if math.isfinite(estimate.dose_per_nm2):
        parts.append(f"{estimate.dose_per_nm2:.1e} e\N{SUPERSCRIPT MINUS}/nm\N{SUPERSCRIPT TWO} per pixel")
    return f" {DOT} ".join(parts)


def progress_text(progress: Progress, stopping: bool = False) -> str:
    """ "Vibrational 3/5 · pixel 18/40 · 1:42 left"."""
    unit = "pixel" if progress.is_line else "frame"
    parts = [f"{progress.step} {progress.step_number}/{progress.steps}", f"{unit} {progress.row}/{progress.rows}"]
    if stopping:
        parts.append("stopping")
    elif progress.seconds_left is not None:
        parts.append(f"{wording.duration(progress.seconds_left)} left")
    return f" {DOT} ".join(parts)


def _state_text(state: State, situation: Situation) -> str:
    if state is State.NO_MICROSCOPE:
        return NO_MICROSCOPE
    if situation.ended is not None and state is situation.ended.state:
        return situation.ended.sentence
    words = {State.IDLE: "Not ready", State.READY: "Ready", State.RUNNING: "Running"}
    return f"{words[state]} {DOT} {situation.microscope}"


def _beam_text(microscope: Microscope | None) -> str:
    if microscope is None or microscope.beam_current_pa is None:
        return ""
    return f"Beam current {microscope.beam_current_pa:.3g} pA"


def _hint(situation: Situation, blockers: tuple[str, ...], busy: bool) -> tuple[str, str]:
    if busy:
        return ("Taking the survey image.", "") if situation.is_surveying else ("", "")
    sentences = ((situation.notice,) if situation.notice else ()) + blockers
    return (sentences[0], "\n".join(sentences)) if sentences else ("", "")


def _percent(situation: Situation) -> int:
    if situation.progress is not None:
        return int(round(100 * min(max(situation.progress.fraction, 0.0), 1.0)))
    return 100 if situation.ended is not None and situation.ended.state is State.DONE else 0


def _readout(situation: Situation) -> ReadoutText:
    progress = situation.progress
    at = (progress.row, progress.rows) if progress is not None and progress.is_line else (None, None)
    return wording.readout_text(situation.readout, situation.roles, pixel=at[0], pixels=at[1])
