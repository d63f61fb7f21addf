"""Aborts, faults and refusals through Swift: rows are kept, a sentence says why, all comes home, the next run works."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from nion.data import Calibration

from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.geometry import Line, Point
from eels_iontransport.data.record import Role, Status
from nionswift_plugin.iontransport.host import eels_camera
from nionswift_plugin.iontransport.host import run as host_run

from .microscope_context import FIELD, Lab, lab, record_of

__all__ = ["lab"]  # a fixture


ABORTS = {"before the first row": 0, "in the middle": 3, "before the last row": 5}


@pytest.mark.parametrize("case", ABORTS)
def test_abort_leaves_an_item_that_says_so(lab, case):
    rows, before, runs = ABORTS[case], lab.state(), []

    def abort(progress) -> None:
        if progress.rows_valid == rows and progress.state == "acquiring":
            runs[0].abort()

    started = threading.Event()
    runs.append(lab.start(lab.line_plan(), on_progress=lambda p: (started.wait(5.0), abort(p))))
    started.set()
    lab.pump(lambda: not runs[0].is_running)
    outcome, items = runs[0].outcome, runs[0].items()
    assert outcome.ending is Ending.ABORTED and outcome.steps[0].rows_valid == rows
    assert lab.state() == before and lab.document_model.transaction_count == 0
    if rows:
        item = items[Role.VIBRATIONAL]
        record = record_of(item)
        assert (record.status, record.rows_valid, record.rows_planned) == (Status.ABORTED, rows, 6)
        assert not item.is_live and item.title == f"GB1 L1 vibrational ({rows} of 6 rows)"
        assert item.caption == f"{rows} of 6 rows are data, the rest was never taken. Aborted by the operator."
        assert (item.data.any(axis=1) == (np.arange(6) < rows)).all()
    else:
        assert items == {}
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_abort_does_not_wait_for_a_long_exposure(lab):
    lab.microscope.clock.time_scale = 1.0
    run = lab.start(lab.line_plan(exposure_s=30.0, frames=1))
    end = time.monotonic() + 1.0
    lab.pump(lambda: time.monotonic() > end)
    asked = time.monotonic()
    run.abort()
    lab.pump(lambda: not run.is_running)
    assert time.monotonic() - asked < 1.0
    assert run.outcome.ending is Ending.ABORTED


def test_the_frame_that_an_abort_cuts_short_is_no_row(lab):
    lab.microscope.clock.time_scale = 1.0
    progress = []
    run = lab.start(lab.line_plan(exposure_s=0.8, frames=1), on_progress=progress.append)
    lab.pump(lambda: bool(progress) and progress[-1].rows_valid == 1)
    end = time.monotonic() + 0.3
    lab.pump(lambda: time.monotonic() > end)
    run.abort()
    lab.pump(lambda: not run.is_running)
    assert run.outcome.ending is Ending.ABORTED and run.outcome.steps[0].rows_valid == 1
    assert not run.items()[Role.VIBRATIONAL].data[1:].any()


class Broken:
    """A method of the simulated microscope that fails at its nth call."""

    def __init__(self, owner: object, name: str, nth: int, error: Exception) -> None:
        self._method, self._nth, self._error, self._calls = getattr(owner, name), nth, error, 0
        setattr(owner, name, self)

    def __call__(self, *arguments):
        self._calls += 1
        if self._calls == self._nth:
            raise self._error
        return self._method(*arguments)


# what breaks, at which call; rows kept in the vibrational item; words of the reason
MISHAPS = {
    "camera at the first frame": ("frame", 1, RuntimeError("link down"), 0, "The EELS camera failed (link down)"),
    "camera in the line": ("frame", 12, RuntimeError("link down"), 2, "The EELS camera failed (link down)"),
    "control refused": ("set", 1, ValueError("stuck"), 0, "refused 0.0004 for the control 'EELS_eVPerChannel'"),
    "control refused for valence": ("set", 3, ValueError("stuck"), 6, "refused 0.05 for the control"),
}


@pytest.mark.parametrize("case", MISHAPS)
def test_a_mishap_keeps_the_rows_and_the_next_run_works(lab, case):
    name, nth, error, rows, words = MISHAPS[case]
    lab.microscope.set("EELS_eVPerChannel", 0.01)
    before = lab.state()
    broken = Broken(lab.microscope, name, nth, error)
    outcome, run = lab.run(lab.plan())
    assert outcome.ending is Ending.FAULT and words in outcome.reason
    assert outcome.steps[2].rows_valid == rows and not outcome.problems
    assert lab.state() == before and lab.document_model.transaction_count == 0
    if 0 < rows < 6:
        record = record_of(run.items()[Role.VIBRATIONAL])
        assert record.status is Status.FAULT and record.reason == outcome.reason and record.rows_valid == rows
    setattr(lab.microscope, name, broken._method)
    assert lab.run(lab.plan())[0].ending is Ending.COMPLETE
    assert lab.state() == before


class Stuck:
    """Holds the simulated camera at its nth frame until released."""

    def __init__(self, lab: Lab, nth: int) -> None:
        self.release, self.reached, self._frame, self._left = threading.Event(), threading.Event(), None, nth
        self._frame, lab.microscope.frame = lab.microscope.frame, self

    def __call__(self, *arguments):
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            self.release.wait(30.0)
        return self._frame(*arguments)


@pytest.mark.parametrize("abort", [False, True])
def test_a_camera_that_never_answers_does_not_hold_the_run(lab, monkeypatch, abort):
    monkeypatch.setattr(eels_camera, "ANSWER_S", 60.0 if abort else 0.3)
    monkeypatch.setattr(eels_camera, "ABORT_ANSWER_S", 0.3)
    before, stuck = lab.state(), Stuck(lab, 5)
    run = lab.start(lab.line_plan())
    lab.pump(stuck.reached.is_set)
    if abort:
        run.abort()
    lab.pump(lambda: not run.is_running, timeout_s=10.0)
    assert run.outcome.ending is (Ending.ABORTED if abort else Ending.FAULT)
    assert run.outcome.steps[0].rows_valid == 2 and not run.outcome.problems
    assert abort or "did not answer" in run.outcome.reason
    assert lab.state() == before
    stuck.release.set()
    time.sleep(0.2)
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


REFUSALS = {
    "no survey": (lambda lab: None, {}, None, "There is no survey image"),
    "aloof point outside": (lambda lab: None, {"aloof": Point(0.0, -500.0)}, FIELD, "The aloof point reaches"),
    "line outside": (lambda lab: None, {"line": Line(Point(0, 0), Point(0, 201), 4)}, FIELD, "The line reaches"),
    "line without length": (lambda lab: None, {"line": Line(Point(0, 0), Point(0, 0), 4)}, FIELD, "has no length"),
    "beam blanked": (lambda lab: lab.microscope.set("C_Blank", 1.0), {}, FIELD, "The beam is blanked"),
    "nothing selected": (lambda lab: None, {"steps": ()}, FIELD, "Nothing is selected"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_a_sentence_and_the_next_run_works(lab, case):
    prepare, changes, field, words = REFUSALS[case]
    prepare(lab)
    before, items = lab.state(), len(lab.document_model.data_items)
    outcome, run = lab.run(lab.plan(**changes), field)
    assert outcome.ending is Ending.REFUSED and words in " ".join(outcome.blockers)
    assert lab.state() == before and run.items() == {} and len(lab.document_model.data_items) == items
    lab.microscope.set("C_Blank", 0.0)
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


@pytest.mark.parametrize("part, words", [("eels_camera", "no EELS camera"), ("scan_controller", "no scan controller")])
def test_a_missing_part_is_a_sentence_and_the_next_run_works(lab, monkeypatch, part, words):
    with monkeypatch.context() as patch:
        patch.setattr(type(lab.stem), part, property(lambda stem: None), raising=False)
        outcome, _ = lab.run(lab.line_plan())
        assert outcome.ending is Ending.REFUSED and words in outcome.reason
        assert any(words in sentence for sentence in host_run.missing())
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_a_camera_without_an_energy_axis_is_refused_in_a_sentence(lab, monkeypatch):
    monkeypatch.setattr(
        lab.camera, "get_camera_calibrations", lambda parameters: (Calibration.Calibration(0, 1, "px"),)
    )
    outcome, _ = lab.run(lab.line_plan())
    assert outcome.ending is Ending.FAULT and "calibrated in 'px', not in eV" in outcome.reason


def test_deleting_the_item_ends_the_run(lab):
    lab.microscope.clock.time_scale = 10.0
    before = lab.state()
    run = lab.start(lab.line_plan(pixels=100))
    lab.pump(lambda: bool(run.items()))
    lab.document_model.remove_data_item(run.items()[Role.VIBRATIONAL])
    lab.pump(lambda: not run.is_running)
    assert run.outcome.ending is Ending.FAULT and "deleted" in run.outcome.reason
    assert lab.state() == before and run.items() == {} and lab.document_model.transaction_count == 0
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_an_item_that_cannot_be_stored_is_a_sentence(lab, monkeypatch):
    begin = lab.document_model.item_transaction

    class FullDisk:
        def __init__(self, item) -> None:
            self._transaction = begin(item)

        def close(self) -> None:
            self._transaction.close()
            raise OSError(28, "No space left on device")

    before = lab.state()
    with monkeypatch.context() as patch:
        patch.setattr(lab.document_model, "item_transaction", FullDisk)
        outcome, run = lab.run(lab.line_plan())
    assert outcome.ending is Ending.FAULT and "No space left on device" in outcome.reason
    assert outcome.steps[0].rows_valid == 6 and not run.items()[Role.VIBRATIONAL].is_live
    assert lab.state() == before and lab.document_model.transaction_count == 0
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_trouble_with_an_item_that_has_begun_is_not_the_acquisitions(lab):
    outcome, run = lab.run(lab.line_plan(), on_item=lambda item, record: 1 / 0)
    assert outcome.ending is Ending.COMPLETE and Role.VIBRATIONAL in run.items()


def test_a_window_that_closes_waits_for_the_run_and_not_for_itself(lab):
    lab.microscope.clock.time_scale = 10.0
    before = lab.state()
    run = lab.start(lab.line_plan(pixels=100))
    lab.pump(lambda: bool(run.items()))
    run.abort()
    outcome = run.join(10.0)
    assert outcome is not None and outcome.ending is Ending.ABORTED and not outcome.problems
    record = record_of(run.items()[Role.VIBRATIONAL])
    assert record.status is Status.ABORTED and record.rows_valid == outcome.steps[0].rows_valid > 0
    assert lab.state() == before


def test_one_run_at_a_time(lab):
    lab.microscope.clock.time_scale = 10.0
    run = lab.start(lab.line_plan(pixels=100))
    with pytest.raises(MicroscopeFault, match="under way"):
        lab.start(lab.line_plan())
    run.abort()
    lab.pump(lambda: not run.is_running)
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_the_scan_is_left_alone_during_a_run_or_the_run_ends(lab):
    lab.microscope.clock.time_scale = 10.0

    def zoom() -> None:
        parameters = lab.scan.get_current_frame_parameters()
        parameters.fov_nm = 20.0
        lab.scan.set_current_frame_parameters(parameters)

    run = lab.start(lab.line_plan(pixels=100))
    lab.pump(lambda: bool(run.items()))
    zoom()
    lab.pump(lambda: not run.is_running)
    assert run.outcome.ending is Ending.FAULT and "field is not that of the survey" in run.outcome.reason
    assert len(run.outcome.problems) == 1 and "the probe back" in run.outcome.problems[0]


def test_without_a_microscope_there_is_a_sentence():
    assert host_run.missing() == ["There is no microscope; existing data can be analysed: EELS > Ion Transport."]
    assert host_run.scan_field() is None
