"""Rows are in the journal before anything else happens with them, and the journal says how the step ended."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eels_iontransport.acquire import journal_files, recovery
from eels_iontransport.acquire.journal import JournalRecorder, bytes_kept
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.port import RowNote
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.acquire.writer import StorageFault
from eels_iontransport.data.geometry import Point
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis

from .fake import FakeMicroscope, plan, site

ENERGY = EnergyAxis(-0.01, 0.0004, 32)
RECORD = Record(
    Role.VIBRATIONAL, Status.RUNNING, rows_planned=5, rows_valid=0, exposure_s=0.1, frames=3, saturation_level=3e6,
    saturated_frames=0, electrons_per_count=2.0, plan={"name": "GB1"},
)  # fmt: skip
NOTE = RowNote("2026-03-01T22:14:00.250000+00:00", Point(1.5, -2.0), (0.1, -0.2), 20.5, 1)
Usage = namedtuple("Usage", "total used free")


def rows(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).poisson(1e3, (count, 32)).astype(np.float32)


def begin(folder: Path, inner=None, record: Record = RECORD, **options):
    recorder = JournalRecorder(folder, inner or MemoryRecorder(), **options)
    return recorder.begin(record, ENERGY, 0.5, "GB1 L1 vibrational")


def only(folder: Path) -> Path:
    (step,) = folder.glob("*/*")
    return step


def status(folder: Path) -> tuple[str, int, bool]:
    content = json.loads((folder / "record.json").read_bytes())
    return content["record"]["status"], content["record"]["rows_valid"], content["is_open"]


def test_other_tools_read_a_journal_at_any_time(tmp_path):
    sink, data = begin(tmp_path), rows()
    folder = only(tmp_path)
    assert folder.name == "1 GB1 L1 vibrational" and folder.parent.name.endswith(" GB1")
    for index, row in enumerate(data[:3]):
        sink.write(index, row, NOTE)
        read = np.load(folder / "rows.npy")
        assert read.dtype == np.float32 and read.shape == (5, 32)
        np.testing.assert_array_equal(read[: index + 1], data[: index + 1])
        assert len((folder / "rows.jsonl").read_text().splitlines()) == index + 1
    assert status(folder) == ("running", 0, True)
    sink.finish(replace(RECORD, status=Status.ABORTED, reason="Aborted by the operator.", rows_valid=3))
    np.testing.assert_array_equal(np.load(folder / "rows.npy"), data[:3])  # nothing that is no data
    assert status(folder) == ("aborted", 3, False)
    line = json.loads((folder / "rows.jsonl").read_text().splitlines()[2])
    assert line["row"] == 2 and line["time"] == NOTE.time and line["place"] == {"y_nm": 1.5, "x_nm": -2.0}
    assert (line["drift_nm"], line["beam_current_pa"], line["saturated_frames"]) == ([0.1, -0.2], 20.5, 1)
    assert json.loads((folder / "plan.json").read_text()) == {"name": "GB1"}
    assert bytes_kept(tmp_path) > data[:3].nbytes


def test_a_journal_is_read_back_as_it_was_written(tmp_path):
    inner = MemoryRecorder()
    sink, data = begin(tmp_path, inner, describe=lambda: {"metadata": {"size": np.float32(2.0)}}), rows()
    for index, row in enumerate(data):
        sink.write(index, row, NOTE)
    record = replace(RECORD, status=Status.COMPLETE, rows_valid=5, saturated_frames=1)
    sink.finish(record)
    found = recovery.read(recovery.open_journal(only(tmp_path)))
    assert found.record == record and found.notes == (NOTE,) * 5
    assert found.journal.energy == ENERGY and found.journal.step_nm == 0.5
    assert found.journal.description == {"metadata": {"size": 2.0}}
    np.testing.assert_array_equal(found.rows, data)
    spectra, kept = found.spectra(), inner.sinks[0].spectra()
    np.testing.assert_array_equal(spectra.counts, kept.counts)
    assert spectra.metadata == kept.metadata and spectra.noise == kept.noise and spectra.step_nm == 0.5


def test_a_session_has_a_journal_for_each_step(tmp_path):
    outcome = Runner(FakeMicroscope(), JournalRecorder(tmp_path, MemoryRecorder()), site()).run(plan())
    assert outcome.ending is Ending.COMPLETE
    (run,) = tmp_path.iterdir()
    assert [folder.name for folder in sorted(run.iterdir())] == [
        "1 GB1 vacuum ZLP", "2 GB1 A1 aloof", "3 GB1 L1 vibrational", "4 GB1 L1 valence", "5 GB1 L1 core loss",
    ]  # fmt: skip
    for folder, step in zip(sorted(run.iterdir()), outcome.steps):
        assert status(folder) == ("complete", step.rows_planned, False)
        assert np.load(folder / "rows.npy").shape == (step.rows_planned, 32)
        assert Plan.from_data(json.loads((folder / "plan.json").read_text())) == plan()
    assert recovery.unfinished(tmp_path) == []


def no_fallocate(monkeypatch, code: int | None) -> None:
    """Take posix_fallocate away, or have it fail."""

    def fail(*arguments) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(journal_files, "_FALLOCATE", None if code is None else fail)


FULL = {
    "the disk refuses the space": lambda patch: no_fallocate(patch, errno.ENOSPC),
    "a quota": lambda patch: no_fallocate(patch, getattr(errno, "EDQUOT", errno.ENOSPC)),
    "too little is free": lambda patch: patch.setattr("shutil.disk_usage", lambda folder: Usage(10, 9, 1)),
}


@pytest.mark.parametrize("case", FULL)
def test_a_full_disk_is_refused_before_the_first_row(tmp_path, monkeypatch, case):
    with monkeypatch.context() as patch:
        FULL[case](patch)
        inner = MemoryRecorder()
        with pytest.raises(StorageFault, match="There is no room on the disk for GB1 L1 vibrational in .*; free some"):
            begin(tmp_path, inner)
    assert inner.sinks == [] and list(tmp_path.iterdir()) == []
    begin(tmp_path)


@pytest.mark.parametrize("code", [None, errno.EOPNOTSUPP, errno.EINVAL])
def test_where_space_cannot_be_taken_a_journal_works_all_the_same(tmp_path, monkeypatch, code):
    no_fallocate(monkeypatch, code)
    begin(tmp_path).write(0, rows()[0], NOTE)
    assert np.load(only(tmp_path) / "rows.npy").shape == (5, 32)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is forbidden here")
def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageFault, match="cannot be written to .* make the folder writable"):
        begin(tmp_path)


def test_a_file_in_place_of_the_folder_is_a_sentence(tmp_path):
    (tmp_path / "journal").write_text("")
    with pytest.raises(StorageFault, match="cannot be written to .* make the folder writable"):
        begin(tmp_path / "journal")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
@pytest.mark.parametrize("limit", [700, 1400])
def test_a_disk_that_fills_during_a_run_keeps_what_there_is(tmp_path, monkeypatch, limit):
    """A limit on the size of files stands for a full disk: lines of the journal, not its rows, come to it."""
    import resource

    inner, microscope = MemoryRecorder(), FakeMicroscope()
    line_only = replace(plan(), steps=plan().steps[2:3], line=replace(plan().line, pixels=12))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    write = journal_files._write

    def limited(file, data) -> None:
        if file.name.endswith("jsonl"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            write(file, data)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with monkeypatch.context() as patch:
        patch.setattr(journal_files, "_write", limited)
        outcome = Runner(microscope, JournalRecorder(tmp_path, inner), site()).run(line_only)
    kept = outcome.steps[0].rows_valid
    assert outcome.ending is Ending.FAULT and 0 < kept < 12 and microscope.is_home() and not outcome.problems
    assert outcome.reason.startswith(f"Row {kept} of GB1 L1 vibrational could not be written to the journal (File too")
    assert inner.sinks[0].finished and inner.sinks[0].record.rows_valid == kept
    assert inner.sinks[0].record.status is Status.FAULT and inner.sinks[0].record.reason == outcome.reason
    assert status(only(tmp_path)) == ("fault", kept, False)
    assert recovery.read(recovery.open_journal(only(tmp_path))).record.rows_valid == kept
    assert Runner(microscope, JournalRecorder(tmp_path, inner), site()).run(line_only).ending is Ending.COMPLETE


class Breaking(MemoryRecorder):
    """A recorder whose item goes away: at its beginning, at a row, or at its end."""

    def __init__(self, at: str | int) -> None:
        super().__init__()
        self.at = at

    def begin(self, *arguments):
        if self.at == "begin":
            raise RuntimeError("the project is closed")
        sink = super().begin(*arguments)
        write, finish = sink.write, sink.finish

        def write_or_break(index, counts, note) -> None:
            if index == self.at:
                raise RuntimeError("its item was deleted")
            write(index, counts, note)

        def finish_or_break(record) -> None:
            finish(record)
            if self.at in ("finish", *range(5)):
                raise RuntimeError("its item was deleted")

        sink.write, sink.finish = write_or_break, finish_or_break
        return sink


# where the item goes away; rows kept; words of the reason; status and rows of the journal, and whether it is open
GONE = {
    "at its beginning": ("begin", 0, "No item could be made for GB1 L1 vibrational", ("fault", 0, False)),
    "at the first row": (0, 1, "its 1 row is kept in the journal and can be recovered", ("fault", 1, True)),
    "in the middle": (2, 3, "further (its item was deleted); its 3 rows are kept in the journal", ("fault", 3, True)),
    "at the last row": (4, 5, "its 5 rows are kept in the journal", ("fault", 5, True)),
    "at its end": ("finish", 5, "could not be stored completely (its item was deleted)", ("fault", 5, True)),
}


@pytest.mark.parametrize("case", GONE)
def test_what_an_item_does_not_take_stays_in_the_journal(tmp_path, case):
    at, kept, words, ended = GONE[case]
    microscope, inner = FakeMicroscope(), Breaking(at)
    line_only = replace(plan(), steps=plan().steps[2:3])
    outcome = Runner(microscope, JournalRecorder(tmp_path, inner), site()).run(line_only)
    assert outcome.ending is Ending.FAULT and words in outcome.reason and not outcome.problems
    assert outcome.steps[0].rows_valid == kept and outcome.steps[0].status is Status.FAULT
    assert microscope.is_home() and status(only(tmp_path)) == ended
    open_journals = recovery.unfinished(tmp_path)
    assert len(open_journals) == int(ended[2])
    for journal in open_journals:
        record = recovery.read(journal).record
        assert record.rows_valid == kept
        assert record.status is (Status.COMPLETE if kept == 5 else Status.FAULT)
    inner.at = ""
    assert Runner(microscope, JournalRecorder(tmp_path, inner), site()).run(line_only).ending is Ending.COMPLETE


@pytest.mark.parametrize("index", [0, 2])
def test_rows_come_in_order(tmp_path, index):
    sink = begin(tmp_path)
    sink.write(0, rows()[0], NOTE)
    with pytest.raises(StorageFault, match="row 1 comes next"):
        sink.write(index, rows()[1], NOTE)


def test_two_runs_in_the_same_second_and_odd_names_have_folders_of_their_own(tmp_path):
    for _ in range(3):
        begin(tmp_path, record=replace(RECORD, plan={"name": '../GB<1>:"?*' + "x" * 100}))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3 and all(len(name) < 80 and not set(name) & set('/<>:"?*\\') for name in names)
