"""Runs through Swift on the simulated HERMES: items that say what they are, and a microscope that comes home."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from nion.utils import Geometry

from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.data.record import Role, Status
from eels_iontransport.files.parts import spectra_from_parts
from nionswift_plugin.iontransport.host import run as host_run

from .microscope_context import FIELD, Lab, make_lab, record_of

TIME_SCALE = 100.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with make_lab(tmp_path, TIME_SCALE) as lab:
        lab.survey()
        yield lab


def test_a_whole_session_fills_an_item_for_each_step(lab):
    before = lab.state()
    outcome, run = lab.run(lab.plan())
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    assert lab.state() == before
    items = run.items()
    assert [item.title for item in items.values()] == [
        "GB1 vacuum ZLP", "GB1 A1 aloof", "GB1 L1 vibrational", "GB1 L1 valence", "GB1 L1 core loss",
    ]  # fmt: skip
    line = items[Role.VIBRATIONAL]
    assert line.data_shape == (6, 2048) and line.xdata.is_collection and line.xdata.datum_dimension_count == 1
    along, energy = line.dimensional_calibrations
    assert (along.scale, along.units) == (1.0, "nm")
    assert (energy.offset, energy.scale, energy.units) == (-0.2, 0.0004, "eV")
    assert items[Role.ALOOF].xdata.is_sequence and items[Role.ALOOF].data_shape == (4, 2048)
    assert items[Role.CORE_LOSS].dimensional_calibrations[1].scale == 0.1
    for item in items.values():
        record = record_of(item)
        assert record.status is Status.COMPLETE and record.rows_valid == record.rows_planned == item.data_shape[0]
        assert Plan.from_data(record.plan) == lab.plan()
        assert record.beam_current_pa == pytest.approx(20.0) and record.saturated_frames == 0
        assert not item.is_live and item.caption == f"Complete: {record.rows_valid} rows."
        assert item.metadata["hardware_source"]["counts_per_electron"] == lab.microscope.camera.counts_per_electron
        assert "project_acquisition_index" in item.session_metadata
    assert lab.document_model.transaction_count == 0
    counts = lab.microscope.dose(0.1) * lab.microscope.camera.counts_per_electron  # in vacuum nothing is lost
    assert items[Role.ZLP].data.sum(axis=1) == pytest.approx(np.full(3, counts), rel=0.01)


def test_an_item_is_read_as_the_spectra_it_holds(lab):
    _, run = lab.run(lab.plan())
    for role, item in run.items().items():
        calibrations = [(c.offset, c.scale, c.units) for c in item.dimensional_calibrations]
        spectra = spectra_from_parts(item.data, calibrations, item.metadata, item.title)
        assert spectra.valid.all() and spectra.noise.electrons_per_count == pytest.approx(0.4)
        assert spectra.step_nm == (1.0 if role not in (Role.ZLP, Role.ALOOF) else None)


class Places:
    """Where the probe was for each frame, listed by the simulated microscope itself."""

    def __init__(self, lab: Lab) -> None:
        self.points: list[Point] = []
        self._frame = lab.microscope.frame
        lab.microscope.frame = self

    def __call__(self, position: Point, exposure_s: float) -> np.ndarray:
        self.points.append(position)
        return self._frame(position, exposure_s)

    def array(self) -> np.ndarray:
        return np.array([(point.y_nm, point.x_nm) for point in self.points])


def positions(line: Line, frames: int) -> np.ndarray:
    return np.array([(point.y_nm, point.x_nm) for point in line.points() for _ in range(frames)])


@pytest.mark.parametrize("lag_s", [0.0, 0.03])
def test_every_frame_is_taken_where_it_belongs_also_when_the_window_lags(lab, monkeypatch, lag_s):
    make = Geometry.FloatPoint.make

    def slow(value) -> Geometry.FloatPoint:  # between Swift's drawing of the marker and its setting of the probe
        if threading.current_thread() is threading.main_thread():
            time.sleep(lag_s)
        return make(value)

    monkeypatch.setattr(Geometry.FloatPoint, "make", slow)
    plan, places = lab.line_plan(pixels=25, exposure_s=0.5, frames=3), Places(lab)
    outcome, _ = lab.run(plan)
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    assert plan.line is not None
    assert places.array() == pytest.approx(positions(plan.line, 3), abs=1e-6)


def test_an_exposure_during_which_the_probe_was_moved_is_taken_again(lab):
    plan, places = lab.line_plan(pixels=4, exposure_s=2.0, frames=2), Places(lab)
    moved = []

    def meddle(progress) -> None:
        if progress.rows_valid == 2 and not moved:
            moved.append(threading.Timer(0.01, lambda: lab.stem.set_probe_position(Geometry.FloatPoint(0.9, 0.9))))
            moved[0].start()

    outcome, run = lab.run(plan, on_progress=meddle)
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    assert len(places.points) == 10  # one pixel twice
    totals = run.items()[Role.VIBRATIONAL].data.sum(axis=1)
    assert totals == pytest.approx(np.full(4, totals.mean()), rel=0.02)


def test_live_views_and_another_field_come_back(lab):
    parameters = lab.scan.get_current_frame_parameters()
    parameters.fov_nm, parameters.rotation_rad = 64.0, 0.3
    lab.scan.set_current_frame_parameters(parameters)
    lab.camera.start_playing(sync_timeout=10.0)
    lab.scan.start_playing(sync_timeout=10.0)
    before, places = lab.state(), Places(lab)
    assert before["playing"] == (True, True) and before["field"] == (64.0, 0.3)
    outcome, _ = lab.run(lab.line_plan())
    assert outcome.ending is Ending.COMPLETE and not outcome.problems
    assert lab.state() == before
    taken = {(round(p.y_nm, 3), round(p.x_nm, 3)) for p in places.points}
    assert {(0.0, 17.0 + i) for i in range(6)} <= taken  # in the survey's field, whatever the scan showed
    lab.camera.abort_playing(sync_timeout=10.0)
    lab.scan.abort_playing(sync_timeout=10.0)


def test_rows_arrive_in_batches_and_the_record_says_how_many(lab):
    lab.microscope.clock.time_scale = 10.0
    seen, changes = [], []

    def on_item(item, record):
        changes.append(item.data_changed_event.listen(lambda: seen.append((record_of(item), item.data.any(axis=1)))))

    started = time.monotonic()
    outcome, _ = lab.run(lab.line_plan(pixels=60, frames=2), on_item=on_item)
    seconds = time.monotonic() - started
    assert outcome.ending is Ending.COMPLETE
    running = [(record, rows) for record, rows in seen if record.status is Status.RUNNING and record.rows_valid]
    assert 3 <= len(running) <= 5 * seconds + 2
    for record, rows in running:
        assert rows[: record.rows_valid].all() and not rows[record.rows_valid :].any()


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
    from nion.data import Calibration

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


def test_the_field_of_a_run_need_not_be_that_of_the_scan_nor_upright(lab):
    field = Field(300.0, 300.0, Point(10.0, -40.0), 0.4)
    plan, places = lab.line_plan(pixels=3), Places(lab)
    outcome, _ = lab.run(plan, field)
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    assert plan.line is not None
    assert places.array() == pytest.approx(positions(plan.line, 2), abs=1e-6)


def test_saturated_frames_are_counted(lab):
    lab.site = replace(lab.site, camera=replace(lab.site.camera, saturation_counts=100.0))
    _, run = lab.run(lab.line_plan())
    record = record_of(run.items()[Role.VIBRATIONAL])
    assert record.saturated_frames == 12 and record.saturation_level == 200.0


def test_without_a_microscope_there_is_a_sentence():
    assert host_run.missing() == ["There is no microscope; existing data can be analysed: EELS > Ion Transport."]
    assert host_run.scan_field() is None
