"""Runs through Swift on the simulated HERMES: items that say what they are, and a microscope that comes home."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from nion.utils import Geometry

from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Plan, Step
from eels_iontransport.data.collection import Collection
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.data.record import Role, Status
from eels_iontransport.files.parts import spectra_from_parts

from .microscope_context import Lab, lab, record_of

__all__ = ["lab"]  # a fixture


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


def test_points_are_an_item_with_a_row_for_each(lab):
    points = (Point(3.0, -10.0), Point(-2.0, 40.0), Point(0.0, -100.0))
    places = Places(lab)
    outcome, run = lab.run(lab.plan(steps=(Step(Role.POINTS, "vibrational", 0.1, 2),), points=points))
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    item = run.items()[Role.POINTS]
    assert item.title == "GB1 points" and item.data_shape == (3, 2048) and item.dimensional_calibrations[0].units == ""
    assert places.array() == pytest.approx(np.array([(p.y_nm, p.x_nm) for p in points for _ in range(2)]), abs=1e-6)


def test_a_step_off_the_axis_deflects_the_pattern_and_the_next_has_it_back(lab):
    plan, before = lab.plan(), lab.state()
    setting = lab.site.collections(Role.VIBRATIONAL)[Collection.OFF_AXIS]
    steps = tuple(replace(s, setting=setting) if s.role is Role.VIBRATIONAL else s for s in plan.steps)
    outcome, run = lab.run(replace(plan, steps=steps))
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    assert lab.state() == before
    items = run.items()
    line, valence = items[Role.VIBRATIONAL], items[Role.VALENCE]
    assert line.title == "GB1 L1 vibrational off axis" and record_of(line).setting == setting
    assert record_of(line).settings["EELS_PatternShift"] == 0.06
    assert record_of(valence).settings["EELS_PatternShift"] == 0.0
    assert line.data.sum(axis=1).max() < 0.05 * items[Role.ALOOF].data.sum(axis=1).min()
    assert valence.data.sum(axis=1).min() > 0.05 * items[Role.ALOOF].data.sum(axis=1).max()


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
