"""Finds the journals that a run has left open, and reads what they hold."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.record import METADATA_KEY, Record, Status
from ..data.spectrum import EnergyAxis, Spectra
from .claim import is_claimed
from .journal_files import LOCK, PLAN, RECORD, read_lines, read_rows, trim, write_json
from .memory import spectra_of_rows
from .port import RowNote

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Journal:
    """The journal of one step, as its record says; `rows` are those that its lines tell of, not checked yet.

    begun: when the step began, ISO 8601 with its time zone. description: what the recorder was told to keep with it.
    """

    folder: Path
    title: str
    begun: str
    record: Record
    energy: EnergyAxis
    step_nm: float | None
    rows: int
    description: Mapping[str, Any] = field(default_factory=dict)

    def sentence(self) -> str:
        """What there is to recover and why, such as "GB1 L1 vibrational of 2026-11-28 22:14: 26 of 40 rows. ..."."""
        begun = self.begun[:16].replace("T", " ")
        reason = self.record.reason or "The program ended during the run."
        return f"{self.title} of {begun}: {self.rows} of {self.record.rows_planned} rows. {reason}"


@dataclass(frozen=True, eq=False)
class Recovered:
    """What a journal holds: rows (n, channels) in the order in which they were taken, float32, and their notes.

    record: that of the item which these rows make.
    """

    journal: Journal
    record: Record
    rows: np.ndarray
    notes: tuple[RowNote, ...]

    def spectra(self) -> Spectra:
        """As the item of the step would have been read."""
        journal = self.journal
        return spectra_of_rows(self.rows, self.record, journal.energy, journal.step_nm, journal.title)


def unfinished(folder: Path) -> list[Journal]:
    """The journals in a folder with rows that came into no item, oldest first; not those of a program that still runs.

    What cannot be read is left out, with a line in the log.
    """
    found = []
    for path in sorted(folder.glob(f"*/*/{RECORD}")):
        try:
            content = json.loads(path.read_bytes())
            if content["is_open"] and not is_claimed(path.parent / LOCK):
                journal = open_journal(path.parent)
                found += [journal] if journal.rows else []
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("The journal in %s cannot be read (%s: %s)", path.parent, type(error).__name__, error)
    return found


def open_journal(folder: Path) -> Journal:
    """The journal in a folder, finished or not. Raises OSError, or ValueError where it is none."""
    content = json.loads((folder / RECORD).read_bytes())
    try:
        plan = json.loads((folder / PLAN).read_bytes())
        record = Record.from_metadata({METADATA_KEY: {**content["record"], "plan": plan}})
        if record is None:
            raise ValueError("its record has no role or status")
        return Journal(
            folder,
            content["title"],
            content["begun"],
            record,
            EnergyAxis(**content["energy"]),
            content["step_nm"],
            len(read_lines(folder)),
            content["description"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"its {RECORD} is not that of a journal ({error})") from None


def read(journal: Journal) -> Recovered:
    """The rows of a journal from the first on, up to the first that is missing, torn or has a wrong checksum.

    The record is complete where all planned rows are there; else it says how the run ended, which is a fault where the
    program has ended without a word. Raises OSError.
    """
    lines = read_lines(journal.folder)
    rows = read_rows(journal.folder, lines, journal.energy.size)
    lines = lines[: len(rows)]
    saturated = lines[-1].note.saturated_frames if lines else journal.record.saturated_frames
    record = replace(_ended(journal.record, len(rows), journal.rows), saturated_frames=saturated)
    return Recovered(journal, record, rows, tuple(line.note for line in lines))


def close(journal: Journal) -> None:
    """Mark a journal as done with: its rows are in an item now, or nobody wants them. The files stay.

    Raises OSError.
    """
    recovered = read(journal)
    content = json.loads((journal.folder / RECORD).read_bytes())
    record = recovered.record.to_metadata()[METADATA_KEY]
    del record["plan"]
    write_json(journal.folder / RECORD, {**content, "is_open": False, "record": record})
    if len(recovered.rows) == journal.rows:  # where rows are damaged, what comes after them stays
        trim(journal.folder, len(recovered.rows), journal.energy.size)


def _ended(record: Record, rows: int, noted: int) -> Record:
    planned = record.rows_planned
    if rows == planned:
        return replace(record, status=Status.COMPLETE, reason="", rows_valid=rows)
    status, reason = record.status, record.reason
    if status is Status.RUNNING:
        status, reason = Status.FAULT, f"The program ended during the run; {rows} of {planned} rows recovered."
    if rows < max(noted, record.rows_valid):
        status = Status.FAULT
        reason = f"{reason} Row {rows} is damaged on the disk; it and what follows it are left out.".strip()
    return replace(record, status=status, reason=reason, rows_valid=rows)
