"""A value that is worked out beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """What `make` returns, begun in a thread of its own; worth it where `make` lets other threads run."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []
        self._thread = threading.Thread(target=self._work, name="ion transport helper", daemon=True)
        self._thread.start()

    def result(self) -> T:
        """The value. Raises what `make` raises."""
        self._thread.join()
        if not self._made:  # it failed, or the thread was lost in a fork of the process
            self._made.append(self._make())
        return self._made[0]

    def _work(self) -> None:
        try:
            self._made.append(self._make())
        except Exception:
            return  # and again where the result is asked for
