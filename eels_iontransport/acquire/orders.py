"""What the operator asks of a run under way; the orders may come from any thread."""

from __future__ import annotations

import threading

from .clock import Clock

_LOOK_S = 0.1  # between two looks for an order that an event does not wake


class Aborted(Exception):
    """The operator has asked for the end."""


class Orders:
    """Abort, pause and resume, proceed. The run looks at them at row boundaries and while it waits."""

    def __init__(self) -> None:
        self.abort = threading.Event()
        self._changed = threading.Event()
        self._paused = False
        self._proceed = False

    def clear(self) -> None:
        """A new run starts: forget what was asked of the last one."""
        self.abort.clear()
        self._changed.clear()
        self._paused = self._proceed = False

    def ask_abort(self) -> None:
        self.abort.set()
        self._changed.set()

    def ask_pause(self, pause: bool) -> None:
        self._paused = pause
        self._changed.set()

    def ask_proceed(self) -> None:
        self._proceed = True
        self._changed.set()

    @property
    def is_aborted(self) -> bool:
        return self.abort.is_set()

    @property
    def is_paused(self) -> bool:
        return self._paused

    def check_abort(self) -> None:
        """Raises Aborted where that was asked."""
        if self.abort.is_set():
            raise Aborted

    def wait(self, clock: Clock, seconds: float) -> None:
        """Let so many seconds of the run pass. Raises Aborted at once when that is asked."""
        if seconds > 0 and clock.wait(seconds, self.abort):
            raise Aborted

    def wait_for_order(self) -> None:
        """Wait a moment for the operator, by the clock on the wall, and no longer once there is an order."""
        self._changed.wait(_LOOK_S)
        self._changed.clear()
        self.check_abort()

    def expect_proceed(self) -> None:
        """A question to the operator begins: a `proceed` from before does not answer it."""
        self._proceed = False

    @property
    def may_proceed(self) -> bool:
        return self._proceed
