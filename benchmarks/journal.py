"""What the journal costs a row, and what a killed program loses."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from eels_iontransport.acquire.journal import JournalRecorder
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.port import RowNote
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis
from tests.faults.kills import kills

from .figure import Figure, spread

KILLS = 100
FIRST_SEED = 5000
ROWS, CHANNELS = 100, 2048
ROW_S = 0.1  # from one row to the next
GOAL_MS = 20.0


def row_milliseconds(folder: Path) -> list[float]:
    """Time of each row until it is in the journal, at the pace of a line."""
    record = Record(Role.VIBRATIONAL, Status.RUNNING, ROWS, 0)
    sink = JournalRecorder(folder, MemoryRecorder()).begin(record, EnergyAxis(-0.2, 4e-4, CHANNELS), 0.5, "line")
    rows = np.random.default_rng(FIRST_SEED).poisson(1e3, (ROWS, CHANNELS))
    taken = []
    for index, row in enumerate(rows):
        time.sleep(ROW_S)
        started = time.perf_counter()
        sink.write(index, row, RowNote("2026-03-01T22:14:00+00:00"))
        taken.append(1e3 * (time.perf_counter() - started))
    sink.finish(record)
    return taken


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        taken = row_milliseconds(Path(folder))
        results = kills(Path(folder), list(range(FIRST_SEED, FIRST_SEED + KILLS)))
    acknowledged, found = (sum(getattr(result, name) for result in results) for name in ("acknowledged", "recovered"))
    return [
        Figure(
            "row in the journal, 95 of 100", "ms", float(np.quantile(taken, 0.95)), high=GOAL_MS, spread=spread(taken)
        ),
        Figure(
            f"runs of {KILLS} killed that lose more than the row in progress",
            "",
            sum(bool(result.wrong) for result in results),
            high=0,
            spread=f"{acknowledged} rows acknowledged, {found} found",
        ),
    ]
