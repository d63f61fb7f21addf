"""Runs a plan on a microscope, row by row, and brings the microscope home however the run ends."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

from ..data.geometry import Field
from ..data.record import Record, Status
from .estimate import step_seconds
from .home import Home
from .outcome import ABORTED_BY_OPERATOR, Ending, Meter, OnProgress, Outcome, Progress, State, StepOutcome
from .plan import Plan, Step
from .port import Microscope, MicroscopeFault, Recorder, RowNote
from .preflight import EXPECTED, blockers, controls_of, sentence
from .site import Setting, Site
from .writer import StepWriter, StorageFault

_LOG = logging.getLogger(__name__)

FRAME_CHUNK_S = 0.5  # exposure between two looks at the frames of a vacuum ZLP or aloof spectrum
SUM_CHUNK_S = 20.0  # longest sequence asked of the camera at once; the host gives one up after 60 s
_POLL_S = 0.02


class Runner:
    """Runs plans on one microscope, one at a time, in the caller's thread; `abort` may come from any thread."""

    def __init__(self, microscope: Microscope, recorder: Recorder, site: Site) -> None:
        self._microscope = microscope
        self._recorder = recorder
        self._site = site
        self._lock = threading.Lock()
        self._abort = threading.Event()
        self._claimed = False

    @property
    def is_running(self) -> bool:
        return self._claimed

    def blockers(self, plan: Plan) -> list[str]:
        """One sentence for each thing that stands in the way of running the plan now."""
        return blockers(self._microscope, plan, self._site)

    def claim(self) -> None:
        """Reserve the runner for the next `run`, so that an `abort` counts from now on.

        Raises RuntimeError where a run is under way.
        """
        with self._lock:
            if self._claimed:
                raise RuntimeError("A run is under way already; wait for its end or abort it.")
            self._abort.clear()
            self._claimed = True

    def abort(self) -> None:
        """End the run as soon as the camera can; rows already taken are kept. Without a run, nothing happens."""
        with self._lock:
            if not self._claimed:
                return
            self._abort.set()
        self._microscope.cancel()

    def run(self, plan: Plan, on_progress: OnProgress | None = None, *, claimed: bool = False) -> Outcome:
        """Acquire all steps of the plan; returns how it ended, whatever happened, with the microscope home.

        `claimed`: the caller has called `claim`. Raises RuntimeError where another run is under way.
        """
        if not claimed:
            self.claim()
        try:
            return _Run(self._microscope, self._recorder, self._site, plan, self._abort, on_progress).run()
        finally:
            with self._lock:
                self._claimed = False


class _Aborted(Exception):
    """The operator has asked for the end."""


class _Run:
    """One run: the state that lives no longer than it does."""

    def __init__(
        self,
        microscope: Microscope,
        recorder: Recorder,
        site: Site,
        plan: Plan,
        abort: threading.Event,
        on_progress: OnProgress | None,
    ) -> None:
        self._microscope = microscope
        self._recorder = recorder
        self._site = site
        self._plan = plan
        self._abort = abort
        self._on_progress = on_progress
        self._home = Home(microscope)
        self._outcomes = [StepOutcome(plan.title(s), s.role, plan.rows(s)) for s in plan.steps]
        self._problems: list[str] = []
        self._started = time.monotonic()

    def run(self) -> Outcome:
        found = blockers(self._microscope, self._plan, self._site)
        if found:
            return self._outcome(Ending.REFUSED, found[0], tuple(found))
        self._meter = Meter([step_seconds(self._plan, step, self._site) for step in self._plan.steps])
        ending, reason = Ending.COMPLETE, ""
        try:
            self._acquire()
        except _Aborted:
            ending, reason = Ending.ABORTED, ABORTED_BY_OPERATOR
        except Exception as error:
            ending, reason = Ending.FAULT, sentence(error)
            _LOG.warning("The run ended with a fault: %s", reason, exc_info=not isinstance(error, EXPECTED))
        finally:
            self._report(State.RESTORING, len(self._plan.steps) - 1)
            self._problems += self._home.bring()
        return self._outcome(ending, reason)

    def _acquire(self) -> None:
        steps = self._plan.steps
        self._report(State.PREPARING, 0)
        field = self._microscope.field()
        if field is None:
            raise MicroscopeFault("The survey image was lost; take one and start again.")
        self._home.leave(controls_of(self._plan, self._site))
        current: str | None = None
        for index, step in enumerate(steps):
            self._check_abort()
            if step.setting != current:
                self._report(State.SETTING, index)
                self._apply(step.setting, self._site.settings[step.setting])
                current = step.setting
            self._acquire_step(index, step, field)

    def _apply(self, name: str, setting: Setting) -> None:
        for wanted in setting.controls:
            self._check_abort()
            self._home.set_control(wanted.control, wanted.value)
            deadline = time.monotonic() + setting.timeout_s
            while not wanted.accepts(reading := self._microscope.get_control(wanted.control)):
                if time.monotonic() >= deadline:
                    raise MicroscopeFault(
                        f"Control '{wanted.control}' reads {reading:g} after it was set to {wanted.value:g} for the "
                        f"{name} setting; check the spectrometer and the site file."
                    )
                self._wait(_POLL_S)
        self._wait(setting.settle_s)

    def _acquire_step(self, index: int, step: Step, field: Field) -> None:
        writer = StepWriter(self._recorder, self._plan, step, self._record(step))
        try:
            self._take_rows(index, step, field, writer)
        except _Aborted:
            self._finish(index, writer, Status.ABORTED, ABORTED_BY_OPERATOR)
            raise
        except Exception as error:
            self._finish(index, writer, Status.FAULT, sentence(error))
            raise
        except BaseException as error:
            self._finish(index, writer, Status.FAULT, f"The program was stopped ({type(error).__name__}).")
            raise
        self._finish(index, writer, Status.COMPLETE, "")
        if self._outcomes[index].status is Status.FAULT:
            raise StorageFault(self._problems.pop())

    def _finish(self, index: int, writer: StepWriter, status: Status, reason: str) -> None:
        try:
            writer.finish(status, reason)
        except StorageFault as error:
            self._problems.append(str(error))
        record = writer.record
        self._outcomes[index] = replace(
            self._outcomes[index],
            rows_valid=record.rows_valid,
            status=record.status,
            saturated_frames=record.saturated_frames,
        )

    def _record(self, step: Step) -> Record:
        get, beam = self._microscope.get_control, self._site.beam
        return Record(
            role=step.role,
            status=Status.RUNNING,
            rows_planned=self._plan.rows(step),
            rows_valid=0,
            exposure_s=step.exposure_s,
            frames=1 if step.rows_are_frames else step.frames,
            beam_current_pa=get(beam.current_control) * beam.current_pa_per_unit if beam.current_control else None,
            settings={c.control: get(c.control) for c in self._site.settings[step.setting].controls},
            plan=self._plan.to_data(),
        )

    def _take_rows(self, index: int, step: Step, field: Field, writer: StepWriter) -> None:
        self._report(State.ACQUIRING, index, writer)
        for place in self._plan.places(step, field):
            self._check_abort()
            self._microscope.set_probe(place)
            self._wait(self._site.probe_settle_s)
            self._take_frames(index, step, writer)

    def _take_frames(self, index: int, step: Step, writer: StepWriter) -> None:
        longest = FRAME_CHUNK_S if step.rows_are_frames else SUM_CHUNK_S
        chunk = max(1, int(longest / step.exposure_s))
        missing = step.frames
        while missing:
            self._check_abort()
            asked = min(chunk, missing)
            frames = self._microscope.acquire_frames(step.exposure_s, asked)
            given = len(frames.counts)
            aborted = self._abort.is_set()
            if given > asked or (given < asked and not aborted):
                raise MicroscopeFault(f"The camera gave {given} of {asked} frames; check the camera.")
            if given:
                writer.add(frames, RowNote(datetime.now(UTC).isoformat()))
                self._report(State.ACQUIRING, index, writer)
            missing -= given
            if missing and aborted:
                raise _Aborted

    def _wait(self, seconds: float) -> None:
        if seconds > 0 and self._abort.wait(seconds):
            raise _Aborted

    def _check_abort(self) -> None:
        if self._abort.is_set():
            raise _Aborted

    def _report(self, state: State, index: int, writer: StepWriter | None = None) -> None:
        if self._on_progress is None:
            return
        outcome = self._outcomes[index]
        rows = outcome.rows_valid if writer is None else writer.rows_valid
        fraction = self._meter.fraction(index, rows / max(1, outcome.rows_planned))
        progress = Progress(
            state,
            index,
            len(self._outcomes),
            outcome.title,
            outcome.role,
            rows_valid=rows,
            rows_planned=outcome.rows_planned,
            fraction=fraction,
            remaining_s=self._meter.remaining_s(fraction, time.monotonic() - self._started),
            saturated_frames=None if writer is None else writer.saturated_frames,
        )
        try:
            self._on_progress(progress)
        except Exception:
            _LOG.exception("The progress display failed; the run goes on without it.")
            self._on_progress = None

    def _outcome(self, ending: Ending, reason: str, blockers: tuple[str, ...] = ()) -> Outcome:
        seconds = time.monotonic() - self._started
        return Outcome(ending, reason, tuple(self._outcomes), blockers, tuple(self._problems), seconds)
