"""A whole plan in a Swift document: microscope, items and thread put together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from nion.instrumentation import Acquisition
from nion.swift.model import DataItem, DocumentModel

from eels_iontransport.acquire.disk import free_bytes
from eels_iontransport.acquire.drift_reference import DriftReference
from eels_iontransport.acquire.journal import JournalRecorder
from eels_iontransport.acquire.outcome import OnProgress, Outcome
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.port import MicroscopeFault, Recorder
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.site import Site
from eels_iontransport.acquire.thread import OnDone, RunHandle, start_in_thread
from eels_iontransport.data.geometry import Field
from eels_iontransport.data.record import Role

from . import recovery
from .data import ItemRecorder, OnItem
from .instrument import SwiftMicroscope, missing
from .main_thread import MainThread
from .probe import scan_field

__all__ = ["SwiftRun", "between_runs", "missing", "scan_field", "start_run", "start_unrecorded"]

_POLL_S = 0.005
_UNDER_WAY = "A run is under way already; wait for its end or abort it."
_lock = threading.Lock()
_current: SwiftRun | None = None
_others = 0  # who use the microscope between runs


class SwiftRun:
    """A run under way, or ended."""

    def __init__(self, handle: RunHandle, recorder: ItemRecorder | None, main_thread: MainThread) -> None:
        self._handle = handle
        self._recorder = recorder
        self._main_thread = main_thread

    @property
    def outcome(self) -> Outcome | None:
        """How the run ended; None while it goes on."""
        return self._handle.outcome

    @property
    def is_running(self) -> bool:
        return self._handle.is_running

    def items(self) -> dict[Role, DataItem.DataItem]:
        """The items made so far that still exist, by role. Main thread."""
        items = self._recorder.items if self._recorder is not None else {}
        return {role: item for role, item in items.items() if not item._closed}

    def abort(self) -> None:
        """End the run as soon as the camera can; returns at once."""
        self._handle.abort()

    def pause(self) -> None:
        """Stop at the end of the row, until `resume`; returns at once."""
        self._handle.pause()

    def resume(self) -> None:
        self._handle.resume()

    def proceed(self) -> None:
        """Go on from where the run waits for the drift, or for the operator to check the ZLP."""
        self._handle.proceed()

    def join(self, timeout_s: float | None = None) -> Outcome | None:
        """Wait for the end; also on the main thread, where what the run needs of it is done meanwhile.

        Returns None where the run has not ended in time.
        """
        if threading.current_thread() is threading.main_thread():
            self._main_thread.wait(lambda: not self._handle.is_running, _POLL_S, timeout_s)
            return self._handle.outcome
        return self._handle.join(timeout_s)


def start_run(
    document_model: DocumentModel.DocumentModel,
    plan: Plan,
    site: Site,
    *,
    field: Field | None,
    on_progress: OnProgress | None = None,
    on_done: OnDone | None = None,
    on_item: OnItem | None = None,
    reference: DriftReference | None = None,
) -> SwiftRun:
    """Start a plan on the registered microscope, in a thread of its own; items appear in the document.

    Each row is written to a journal first, in `recovery.journal_folder` of the document.
    field: that of the survey on which the plan's places were marked. on_progress and on_done are called from the run's
    thread, on_item on the main one. reference: that of the outcome of an earlier run in the same field, whose places
    are found again. Raises MicroscopeFault where a run is under way: there is one microscope.
    """
    with _starting():
        main_thread = MainThread(document_model)
        microscope = SwiftMicroscope(site, field, main_thread)
        recorder = ItemRecorder(document_model, main_thread, microscope.metadata, on_item)
        Acquisition.session_manager.begin_acquisition(document_model)
        folder = recovery.journal_folder(document_model)
        journal = JournalRecorder(folder, recorder, lambda: recovery.description(microscope.metadata()))
        runner = Runner(microscope, journal, site, free_bytes=lambda: free_bytes(folder), journal=lambda: str(folder))
        handle = start_in_thread(runner, plan, on_progress, on_done, reference)
        return _started(SwiftRun(handle, recorder, main_thread))


def start_unrecorded(
    document_model: DocumentModel.DocumentModel,
    plan: Plan,
    site: Site,
    recorder: Recorder,
    *,
    field: Field | None,
    on_progress: OnProgress | None = None,
) -> SwiftRun:
    """As `start_run`, for what is only to be looked at: without journal and items; rows go to `recorder`.

    Raises MicroscopeFault where a run is under way.
    """
    with _starting():
        main_thread = MainThread(document_model)
        runner = Runner(SwiftMicroscope(site, field, main_thread), recorder, site)
        return _started(SwiftRun(start_in_thread(runner, plan, on_progress), None, main_thread))


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """While a run is started: no other one is, and none is under way. Raises MicroscopeFault."""
    with _lock:
        if _current is not None and _current.is_running:
            raise MicroscopeFault(_UNDER_WAY)
        if _others:
            raise MicroscopeFault("A test frame is being taken; start when it is there.")
        yield


def _started(run: SwiftRun) -> SwiftRun:
    global _current
    _current = run
    return run


@contextlib.contextmanager
def between_runs() -> Iterator[None]:
    """Use the microscope while no run is under way; none can start meanwhile. Raises MicroscopeFault."""
    global _others
    with _lock:
        if _current is not None and _current.is_running:
            raise MicroscopeFault(_UNDER_WAY)
        _others += 1
    try:
        yield
    finally:
        with _lock:
            _others -= 1
