"""Faults that only Swift has: its document, its computations, its disk, its death. The next run works after each."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

import eels_iontransport.session
from eels_iontransport.acquire import recovery as journals
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.data.record import Role, Status
from eels_iontransport.simulation.mishaps import BeamChange, Mishaps
from nionswift_plugin.iontransport import live
from nionswift_plugin.iontransport.host import recovery

from .live_support import ScriptedSession
from .microscope_context import Lab, lab, open_lab, record_of

__all__ = ["lab"]  # a fixture

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")


def is_in_order(lab: Lab, before: dict, run) -> None:
    """What holds after every run through Swift."""
    assert lab.state() == before and lab.document_model.transaction_count == 0
    outcome = run.outcome
    for text in filter(None, (outcome.reason, *outcome.problems)):
        assert text.endswith(".") and "Error" not in text and "Traceback" not in text
    for step in outcome.steps:
        item = run.items().get(step.role)
        if item is not None:
            record = record_of(item)
            assert not item.is_live
            assert (record.status, record.rows_valid) == (step.status, step.rows_valid)
            assert record.reason == (outcome.reason if record.status is not Status.COMPLETE else "")
            assert np.count_nonzero(item.data.any(axis=-1)) == record.rows_valid
    for path in recovery.journal_folder(lab.document_model).glob("*/*"):
        journal = journals.open_journal(path)
        assert journal.record.status is not Status.RUNNING
        assert len(np.load(path / "rows.npy")) == journal.rows == journal.record.rows_valid


MISHAPS = {
    "camera fault": Mishaps(camera_fault_at=5),
    "beam lost for good": Mishaps(beam=(BeamChange(0.5),)),
    "energy off the detector": Mishaps(energy_mev=((0.5, 0.0), (0.6, -500.0))),
}


@pytest.mark.parametrize("mishap", MISHAPS)
def test_a_mishap_of_the_microscope_ends_the_run_in_order(lab, mishap):
    lab.site = replace(lab.site, beam=replace(lab.site.beam, give_up_s=0.5))  # of the wall's clock
    before = lab.state()
    lab.microscope.suffer(MISHAPS[mishap])
    outcome, run = lab.run(lab.line_plan(pixels=20))
    assert outcome.ending is Ending.FAULT and not outcome.problems, outcome.sentence()
    assert outcome.steps[0].rows_valid < 20
    lab.microscope.suffer(None)
    is_in_order(lab, before, run)
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_a_live_computation_that_fails_does_not_disturb_the_run(lab, monkeypatch):
    monkeypatch.setattr(ScriptedSession, "error", ZeroDivisionError("division by zero"))
    monkeypatch.setattr(ScriptedSession, "asked", [])
    ScriptedSession.hold.set()
    monkeypatch.setattr(eels_iontransport.session, "Session", ScriptedSession)
    live.register()
    before, outputs = lab.state(), []

    def attach(item, record) -> None:
        outputs.append(live.attach_session(lab.document_model, {"vibrational": item}, "lco"))

    lab.microscope.clock.time_scale = 10.0
    outcome, run = lab.run(lab.line_plan(pixels=20), on_item=attach)
    assert outcome.ending is Ending.COMPLETE and outcome.steps[0].rows_valid == 20
    lab.pump(lambda: bool(ScriptedSession.asked))
    is_in_order(lab, before, run)
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


@contextlib.contextmanager
def largest_file(size: int):
    """Files cannot grow beyond a size, as on a disk that is full."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@posix
def test_a_disk_without_room_for_a_step_ends_the_run_before_it(lab):
    before = lab.state()
    with largest_file(3 * 8192):
        outcome, run = lab.run(lab.line_plan())
    assert outcome.ending is Ending.FAULT and outcome.steps[0].rows_valid == 0
    assert outcome.reason.startswith("There is no room on the disk for GB1 L1 vibrational")
    is_in_order(lab, before, run)
    assert run.items() == {} and recovery.recoverable(lab.document_model) == []
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


@posix
def test_a_disk_that_takes_nothing_any_more_ends_a_step_with_the_rows_before(lab):
    """Neither the next row, nor how the step ended, nor what the host writes of its camera."""
    limit = contextlib.ExitStack()

    def look(progress) -> None:
        if progress.rows_valid == 3:
            (path,) = recovery.journal_folder(lab.document_model).glob("*/*/rows.jsonl")
            limit.enter_context(largest_file(path.stat().st_size + 10))

    with limit:
        outcome, run = lab.run(lab.line_plan(), on_progress=look)
    assert outcome.ending is Ending.FAULT and outcome.steps[0].rows_valid == 3
    assert outcome.reason.startswith("Row 3 of GB1 L1 vibrational could not be written to the journal (File too large)")
    assert all("the camera's settings (" in problem for problem in outcome.problems)
    record = record_of(run.items()[Role.VIBRATIONAL])
    assert (record.status, record.rows_valid, record.reason) == (Status.FAULT, 3, outcome.reason)
    (journal,) = recovery.recoverable(lab.document_model)
    assert recovery.recover(lab.document_model, journal).data[:3].any(axis=1).all()
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_a_document_that_is_closed_with_its_microscope_ends_the_run_and_its_rows_can_be_recovered(tmp_path):
    with open_lab(tmp_path) as lab:
        lab.microscope.clock.time_scale = 10.0
        folder = recovery.journal_folder(lab.document_model)
        run = lab.start(lab.line_plan(pixels=400))
        lab.pump(lambda: bool(run.items()) and run.items()[Role.VIBRATIONAL].data.any())
    outcome = run.join(20.0)
    assert outcome is not None and outcome.ending is Ending.FAULT
    (journal,) = journals.unfinished(folder)
    assert 0 < journal.rows == outcome.steps[0].rows_valid < 400
    assert journal.record.reason in (outcome.reason, *outcome.problems)
    with open_lab(tmp_path) as lab:
        item = recovery.recover(lab.document_model, journal)
        assert record_of(item).rows_valid == journal.rows and item.data[: journal.rows].any(axis=1).all()
        assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


@posix
def test_rows_of_a_program_that_was_killed_are_recovered(tmp_path):
    (tmp_path / "killed").mkdir()
    program = [sys.executable, str(Path(__file__).with_name("killed_program.py")), str(tmp_path / "killed")]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said = 0
    assert process.stdout is not None
    for line in process.stdout:
        said = int(line.split()[1])
        if said >= 7:
            break
    process.kill()
    process.stdout.close()
    process.wait(10.0)
    (tmp_path / "data").symlink_to(tmp_path / "killed" / "data")
    with open_lab(tmp_path) as lab:
        (journal,) = recovery.recoverable(lab.document_model)
        item = recovery.recover(lab.document_model, journal)
        record = record_of(item)
        assert record.status is Status.FAULT and 7 <= said <= record.rows_valid < 400
        assert item.data[: record.rows_valid].any(axis=1).all() and not item.data[record.rows_valid :].any()
        assert f"{record.rows_valid} of 400 rows" in item.title and not json.dumps(item.metadata).count("NaN")
        assert recovery.recoverable(lab.document_model) == []
        assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE
