"""Fits in a thread of its own, so that what needs no fit keeps pace with the rows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import Regions
from eels_iontransport.data.spectrum import Spectra
from eels_iontransport.evaluation import Evaluation
from eels_iontransport.materials import Recipe

QUIET_S = 1.0  # a line into which nothing has come for so long is evaluated as if it were whole
_FOR_FITS = (Role.ZLP, Role.ALOOF)  # inputs that show in nothing but the fits

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be fitted. Spectra are the same object as in the task before where nothing has changed.

    is_filling: more rows are expected, so that what a further row hardly changes need not be worked out anew.
    """

    recipe: Recipe
    mode: str
    spectra: Mapping[Role, Spectra]
    regions: Regions | None  # None to find them
    is_filling: bool = False

    def same_kind(self, other: Task) -> bool:
        """Whether results of the one mean something beside results of the other."""
        return (self.recipe, self.mode) == (other.recipe, other.mode)

    def same_as(self, other: Task | None) -> bool:
        """Whether the settled results would be the same."""
        if other is None or not self.same_kind(other) or self.regions != other.regions:
            return False
        return self.spectra.keys() == other.spectra.keys() and all(
            spectra is other.spectra[role] for role, spectra in self.spectra.items()
        )


@dataclass(frozen=True, eq=False)
class Fitted:
    """A task that has been done: its evaluation, or the sentence that says why there is none.

    is_settled: every number is that of these spectra, nothing is left from those before.
    """

    task: Task
    evaluation: Evaluation | None
    sentence: str = ""
    is_settled: bool = True


@dataclass(frozen=True, eq=False)
class _Job:
    """A task to be done, whom to tell, and whether to settle it."""

    task: Task
    on_done: Callable[[], None]
    settles: bool

    def covers(self, task: Task) -> bool:
        """Whether the task needs no job of its own beside this one."""
        return task.same_as(self.task) and (self.settles or task.is_filling)


class Fitter:
    """Does the newest task; one that comes meanwhile waits, and takes the place of one that waits already.

    What was done of a line that fills is settled when nothing has come for a while, so that the last results are
    settled ones whether or not the line was ever completed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: _Job | None = None
        self._newest: _Job | None = None  # running or done
        self._is_working = False
        self._done: Fitted | None = None
        self._stopped = False
        self._evaluator = Evaluator()

    @property
    def done(self) -> Fitted | None:
        """The last task that was done."""
        return self._done

    def submit(self, task: Task, on_done: Callable[[], None]) -> None:
        """Have a task done, unless it is the newest already; `on_done` is called from the fitting thread."""
        with self._changed:
            newest = self._waiting or self._newest
            if self._stopped or (newest is not None and newest.covers(task)):
                return
            self._waiting = _Job(task, on_done, settles=not task.is_filling)
            self._changed.notify()
            if not self._is_working:
                self._is_working = True
                threading.Thread(target=self._work, name="ion transport fits", daemon=True).start()

    def stop(self) -> None:
        """Give up what is running and take no more; from any thread."""
        self._stopped = True

    def _work(self) -> None:
        while (job := self._next()) is not None:
            evaluation, sentence = self._evaluator.evaluate(job.task, lambda: self._stopped, settled=job.settles)
            with self._changed:
                self._done = Fitted(job.task, evaluation, sentence, job.settles)
            if not self._stopped:
                job.on_done()

    def _next(self) -> _Job | None:
        """What waits; if nothing comes for a while, the last task once more where it has not been settled."""
        with self._changed:
            last = self._newest
            is_open = last is not None and not last.settles
            if is_open:
                self._changed.wait_for(lambda: self._waiting is not None, QUIET_S)
            if self._waiting is not None:
                self._newest, self._waiting = self._waiting, None
            elif is_open and last is not None:
                self._newest = replace(last, settles=True)
            if self._stopped or self._newest is last:
                self._is_working = False
                return None
            return self._newest


class Evaluator:
    """A session kept from task to task, with its cache. Not for two threads at once."""

    def __init__(self, *, fits: bool = True) -> None:
        self._fits = fits
        self._key: tuple[Recipe, str] | None = None

    def evaluate(
        self, task: Task, should_stop: Callable[[], bool] = lambda: False, *, settled: bool
    ) -> tuple[Evaluation | None, str]:
        """The evaluation, or None and a sentence. settled: as for `Session.evaluate`. Never raises."""
        try:
            return self._evaluate(task, should_stop, settled), ""
        except UnusableInput as error:
            return None, str(error)
        except Exception as error:  # a defect must not leave stale numbers on show without a word
            if should_stop():
                return None, ""
            _LOG.exception("The live session failed")
            return None, f"The analysis failed ({type(error).__name__}: {error})."

    def _evaluate(self, task: Task, should_stop: Callable[[], bool], settled: bool) -> Evaluation:
        from eels_iontransport.session import ROLES, Session  # late: the fitting code would hold up the host's start

        if self._key != (task.recipe, task.mode):
            self._session = Session(task.recipe, mode=task.mode)
            self._key = (task.recipe, task.mode)
        self._session.regions = task.regions
        wanted = {role: spectra for role, spectra in task.spectra.items() if self._fits or role not in _FOR_FITS}
        self._session.update(**{role: wanted.get(Role(role)) for role in ROLES})
        return self._session.evaluate(should_stop=should_stop, fits=self._fits, settled=settled)
