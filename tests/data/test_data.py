"""Spectra, axes, units, regions and records: what they promise, in tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from eels_iontransport.data import units
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.data.record import METADATA_KEY, Record, Role, Status
from eels_iontransport.data.regions import Region, from_mapping, parse_region
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra

AXIS = EnergyAxis(-0.1, 0.0004, 2048)


@pytest.mark.parametrize(
    ("low_mev", "high_mev", "first", "count"),
    [(22.0, 110.0, 305, 221), (-200.0, -100.0, 0, 1), (-500.0, -200.0, 0, 0), (900.0, 950.0, 2048, 0)],
)
def test_channels_of_a_window(low_mev, high_mev, first, count):
    window = AXIS.channels(units.ev(low_mev), units.ev(high_mev))
    assert (window.start, window.stop - window.start) == (first, count)
    inside = (AXIS.energies_mev >= low_mev - 1e-6) & (AXIS.energies_mev <= high_mev + 1e-6)
    assert inside.sum() == count


@pytest.mark.parametrize("step", [0.0, -0.1, float("nan"), float("inf")])
def test_an_axis_needs_a_positive_step(step):
    with pytest.raises(UnusableInput, match="positive step"):
        EnergyAxis(0.0, step, 100)


@pytest.mark.parametrize(
    ("unit", "ev"), [("eV", 1.0), ("meV", 1e-3), (" mev ", 1e-3), ("keV", 1e3), ("nm", None), ("", None)]
)
def test_energy_units(unit, ev):
    assert units.ev_per_unit(unit) == ev


@hypothesis_given(st.floats(0, 1), st.floats(0, 1))
def test_interval_graphics_come_back_as_they_went(a, b):
    interval = units.interval_from_fraction((a, b), -0.1, 0.8192)
    assert interval[0] <= interval[1]
    assert units.fraction_from_interval(interval, -0.1, 0.8192) == pytest.approx((min(a, b), max(a, b)), abs=1e-9)


def test_an_interval_over_the_whole_display_spans_all_channels():
    assert units.interval_from_fraction((1.0, 0.0), -0.25, 20.0) == pytest.approx((-0.25, 19.75))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.zeros((2, 3, 2048)), "3 dimensions"),
        (np.zeros((0, 2048)), "shape"),
        (np.zeros(5), "at least 16 channels"),
        (np.zeros(100), "100 channels but its energy axis has 2048"),
    ],
)
def test_arrays_that_are_no_spectra(counts, said):
    with pytest.raises(UnusableInput, match=said):
        make_spectra(counts, AXIS, name="line")


def test_rows_are_valid_with_half_of_their_channels():
    counts = np.ones((5, 2048))
    counts[1, 7], counts[2, 9] = np.nan, np.inf
    counts[3, :1024], counts[4, :1025] = np.nan, -np.inf
    spectra = make_spectra(counts, AXIS, valid=np.array([True, True, False, True, True]))
    assert spectra.valid.tolist() == [True, True, False, True, False]
    assert np.isnan(spectra.counts).sum(axis=1).tolist() == [0, 1, 1, 1024, 1025]
    assert np.isinf(counts[2, 9])  # what was given stays as it was


def test_a_single_spectrum_is_one_row():
    spectra = make_spectra(np.arange(2048.0), AXIS)
    assert spectra.rows.shape == (1, 2048) and not spectra.is_line and spectra.counts.shape == (2048,)


def test_positions_count_in_steps():
    assert make_spectra(np.ones((3, 2048)), AXIS, step_nm=0.5).position_nm.tolist() == [0.0, 0.5, 1.0]
    assert make_spectra(np.ones((3, 2048)), AXIS).position_nm.tolist() == [0.0, 1.0, 2.0]


def test_both_ends_of_a_region_belong_to_it():
    position = np.arange(40) * 0.5
    assert np.flatnonzero(Region(9.0, 11.0).mask(position)).tolist() == [18, 19, 20, 21, 22]
    regions = from_mapping({"grain_1": (0, 8), "boundary": (9, 11), "grain_2": (30, 40)})
    content = regions.to_dict(position)
    assert content["boundary"] == {"start_nm": 9, "end_nm": 11, "pixels": [18, 22]}
    assert content["grain_2"]["pixels"] is None


@pytest.mark.parametrize(("text", "said"), [("9", "form A:B"), ("a:b", "form A:B"), ("11:9", "ends before it starts")])
def test_regions_that_cannot_be_read(text, said):
    with pytest.raises(UnusableInput, match=said):
        parse_region(text, "boundary")


def test_a_missing_region_is_named():
    with pytest.raises(UnusableInput, match="grain_2"):
        from_mapping({"grain_1": (0, 8), "boundary": (9, 11)})


def test_variance_of_counts_of_a_known_gain():
    noise = given(0.05)  # 20 counts an electron
    electrons = np.random.default_rng(3).poisson(400.0, 200_000)
    assert noise.variance(np.array([400.0 * 20]))[0] == pytest.approx((electrons * 20.0).var(), rel=0.02)
    assert noise.variance(np.array([-5.0, 0.0])).tolist() == [400.0, 400.0]  # never below one electron


def test_a_floor_adds_up_with_the_rows():
    noise = NoiseModel("given", 1.0, 1.0, floor=7.0)
    assert noise.variance(np.array([100.0]), rows=10)[0] == 100.0 + 70.0


RECORD = Record(
    Role.VIBRATIONAL, Status.ABORTED, 40, 17, "Stopped by you.", 0.1, 20, 1e6, 0.4, 20.0, {"ZLPoffset": -0.1}
)


def test_a_record_survives_json():
    metadata = json.loads(json.dumps({"other": 1, **RECORD.to_metadata()}))
    assert Record.from_metadata(metadata) == RECORD


@pytest.mark.parametrize("content", [None, 5, {}, {"role": "vibrational"}, {"role": "no such", "status": "complete"}])
def test_a_broken_record_is_no_record(content):
    assert Record.from_metadata({METADATA_KEY: content}) is None


@hypothesis_given(
    st.floats(-300, 300),
    st.floats(-300, 300),
    st.floats(-3, 3),
    st.floats(-50, 50),
    st.floats(10, 500),
    st.floats(10, 500),
)
def test_fractions_of_a_turned_field_come_back(y, x, rotation, centre, height, width):
    field = Field(height, width, Point(centre, -centre), rotation)
    back = field.point(field.fraction(Point(y, x)))
    assert (back.y_nm, back.x_nm) == pytest.approx((y, x), abs=1e-6)


def test_pixels_of_a_line_lie_a_step_apart_from_its_start():
    line = Line(Point(0.0, -10.0), Point(0.0, 10.0), 40)
    points = line.points()
    assert line.step_nm == 0.5 and points[0] == Point(0.0, -10.0)
    assert [p.x_nm for p in points] == pytest.approx(-10.0 + 0.5 * np.arange(40))
