"""The time of the simulated microscope: as fast as the wall clock, faster, or only when something takes time."""

from __future__ import annotations

import threading
import time


class Clock:
    """Time in seconds since it was made.

    time_scale: simulated seconds per second of the wall clock; None for a virtual clock, which stands still but for
    `wait`, and waits for nothing.
    """

    def __init__(self, time_scale: float | None = None) -> None:
        if time_scale is not None and not time_scale > 0:
            raise ValueError(f"The time scale is {time_scale}; give a positive number, or None for a virtual clock.")
        self._lock = threading.Lock()
        self._scale = time_scale
        self._elapsed_s = 0.0
        self._started_s = time.perf_counter()

    @property
    def time_scale(self) -> float | None:
        return self._scale

    @time_scale.setter
    def time_scale(self, time_scale: float | None) -> None:
        now = self.now_s
        with self._lock:
            self._elapsed_s, self._started_s, self._scale = now, time.perf_counter(), time_scale

    @property
    def now_s(self) -> float:
        with self._lock:
            running = 0.0 if self._scale is None else self._scale * (time.perf_counter() - self._started_s)
            return self._elapsed_s + running

    def wall_seconds(self, seconds: float) -> float:
        """Wall-clock time that simulated `seconds` take."""
        return 0.0 if self._scale is None else seconds / self._scale

    def wait(self, seconds: float, cancelled: threading.Event | None = None) -> bool:
        """Let simulated `seconds` pass; True at once when cancelled."""
        if cancelled is not None and cancelled.is_set():
            return True
        if self._scale is None:
            with self._lock:
                self._elapsed_s += seconds
            return False
        if cancelled is not None:
            return cancelled.wait(self.wall_seconds(seconds))
        time.sleep(self.wall_seconds(seconds))
        return False
