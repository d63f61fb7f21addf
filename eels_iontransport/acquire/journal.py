"""Every row on the disk before anything else is done with it, so that no end of the program loses more than one."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import socket
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..data.record import METADATA_KEY, Record, Status
from ..data.spectrum import EnergyAxis
from .claim import Claim
from .journal_files import LOCK, PLAN, RECORD, RowFiles, sync_folder, trim, write_json
from .port import Recorder, RowNote, RowSink
from .writer import StorageFault, cause, no_item, not_complete

_LOG = logging.getLogger(__name__)

SCHEMA = "eels_iontransport/journal/1"
_MAXIMUM_NAME = 60
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


class JournalRecorder:
    """Writes each row to a journal, then hands it to another recorder.

    A run is a folder within `folder`, named by time and plan; a step is a journal within it (`journal_files` has the
    format). `describe` gives what else belongs into the step's item, ready for JSON; it is asked when a step begins.

    Where the journal cannot be written, the other recorder is not given the row, keeps what it has, and the run ends.
    Where the other recorder fails (its item was deleted, the project closed), the run ends as well; the row and all
    before it are in the journal, which stays open: `recovery` makes an item of it.

    Nothing is ever deleted: the journal of an item that was stored completely is a second copy of raw data.
    """

    def __init__(self, folder: Path, inner: Recorder, describe: Callable[[], dict[str, Any]] = dict) -> None:
        self._folder = folder
        self._inner = inner
        self._describe = describe
        self._run: Path | None = None
        self._steps = 0

    def begin(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> RowSink:
        """Raises StorageFault where there is no room for all rows of the step, or the folder cannot be written."""
        try:
            journal = _StepJournal(self._step_folder(record, title), record, energy, step_nm, title, self._describe())
        except OSError as error:
            self._leave_no_empty_run()
            raise StorageFault(_refusal(error, title, self._folder)) from error
        try:
            inner = self._inner.begin(record, energy, step_nm, title)
        except BaseException as error:
            journal.close(_fault(record, error, no_item(title, error)), is_open=False)
            raise
        return JournalSink(journal, inner)

    def _leave_no_empty_run(self) -> None:
        if self._run is not None:
            with contextlib.suppress(OSError):
                self._run.rmdir()
                self._run = None

    def _step_folder(self, record: Record, title: str) -> Path:
        if self._run is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            now = datetime.now().strftime("%Y-%m-%d %H.%M.%S")
            self._run = _new_folder(self._folder, f"{now} {record.plan.get('name', '')}")
        self._steps += 1
        return _new_folder(self._run, f"{self._steps} {title}")


class JournalSink:
    """One step's rows, into its journal and from there to another sink."""

    def __init__(self, journal: _StepJournal, inner: RowSink) -> None:
        self._journal = journal
        self._inner = inner
        self._inner_failed = False
        self._inner_rows = 0

    def write(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        """Raises StorageFault where the journal or the other sink fails."""
        title = self._journal.title
        try:
            self._journal.append(index, counts, note)
        except OSError as error:
            raise StorageFault(
                f"Row {index} of {title} could not be written to the journal ({cause(error)}); "
                f"check the disk of {self._journal.folder.parent}."
            ) from error
        try:
            self._inner.write(index, counts, note)
        except Exception as error:
            self._inner_failed = True
            kept = "1 row is" if index == 0 else f"{index + 1} rows are"
            raise StorageFault(
                f"{title} could not be stored any further ({cause(error)}); its {kept} kept in the journal and can "
                "be recovered.",
                row_is_kept=True,
            ) from error
        self._inner_rows = index + 1

    def finish(self, record: Record) -> None:
        """Raises what the other sink raises, unless it has failed before."""
        record = replace(record, rows_valid=self._journal.rows)
        self._journal.note(record)
        try:
            self._inner.finish(replace(record, rows_valid=self._inner_rows))
        except Exception as error:
            if not self._inner_failed:
                self._journal.close(_fault(record, error, not_complete(self._journal.title, error)), is_open=True)
                raise
        self._journal.close(record, is_open=self._inner_failed)


class _StepJournal:
    """The journal of one step while it is written."""

    def __init__(
        self,
        folder: Path,
        record: Record,
        energy: EnergyAxis,
        step_nm: float | None,
        title: str,
        description: dict[str, Any],
    ) -> None:
        """Raises OSError; then the folder is gone again."""
        self.folder = folder
        self.title = title
        self._channels = energy.size
        self._content = {
            "schema": SCHEMA,
            "is_open": True,
            "title": title,
            "begun": datetime.now().astimezone().isoformat(timespec="seconds"),
            "owner": {"process": os.getpid(), "computer": socket.gethostname()},
            "energy": asdict(energy),
            "step_nm": step_nm,
            "description": description,
        }
        self._claim: Claim | None = None
        try:
            self._claim = Claim(folder / LOCK)
            write_json(folder / PLAN, dict(record.plan))
            self._files = RowFiles(folder, record.rows_planned, energy.size)
            self._write_record(record, is_open=True)
            sync_folder(folder.parent)
        except BaseException:
            if self._claim is not None:
                self._claim.release()
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @property
    def rows(self) -> int:
        return self._files.rows

    def append(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        if index != self._files.rows:
            raise OSError(errno.EINVAL, f"row {self._files.rows} comes next, not row {index}")
        self._files.append(counts, note)

    def note(self, record: Record) -> None:
        """Write how the step ended, before the item is closed."""
        self._try("noted", lambda: self._write_record(record, is_open=True))

    def close(self, record: Record, *, is_open: bool) -> None:
        """Close the files. is_open: the rows have not all come to where they belong, and are to be recovered."""
        self._try("closed", self._files.close)
        self._try("trimmed", lambda: trim(self.folder, self.rows, self._channels))
        self._try("closed", lambda: self._write_record(record, is_open=is_open))
        assert self._claim is not None
        self._claim.release()

    def _write_record(self, record: Record, *, is_open: bool) -> None:
        content = record.to_metadata()[METADATA_KEY]
        del content["plan"]
        write_json(self.folder / RECORD, {**self._content, "is_open": is_open, "record": content})

    def _try(self, what: str, action: Callable[[], object]) -> None:
        """Its rows are safe and its item is the first thing that counts: a journal not closed is offered once more."""
        try:
            action()
        except OSError as error:
            _LOG.warning("The journal in %s could not be %s (%s)", self.folder, what, error)


def _fault(record: Record, error: BaseException, sentence: str) -> Record:
    """The record of a step that ends with an error, with the sentence that the operator reads."""
    reason = str(error) if isinstance(error, StorageFault) else sentence
    return replace(record, status=Status.FAULT, reason=reason)


def bytes_kept(folder: Path) -> int:
    """How large all journals in the folder are, finished or not."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _new_folder(parent: Path, name: str) -> Path:
    name = re.sub(r"[^\w .,+-]", "_", name)[:_MAXIMUM_NAME].strip(" .")
    for number in range(1, 10_000):
        folder = parent / (name if number == 1 else f"{name} ({number})")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise OSError(errno.EEXIST, f"there are too many folders '{name}'")


def _refusal(error: OSError, title: str, folder: Path) -> str:
    if error.errno in _NO_ROOM:
        return f"There is no room on the disk for {title} in {folder} ({cause(error)}); free some and start again."
    return f"The journal of {title} cannot be written to {folder} ({cause(error)}); make the folder writable."
