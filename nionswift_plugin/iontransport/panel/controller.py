"""What the panel drives: surveys, marks, the run, and the live session on what it acquires. Main thread only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime

from nion.swift.model import DataItem, DocumentModel

from eels_iontransport import materials
from eels_iontransport.acquire import estimate
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field
from eels_iontransport.wording import Roles

from .form import Form, count_or_none, field_nm, scanned
from .microscopes import describe_microscope, missing
from .model import all_blockers
from .runs import Run
from .sentences import ended
from .sites import chosen_site, mismatch
from .situation import Ended, Microscope, Situation, State
from .surveys import DETAIL, OVERVIEW, Surveys

_LOG = logging.getLogger(__name__)

ASK_MICROSCOPE_S = 1.0  # how often an idle panel asks what the microscope lacks


class Controller:
    """State behind one panel. `poll` is called often; `situation` is what the panel shows then."""

    def __init__(
        self,
        document_model: DocumentModel.DocumentModel,
        on_new_item: Callable[[DataItem.DataItem], object] = lambda item: None,
        on_fault: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        self.document_model = document_model
        self.site, self._site_problem = chosen_site()
        self._on_fault = on_fault
        self.materials = _materials()
        self.form = Form()
        self.surveys = Surveys(document_model, on_new_item)
        self._run: Run | None = None
        self._last: Run | None = None  # the run whose readout is shown
        self._ended: Ended | None = None
        self._notice = ""
        self._roles = _roles(self.form.material)
        self._microscope: Microscope | None = None
        self._missing: tuple[str, ...] = ()
        self._asked = -ASK_MICROSCOPE_S
        self._is_closed = False

    def close(self) -> None:
        """The window closes: a run is aborted, its rows are kept. May be called twice."""
        self._is_closed = True
        self.surveys.close()
        if self._run is not None:
            self._run.close()
            self._run = None

    @property
    def is_busy(self) -> bool:
        """A survey image or a run is being taken."""
        return self._run is not None or self.surveys.is_busy

    @property
    def last_run(self) -> Run | None:
        """The run under way, or the last one."""
        return self._last

    # -- what the panel shows

    def poll(self) -> None:
        """Take in what threads have done since; keeps marks and live results up to date."""
        if self._is_closed:
            return
        outcome = self.surveys.poll()
        if outcome is not None:
            self._notice = outcome
        self.surveys.follow()
        if self._run is not None and self._run.poll() and self._run.outcome is not None:
            self._ended = ended(self._run.outcome, datetime.now().strftime("%H:%M"))
            self._run = None
            if self._ended.state is State.FAULT:
                self._on_fault(self._ended.sentence)
        if self._last is not None and self._last.notice:
            self._notice = self._last.notice
        now = time.monotonic()
        if now - self._asked >= ASK_MICROSCOPE_S and self._run is None and not self.surveys.is_busy:
            self._ask_microscope()
            self._asked = now

    def situation(self) -> Situation:
        """Everything known now."""
        plan, problems = self.form.plan(self.surveys.places(), self.site)
        return Situation(
            microscope=self._microscope,
            surveys=self.surveys.surveys(),
            places=self.surveys.notes(count_or_none(self.form.pixels)),
            estimate=self._estimate(plan),
            blockers=problems or self._blockers(plan),
            is_surveying=self.surveys.is_busy,
            progress=self._run.progress if self._run is not None else None,
            is_running=self._run is not None,
            stopping=self._run is not None and self._run.stopping,
            pausing=self._run is not None and self._run.pausing,
            zero=self._run.zero if self._run is not None else None,
            scanned=scanned(plan) if plan is not None else (),
            ended=self._ended,
            roles=self._roles,
            readout=self._last.readout() if self._last is not None else None,
            provisional=self._last is not None and self._last.is_provisional,
            notice=self._notice,
        )

    def reasons(self) -> tuple[str, ...]:
        """Why the next run cannot start, or what the last button ran into; empty where nothing stands in the way."""
        situation = self.situation()
        return ((situation.notice,) if situation.notice else ()) + all_blockers(situation)

    def _estimate(self, plan: Plan | None) -> estimate.Estimate | None:
        current = self._microscope.beam_current_pa if self._microscope else None
        return estimate.estimate(plan, self.site, current) if plan is not None and plan.steps else None

    def _blockers(self, plan: Plan | None) -> tuple[str, ...]:
        if plan is None:
            return ()
        field = self._field()
        return (*self._missing, *(plan.check(field, self.site) if field is not None else ()))

    def _field(self) -> Field | None:
        return self.surveys.run_field(self.surveys.places())

    def _ask_microscope(self) -> None:
        self._microscope = describe_microscope(self.site)
        self._missing = ()
        if self._microscope is not None:
            problem = self._site_problem or mismatch(self.site, self._microscope.name)
            self._missing = (*missing(), *([problem] if problem else []))

    # -- what the operator does

    def edit(self, form: Form) -> None:
        """The form as it is after something was typed."""
        if form.material != self.form.material:
            self._roles = _roles(form.material)
        self.form = form
        self._changed()

    def overview(self) -> None:
        self._survey(OVERVIEW, self.form.overview_nm)

    def detail(self) -> None:
        self._survey(DETAIL, self.form.detail_nm)

    def _survey(self, label: str, text: str) -> None:
        self._changed()
        try:
            width_nm = field_nm(text, label)
        except UnusableInput as error:
            self._notice = str(error)
            return
        if not self.is_busy:
            self.surveys.start(label, width_nm, self.form.name.strip())

    def place_aloof(self) -> None:
        self._place(self.surveys.place_aloof)

    def place_point(self) -> None:
        self._place(self.surveys.place_point)

    def place_line(self) -> None:
        self._place(self.surveys.place_line)

    def clear(self) -> None:
        self._place(self.surveys.clear)

    def acquire(self) -> None:
        """Start the plan, unless something stands in its way: then the panel says what."""
        if self.is_busy:
            return
        self._changed()
        self._ask_microscope()
        plan, problems = self.form.plan(self.surveys.places(), self.site)
        field = self._field()
        if plan is None or problems or self._microscope is None or field is None or self._blockers(plan):
            return
        try:
            self._run = self._last = Run(self.document_model, plan, self.site, field)
        except MicroscopeFault as error:
            self._notice = str(error)
        except Exception as error:
            _LOG.exception("The run could not be started")
            self._notice = f"The run could not be started ({error})."

    def pause_or_resume(self) -> None:
        """Pause at the end of the row, or go on."""
        if self._run is None:
            return
        if self._run.pausing:
            self._run.resume()
        else:
            self._run.pause()

    def pause(self) -> None:
        if self._run is not None:
            self._run.pause()

    def proceed(self) -> None:
        """Go on from where the run waits for the drift, or for the zero-loss peak to be checked."""
        if self._run is not None:
            self._run.proceed()

    def acquire_or_resume(self) -> None:
        """As the key says it: start a run, or go on with one that the operator has paused."""
        if self._run is not None and self._run.pausing:
            self._run.resume()
        else:
            self.acquire()

    def abort(self) -> None:
        """End the run; its rows are kept."""
        if self._run is not None:
            self._run.abort()

    def _place(self, action: Callable[[], None]) -> None:
        self._changed()
        if not self.is_busy:
            action()

    def _changed(self) -> None:
        """Something about the next run has changed: the end of the last one is no longer news."""
        self._notice = ""
        if self._run is None:
            self._ended = None


def _materials() -> list[tuple[str, str]]:
    return [(entry.name, entry.title or entry.name) for entry in materials.available()]


def _roles(material: str) -> Roles:
    try:
        recipe = materials.load(material)
    except UnusableInput:
        return Roles()
    return Roles(recipe.shift_peak, recipe.ratio)
