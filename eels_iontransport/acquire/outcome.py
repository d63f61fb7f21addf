"""What a run says of itself, while it goes on and when it has ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from ..data.record import Role, Status
from .drift import LogEntry
from .drift_reference import DriftReference
from .port import Frames
from .watch import BeamState

ABORTED_BY_OPERATOR = "Aborted by the operator."


class State(str, Enum):
    """What the runner is doing. WAITING: for the drift to fall. CHECK_ZLP: for the operator, between two settings."""

    PREPARING = "preparing"
    WAITING = "waiting"
    SETTING = "setting"
    CHECK_ZLP = "check zlp"
    ACQUIRING = "acquiring"
    PAUSED = "paused"
    RESTORING = "restoring"


class Ending(str, Enum):
    """How a run ended. REFUSED: nothing was touched, because the plan could not run."""

    COMPLETE = "complete"
    ABORTED = "aborted"
    FAULT = "fault"
    REFUSED = "refused"


@dataclass(frozen=True)
class Progress:
    """Where a run is. `step` counts from 0; rows are those of this step; `fraction` and `remaining_s` of the run.

    passes, pass_index: of this step, the pass under way counted from 0. reason: one sentence why the run waits or is
    paused. drift_nm_per_min: nan where it is not known or not followed. beam, beam_current_pa: at the last look; None
    where it is not watched or measured. journal: where the rows are journaled; empty where they are not. frames: taken
    for the operator to look at while the run waits, never recorded.
    """

    state: State
    step: int
    steps: int
    title: str
    role: Role
    rows_valid: int
    rows_planned: int
    fraction: float
    remaining_s: float
    saturated_frames: int | None = None
    passes: int = 1
    pass_index: int = 0
    reason: str = ""
    drift_nm_per_min: float = math.nan
    beam: BeamState | None = None
    beam_current_pa: float | None = None
    journal: str = ""
    frames: Frames | None = None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class StepOutcome:
    """How far a step got; `status` is None where it was never begun."""

    title: str
    role: Role
    rows_planned: int
    rows_valid: int = 0
    status: Status | None = None
    saturated_frames: int | None = None


@dataclass(frozen=True)
class DriftSummary:
    """How the specimen moved during a run, in nm.

    moved_nm: by the last usable image against the reference of the start; nan without one. off_nm: what of that the
    correction in force did not follow. sigma_nm: standard deviation of both. log: every image. problem: why the last
    image, taken when the run had ended, could not be used. since_first_run: whether the reference is that of an
    earlier run on the same line.
    """

    moved_nm: float
    off_nm: float
    sigma_nm: float
    log: tuple[LogEntry, ...] = ()
    problem: str = ""
    since_first_run: bool = False

    @property
    def since(self) -> str:
        return "since the first run" if self.since_first_run else "during the run"

    def sentence(self) -> str:
        if self.problem:
            return f"How far the line moved in the end is not known: {self.problem}"
        return (
            f"Line moved {self.moved_nm:.1f} +- {self.sigma_nm:.1f} nm {self.since} and was followed to "
            f"{self.off_nm:.1f} nm."
        )


@dataclass(frozen=True)
class Outcome:
    """How a run ended and why.

    reason: one sentence; empty where complete. blockers: all reasons of a refusal. problems: what could not be
    stored or brought home, one sentence each. drift: None where it was not followed. paused_s: what of `seconds` was
    spent waiting. retaken: rows that were taken again because the beam was lost. reference: for a later run on the same
    places, so that it finds them again; None where drift was never followed on them.
    """

    ending: Ending
    reason: str
    steps: tuple[StepOutcome, ...]
    blockers: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    drift: DriftSummary | None = None
    paused_s: float = 0.0
    retaken: int = 0
    reference: DriftReference | None = field(default=None, repr=False, compare=False)

    def sentence(self) -> str:
        """As the panel's first line says it."""
        if self.ending is Ending.REFUSED:
            return self.reason
        valid = sum(step.rows_valid for step in self.steps)
        planned = sum(step.rows_planned for step in self.steps)
        complete = sum(step.status is Status.COMPLETE for step in self.steps)
        kept = f"{valid} of {planned} rows kept, {complete} of {len(self.steps)} steps complete."
        drift = [self.drift.sentence()] if self.drift else []
        return " ".join([self.reason or "Done.", kept, *drift, *self.problems])


class Meter:
    """How much of a run is done, from the estimated seconds of its steps and the rows so far."""

    def __init__(self, seconds: list[float]) -> None:
        self._seconds = seconds
        self._total = math.fsum(seconds)

    def fraction(self, step: int, share: float) -> float:
        """Done part of the run, 0..1, when `share` (0..1) of a step is done."""
        if self._total <= 0:
            return 0.0
        return (math.fsum(self._seconds[:step]) + share * self._seconds[step]) / self._total

    def remaining_s(self, fraction: float, elapsed_s: float) -> float:
        """Time left: as estimated at first, then at the pace seen so far."""
        if fraction < 0.05:
            return self._total * (1 - fraction)
        return elapsed_s * (1 - fraction) / fraction
