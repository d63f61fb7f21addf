"""One evaluation of a live session: items in, outputs and a sentence out. Runs on a worker thread; changes no item."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import numpy as np

from eels_iontransport import materials, wording
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.passes import joined
from eels_iontransport.data.record import METADATA_KEY, Record, Role, Status
from eels_iontransport.data.regions import Regions
from eels_iontransport.data.spectrum import Spectra
from eels_iontransport.evaluation import Evaluation
from eels_iontransport.files.parts import spectra_from_parts

from . import results
from .fitter import Evaluator, Fitter, Task

_LOG = logging.getLogger(__name__)
NO_ROWS = "no rows yet"
_SAME_PLACE = 1e-6
_SMALL = ("energy", "noise", "step_nm", "saturation_level")  # parts of spectra that compare at a glance

Intervals = Mapping[str, tuple[float, float]]


class Item(Protocol):
    """What is needed of an item of the host."""

    title: str
    metadata: Mapping[str, Any]

    @property
    def xdata(self) -> Any: ...


@dataclass(frozen=True)
class Shown:
    """What a run of a live session has to show.

    sentence: what stands in the way of results, empty where nothing does. intervals: where the regions are, as
    fractions 0..1 of the axis along the line; `automatic` unless the operator has placed them. progress: of inputs that
    are not complete, how many rows there are, in words.
    """

    outputs: Mapping[str, results.Output] = field(default_factory=dict)
    readout: Mapping[str, Any] = field(default_factory=dict)
    sentence: str = ""
    progress: Mapping[Role, str] = field(default_factory=dict)
    is_settled: bool = True  # no more rows are to come, and the fits are those of all rows
    roles: wording.Roles = wording.Roles()
    intervals: Intervals = field(default_factory=dict)
    automatic: bool = True


@dataclass(frozen=True)
class Request:
    """What a run is asked: items by role, parameters, and where the region graphics lie.

    items: of a line there may be several, which are its passes in the order in which they were taken.
    automatic: where the session itself last put them; graphics that still lie there are found anew.
    """

    items: Mapping[Role, Sequence[Item]]
    material: str
    mode: str
    intervals: Intervals
    automatic: Intervals
    wanted: Sequence[str]


class Throttle:
    """Spaces the runs of all live sessions of the process, the more the longer they take."""

    def __init__(self, interval_s: float, share: float) -> None:
        """At most one run per interval, and at most this share of the time spent in runs."""
        self._interval_s = interval_s
        self._share = share
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._interval_s
        time.sleep(start - now)

    def spent(self, seconds: float) -> None:
        """A run took so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds * (1.0 / self._share - 1.0))


class LiveSession:
    """One session from run to run. A run shows at once what needs no fit, and has the fits done in a thread."""

    def __init__(self) -> None:
        self._fitter = Fitter()
        weakref.finalize(self, self._fitter.stop)
        self._preview = Evaluator(fits=False)
        self._spectra: dict[Role, Spectra] = {}
        self._recipes: dict[str, materials.Recipe] = {}
        self.shown = Shown(sentence=NO_ROWS)  # what the last run had to show

    def run(self, request: Request, on_fitted: Callable[[], None]) -> Shown:
        """What can be shown now; `on_fitted` is called, from another thread, when a further run would show more.

        Never raises: what went wrong is the sentence of what is shown.
        """
        try:
            self.shown = self._run(request, on_fitted)
        except UnusableInput as error:
            self.shown = Shown(sentence=str(error))
        except Exception as error:  # a defect must not leave stale numbers on show without a word
            _LOG.exception("The live session failed")
            self.shown = Shown(sentence=f"The analysis failed ({type(error).__name__}: {error}).")
        return self.shown

    def _run(self, request: Request, on_fitted: Callable[[], None]) -> Shown:
        recipe = self._recipe(request.material)
        spectra = {
            role: self._joined(role, [spectra_of(item) for item in items]) for role, items in request.items.items()
        }
        line, is_running = spectra[Role.VIBRATIONAL], _is_running(chain(*request.items.values()))
        if not line.valid.any():
            return Shown(sentence=NO_ROWS, is_settled=not is_running)
        axis, rows = results.line_axis(line.position_nm), len(line.rows)
        given = None if _same(request.intervals, request.automatic) else request.intervals
        is_filling = is_running or _is_partial(request.items[Role.VIBRATIONAL], line)
        task = Task(recipe, request.mode, spectra, _regions(given, axis, rows), is_filling)
        self._fitter.submit(task, on_fitted)
        newest, shown, readout, is_settled = self._evaluated(task, request.wanted)
        is_settled = is_settled and not is_running
        return Shown(
            shown,
            readout,
            progress=_progress(request.items),
            is_settled=is_settled,
            roles=wording.Roles(recipe.shift_peak, recipe.ratio),
            intervals=_intervals(newest, line, is_settled=is_settled),
            automatic=given is None,
        )

    def _evaluated(
        self, task: Task, wanted: Sequence[str]
    ) -> tuple[Evaluation, dict[str, results.Output], Mapping[str, Any], bool]:
        """The newest evaluation, what there is to show, the readout of the fits, and whether those are settled.

        Until they are, the fits of the task before are shown beside what needs no fit. Raises UnusableInput.
        """
        fitted = self._fitter.done
        if fitted is not None and not task.same_kind(fitted.task):
            fitted = None
        is_current = fitted is not None and task.same_as(fitted.task)
        known = fitted.evaluation if fitted is not None else None
        if fitted is not None and is_current and known is None:
            raise UnusableInput(fitted.sentence)
        shown = results.outputs(known, task.recipe, wanted) if known is not None else {}
        readout = known.readout if known is not None else {}
        if fitted is not None and known is not None and is_current:
            return known, shown, readout, fitted.is_settled
        preview, sentence = self._preview.evaluate(task, settled=not task.is_filling)
        if preview is None:
            raise UnusableInput(sentence)
        return preview, shown | results.outputs(preview, task.recipe, wanted), readout, False

    def _recipe(self, name: str) -> materials.Recipe:
        if name not in self._recipes:
            self._recipes[name] = materials.load(name)
        return self._recipes[name]

    def _joined(self, role: Role, parts: Sequence[Spectra]) -> Spectra:
        """The spectra of a role; those of the run before if they are the same, so that a task can tell at a glance."""
        before = self._spectra.get(role)
        if before is None or len(before.sources) != len(parts) or not all(map(_equal, before.sources, parts)):
            self._spectra[role] = joined(parts)
        return self._spectra[role]


def spectra_of(item: Item) -> Spectra:
    """The spectra that an item holds at this moment. Raises UnusableInput."""
    metadata = item.metadata  # before the data: rows that it calls valid are in the data by then
    xdata = item.xdata
    if xdata is None:
        raise UnusableInput(f"'{item.title}' holds no data.")
    calibrations = [(axis.offset, axis.scale, axis.units) for axis in xdata.dimensional_calibrations]
    are_passes = bool(xdata.is_sequence and xdata.datum_dimension_count == 1)
    return spectra_from_parts(xdata.data, calibrations, metadata, item.title, first_axis_is_passes=are_passes)


def _equal(spectra: Spectra, others: Spectra) -> bool:
    if any(getattr(spectra, name) != getattr(others, name) for name in _SMALL):
        return False
    record, other = (repr(s.metadata.get(METADATA_KEY)) for s in (spectra, others))  # in words nan is equal to nan
    same = record == other and np.array_equal(spectra.valid, others.valid)
    return same and np.array_equal(spectra.counts, others.counts, equal_nan=True)


def _intervals(evaluation: Evaluation, line: Spectra, *, is_settled: bool) -> Intervals:
    """Where to draw the regions; where the whole line shows no boundary, somewhere for the operator to drag them."""
    if not line.is_line:
        return {}
    if evaluation.regions is None:
        return results.DEFAULT_INTERVALS if is_settled else {}
    return results.fractions(evaluation.regions, results.line_axis(line.position_nm), len(line.rows))


def _progress(items: Mapping[Role, Sequence[Item]]) -> dict[Role, str]:
    """ "18 of 40 rows" for each input whose rows arrive or have stopped short, all of its items together."""
    records = {role: _records(of_role) for role, of_role in items.items()}
    return {
        role: f"{sum(r.rows_valid for r in known)} of {sum(r.rows_planned for r in known)} rows"
        for role, known in records.items()
        if any(record.status is not Status.COMPLETE for record in known)
    }


def _records(items: Iterable[Item]) -> list[Record]:
    """Of those items that have one."""
    found = (Record.from_metadata(item.metadata) for item in items)
    return [record for record in found if record is not None]


def _is_running(items: Iterable[Item]) -> bool:
    """Whether more rows are to come."""
    return any(record.status is Status.RUNNING for record in _records(items))


def _is_partial(items: Sequence[Item], line: Spectra) -> bool:
    """Whether rows are missing, and no record says that they will stay so."""
    return line.is_line and not line.valid.all() and len(_records(items)) < len(items)


def _same(intervals: Intervals, others: Intervals) -> bool:
    """Whether all graphics lie where the session put them; also when some are missing."""
    return all(
        name in others and np.allclose(ends, others[name], rtol=0.0, atol=_SAME_PLACE)
        for name, ends in intervals.items()
    )


def _regions(intervals: Intervals | None, axis: results.Axis, rows: int) -> Regions | None:
    if intervals is None:
        return None
    return results.regions_from_fractions(intervals, axis, rows)
