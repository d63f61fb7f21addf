"""The run of a panel: one at a time, what it can be told, and what may follow it. Main thread only."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from nion.swift.model import DataItem, DocumentModel

from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.geometry import Field

from .. import live
from .following import Following
from .runs import Run
from .sentences import ended
from .situation import Ended, ZeroLoss
from .trial import trial_plan
from .trials import Found, PlanTrial, PresentTrial

TEST_EXPOSURE_S = 0.1  # of a test frame for which no plan says it


class RunControl:
    """`poll` is called often. What cannot be started raises MicroscopeFault, UnusableInput."""

    def __init__(self, document_model: DocumentModel.DocumentModel, site: Site) -> None:
        self._document_model = document_model
        self._site = site
        self._trial: PlanTrial | PresentTrial | None = None
        self.run: Run | None = None  # under way
        self.last: Run | None = None  # under way, or the last one, whose readout is shown
        self.following: Following | None = None
        self._followed: Following | None = None  # what the run under way follows
        self.ended: Ended | None = None
        self.found = Found()  # by the last test frame
        self.redo_index = 0

    @property
    def is_testing(self) -> bool:
        return self._trial is not None

    @property
    def is_busy(self) -> bool:
        return self.run is not None or self.is_testing

    @property
    def is_pausing(self) -> bool:
        """The operator has asked for a pause, and not yet to go on."""
        return self.run is not None and self.run.pausing

    @property
    def zero(self) -> ZeroLoss | None:
        """The zero-loss peak that the run shows to the operator, between runs that of the last test frame."""
        return self.run.zero if self.run is not None else self.found.zero

    def close(self) -> None:
        """Abort what is under way and wait for its end."""
        for work in (self._trial, self.run):
            if work is not None:
                work.close()
        self._trial = self.run = None

    def poll(self) -> str | None:
        """Take in what has ended since. Returns a sentence where something went wrong, else None or an empty one."""
        notice = None
        found = self._trial.poll() if self._trial is not None else None
        if found is not None:
            self._trial, self.found, notice = None, found, found.problem
        if self.run is not None and self.run.poll() and self.run.outcome is not None:
            self.ended = ended(self.run.outcome, datetime.now().strftime("%H:%M"))
            following = Following(self.run.plan, self.run.outcome)
            # One that came to nothing, as its line was not found again or the beam was off, leaves all as it was.
            self.following = following if following.steps or self._followed is None else self._followed
            self.redo_index = self.following.doubtful
            self.run = None
        return self.last.notice if self.last is not None and self.last.notice else notice

    def start(
        self,
        plan: Plan,
        field: Field,
        before: live.Items | None = None,
        replaced: Collection[DataItem.DataItem] = (),
    ) -> None:
        """Run a plan. before: where it follows the last run, items of the same line, which belong to its session.

        replaced: those of them whose places the new items take, while others join them as passes of the same line.
        The places of a plan that follows are those of the last run, and are found again wherever they have drifted.
        """
        followed = self.following if before is not None else None
        reference = followed.reference if followed is not None else None
        self.run = self.last = Run(self._document_model, plan, self._site, field, before, reference, replaced)
        self._followed, self.following = followed, None

    def start_trial(self, plan: Plan | None, field: Field | None) -> None:
        """Test frames: in each setting of the plan where it can be run, else in the present one."""
        trial = trial_plan(plan) if plan is not None and plan.steps else None
        if trial is not None and field is not None and not trial.check(field, self._site):
            self._trial = PlanTrial(self._document_model, trial, self._site, field)
        else:
            exposure_s = plan.steps[0].exposure_s if plan is not None and plan.steps else TEST_EXPOSURE_S
            self._trial = PresentTrial(self._site, exposure_s)

    def more_passes(self, typed: str) -> Plan | None:
        """The plan of so many passes more; None where there is no run to follow."""
        return self.following.more_passes(typed, self._titles()) if self.following is not None else None

    def redo(self) -> Plan | None:
        """The plan of the chosen step once more; None where there is no run to follow."""
        return self.following.redo(self.redo_index, self._titles()) if self.following is not None else None

    def _titles(self) -> list[str]:
        return [item.title for item in self._document_model.data_items]

    def pause(self) -> None:
        if self.run is not None:
            self.run.pause()

    def resume(self) -> None:
        if self.run is not None:
            self.run.resume()

    def proceed(self) -> None:
        """Go on from where the run waits for the drift, or for the zero-loss peak to be checked."""
        if self.run is not None:
            self.run.proceed()

    def abort(self) -> None:
        for work in (self._trial, self.run):
            if work is not None:
                work.abort()
