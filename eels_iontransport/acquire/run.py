"""One run of a plan: its steps one after the other, and the microscope home however it ends."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..data.geometry import Field
from ..data.record import Record, Role, Status
from .beam_guard import BeamGuard
from .boundary import Boundary
from .clock import Clock
from .disk_guard import DiskGuard, FreeBytes
from .drift_reference import DriftReference
from .drift_tracker import DriftTracker
from .home import Home
from .orders import Aborted, Orders
from .outcome import ABORTED_BY_OPERATOR, DriftSummary, Ending, OnProgress, Outcome, Progress, State, StepOutcome
from .parked import ParkedRows
from .plan import Plan, vacuum_point
from .port import Microscope, MicroscopeFault, Recorder
from .preflight import EXPECTED, blockers, controls_of, sentence, zero_window_ev
from .reporter import Reporter
from .site import ControlValue, Setting, Site
from .step import Engine, Step
from .synchronized import SynchronizedRows
from .writer import StepWriter, StorageFault
from .zero_check import look_at_zero
from .zero_tracker import ZeroTracker

_LOG = logging.getLogger(__name__)

_POLL_S = 0.02


@dataclass(frozen=True)
class Bench:
    """What all runs of a runner share."""

    microscope: Microscope
    recorder: Recorder
    site: Site
    orders: Orders
    clock: Clock
    free_bytes: FreeBytes | None = None
    journal: Callable[[], str] = str


class Run:
    """One run: the state that lives no longer than it does."""

    def __init__(
        self, bench: Bench, plan: Plan, on_progress: OnProgress | None, reference: DriftReference | None = None
    ) -> None:
        self._bench = bench
        self._microscope = bench.microscope
        self._site = bench.site
        self._orders = bench.orders
        self._clock = bench.clock
        self._plan = plan
        self._on_progress = on_progress
        self._home = Home(bench.microscope, bench.clock)
        self._beam = BeamGuard(bench.microscope, bench.site.beam, bench.clock, plan.watching.beam)
        self._reference = reference  # of an earlier run on the same places
        self._drift: DriftTracker | None = None
        self._drift_summary: DriftSummary | None = None
        self._problems: list[str] = []

    def run(self) -> Outcome:
        found = blockers(self._microscope, self._plan, self._site, self._bench.free_bytes)
        if found:
            steps = tuple(StepOutcome(self._plan.title(s), s.role, self._plan.rows(s)) for s in self._plan.steps)
            return Outcome(Ending.REFUSED, found[0], steps, tuple(found), reference=self._reference)
        self._reporter = Reporter(self._plan, self._site, self._clock, self._on_progress, self._bench.journal)
        self._reporter.describe = self._describe
        ending, reason = Ending.COMPLETE, ""
        try:
            self._acquire()
        except Aborted:
            ending, reason = Ending.ABORTED, ABORTED_BY_OPERATOR
        except Exception as error:
            ending, reason = Ending.FAULT, sentence(error)
            _LOG.warning("The run ended with a fault: %s", reason, exc_info=not isinstance(error, EXPECTED))
        finally:
            self._restore(blank=self._plan.watching.blank_at_end and ending is not Ending.ABORTED)
        return self._outcome(ending, reason)

    def _acquire(self) -> None:
        self._reporter.begin(State.PREPARING, 0)
        field = self._microscope.field()
        if field is None:
            raise MicroscopeFault("The survey image was lost; take one and start again.")
        self._home.leave(controls_of(self._plan, self._site))
        self._boundary = Boundary(
            self._microscope, self._orders, self._reporter, self._clock, self._beam,
            DiskGuard(self._bench.free_bytes, self._clock), vacuum_point(self._plan, field),
        )  # fmt: skip
        self._begin_drift(field)
        current: str | None = None
        for index, step in enumerate(self._plan.steps):
            self._orders.check_abort()
            if step.setting != current:
                self._change_setting(index, step, is_first=current is None)
                current = step.setting
            self._acquire_step(index, step, field)

    def _begin_drift(self, field: Field) -> None:
        """The reference of the whole run, or the place of an earlier one; then the wait for the drift to fall."""
        settings = self._plan.drift
        if settings is None or all(step.role is Role.ZLP for step in self._plan.steps):
            return
        start = self._reference or self._plan.reference_area(field)
        self._boundary.wait_for_beam()
        self._boundary.drift = self._drift = DriftTracker(self._microscope, start, settings, self._clock, self._orders)
        if self._drift.is_lost:
            self._boundary.look_at_drift()
        self._boundary.rest()
        self._drift.wait_until_slow(self._reporter, self._boundary.look_at_drift)

    def _change_setting(self, index: int, step: Step, *, is_first: bool) -> None:
        if not is_first:
            self._boundary.rest()
        self._reporter.begin(State.SETTING, index)
        self._apply(step.setting, self._site.settings[step.setting])
        if self._plan.watching.check_zlp and not (is_first or step.is_off_axis):  # off the axis the vacuum has no ZLP
            look_at_zero(self._microscope, step, self._orders, self._reporter)

    def _apply(self, name: str, setting: Setting) -> None:
        for wanted in self._wanted(setting):
            self._orders.check_abort()
            self._home.set_control(wanted.control, wanted.value)
            deadline = self._clock.now_s + setting.timeout_s
            while not wanted.accepts(reading := self._microscope.get_control(wanted.control)):
                if self._clock.now_s >= deadline:
                    raise MicroscopeFault(
                        f"Control '{wanted.control}' reads {reading:g} after it was set to {wanted.value:g} for the "
                        f"{name} setting; check the spectrometer and the site file."
                    )
                self._orders.wait(self._clock, _POLL_S)
        self._orders.wait(self._clock, setting.settle_s)

    def _wanted(self, setting: Setting) -> list[ControlValue]:
        """The controls of a setting, and before them those that others of the plan set and this one does not name.

        These go back to where they were before the run: after a step off the axis, the next one is on it again.
        """
        named = {c.control for c in setting.controls}
        others = {c.control: c for step in self._plan.steps for c in self._site.settings[step.setting].controls}
        back = [replace(c, value=self._home.value(name)) for name, c in others.items() if name not in named]
        return [*(c for c in back if not c.accepts(self._microscope.get_control(c.control))), *setting.controls]

    def _acquire_step(self, index: int, step: Step, field: Field) -> None:
        self._reporter.begin(State.ACQUIRING, index)
        self._boundary.wait_for_beam()  # first, so that the record does not hold the current of a lost beam
        writer = StepWriter(self._bench.recorder, self._plan, step, self._record(step))
        self._reporter.follow(writer)
        try:
            self._take_rows(index, step, field, writer)
        except Aborted:
            self._finish(index, writer, Status.ABORTED, ABORTED_BY_OPERATOR)
            raise
        except Exception as error:
            self._finish(index, writer, Status.FAULT, sentence(error))
            raise
        except BaseException as error:
            self._finish(index, writer, Status.FAULT, f"The program was stopped ({type(error).__name__}).")
            raise
        self._finish(index, writer, Status.COMPLETE, "")
        if self._reporter.outcomes[index].status is Status.FAULT:
            raise StorageFault(self._problems.pop())

    def _take_rows(self, index: int, step: Step, field: Field, writer: StepWriter) -> None:
        self._boundary.drift = self._drift if step.role is not Role.ZLP else None  # there is no specimen in the vacuum
        self._boundary.zero = self._zero_tracker(step)
        if self._boundary.drift is not None and index:
            self._boundary.look_at_drift()  # the same place again, however long the change of setting took
        rows: ParkedRows | SynchronizedRows
        if step.engine is Engine.SYNCHRONIZED:
            rows = SynchronizedRows(
                self._microscope, self._plan, step, field, writer, self._boundary, self._orders, self._reporter
            )
        else:
            rows = ParkedRows(
                self._microscope, self._plan, step, field, self._site, writer, self._boundary, self._orders,
                self._reporter, self._clock,
            )  # fmt: skip
        for which in range(step.passes):
            self._reporter.begin_pass(which)
            rows.take_pass(which)

    def _zero_tracker(self, step: Step) -> ZeroTracker | None:
        setting = self._site.settings[step.setting]
        window_ev = zero_window_ev(self._plan, step, self._site)
        if window_ev is None:
            return None
        return ZeroTracker(self._microscope, self._home, self._site, setting, window_ev)

    def _finish(self, index: int, writer: StepWriter, status: Status, reason: str) -> None:
        try:
            writer.finish(status, reason)
        except StorageFault as error:
            self._problems.append(str(error))
        self._reporter.finish_step(index, writer)

    def _record(self, step: Step) -> Record:
        area = self._plan.area if step.role is Role.IMAGE else None
        return Record(
            role=step.role,
            status=Status.RUNNING,
            rows_planned=self._plan.rows(step),
            rows_valid=0,
            exposure_s=step.exposure_s,
            frames=step.frames_of_a_row,
            beam_current_pa=self._beam.read_current(),
            setting=step.setting,
            settings={name: self._microscope.get_control(name) for name in controls_of(self._plan, self._site)},
            plan=self._plan.to_data(),
            passes=step.passes,
            columns=area.columns if area else None,
            line_step_nm=area.step_nm[0] if area else None,
        )

    def _restore(self, *, blank: bool) -> None:
        """Bring the microscope home, with a last look at where the specimen has gone."""
        self._reporter.begin(State.RESTORING, len(self._plan.steps) - 1)
        if self._drift is not None and not self._drift.is_lost:
            self._drift_summary = self._drift.summary(ABORTED_BY_OPERATOR if self._orders.is_aborted else "")
        if blank:
            self._blank()
        self._problems += self._home.bring()

    def _blank(self) -> None:
        try:
            self._microscope.set_control(self._site.beam.blanker_control, 1.0)
        except Exception as error:
            _LOG.warning("The beam could not be blanked", exc_info=not isinstance(error, MicroscopeFault))
            self._problems.append(f"Could not blank the beam: {str(error).rstrip('.')}; do it by hand.")

    def _describe(self, progress: Progress) -> Progress:
        """With what is known of drift and beam."""
        rate = self._drift.rate_nm_per_min if self._drift is not None else math.nan
        return replace(progress, drift_nm_per_min=rate, beam=self._beam.state, beam_current_pa=self._beam.current_pa)

    def _outcome(self, ending: Ending, reason: str) -> Outcome:
        reporter = self._reporter
        return Outcome(
            ending,
            reason,
            tuple(reporter.outcomes),
            problems=tuple(self._problems),
            seconds=reporter.seconds,
            drift=self._drift_summary,
            paused_s=reporter.paused_s,
            retaken=self._boundary.retaken if hasattr(self, "_boundary") else 0,
            reference=self._drift.reference if self._drift is not None else self._reference,
        )
