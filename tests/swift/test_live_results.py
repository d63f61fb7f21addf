"""What each result shows: orientation, layers, ranges, regions as fractions. Pure: no host."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("nion.swift")

from hypothesis import given
from hypothesis import strategies as st

from eels_iontransport import materials
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.evaluation import Evaluation, FittedSpectrum
from nionswift_plugin.iontransport import results

LCO, WATER = materials.load("lco"), materials.load("water_cnt")
AXIS = EnergyAxis(0.010, 0.001, 120)  # 10 to 129 meV
ROWS = 10
REGIONS = Regions(Region(0.0, 1.5), Region(2.0, 2.5), Region(3.0, 4.5))


def evaluation(**changes) -> Evaluation:
    base = Evaluation(
        readout={},
        position_nm=0.5 * np.arange(ROWS),
        valid=np.arange(ROWS) < 8,
        regions=REGIONS,
        normalised=np.ones((ROWS, AXIS.size)),
        normalised_axis=AXIS,
        profiles={"ldo_centre_mev": np.full(ROWS, 50.0), "ldo_centre_sigma_mev": np.full(ROWS, 0.5)},
    )
    return replace(base, **changes)


def output(name: str, **changes) -> results.Output:
    return results.outputs(evaluation(**changes), LCO, results.NAMES)[name]


def test_map_has_position_across_and_energy_up():
    normalised = np.zeros((ROWS, AXIS.size))
    normalised[3, 40] = 7.0  # 50 meV at 1.5 nm
    shown = output(results.MAP, normalised=normalised)
    height, width = shown.data.shape
    rows, columns = np.nonzero(shown.data == 7.0)
    down, across = shown.axes
    assert down.offset + rows * down.scale == pytest.approx(50.0)
    centre = across.offset + (columns.mean() + 0.5) * across.scale
    assert centre == pytest.approx(1.5)
    assert down.scale < 0 and 0.5 < width / height < 2.0
    assert width == ROWS * len(columns)


def test_map_shows_the_recipe_s_energies_only():
    down = output(results.MAP).axes[0]
    energies = down.offset + down.scale * np.arange(output(results.MAP).data.shape[0])
    low, high = LCO.wide_window_mev
    assert low - 1 <= energies.min() and energies.max() <= high + 1


def test_rows_not_taken_are_nan_and_covered():
    normalised = np.random.default_rng(0).uniform(1.0, 2.0, (ROWS, AXIS.size))
    normalised[8:] = 1e9  # whatever stands in rows that are not valid
    shown = output(results.MAP, normalised=normalised)
    width = shown.data.shape[1]
    assert shown.covered == 0.8
    assert np.isnan(shown.data[:, int(0.8 * width) :]).all()
    assert np.isfinite(shown.data[:, : int(0.8 * width)]).all()
    assert 1.0 <= shown.value_range[0] < shown.value_range[1] <= 2.0


def test_map_ticks_lie_at_peaks_and_apart():
    shown = output(results.MAP)
    down, height = shown.axes[0], shown.data.shape[0]
    bottom = down.offset + down.scale * (height - 1)
    assert [label for label, _ in shown.ticks][0] == "34"
    for label, place in shown.ticks:
        assert bottom - place * height * down.scale == pytest.approx(float(label), abs=1.0)
    places = [place for _, place in shown.ticks]
    assert np.diff(places).min() >= results.MAP_TICKS_APART


def test_regions_are_means_of_valid_rows_set_apart():
    normalised = np.arange(ROWS)[:, None] + np.linspace(1.0, 0.0, AXIS.size)
    shown = output(results.REGIONS, normalised=normalised)
    grain_1, boundary, grain_2 = shown.data[:3]
    assert len(shown.data) == len(results.layers(results.REGIONS, LCO))
    assert np.allclose(np.diff(grain_1), np.diff(boundary)) and np.allclose(np.diff(boundary), np.diff(grain_2))
    assert np.allclose(grain_2, normalised[6:8].mean(axis=0))  # 3.0 and 3.5 nm; the rest of grain 2 is not there
    assert grain_1[0] - normalised[:4].mean(axis=0)[0] == pytest.approx(
        2 * (boundary[0] - normalised[4:6].mean(axis=0)[0])
    )


def test_fit_rows_are_above_the_background():
    energy = np.linspace(20.0, 110.0, 91)
    background, polaritonic, phononic = 1000.0 - energy, 10.0 + 0 * energy, 20.0 + 0 * energy
    counts = background + 37.0
    fit = FittedSpectrum(energy, counts, background, {}, polaritonic, phononic, 1.0, 1.04)
    shown = output(results.FIT, fits={"boundary": fit, "grain_1": replace(fit, chi2=9.0)})
    above, model, pol, pho, residual, marks, kept = shown.data
    assert (above == pytest.approx(37.0)) and (model == pytest.approx(30.0)) and (residual == pytest.approx(7.0))
    assert (pol == 10.0).all() and (pho == 20.0).all() and np.array_equal(kept, background)
    assert energy[np.isfinite(marks)] == pytest.approx([34, 41, 49, 54, 65, 74, 81], abs=0.51)
    assert shown.summary == "boundary, chi2 1.04"
    assert shown.value_range[1] > 37.0 and shown.value_range[0] < 0.0 + 7.0
    assert len(results.layers(results.FIT, LCO)) == len(shown.data) - 1  # the background is kept, not drawn


def test_profile_is_a_band_with_gaps_where_nothing_is_known():
    centre = np.where(np.arange(ROWS) < 6, 50.0 + np.arange(ROWS), np.nan)
    sigma = np.full(ROWS, 0.5)
    shown = output(results.SHIFT, profiles={"ldo_centre_mev": centre, "ldo_centre_sigma_mev": sigma})
    upper, lower, value = shown.data
    assert np.array_equal(value, centre, equal_nan=True)
    assert upper[:6] - lower[:6] == pytest.approx(1.0)
    assert shown.value_range[0] < 49.5 and shown.value_range[1] > 55.5 and all(map(math.isfinite, shown.value_range))


@pytest.mark.parametrize(
    ("recipe", "roles", "is_line", "expected"),
    [
        (LCO, {"vibrational"}, True, ["map", "regions", "fit", "shift"]),
        (LCO, {"vibrational", "core_loss"}, True, ["map", "regions", "fit", "shift", "ratio"]),
        (LCO, {"vibrational", "core_loss", "valence"}, True, ["map", "regions", "fit", "shift", "ratio", "thickness"]),
        (LCO, {"vibrational", "core_loss"}, False, ["fit"]),
        (WATER, {"vibrational", "core_loss"}, True, ["map", "regions", "fit"]),
    ],
)
def test_expected_outputs(recipe, roles, is_line, expected):
    assert results.expected(recipe, roles, is_line) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"normalised": None, "normalised_axis": None},
        {"regions": None},
        {"valid": np.zeros(ROWS, bool), "profiles": {"ldo_centre_mev": np.full(ROWS, np.nan)}},
        {"profiles": {}},
    ],
)
def test_what_is_not_known_is_missing_and_nothing_fails(changes):
    made = results.outputs(evaluation(**changes), LCO, results.NAMES)
    assert len(made) < 3
    for name, shown in made.items():
        assert all(map(math.isfinite, shown.value_range)), name


def test_blanks_have_the_layers_of_what_comes():
    for name in (results.REGIONS, results.SHIFT, results.RATIO, results.THICKNESS, results.FIT):
        assert len(results.blank(name).data) >= len(results.layers(name, LCO))
        assert np.isnan(results.blank(name).data).all()


@given(st.lists(st.floats(0.0, 100.0), min_size=6, max_size=6), st.floats(0.05, 5.0), st.integers(2, 500))
def test_regions_survive_the_way_through_graphics(ends, step_nm, rows):
    ends = sorted(ends)
    regions = Regions(Region(*ends[:2]), Region(*ends[2:4]), Region(*ends[4:]))
    axis = results.line_axis(step_nm * np.arange(rows))
    back = results.regions_from_fractions(results.fractions(regions, axis, rows), axis, rows)
    assert back is not None
    for name, region in back:
        before = getattr(regions, name)
        assert (region.start_nm, region.end_nm) == pytest.approx((before.start_nm, before.end_nm), abs=1e-9)


def test_incomplete_graphics_are_no_regions():
    assert results.regions_from_fractions({"boundary": (0.4, 0.6)}, results.Axis(0.0, 1.0, "nm"), 10) is None
