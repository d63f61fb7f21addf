"""Fits in a thread of its own, so that what needs no fit keeps pace with the rows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import Regions
from eels_iontransport.data.spectrum import Spectra
from eels_iontransport.evaluation import Evaluation
from eels_iontransport.materials import Recipe

_FOR_FITS = (Role.ZLP, Role.ALOOF)  # inputs that show in nothing but the fits

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be fitted. Spectra are the same object as in the task before where nothing has changed."""

    recipe: Recipe
    mode: str
    spectra: Mapping[Role, Spectra]
    regions: Regions | None  # None to find them

    def same_kind(self, other: Task) -> bool:
        """Whether results of the one mean something beside results of the other."""
        return (self.recipe, self.mode) == (other.recipe, other.mode)

    def same_as(self, other: Task | None) -> bool:
        """Whether the results would be the same."""
        if other is None or not self.same_kind(other) or self.regions != other.regions:
            return False
        return self.spectra.keys() == other.spectra.keys() and all(
            spectra is other.spectra[role] for role, spectra in self.spectra.items()
        )


@dataclass(frozen=True, eq=False)
class Fitted:
    """A task that has been done: its evaluation, or the sentence that says why there is none."""

    task: Task
    evaluation: Evaluation | None
    sentence: str = ""


class Fitter:
    """Does the newest task; one that comes meanwhile waits, and takes the place of one that waits already."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: tuple[Task, Callable[[], None]] | None = None
        self._running: Task | None = None
        self._done: Fitted | None = None
        self._stopped = False
        self._evaluator = Evaluator()

    @property
    def done(self) -> Fitted | None:
        """The last task that was done."""
        return self._done

    def submit(self, task: Task, on_done: Callable[[], None]) -> None:
        """Have a task done, unless it is the newest already; `on_done` is called from the fitting thread."""
        with self._lock:
            newest = self._waiting[0] if self._waiting else self._running or (self._done.task if self._done else None)
            if self._stopped or task.same_as(newest):
                return
            self._waiting = (task, on_done)
            if self._running is None:
                self._running = task
                threading.Thread(target=self._work, name="ion transport fits", daemon=True).start()

    def stop(self) -> None:
        """Give up what is running and take no more; from any thread."""
        self._stopped = True

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._waiting is None or self._stopped:
                    self._running = None
                    return
                (task, on_done), self._waiting = self._waiting, None
                self._running = task
            fitted = self._fit(task)
            with self._lock:
                self._done = fitted
            if not self._stopped:
                on_done()

    def _fit(self, task: Task) -> Fitted:
        evaluation, sentence = self._evaluator.evaluate(task, should_stop=lambda: self._stopped)
        return Fitted(task, evaluation, sentence)


class Evaluator:
    """A session kept from task to task, with its cache. Not for two threads at once."""

    def __init__(self, *, fits: bool = True) -> None:
        self._fits = fits
        self._key: tuple[Recipe, str] | None = None

    def evaluate(self, task: Task, should_stop: Callable[[], bool] = lambda: False) -> tuple[Evaluation | None, str]:
        """The evaluation, or None and a sentence. Never raises."""
        try:
            return self._evaluate(task, should_stop), ""
        except UnusableInput as error:
            return None, str(error)
        except Exception as error:  # a defect must not leave stale numbers on show without a word
            if should_stop():
                return None, ""
            _LOG.exception("The live session failed")
            return None, f"The analysis failed ({type(error).__name__}: {error})."

    def _evaluate(self, task: Task, should_stop: Callable[[], bool]) -> Evaluation:
        from eels_iontransport.session import ROLES, Session  # late: the fitting code would hold up the host's start

        if self._key != (task.recipe, task.mode):
            self._session = Session(task.recipe, mode=task.mode)
            self._key = (task.recipe, task.mode)
        self._session.regions = task.regions
        wanted = {role: spectra for role, spectra in task.spectra.items() if self._fits or role not in _FOR_FITS}
        self._session.update(**{role: wanted.get(Role(role)) for role in ROLES})
        return self._session.evaluate(should_stop=should_stop, fits=self._fits)
