"""Work that Swift allows on the main thread only, asked for from another one."""

from __future__ import annotations

import collections
import concurrent.futures
import threading
from collections.abc import Callable
from typing import TypeVar

from nion.swift.model import DocumentModel

_T = TypeVar("_T")

TIMEOUT_S = 30.0


class MainThread:
    """Runs calls on the main thread, in order.

    They run when the document's event loop gets to them, or when the main thread itself waits in `drain`: so a window
    that closes and waits for a run does not wait for itself.
    """

    def __init__(self, document_model: DocumentModel.DocumentModel) -> None:
        self._document_model = document_model
        self._jobs: collections.deque[Callable[[], None]] = collections.deque()

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

    def drain(self) -> None:
        """Run what waits; main thread."""
        while self._jobs:
            self._jobs.popleft()()
