"""Where the probe goes: strips that spread the dose evenly, the rest of a line, and what drift is measured on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from eels_iontransport.acquire.places import (
    across,
    moved_line,
    reference_area,
    rest_of,
    strip_corners,
    strip_offsets_nm,
)
from eels_iontransport.data.geometry import Area, Field, Line, Point

LINE = Line(Point(0.0, 0.0), Point(0.0, 10.0), 5)


@pytest.mark.parametrize("frames, passes", [(1, 1), (4, 1), (1, 4), (1, 5), (3, 2), (20, 8)])
def test_all_frames_of_all_passes_lie_evenly_over_the_strip(frames, passes):
    each = [strip_offsets_nm(3.0, frames, passes, which) for which in range(passes)]
    assert all(len(offsets) == frames for offsets in each)
    together = np.sort(np.concatenate(each))
    apart = 3.0 / (frames * passes)
    np.testing.assert_allclose(together, (np.arange(frames * passes) + 0.5) * apart - 1.5, atol=1e-12)


@pytest.mark.parametrize("passes", [2, 3, 5, 8])
def test_the_first_passes_are_nearly_symmetric(passes):
    means = np.cumsum([np.mean(strip_offsets_nm(1.0, 1, passes, k)) for k in range(passes)]) / np.arange(1, passes + 1)
    assert (np.abs(means) <= 0.5 / passes + 1e-12).all() and means[-1] == pytest.approx(0.0)


def test_each_pass_takes_one_frame_in_every_part_of_the_strip():
    for which in range(6):
        offsets = np.array(strip_offsets_nm(2.0, 4, 6, which))
        assert (np.floor((offsets + 1.0) / 0.5) == np.arange(4)).all()


def test_without_a_strip_all_lie_on_the_line():
    assert set(strip_offsets_nm(0.0, 4, 3, 1)) == {0.0}
    assert across(LINE, 0.0) == (0.0, 0.0)
    assert strip_corners(LINE, 0.0) == (LINE.start, LINE.end)


@pytest.mark.parametrize("end", [Point(0.0, 10.0), Point(7.0, -3.0), Point(-2.0, 0.0)])
def test_across_is_at_right_angles_and_as_long_as_asked(end):
    tilted = Line(Point(1.0, 2.0), end, 5)
    dy, dx = across(tilted, 1.5)
    assert np.hypot(dy, dx) == pytest.approx(1.5)
    assert dy * (end.y_nm - 1.0) + dx * (end.x_nm - 2.0) == pytest.approx(0.0, abs=1e-12)
    assert across(tilted, -1.5) == pytest.approx((-dy, -dx))


def test_the_corners_of_a_strip():
    corners = strip_corners(LINE, 4.0)
    assert {(p.y_nm, p.x_nm) for p in corners} == {(-2.0, 0.0), (2.0, 0.0), (-2.0, 10.0), (2.0, 10.0)}


@pytest.mark.parametrize("first", range(5))
def test_the_rest_of_a_line_keeps_its_pixels(first):
    line = Line(Point(1.0, 2.0), Point(4.0, 9.0), 5)
    rest = rest_of(line, first)
    assert rest.pixels == 5 - first and rest.step_nm == pytest.approx(line.step_nm)
    for point, expected in itertools.zip_longest(rest.points(), line.points()[first:]):
        assert (point.y_nm, point.x_nm) == pytest.approx((expected.y_nm, expected.x_nm))


def test_a_moved_line():
    assert moved_line(LINE, (1.0, -2.0)) == Line(Point(1.0, -2.0), Point(1.0, 8.0), 5)


@pytest.mark.parametrize("rotation", [0.0, 0.7])
def test_an_area_is_scanned_row_by_row_within_its_rectangle(rotation):
    area = Area(Field(6.0, 8.0, Point(10.0, -5.0), rotation), rows=3, columns=4)
    points = area.points()
    assert len(points) == 12 and area.step_nm == (2.0, 2.0)
    fractions = np.array([area.field.fraction(point) for point in points]).reshape(3, 4, 2)
    np.testing.assert_allclose(fractions[:, :, 0], np.broadcast_to([[1 / 6], [3 / 6], [5 / 6]], (3, 4)))
    np.testing.assert_allclose(fractions[:, :, 1], np.broadcast_to([1 / 8, 3 / 8, 5 / 8, 7 / 8], (3, 4)))
    assert area.line(1).points() == points[4:8]


FIELD = Field(100.0, 80.0, Point(5.0, 0.0), 0.3)


@pytest.mark.parametrize(
    "fractions, side, expected",
    [
        ([(0.5, 0.4), (0.5, 0.6)], 0.0, 24.0),  # half as much again as the 16 nm of the line
        ([(0.5, 0.5)], 0.0, 16.0),
        ([(0.5, 0.4), (0.5, 0.6)], 30.0, 30.0),
        ([(0.02, 0.98)], 30.0, 30.0),
        ([(0.0, 0.0), (1.0, 1.0)], 0.0, 80.0),
        ([], 0.0, 16.0),
    ],
)
def test_drift_is_measured_on_a_square_about_the_places_within_the_field(fractions, side, expected):
    area = reference_area([FIELD.point(fraction) for fraction in fractions], FIELD, side)
    assert (area.height_nm, area.width_nm) == pytest.approx((expected, expected))
    assert area.rotation_rad == FIELD.rotation_rad
    corners = [FIELD.fraction(area.point(corner)) for corner in itertools.product((0.0, 1.0), repeat=2)]
    assert np.min(corners) >= -1e-9 and np.max(corners) <= 1.0 + 1e-9
