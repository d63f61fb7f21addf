"""Calls into the host and its drivers: what fails becomes a sentence, what never returns is given up."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from nion.utils import Registry

from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.errors import UnusableInput

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

STOP_TIMEOUT_S = 20.0  # a live view with long exposures takes as long to stop


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
    """Stop the live view of a camera or scan. Raises MicroscopeFault."""
    try:
        source.abort_playing(sync_timeout=STOP_TIMEOUT_S)
    except AssertionError:  # how the host reports the timeout
        raise MicroscopeFault(f"The live view of {source.display_name} did not stop; stop it by hand.") from None


class Worker:
    """Makes calls in a thread of its own, all in the same one, and gives up waiting for those that take too long.

    A worker with a call that never returned is of no further use; its thread does not keep the process alive.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], list[Any], threading.Event] | None]
        self._calls = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def call(
        self, function: Callable[[], _T], timeout_s: float, hurry: threading.Event, hurried_timeout_s: float
    ) -> _T:
        """The function's result, or its exception.

        Raises NoAnswer after `timeout_s`, or `hurried_timeout_s` after `hurry` was set.
        """
        outcome: list[Any] = []
        done = threading.Event()
        self._calls.put((function, outcome, done))
        deadline = time.monotonic() + timeout_s
        hurried = False
        while not done.wait(min(0.05, max(0.0, deadline - time.monotonic()))):
            if hurry.is_set() and not hurried:
                hurried, deadline = True, min(deadline, time.monotonic() + hurried_timeout_s)
            if time.monotonic() >= deadline:
                raise NoAnswer
        value, error = outcome
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """End the thread once its calls are done; does not wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (entry := self._calls.get()) is not None:
            function, outcome, done = entry
            try:
                outcome.extend((function(), None))
            except BaseException as error:
                outcome.extend((None, error))
            done.set()
