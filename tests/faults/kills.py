"""Kill a program in the middle of a run, and compare what its journal holds with what it had acknowledged.

python tests/faults/kills.py FOLDER SEED     # the program to kill: a simulated session, a line of output for each row
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eels_iontransport.acquire import recovery
from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.journal import JournalRecorder
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.plan import Exposure, Plan, session_plan
from eels_iontransport.acquire.port import RowNote, RowSink
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.data.geometry import Field
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.port import SimulatedPort
from eels_iontransport.simulation.specimen import SURVEY_NM

TIMEOUT_S = 60.0
LONGEST_DELAY_S = 0.005  # a few rows
PIXELS = 25
EXPOSURES = {
    Role.ZLP: Exposure(0.1, 15),
    Role.ALOOF: Exposure(0.1, 30),
    Role.VIBRATIONAL: Exposure(0.1, 3),
    Role.VALENCE: Exposure(0.02, 3),
    Role.CORE_LOSS: Exposure(0.5, 2),
}
ROWS = 15 + 30 + 3 * PIXELS


@dataclass
class Kill:
    """One killed run: rows that the program had acknowledged, those that its journals hold, and what is wrong."""

    seed: int
    acknowledged: int
    recovered: int
    wrong: list[str] = field(default_factory=list)


def plan(microscope: SimulatedMicroscope) -> Plan:
    specimen = microscope.specimen
    return session_plan(
        name="GB1",
        material="lco",
        line=specimen.line(PIXELS, 20.0),
        aloof=specimen.aloof_point(),
        vacuum=specimen.vacuum_point(),
        exposures=EXPOSURES,
    )


class Acknowledging:
    """Says on the standard output, without a buffer, that a row was taken by another recorder."""

    def __init__(self, inner: JournalRecorder) -> None:
        self._inner = inner

    def begin(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> RowSink:
        return AcknowledgingSink(self._inner.begin(record, energy, step_nm, title), record.role)


class AcknowledgingSink:
    def __init__(self, inner: RowSink, role: Role) -> None:
        self._inner, self._role = inner, role

    def write(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        self._inner.write(index, counts, note)
        os.write(1, f"{self._role.value} {index} {digest(counts)}\n".encode())

    def finish(self, record: Record) -> None:
        self._inner.finish(record)


def digest(counts: np.ndarray) -> str:
    return hashlib.sha256(np.asarray(counts, "<f4").tobytes()).hexdigest()


def child(folder: Path, seed: int) -> None:
    microscope = SimulatedMicroscope(seed=seed, time_scale=None)
    microscope.field = Field(SURVEY_NM, SURVEY_NM)
    recorder = Acknowledging(JournalRecorder(folder, MemoryRecorder()))
    outcome = Runner(SimulatedPort(microscope), recorder, sites.load("simulator")).run(plan(microscope))
    os.write(1, f"{outcome.sentence()}\n".encode())
    time.sleep(TIMEOUT_S)  # it is there to be killed


def kill(folder: Path, seed: int) -> Kill:
    """Run the program, kill it after a random number of rows and a random while more, and judge what it leaves."""
    rng = random.Random(seed)
    rows, delay_s = rng.randrange(ROWS), rng.uniform(0.0, LONGEST_DELAY_S)
    process = subprocess.Popen([sys.executable, __file__, str(folder), str(seed)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(rows)]
        time.sleep(delay_s)
    finally:
        process.kill()
    lines += process.stdout.readlines()
    process.stdout.close()
    process.wait(TIMEOUT_S)
    acknowledged = [line.split() for line in lines if line.endswith(b"\n") and len(line.split()) == 3]
    digests: dict[str, list[str]] = {}
    for role, _, text in acknowledged:
        digests.setdefault(role.decode(), []).append(text.decode())
    result = judge(folder, seed, digests)
    if len(acknowledged) < len(lines) and result.recovered < ROWS:
        result.wrong.append(f"the program ended by itself: {lines[-1].decode().strip()}")
    return result


def judge(folder: Path, seed: int, acknowledged: dict[str, list[str]]) -> Kill:
    """Compare the journals in a folder with the rows acknowledged, digests by role in order."""
    found = {}
    wrong = []
    for path in folder.glob("*/*/record.json"):
        journal = recovery.open_journal(path.parent)
        found[journal.record.role.value] = recovery.read(journal)
    for role, expected in acknowledged.items():
        rows = [digest(row) for row in found[role].rows] if role in found else []
        if rows[: len(expected)] != expected:
            wrong.append(f"{role}: the first {len(expected)} rows of {len(rows)} are not those acknowledged")
    total = sum(len(entry.rows) for entry in found.values())
    given = sum(map(len, acknowledged.values()))
    if total > given + 1:
        wrong.append(f"{total} rows were found of {given} acknowledged")
    open_now = recovery.unfinished(folder)
    if len(open_now) > 1:
        wrong.append(f"{len(open_now)} journals are open at once")
    for journal in open_now:
        record = recovery.read(journal).record
        whole = record.rows_valid == record.rows_planned
        if record.status is not (Status.COMPLETE if whole else Status.FAULT):
            wrong.append(f"{journal.title}: {record.rows_valid} of {record.rows_planned} rows are {record.status}")
    return Kill(seed, given, total, wrong)


def kills(folder: Path, seeds: list[int]) -> list[Kill]:
    """A killed run for each seed, each in a folder of its own."""
    return [kill(folder / f"{seed}", seed) for seed in seeds]


if __name__ == "__main__":
    child(Path(sys.argv[1]), int(sys.argv[2]))
