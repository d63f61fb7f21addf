"""One evaluation of a live session: items in, outputs and a sentence out. Runs on a worker thread; changes no item."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from eels_iontransport import materials, wording
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.regions import Regions
from eels_iontransport.data.spectrum import Spectra
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.files.parts import spectra_from_parts

from . import results

if TYPE_CHECKING:
    from eels_iontransport.session import Session

_LOG = logging.getLogger(__name__)
_NO_ROWS = "no rows yet"
_SAME_PLACE = 1e-6

Intervals = Mapping[str, Sequence[float]]


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
    fractions 0..1 of the axis along the line; `automatic` unless the operator has placed them.
    """

    outputs: Mapping[str, results.Output] = field(default_factory=dict)
    readout: Mapping[str, Any] = field(default_factory=dict)
    sentence: str = ""
    progress: str = ""
    roles: wording.Roles = wording.Roles()
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    automatic: bool = True


@dataclass(frozen=True)
class Request:
    """What a run is asked: items by role, parameters, and where the region graphics lie.

    automatic: where the session itself last put them; graphics that still lie there are found anew.
    """

    items: Mapping[Role, Item]
    material: str
    mode: str
    intervals: Intervals
    automatic: Intervals
    wanted: Sequence[str]


class Throttle:
    """Spaces the runs of all live sessions of the process."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._interval_s
        time.sleep(start - now)


class LiveSession:
    """Keeps one session and its cache from run to run; a run after a change recomputes what the change touches."""

    def __init__(self) -> None:
        self._key: tuple[str, str] | None = None
        self._session: Session | None = None
        self._recipe: materials.Recipe | None = None
        self._spectra: dict[Role, Spectra] = {}

    def run(self, request: Request, should_stop: Callable[[], bool]) -> Shown:
        """Evaluate. Never raises: what went wrong is the sentence of what is shown."""
        progress = _progress(request.items.get(Role.VIBRATIONAL))
        try:
            return self._run(request, progress, should_stop)
        except Cancelled:
            return Shown(progress=progress)
        except UnusableInput as error:
            return Shown(sentence=str(error), progress=progress)
        except Exception as error:  # a defect must not leave stale numbers on show without a word
            _LOG.exception("The live session failed")
            return Shown(sentence=f"The analysis failed ({type(error).__name__}: {error}).", progress=progress)

    def _run(self, request: Request, progress: str, should_stop: Callable[[], bool]) -> Shown:
        current, recipe = self._open(request)
        spectra = {role: self._unchanged(role, spectra_of(item)) for role, item in request.items.items()}
        line = spectra[Role.VIBRATIONAL]
        if not line.valid.any():
            return Shown(sentence=_NO_ROWS, progress=progress)
        axis, rows = results.line_axis(line.position_nm), len(line.rows)
        given = None if _same(request.intervals, request.automatic) else request.intervals
        current.regions = _regions(given, axis, rows)
        current.update(**{role.value: spectra.get(role) for role in _INPUTS})
        evaluation = current.evaluate(should_stop=should_stop)
        found = evaluation.regions
        return Shown(
            results.outputs(evaluation, recipe, request.wanted),
            evaluation.readout,
            progress=progress,
            roles=wording.Roles(recipe.shift_peak, recipe.ratio),
            intervals={} if found is None or not line.is_line else results.fractions(found, axis, rows),
            automatic=given is None,
        )

    def _open(self, request: Request) -> tuple[Session, materials.Recipe]:
        """The session of this material and mode; a new one when they have changed."""
        if self._session is None or self._recipe is None or self._key != (request.material, request.mode):
            from eels_iontransport.session import Session  # late: the fitting code would hold up the host's start

            self._recipe = materials.load(request.material)
            self._session = Session(self._recipe, mode=request.mode)
            self._key = (request.material, request.mode)
        return self._session, self._recipe

    def _unchanged(self, role: Role, spectra: Spectra) -> Spectra:
        """The spectra of the run before if they are the same, so that the session can tell at a glance."""
        before = self._spectra.get(role)
        same = before is not None and before.energy == spectra.energy and before.noise == spectra.noise
        if same and np.array_equal(before.valid, spectra.valid) and np.array_equal(before.counts, spectra.counts):
            return before
        self._spectra[role] = spectra
        return spectra


_INPUTS = (Role.VIBRATIONAL, Role.ALOOF, Role.ZLP, Role.VALENCE, Role.CORE_LOSS)


def spectra_of(item: Item) -> Spectra:
    """The spectra that an item holds at this moment. Raises UnusableInput."""
    xdata = item.xdata
    if xdata is None:
        raise UnusableInput(f"'{item.title}' holds no data.")
    calibrations = [(axis.offset, axis.scale, axis.units) for axis in xdata.dimensional_calibrations]
    return spectra_from_parts(xdata.data, calibrations, item.metadata, item.title)


def _progress(item: Item | None) -> str:
    """ "18 of 40 rows" while rows arrive or where they have stopped short, else empty."""
    record = Record.from_metadata(item.metadata) if item is not None else None
    if record is None or record.status is Status.COMPLETE:
        return ""
    return f"{record.rows_valid} of {record.rows_planned} rows"


def _same(intervals: Intervals, others: Intervals) -> bool:
    """Whether all graphics lie where the session put them; also when some are missing."""
    return all(
        name in others and np.allclose(ends, others[name], rtol=0.0, atol=_SAME_PLACE)
        for name, ends in intervals.items()
    )


def _regions(intervals: Intervals | None, axis: results.Axis, rows: int) -> Regions | None:
    if intervals is None:
        return None
    return results.regions_from_fractions({name: (ends[0], ends[1]) for name, ends in intervals.items()}, axis, rows)
