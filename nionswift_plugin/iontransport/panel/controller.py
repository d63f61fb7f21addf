"""What the panel drives: surveys, marks, the run, and the live session on what it acquires. Main thread only."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

from nion.swift.model import DataItem, DocumentModel

from eels_iontransport.acquire import estimate, follow_ups
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field

from . import recipes
from .form import Form, can_collect_off_axis, count_or_none, field_nm, scanned
from .lab import Lab
from .leftovers import Leftovers
from .model import Presentation, all_blockers
from .news import News
from .run_control import RunControl
from .runs import Run
from .situation import Situation
from .surveys import DETAIL, OVERVIEW, Surveys

_LOG = logging.getLogger(__name__)


class Controller:
    """State behind one panel. `poll` is called often; `situation` is what the panel shows then."""

    def __init__(
        self,
        document_model: DocumentModel.DocumentModel,
        on_new_item: Callable[[DataItem.DataItem], object] = lambda item: None,
        on_news: Callable[[str], object] = lambda sentence: None,
    ) -> None:
        self.document_model = document_model
        self._lab = Lab(document_model)
        self._on_news = on_news
        self._news = News()
        self.materials = recipes.titles()
        self.form = Form()
        self.more_passes = "4"  # as typed beside + Passes
        self.surveys = Surveys(document_model, on_new_item)
        self.leftovers = Leftovers(document_model, on_new_item)
        self.runs = RunControl(document_model, self._lab.site)
        self._notice = ""
        self._roles = recipes.roles(self.form.material)
        self._is_closed = False

    def close(self) -> None:
        """The window closes: a run is aborted, its rows are kept. May be called twice."""
        self._is_closed = True
        self.surveys.close()
        self.runs.close()

    @property
    def site(self) -> Site:
        return self._lab.site

    @property
    def is_busy(self) -> bool:
        """A survey image, a test frame or a run is being taken."""
        return self.runs.is_busy or self.surveys.is_busy

    @property
    def last_run(self) -> Run | None:
        """The run under way, or the last one."""
        return self.runs.last

    # -- what the panel shows

    def poll(self) -> None:
        """Take in what threads have done since; keeps marks and live results up to date."""
        if self._is_closed:
            return
        outcome = self.surveys.poll()
        if outcome is not None:
            self._notice = outcome
        self.surveys.follow()
        was_running = self.runs.run is not None
        outcome = self.runs.poll()
        if outcome is not None:
            self._notice = outcome
        if was_running and self.runs.run is None:
            self.leftovers.look_again()
        if not self.is_busy:
            self._lab.ask_now_and_then()

    def tell(self, shown: Presentation) -> None:
        """What an operator who is not at the panel has to know of what it shows."""
        if self._news.heard(shown.state, self.runs.is_pausing, time.monotonic()):
            self._on_news(shown.state_text)

    def situation(self) -> Situation:
        """Everything known now."""
        plan, problems = self.form.plan(self.surveys.places(), self.site)
        runs = self.runs
        run, last, following = runs.run, runs.last, runs.following
        return Situation(
            microscope=self._lab.microscope,
            surveys=self.surveys.surveys(),
            places=self.surveys.notes(count_or_none(self.form.pixels)),
            estimate=self._estimate(plan),
            free_bytes=self._lab.free_bytes,
            scanned=scanned(plan) if plan is not None else (),
            blockers=problems or self._blockers(plan),
            is_surveying=self.surveys.is_busy,
            is_testing=runs.is_testing,
            is_running=run is not None,
            progress=run.progress if run is not None else None,
            is_line_known=run is not None and run.is_line_known,
            stopping=run is not None and run.stopping,
            pausing=runs.is_pausing,
            zero=runs.zero,
            exposure_advice="\n".join(runs.found.advice),
            drift_nm_per_min=last.drift_nm_per_min if last is not None else math.nan,
            ended=runs.ended,
            steps=following.steps if following is not None else (),
            can_collect_off_axis=can_collect_off_axis(self.site),
            has_line_steps=following is not None and following.has_line,
            leftover=self.leftovers.text,
            roles=self._roles,
            readout=last.readout() if last is not None else None,
            provisional=last is not None and last.is_provisional,
            notice=self._notice,
        )

    def reasons(self) -> tuple[str, ...]:
        """Why the next run cannot start, or what the last button ran into; empty where nothing stands in the way."""
        situation = self.situation()
        return ((situation.notice,) if situation.notice else ()) + all_blockers(situation)

    def _estimate(self, plan: Plan | None) -> estimate.Estimate | None:
        current = self._lab.microscope.beam_current_pa if self._lab.microscope else None
        return estimate.estimate(plan, self.site, current) if plan is not None and plan.steps else None

    def _blockers(self, plan: Plan | None) -> tuple[str, ...]:
        if plan is None:
            return ()
        field = self._field()
        return (*self._lab.missing, *(plan.check(field, self.site) if field is not None else ()))

    def _field(self) -> Field | None:
        return self.surveys.run_field(self.surveys.places())

    # -- what the operator does

    def edit(self, form: Form) -> None:
        """The form as it is after something was typed."""
        if form.material != self.form.material:
            self._roles = recipes.roles(form.material)
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
        self._lab.ask()
        plan, problems = self.form.plan(self.surveys.places(), self.site)
        field = self._field()
        if plan is None or problems or self._lab.microscope is None or field is None or self._blockers(plan):
            return
        self._try(lambda: self.runs.start(plan, field))

    def take_more_passes(self) -> None:
        """More passes of the line of the last run, at the same places."""
        self._follow(lambda: self.runs.more_passes(self.more_passes))

    def redo(self) -> None:
        """The chosen step of the last run once more."""
        self._follow(self.runs.redo, replaces=True)

    def _follow(self, plan_of: Callable[[], Plan | None], *, replaces: bool = False) -> None:
        """Run a plan that follows from the last one, in its field and as a part of its session.

        replaces: items of the last run are taken again, and are left out of the session then.
        """
        if self.is_busy:
            return
        self._changed()
        self._lab.ask()
        self._try(lambda: self._start_following(plan_of(), replaces))

    def _start_following(self, plan: Plan | None, replaces: bool) -> None:
        last = self.runs.last
        if plan is None or last is None:
            return
        stops = (*self._lab.missing, *plan.check(last.field, self.site))
        if stops:
            raise UnusableInput(stops[0])
        replaced = tuple(last.items().values()) if replaces else ()
        self.runs.start(plan, last.field, last.session_items(), replaced)

    def next_boundary(self) -> None:
        """The same plan for another place: the name counts on; survey images and marks so far stay as they are."""
        if self.is_busy:
            return
        self._changed()
        self.runs.following = None
        self.surveys.start_anew()
        self.form = replace(self.form, name=follow_ups.next_name(self.form.name.strip()))

    def test_frame(self) -> None:
        """Frames for the exposure: in each setting of the plan where its places are marked, else in the present one."""
        if self.is_busy:
            return
        self._changed()
        plan, _ = self.form.plan(self.surveys.places(), self.site)
        self._try(lambda: self.runs.start_trial(plan, self._field()))

    def _try(self, action: Callable[[], None]) -> None:
        """What stands in the way of a start becomes the panel's hint."""
        try:
            action()
        except (MicroscopeFault, UnusableInput) as error:
            self._notice = str(error)
        except Exception as error:
            _LOG.exception("The run could not be started")
            self._notice = f"The run could not be started ({error})."

    def recover(self) -> None:
        """Items of what earlier runs have left."""
        self._changed()
        self._notice = self.leftovers.recover()

    def dismiss(self) -> None:
        """Do not offer again what earlier runs have left."""
        self._changed()
        self._notice = self.leftovers.dismiss()

    def pause_or_resume(self) -> None:
        """Pause at the end of the row, or go on."""
        self._tell_run(self.runs.resume if self.runs.is_pausing else self.runs.pause)

    def pause(self) -> None:
        self._tell_run(self.runs.pause)

    def proceed(self) -> None:
        """Answer a run that waits for the drift, or for the zero-loss peak to be checked."""
        self._tell_run(self.runs.proceed)

    def abort(self) -> None:
        """End what is under way; rows taken are kept."""
        self._tell_run(self.runs.abort)

    def acquire_or_resume(self) -> None:
        """As the key says it: start a run, or go on with one that the operator has paused."""
        if self.runs.is_pausing:
            self.pause_or_resume()
        else:
            self.acquire()

    def _tell_run(self, order: Callable[[], None]) -> None:
        self._news.touched(time.monotonic())
        order()

    def _place(self, action: Callable[[], None]) -> None:
        self._changed()
        if not self.is_busy:
            action()

    def _changed(self) -> None:
        """Something about the next run has changed: the end of the last one is no longer news."""
        self._news.touched(time.monotonic())
        self._notice = ""
        if self.runs.run is None:
            self.runs.ended = None
