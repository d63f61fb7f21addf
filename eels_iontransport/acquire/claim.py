"""Tells whether the program that writes a journal still runs, by a lock that ends with it however it ends.

A lock of the file system knows of other processes and other machines, and cannot be mistaken for another process that
was given the same number later. Where a file system has no locks, a journal counts as left behind.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import BinaryIO

_LOG = logging.getLogger(__name__)

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Claim:
    """Holds the lock of a file, which is made, from construction to `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be made."""
        self._file = path.open("ab")
        try:
            _lock(self._file)
        except OSError as error:
            _LOG.warning("%s cannot be locked (%s); another program may take its journal for left behind", path, error)

    def release(self) -> None:
        self._file.close()


def is_claimed(path: Path) -> bool:
    """Whether a running program, this one included, holds the lock of the file."""
    try:
        file = path.open("rb+")
    except OSError:
        return False
    with file:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            return True
        except OSError:
            return False
    return False
