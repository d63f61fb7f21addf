"""Looks at the room on the disk during a run, so that it ends in order before the host fails on a full disk."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .clock import Clock
from .writer import StorageFault

_LOG = logging.getLogger(__name__)

LEAST_BYTES = 200_000_000  # left free, for what the host writes besides
LOOK_S = 10.0  # between two looks

FreeBytes = Callable[[], int]


class DiskGuard:
    """free_bytes: tells the free bytes where the data go; None where nobody looks."""

    def __init__(self, free_bytes: FreeBytes | None, clock: Clock) -> None:
        self._free_bytes = free_bytes
        self._clock = clock
        self._looked_s: float | None = None

    def look(self) -> None:
        """Raises StorageFault where too little is free; asks the disk every LOOK_S at most."""
        now = self._clock.now_s
        if self._free_bytes is None or (self._looked_s is not None and now - self._looked_s < LOOK_S):
            return
        self._looked_s = now
        try:
            free = self._free_bytes()
        except OSError as error:  # where it matters, the next row tells
            _LOG.warning("The disk could not be asked for its room (%s)", error)
            return
        if free < LEAST_BYTES:
            raise StorageFault(f"The disk is nearly full: {free / 1e6:.0f} MB are free; make room and take the rest.")
