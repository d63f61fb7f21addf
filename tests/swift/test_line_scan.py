"""Lines by the synchronized scan, and reference images, through Swift: places, timing, cancel, and all comes home."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.data.geometry import Field, Line, Point
from nionswift_plugin.iontransport.host import line_scan

from .microscope_context import FIELD, PARKED, Begun, lab
from .test_acquisition import Places

__all__ = ["lab"]  # a fixture

LINE = Line(Point(0.0, 10.0), Point(0.0, 30.0), 20)
FLYBACK = 2  # frames that the simulated scan unit takes before each line
TURNED = Field(300.0, 300.0, Point(10.0, -40.0), 0.4)


@pytest.fixture
def begin(lab) -> Iterator[Callable[..., Begun]]:
    """Begins a run in a field; what was before it must be there again after it."""
    before, begun = lab.state(), []

    def start(field: Field = FIELD) -> Begun:
        begun.append(Begun(lab, field))
        return begun[0]

    yield start
    begun[0].call(begun[0].microscope.end)
    assert lab.state() == before


LINES = {
    "along x": (FIELD, LINE),
    "tilted": (FIELD, Line(Point(-5.0, 10.0), Point(8.0, 30.0), 20)),
    "backwards": (FIELD, Line(Point(20.0, 40.0), Point(-8.0, 10.0), 11)),
    "along y": (FIELD, Line(Point(-7.0, 3.0), Point(7.0, 3.0), 5)),
    "one pixel": (FIELD, Line(Point(0.0, 10.0), Point(0.0, 11.0), 1)),
    "in a turned field": (TURNED, Line(Point(-5.0, 10.0), Point(8.0, 30.0), 20)),
    "in a field that is no square": (Field(200.0, 400.0), Line(Point(-5.0, 10.0), Point(8.0, 30.0), 20)),
}


@pytest.mark.parametrize("case", LINES)
def test_each_pixel_is_where_the_line_has_it(lab, begin, case):
    field, line = LINES[case]
    begun, places, firsts, rows = begin(field), Places(lab), [], []

    def on_rows(first: int, frames: Frames) -> None:
        firsts.append(first)
        rows.extend(frames.counts)

    begun.scan_line(line, 0.1, on_rows)
    wanted = np.array([(point.y_nm, point.x_nm) for point in line.points()])
    assert len(rows) == line.pixels and firsts[0] == 0
    assert places.array()[FLYBACK:] == pytest.approx(wanted, abs=1e-6)


def test_a_pixel_has_the_spectrum_of_its_place(lab, begin):
    """Not that of its neighbour: half the line lies in vacuum, where no electron is lost."""
    edge = lab.microscope.specimen.aloof_point().x_nm + 65.0
    line, rows = Line(Point(0.0, edge - 20.5), Point(0.0, edge + 19.5), 40), []
    begun = begin()
    lab.microscope.use("valence")
    begun.scan_line(line, 0.1, lambda first, frames: rows.extend(frames.counts))
    energy = lab.microscope.energy
    lab.microscope.use("vibrational")
    lost = np.array(rows)[:, int((5.0 - energy.offset_ev) / energy.step_ev) :].sum(axis=1) / np.array(rows).sum(axis=1)
    inside = np.array([point.x_nm > edge for point in line.points()])
    assert lost[~inside].max() < 0.5 * lost[inside].min()


def test_rows_come_while_the_line_goes_on(lab, begin):
    lab.microscope.clock.time_scale = 1.0
    line, came = Line(Point(0.0, 10.0), Point(0.0, 30.0), 60), []
    begin().scan_line(line, 0.02, lambda first, frames: came.append((time.monotonic(), first, frames)))
    times = np.array([when for when, _, _ in came])
    assert len(came) >= 5 and np.median(np.diff(times)) < 0.2 and np.diff(times).max() < 0.8
    assert [first for _, first, _ in came] == list(np.cumsum([0, *(len(f.counts) for _, _, f in came[:-1])]))
    assert came[0][2].energy == lab.microscope.energy and came[0][2].electrons_per_count == pytest.approx(0.4)
    assert came[0][2].saturation_level == lab.site.camera.saturation_counts


@pytest.mark.parametrize("exposure_s, after_s", [(0.02, 0.7), (3.0, 0.7), (0.02, 0.0)])
def test_a_cancel_ends_a_line_at_once_and_the_next_one_works(lab, begin, exposure_s, after_s):
    lab.microscope.clock.time_scale = 1.0
    line, begun, rows, asked, ended = Line(Point(0.0, 10.0), Point(0.0, 30.0), 100), begin(), [], [], []

    def cancel() -> None:
        asked.append(time.monotonic())
        begun.microscope.cancel()

    def scan() -> None:
        threading.Timer(after_s, cancel).start()
        begun.microscope.scan_line(line, exposure_s, lambda first, frames: rows.extend(frames.counts))
        ended.append(time.monotonic())

    begun.call(scan)
    assert ended[0] - asked[0] < 1.0 and len(rows) < line.pixels  # how fast, the benchmarks measure
    begun.call(begun.microscope.end)
    begun.call(begun.microscope.begin)
    rows.clear()
    begun.scan_line(LINE, 0.005, lambda first, frames: rows.extend(frames.counts))
    assert len(rows) == LINE.pixels


def test_what_a_row_runs_into_ends_the_line(lab, begin):
    begun = begin()

    def refuse(first: int, frames: Frames) -> None:
        raise OSError("disk full")

    lab.microscope.clock.time_scale = 1.0
    started = time.monotonic()
    with pytest.raises(OSError, match="disk full"):
        begun.scan_line(Line(LINE.start, LINE.end, 200), 0.05, refuse)
    assert time.monotonic() - started < 1.5
    lab.microscope.clock.time_scale = 100.0
    rows = []
    begun.scan_line(LINE, 0.1, lambda first, frames: rows.extend(frames.counts))
    assert len(rows) == LINE.pixels


def test_a_camera_that_fails_within_a_line_is_a_sentence(lab, begin, monkeypatch):
    begun, frame, rows = begin(), lab.microscope.frame, []

    def fail(position: Point, exposure_s: float) -> np.ndarray:
        if len(rows) > 5:
            raise RuntimeError("link down")
        return frame(position, exposure_s)

    lab.microscope.clock.time_scale = 1.0
    monkeypatch.setattr(lab.microscope, "frame", fail)
    with pytest.raises(MicroscopeFault, match=r"The synchronized scan failed \(link down\)"):
        begun.scan_line(Line(LINE.start, LINE.end, 200), 0.02, lambda first, frames: rows.extend(frames.counts))
    assert 5 < len(rows) < 40
    monkeypatch.undo()
    lab.microscope.clock.time_scale = 100.0
    rows.clear()
    begun.scan_line(LINE, 0.1, lambda first, frames: rows.extend(frames.counts))
    assert len(rows) == LINE.pixels


def test_a_camera_that_never_answers_within_a_line_is_given_up(lab, begin, monkeypatch):
    monkeypatch.setattr(line_scan, "ANSWER_S", 0.3)
    monkeypatch.setattr(line_scan, "ABORT_ANSWER_S", 0.3)
    begun, frame, release = begin(), lab.microscope.frame, threading.Event()

    def hang(position: Point, exposure_s: float) -> np.ndarray:
        release.wait(20.0)
        return frame(position, exposure_s)

    with monkeypatch.context() as patch:
        patch.setattr(lab.microscope, "frame", hang)
        with pytest.raises(MicroscopeFault, match="gave nothing for"):
            begun.scan_line(LINE, 0.1, lambda first, frames: None)
    release.set()
    time.sleep(0.3)


AREAS = {
    "as the survey lies": (FIELD, Field(30.0, 30.0, Point(4.0, 12.0))),
    "turned": (FIELD, Field(20.0, 40.0, Point(-4.0, 12.0), 0.5)),
    "in a turned field": (TURNED, Field(30.0, 30.0, Point(4.0, 12.0), -0.2)),
}


@pytest.mark.parametrize("case", AREAS)
def test_a_reference_image_shows_its_area_and_the_probe_stays(lab, begin, case):
    field, area = AREAS[case]
    begun, place = begin(field), Point(3.0, 4.0)
    begun.call(begun.microscope.set_probe, place)
    started = time.monotonic()
    image = begun.call(begun.microscope.image, area, (32, 48))
    seconds = time.monotonic() - started
    true = lab.microscope.image(area, (32, 48))
    noise = np.std(true - lab.microscope.image(area, (32, 48)))
    assert image.shape == (32, 48) and np.std(image - true) < 1.2 * noise < 0.5 * np.std(true)
    assert seconds < 0.3
    at = begun.microscope.get_probe()
    assert at is not None and (at.y_nm, at.x_nm) == pytest.approx((3.0, 4.0), abs=1e-6)
    places = Places(lab)
    assert len(begun.call(begun.microscope.acquire_frames, 0.1, 2).counts) == 2
    assert places.array() == pytest.approx(np.array([(3.0, 4.0)] * 2), abs=1e-6)
    lab.stem.set_probe_position(PARKED)


def test_a_reference_image_has_an_item_of_its_own(lab, begin):
    begun = begin()
    survey = lab.document_model.data_items[0]
    before = survey.modified_count, survey.data.copy()
    begun.call(begun.microscope.image, Field(30.0, 30.0), (16, 16))
    lab.window.periodic()
    assert survey.modified_count == before[0] and (survey.data == before[1]).all()
    assert [item.title.endswith("(Drift)") for item in lab.document_model.data_items] == [False, True]
