"""Calls into the host and its drivers: what fails becomes a sentence, what never returns is given up."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from nion.utils import Registry

from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.errors import UnusableInput

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

STOP_TIMEOUT_S = 20.0  # a live view with long exposures takes as long to stop
STOP_AGAIN_S = 1.0  # how long to wait before it is asked to stop again


class NoAnswer(RuntimeError):
    """A call has not returned in time; it may still be under way."""


def stem_controller() -> Any:
    """The registered STEM controller. Raises MicroscopeFault."""
    stem = Registry.get_component("stem_controller")
    if stem is None:
        raise MicroscopeFault("The microscope is gone; restart its software, then Swift.")
    return stem


def ask(who: str, action: Callable[[], _T]) -> _T:
    """The action's result. Raises MicroscopeFault with a sentence for whatever goes wrong in the host or a driver."""
    try:
        return action()
    except (MicroscopeFault, UnusableInput, NoAnswer):
        raise
    except Exception as error:
        _LOG.warning("The %s failed", who, exc_info=True)
        raise MicroscopeFault(
            f"The {who} failed ({str(error) or type(error).__name__}); check it and try again."
        ) from error


def stop_view(source: Any) -> None:
    """Stop the live view of a camera or scan, again where it was started meanwhile. Raises MicroscopeFault."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while True:
        try:
            source.abort_playing(sync_timeout=STOP_AGAIN_S)
            return
        except AssertionError:  # how the host reports the timeout
            if time.monotonic() >= deadline:
                raise MicroscopeFault(
                    f"The live view of {source.display_name} did not stop; stop it by hand."
                ) from None


class Call(Generic[_T]):
    """A call that a worker makes."""

    def __init__(self, function: Callable[[], _T]) -> None:
        self._function = function
        self._outcome: _T | None = None
        self._error: BaseException | None = None
        self.done = threading.Event()

    def make(self) -> None:
        try:
            self._outcome = self._function()
        except BaseException as error:
            self._error = error
        self.done.set()

    def result(self) -> _T:
        """What the function returned or raised, once the call is `done`."""
        if self._error is not None:
            raise self._error
        return self._outcome  # type: ignore[return-value]


class Worker:
    """Makes calls in a thread of its own, all in the same one, and gives up waiting for those that take too long.

    A worker with a call that never returned is of no further use; its thread does not keep the process alive.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Call[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def start(self, function: Callable[[], _T]) -> Call[_T]:
        """Have a call made; does not wait."""
        call = Call(function)
        self._calls.put(call)
        return call

    def call(
        self, function: Callable[[], _T], timeout_s: float, hurry: threading.Event, hurried_timeout_s: float
    ) -> _T:
        """The function's result, or its exception.

        Raises NoAnswer after `timeout_s`, or `hurried_timeout_s` after `hurry` was set.
        """
        call = self.start(function)
        deadline = time.monotonic() + timeout_s
        hurried = False
        while not call.done.wait(min(0.05, max(0.0, deadline - time.monotonic()))):
            if hurry.is_set() and not hurried:
                hurried, deadline = True, min(deadline, time.monotonic() + hurried_timeout_s)
            if time.monotonic() >= deadline:
                raise NoAnswer
        return call.result()

    def close(self) -> None:
        """End the thread once its calls are done; does not wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.make()
