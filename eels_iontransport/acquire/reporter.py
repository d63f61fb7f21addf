"""Tells the display where a run is; a display that fails does not end the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from .clock import Clock
from .estimate import drift_seconds, step_seconds
from .outcome import Meter, OnProgress, Progress, State, StepOutcome
from .plan import Plan
from .port import Frames
from .site import Site
from .writer import StepWriter

_LOG = logging.getLogger(__name__)


class Reporter:
    """Keeps the account of a run's steps, and reports. `describe` gives what is to be said of drift and beam."""

    def __init__(
        self, plan: Plan, site: Site, clock: Clock, on_progress: OnProgress | None, journal: Callable[[], str]
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._on_progress = on_progress
        self._journal = journal
        self._meter = Meter([step_seconds(plan, s, site) + drift_seconds(plan, s, site) for s in plan.steps])
        self._started_s = clock.now_s
        self._state = State.PREPARING
        self._index = 0
        self._writer: StepWriter | None = None
        self._pass = 0
        self.paused_s = 0.0
        self.describe: Callable[[Progress], Progress] = lambda progress: progress
        self.outcomes = [StepOutcome(plan.title(s), s.role, plan.rows(s)) for s in plan.steps]

    @property
    def seconds(self) -> float:
        return self._clock.now_s - self._started_s

    def begin(self, state: State, index: int) -> None:
        """Something else is done from now on, in the step of that index."""
        self._state, self._index, self._writer, self._pass = state, index, None, 0
        self.report()

    def follow(self, writer: StepWriter) -> None:
        """The step's rows go to this writer."""
        self._writer = writer

    def begin_pass(self, which: int) -> None:
        self._pass = which

    @contextmanager
    def waiting(self, state: State) -> Iterator[None]:
        """While the run waits, which does not count for its pace; then it is again where it was."""
        before, since, paused_s = self._state, self._clock.now_s, self.paused_s
        self._state = state
        try:
            yield
        finally:
            self.paused_s = paused_s + self._clock.now_s - since  # a wait within this one is part of it
            self._state = before

    def report(self, reason: str = "", frames: Frames | None = None) -> None:
        if self._on_progress is None:
            return
        try:
            self._on_progress(self.describe(replace(self._progress(), reason=reason, frames=frames)))
        except Exception:
            _LOG.exception("The progress display failed; the run goes on without it.")
            self._on_progress = None

    def finish_step(self, index: int, writer: StepWriter) -> None:
        """Take over how far a step got."""
        record = writer.record
        self.outcomes[index] = replace(
            self.outcomes[index],
            rows_valid=record.rows_valid,
            status=record.status,
            saturated_frames=record.saturated_frames,
        )

    def _progress(self) -> Progress:
        outcome, writer = self.outcomes[self._index], self._writer
        rows = outcome.rows_valid if writer is None else writer.rows_valid
        fraction = self._meter.fraction(self._index, rows / max(1, outcome.rows_planned))
        return Progress(
            self._state,
            self._index,
            len(self.outcomes),
            outcome.title,
            outcome.role,
            rows_valid=rows,
            rows_planned=outcome.rows_planned,
            fraction=fraction,
            remaining_s=self._meter.remaining_s(fraction, self.seconds - self.paused_s),
            saturated_frames=None if writer is None else writer.saturated_frames,
            passes=self._plan.steps[self._index].passes,
            pass_index=self._pass,
            journal=self._journal(),
        )
