"""Runs in Swift leave a journal, and what a journal was left with becomes the item that the run would have left."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from eels_iontransport.acquire.journal import JournalRecorder
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.port import RowNote
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis
from nionswift_plugin.iontransport.evaluation import spectra_of
from nionswift_plugin.iontransport.host import recovery
from nionswift_plugin.iontransport.host.data import ItemRecorder
from nionswift_plugin.iontransport.host.main_thread import MainThread

from .microscope_context import Lab, lab, record_of

__all__ = ["lab"]  # a fixture

ENERGY = EnergyAxis(-0.2, 0.0004, 32)
NOTE = RowNote("2026-03-01T22:14:00+00:00")
SAME = ("data_shape", "metadata", "intensity_calibration", "dimensional_calibrations")


def items_of(lab: Lab) -> list:
    """The items that recovering makes."""
    return [recovery.recover(lab.document_model, journal) for journal in recovery.recoverable(lab.document_model)]


def as_left(lab: Lab, folder: Path) -> None:
    """Have a finished journal look as that of a program that was killed."""
    for path in folder.glob("*/*/record.json"):
        content = json.loads(path.read_bytes())
        content["record"] |= {"status": "running", "rows_valid": 0}
        path.write_text(json.dumps({**content, "is_open": True}))


def test_a_run_leaves_a_journal_of_the_rows_of_its_items(lab):
    outcome, run = lab.run(lab.plan())
    assert outcome.ending is Ending.COMPLETE
    folder = recovery.journal_folder(lab.document_model)
    for path, item in zip(sorted(folder.glob("*/*/rows.npy")), run.items().values()):
        np.testing.assert_array_equal(np.load(path), item.data)
    assert recovery.recoverable(lab.document_model) == []


def test_recovered_items_are_as_those_of_the_run(lab):
    _, run = lab.run(lab.plan())
    as_left(lab, recovery.journal_folder(lab.document_model))
    made = items_of(lab)
    assert len(made) == 5 and recovery.recoverable(lab.document_model) == []
    for item, original in zip(made, run.items().values()):
        for name in SAME:
            assert getattr(item, name) == getattr(original, name), name
        assert item.title == original.title and item.xdata.data_descriptor == original.xdata.data_descriptor
        assert item.caption == f"{original.caption} {recovery.RECOVERED}" and item.large_format == original.large_format
        np.testing.assert_array_equal(item.data, original.data)
        assert set(item.session_metadata) == set(original.session_metadata)


def test_a_partial_journal_makes_an_item_that_says_so(lab):
    lab.run(lab.line_plan())
    folder = recovery.journal_folder(lab.document_model)
    as_left(lab, folder)
    (lines,) = folder.glob("*/*/rows.jsonl")
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:4]))
    (item,) = items_of(lab)
    record = record_of(item)
    assert (record.status, record.rows_valid, record.rows_planned) == (Status.FAULT, 4, 6)
    assert record.reason == "The program ended during the run; 4 of 6 rows recovered."
    assert item.title == "GB1 L1 vibrational (4 of 6 rows)" and "4 of 6 rows are data" in item.caption
    assert item.data[:4].any(axis=1).all() and not item.data[4:].any()
    assert spectra_of(item).valid.tolist() == [True] * 4 + [False] * 2


def test_rows_of_an_item_that_was_deleted_can_be_recovered(lab):
    lab.microscope.clock.time_scale = 10.0
    run = lab.start(lab.line_plan(pixels=100))
    lab.pump(lambda: bool(run.items()) and bool(run.items()[Role.VIBRATIONAL].data.any()))
    assert recovery.recoverable(lab.document_model) == []  # it is under way
    lab.document_model.remove_data_item(run.items()[Role.VIBRATIONAL])
    lab.pump(lambda: not run.is_running)
    outcome = run.outcome
    assert "deleted" in outcome.reason and "can be recovered" in outcome.reason and not outcome.problems
    (journal,) = recovery.recoverable(lab.document_model)
    assert journal.rows == outcome.steps[0].rows_valid > 0 and outcome.reason in journal.sentence()
    item = recovery.recover(lab.document_model, journal)
    assert record_of(item).rows_valid == journal.rows and record_of(item).reason == outcome.reason
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_an_item_that_was_deleted_after_its_last_row_is_missed(lab, tmp_path):
    record = Record(Role.VIBRATIONAL, Status.RUNNING, 1, 0)
    inner, sink = sink_of(lab, record, recovery.journal_folder(lab.document_model))
    sink.write(0, np.ones(32), NOTE)
    lab.document_model.remove_data_item(inner.items[Role.VIBRATIONAL])
    with pytest.raises(RuntimeError, match="deleted"):
        sink.finish(replace(record, status=Status.COMPLETE, rows_valid=1))
    (item,) = items_of(lab)
    assert record_of(item).status is Status.COMPLETE and item.data.all()


def sink_of(lab: Lab, record: Record, folder: Path | None = None):
    inner = ItemRecorder(lab.document_model, MainThread(lab.document_model), lambda: {"hardware_source": {"a": 1}})
    recorder = JournalRecorder(folder, inner, lambda: recovery.description({"hardware_source": {"a": 1}}))
    return inner, (recorder if folder else inner).begin(record, ENERGY, 0.5, "GB1 L1")


IMAGE = {"role": Role.IMAGE, "columns": 4, "line_step_nm": 0.7}

# shape of the item before the energy, changes to the record, axes of the item: sequence, collection; units
LAYOUTS = {
    "a line": ((6,), {}, (False, 1), ["nm", "eV"]),
    "passes": ((3, 4), {"passes": 3}, (True, 1), ["", "nm", "eV"]),
    "points": ((6,), {"role": Role.POINTS}, (False, 1), ["nm", "eV"]),
    "frames": ((6,), {"role": Role.ALOOF}, (True, 0), ["", "eV"]),
    "an image": ((3, 4), IMAGE, (False, 2), ["nm", "nm", "eV"]),
    "passes of an image": ((2, 3, 4), IMAGE | {"passes": 2}, (True, 2), ["", "nm", "nm", "eV"]),
}


@pytest.mark.parametrize("case", LAYOUTS)
@pytest.mark.parametrize("missing", [0, 2])
def test_rows_come_to_their_place_and_are_recovered_there(lab, tmp_path, case, missing):
    shape, changes, (is_sequence, collection), units = LAYOUTS[case]
    planned = int(np.prod(shape))
    record = Record(
        **{"role": Role.VIBRATIONAL, "status": Status.RUNNING, "rows_planned": planned, "rows_valid": 0} | changes
    )
    inner, sink = sink_of(lab, record, tmp_path / "journal")
    data = 1.0 + np.arange(planned * 32, dtype=np.float32).reshape(planned, 32)
    for index in range(planned - missing):
        sink.write(index, data[index], NOTE)
    item = inner.items[record.role]
    shutil.copytree(tmp_path / "journal", recovery.journal_folder(lab.document_model), dirs_exist_ok=True)
    status = Status.ABORTED if missing else Status.COMPLETE
    sink.finish(replace(record, status=status, reason="Aborted." if missing else "", rows_valid=planned - missing))
    data[planned - missing :] = 0.0
    (recovered,) = items_of(lab)
    for made in (item, recovered):
        np.testing.assert_array_equal(made.data, data.reshape(*shape, 32))
        assert made.xdata.is_sequence is is_sequence and made.xdata.collection_dimension_count == collection
        assert [axis.units for axis in made.dimensional_calibrations] == units
        assert record_of(made).rows_valid == planned - missing and made.metadata["hardware_source"] == {"a": 1}
    assert record_of(item).status is status
    if collection == 1:
        assert spectra_of(item).valid.sum() == min(planned - missing, shape[-1])


def test_rows_are_shown_within_three_tenths_of_a_second(lab):
    """Also the last ones before a pause, after which no further row comes for long."""
    record = Record(Role.VIBRATIONAL, Status.RUNNING, 40, 0)
    inner, sink = sink_of(lab, record)
    item, changes = inner.items[Role.VIBRATIONAL], []
    listener = item.data_changed_event.listen(lambda: changes.append(time.monotonic()))
    for index in range(20):
        sink.write(index, np.ones(32), NOTE)
        written = time.monotonic()
        end = written + 0.03
        lab.pump(lambda end=end: time.monotonic() > end)
    lab.pump(lambda: record_of(item).rows_valid == 20, timeout_s=5.0)
    assert time.monotonic() - written < 0.3
    assert item.data[:20].all() and not item.data[20:].any()
    assert len(changes) <= 5 * (time.monotonic() - written + 0.6) + 2
    sink.finish(replace(record, status=Status.ABORTED, rows_valid=20))
    del listener


def test_a_project_with_a_file_has_its_journal_beside_it(lab, tmp_path, monkeypatch):
    project = lab.document_model._project
    assert recovery.journal_folder(lab.document_model) == tmp_path / "data" / recovery.FOLDER
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "a.nsproj").write_text("")
    path = str(tmp_path / "project" / "a.nsproj")
    monkeypatch.setattr(type(project), "storage_location_str", property(lambda self: path))
    assert recovery.journal_folder(lab.document_model) == tmp_path / "project" / recovery.FOLDER
    monkeypatch.setattr(recovery, "_can_be_written", lambda folder: False)
    assert recovery.journal_folder(lab.document_model) == tmp_path / "data" / recovery.FOLDER
