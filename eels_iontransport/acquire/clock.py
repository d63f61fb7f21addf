"""The time that a run goes by: that of the wall, or a simulated one."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Time in seconds from any zero, never running backwards."""

    @property
    def now_s(self) -> float: ...

    def wait(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        """Let so many seconds pass; True at once when cancelled."""
        ...


class WallClock:
    """The time of the wall."""

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        if cancelled is not None:
            return cancelled.wait(seconds) if seconds > 0 else cancelled.is_set()
        time.sleep(max(0.0, seconds))
        return False
