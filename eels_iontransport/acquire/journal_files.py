"""The files of a journal: rows in a form that other tools read, and what is known of each of them.

A journal is a folder for one step:

    rows.npy      float32 (rows planned, channels), little endian, one row for each spectrum, in order of acquisition;
                  its space is taken at the start
    rows.jsonl    one line for each row that is completely in rows.npy, in the same order: row, crc32, time, place,
                  drift_nm, beam_current_pa, saturated_frames
    plan.json     the plan of the run
    record.json   title, energy axis, step, and the record: status, reason, rows planned and valid, ...
    in_use.lock   locked while the program that writes the journal runs

Until the step has ended, rows that no line of rows.jsonl tells of hold nothing, whatever rows.npy has in their place.
When it has ended, rows.npy is cut to the rows that are data, so that nothing else can be read from it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..data.geometry import Point
from .port import RowNote
from .syncing import Syncer, sync

ROWS, LINES, PLAN, RECORD, LOCK = "rows.npy", "rows.jsonl", "plan.json", "record.json", "in_use.lock"
DTYPE = np.dtype("<f4")
HEADER_BYTES = 128
LINE_BYTES = 400  # more than a line of rows.jsonl takes
_MAGIC = b"\x93NUMPY\x01\x00"
_FALLOCATE = getattr(os, "posix_fallocate", None)
_NO_FALLOCATE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # what a file system without it answers


@dataclass(frozen=True)
class RowLine:
    """A line of rows.jsonl."""

    row: int
    crc32: int
    note: RowNote


class RowFiles:
    """rows.npy and rows.jsonl while they are written. All methods raise OSError where the disk does not take it."""

    def __init__(self, folder: Path, rows: int, channels: int) -> None:
        """Makes both files in the folder and takes the space of all rows; OSError (ENOSPC) where there is none."""
        self._channels = channels
        self._rows = 0
        with contextlib.ExitStack() as stack:
            self._data = stack.enter_context((folder / ROWS).open("xb", buffering=0))
            self._lines = stack.enter_context((folder / LINES).open("xb", buffering=0))
            _write(self._data, header(rows, channels))
            size = HEADER_BYTES + rows * channels * DTYPE.itemsize
            _take_space(self._data, size, rows * LINE_BYTES, folder)
            sync(self._data)
            self._files = stack.pop_all()
        # Which comes to the disk first does not matter: a line without its row is told by its checksum.
        self._syncer = Syncer((self._data, self._lines))

    @property
    def rows(self) -> int:
        """Rows that are in the files."""
        return self._rows

    def append(self, counts: np.ndarray, note: RowNote) -> None:
        """Write the next row, counts (channels,): first the row, then its line.

        When this returns both are in the hands of the operating system, which outlives the program; a moment later
        they are on the disk.
        """
        row = np.ascontiguousarray(counts, DTYPE)
        if row.shape != (self._channels,):
            raise ValueError(f"a row of the journal has {self._channels} channels, not the shape {row.shape}")
        self._syncer.check()
        data = row.tobytes()
        self._data.seek(HEADER_BYTES + self._rows * len(data))
        _write(self._data, data)
        _write(self._lines, encode(RowLine(self._rows, zlib.crc32(data), note)))
        self._rows += 1
        self._syncer.tell()

    def close(self) -> None:
        """Returns when all is on the disk."""
        with self._files:
            self._syncer.close()


def header(rows: int, channels: int) -> bytes:
    """The beginning of a .npy file (format 1.0 of NumPy) of float32 (rows, channels), always of the same length."""
    text = f"{{'descr': '{DTYPE.str}', 'fortran_order': False, 'shape': ({rows}, {channels}), }}"
    room = HEADER_BYTES - len(_MAGIC) - 2
    return _MAGIC + room.to_bytes(2, "little") + text.ljust(room - 1).encode("ascii") + b"\n"


def trim(folder: Path, rows: int, channels: int) -> None:
    """Cut rows.npy to its first rows. The header comes first: with it alone the file reads as it should already."""
    with (folder / ROWS).open("rb+", buffering=0) as file:
        _write(file, header(rows, channels))
        file.truncate(HEADER_BYTES + rows * channels * DTYPE.itemsize)
        sync(file)


def encode(line: RowLine) -> bytes:
    """A line of rows.jsonl, with its end."""
    return json.dumps({"row": line.row, "crc32": line.crc32, **asdict(line.note)}).encode("ascii") + b"\n"


def decode(text: bytes) -> RowLine | None:
    """Inverse of `encode`; None where the line is torn or is none."""
    try:
        content = json.loads(text)
        row, crc32 = int(content.pop("row")), int(content.pop("crc32"))
        place, drift = content.pop("place"), content.pop("drift_nm")
        note = RowNote(
            **content,
            place=None if place is None else Point(**place),
            drift_nm=None if drift is None else (float(drift[0]), float(drift[1])),
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
    return RowLine(row, crc32, note)


def read_lines(folder: Path) -> list[RowLine]:
    """The lines of rows.jsonl from row 0 on, up to the first that is torn or out of order. Raises OSError."""
    lines: list[RowLine] = []
    for text in (folder / LINES).read_bytes().split(b"\n"):
        line = decode(text)
        if line is None or line.row != len(lines):
            break
        lines.append(line)
    return lines


def read_rows(folder: Path, lines: list[RowLine], channels: int) -> np.ndarray:
    """Rows (n, channels) from row 0 on, up to the first that is cut short or whose checksum is wrong. Raises OSError.

    The header is not needed.
    """
    return np.array(list(_rows(folder, lines, channels)), DTYPE).reshape(-1, channels)


def _rows(folder: Path, lines: list[RowLine], channels: int) -> Iterator[np.ndarray]:
    with (folder / ROWS).open("rb") as file:
        file.seek(HEADER_BYTES)
        for line in lines:
            data = file.read(channels * DTYPE.itemsize)
            if zlib.crc32(data) != line.crc32 or len(data) < channels * DTYPE.itemsize:
                return
            yield np.frombuffer(data, DTYPE)


def write_json(path: Path, content: Any) -> None:
    """Put a whole new file in place of the one before, which stays until the new one is on the disk. Raises OSError."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(json.dumps(content, indent=2, default=_plain).encode("utf-8"))
        file.flush()
        sync(file)
    os.replace(beside, path)
    sync_folder(path.parent)


def _plain(value: Any) -> Any:
    """What JSON takes in place of a number of NumPy, or of anything else."""
    return value.item() if isinstance(value, np.generic) else str(value)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk; does nothing where the system has no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_space(file: BinaryIO, size: int, beside: int, folder: Path) -> None:
    """Make the file `size` bytes long with its space on the disk, while `beside` bytes stay free."""
    if shutil.disk_usage(folder).free < size + beside:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if _FALLOCATE is not None:
        try:
            _FALLOCATE(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in _NO_FALLOCATE:
                raise
    file.truncate(size)


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
