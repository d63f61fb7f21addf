"""Work that Swift allows on the main thread only, asked for from another one."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from nion.swift.model import DocumentModel

_T = TypeVar("_T")

TIMEOUT_S = 30.0


class MainThread:
    """Runs calls on the main thread, in order.

    They run when the document's event loop gets to them, or while the main thread is in `wait`: so a window that closes
    and waits for a run does not wait for itself.
    """

    def __init__(self, document_model: DocumentModel.DocumentModel) -> None:
        self._document_model = document_model
        self._jobs: collections.deque[Callable[[], None]] = collections.deque()
        self._marks: collections.deque[threading.Event] = collections.deque(maxlen=16)

    def call(self, function: Callable[[], _T], timeout_s: float = TIMEOUT_S) -> _T:
        """The function's result, or its exception. Raises TimeoutError where the main thread does not get to it."""
        if threading.current_thread() is threading.main_thread():
            return function()
        future: concurrent.futures.Future[_T] = concurrent.futures.Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)

        self._jobs.append(job)
        event_loop = self._document_model.event_loop
        if event_loop is not None:
            event_loop.call_soon_threadsafe(self.drain)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            if future.cancel():
                raise TimeoutError("Swift's window did not answer") from None
            return future.result(timeout_s)

    def later(self, delay_s: float, function: Callable[[], None]) -> None:
        """Run a function on the main thread after a while; never where the window is closed by then."""
        event_loop = self._document_model.event_loop
        if event_loop is not None:
            with contextlib.suppress(RuntimeError):  # the window is closed
                event_loop.call_soon_threadsafe(event_loop.call_later, delay_s, function)

    def mark(self) -> threading.Event:
        """An event that is set once the main thread has done all that was asked of it, by anyone, before this call."""
        mark = threading.Event()
        event_loop = self._document_model.event_loop
        if event_loop is None:
            mark.set()
            return mark
        self._marks.append(mark)
        try:
            event_loop.call_soon_threadsafe(mark.set)
        except RuntimeError:  # the window is closed: nothing of it is left to wait for
            mark.set()
        return mark

    def drain(self) -> None:
        """Run what waits; main thread."""
        while self._jobs:
            self._jobs.popleft()()

    def wait(self, done: Callable[[], bool], poll_s: float, timeout_s: float | None) -> None:
        """Wait on the main thread for another one that asks for work here, until `done` or the time is over."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not done() and (deadline is None or time.monotonic() < deadline):
            self.drain()
            while self._marks:  # the main thread does nothing else meanwhile
                self._marks.popleft().set()
            time.sleep(poll_s)
