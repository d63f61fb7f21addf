"""Has files on the disk soon after they were written, without anybody waiting for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import BinaryIO

PERIOD_S = 0.05  # at most so often


class Syncer:
    """Brings what was written to some files to the disk, in the order of the files, from a thread of its own.

    What is not there yet is in the hands of the operating system, which outlives the program, but not a power failure.
    """

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self._files = files
        self._written = threading.Event()
        self._closing = threading.Event()
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._work, name="ion transport journal", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises OSError where what was written before could not be brought to the disk."""
        if self._problem is not None:
            raise self._problem

    def tell(self) -> None:
        """Something was written."""
        self._written.set()

    def close(self) -> None:
        """End the thread, with everything on the disk. Raises OSError where that is not so."""
        self._closing.set()
        self._written.set()
        self._thread.join()
        self.check()

    def _work(self) -> None:
        while not self._closing.is_set():
            self._written.wait()
            self._written.clear()
            try:
                for file in self._files:
                    sync(file)
            except OSError as error:
                self._problem = error
                return
            self._closing.wait(PERIOD_S)


def sync(file: BinaryIO) -> None:
    """Wait until what was written to a file is on the disk. Raises OSError."""
    getattr(os, "fdatasync", os.fsync)(file.fileno())
