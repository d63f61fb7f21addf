"""Room on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

RESERVE_BYTES = 1_000_000_000  # left free for the host, which fails in its own ways on a full disk


def free_bytes(path: str | Path) -> int:
    """Free bytes where a file or folder lies, or would lie once it is made. Raises OSError."""
    place = Path(path).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def shortage(needed: int, free: int, reserve: int = RESERVE_BYTES) -> str:
    """A sentence where the disk has not the bytes that are needed with a reserve; empty where it has."""
    if needed + reserve <= free:
        return ""
    return (
        f"The disk has {free / 1e9:.1f} GB free and the run needs {needed / 1e9:.2f} GB, with {reserve / 1e9:.1f} GB "
        "left over; make room or choose another folder."
    )
