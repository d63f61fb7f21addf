"""Li:Co along a line and its change at the boundary, from spectra whose edges are not those that are fitted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import Region
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.measure.composition import change, profile
from eels_iontransport.measure.plural import plural_scattering
from eels_iontransport.measure.values import unmixed
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from eels_iontransport.simulation.specimen import SPECIMENS
from eels_iontransport.simulation.truth import own_regions, truth

from .edge_spectra import AXIS, REGIONS, line

EDGES, RATIO = materials.load("lco").edges, ("Li", "Co")
POISSON = given(1.0)


def changed(spectra, noise=POISSON, **options):
    return change(spectra, EDGES, RATIO, REGIONS, noise, **options)


@pytest.mark.parametrize("true", [-0.27, 0.0, 0.2])
def test_change_of_the_ratio_within_two_points_and_its_error(true):
    found = changed(line(1, true)).relative_change
    assert found.value == pytest.approx(true, abs=0.02)
    assert abs(found.value - true) < 2 * found.sigma
    assert found.sigma < 0.04


def test_plain_windows_dilute_the_change():
    found = changed(line(None, -0.27))
    assert -0.23 < found.uncorrected_relative_change.value < -0.17
    assert found.windows.unmixed_change.value == pytest.approx(-0.27, abs=0.02)


@pytest.mark.parametrize("shift_ev", [-0.5, 0.5])
@pytest.mark.parametrize("true", [-0.27, 0.0])
def test_edge_shift_does_not_pass_for_composition(shift_ev, true):
    spectra = line(2, true, shift_ev)
    found = changed(spectra)
    assert found.relative_change.value == pytest.approx(true, abs=0.02)
    assert abs(found.uncorrected_relative_change.value - true) > 0.07
    assert "EDGE_SHIFT" in [flag.code for flag in found.flags]


@cache
def over_seeds(true):
    results = [changed(line(seed, true)) for seed in range(40)]
    return np.array([result.relative_change for result in results])


def test_error_covers_a_twin_over_seeds():
    value, sigma = over_seeds(0.0).T
    assert np.mean(np.abs(value) < 2 * sigma) > 0.94
    assert 0.4 < (value / sigma).std() < 1.2  # sigma holds what the shapes might do as well


def test_error_covers_a_change_over_seeds():
    value, sigma = over_seeds(-0.27).T
    assert np.mean(np.abs(value + 0.27) < 2 * sigma) > 0.94


def test_result_does_not_depend_on_the_gain():
    one = changed(line(3))
    seven = changed(make_spectra(7 * line(3).rows, AXIS, step_nm=0.5), NoiseModel("given", 7.0))
    assert seven.relative_change == pytest.approx(one.relative_change, rel=1e-3)


def test_correlated_channels_widen_the_error():
    one, wider = (changed(line(3), NoiseModel("given", 1.0, correlation=c)).fit for c in (1.0, 4.0))
    ratio = np.sqrt(np.diag(wider.covariance) / np.diag(one.covariance))
    assert np.all(ratio > 1.0) and ratio.max() > 1.2


def test_zero_read_off_a_zero_loss_peak_moves_the_windows():
    moved = EnergyAxis(-10.0, 0.1, 1324)
    energy = moved.energies_ev - 0.6
    rows = np.array([np.interp(energy, AXIS.energies_ev, row, left=0.0) for row in line(4).rows])
    rows = rows + 1e7 * np.exp(-0.5 * (energy / 0.15) ** 2)
    found = changed(make_spectra(rows[:, :1024], EnergyAxis(-10.0, 0.1, 1024), step_nm=0.5))
    reference = changed(line(4))
    assert found.relative_change.value == pytest.approx(reference.relative_change.value, abs=0.005)
    plain = found.uncorrected_relative_change.value
    assert plain == pytest.approx(reference.uncorrected_relative_change.value, abs=0.02)


def test_profile_dips_where_the_boundary_is():
    spectra = line(5)
    found = profile(spectra, EDGES, RATIO, POISSON, fit=changed(spectra).fit)
    position = spectra.position_nm
    grains = found.value[(position < 8) | (position > 12)]
    sigma = found.sigma[(position < 8) | (position > 12)]
    assert found.value[np.abs(position - 10) < 1].mean() / grains.mean() - 1 == pytest.approx(-0.27, abs=0.03)
    assert 0.7 < ((grains - grains.mean()) / sigma).std() < 1.4


def test_profile_without_regions_shows_the_same_dip():
    spectra = line(6)
    found = profile(spectra, EDGES, RATIO, POISSON)
    assert found.value[20] / np.median(found.value) - 1 == pytest.approx(-0.27, abs=0.06)


def test_rows_that_are_missing():
    spectra = line(7)
    rows = spectra.rows.copy()
    rows[3], rows[30] = np.nan, 0.0
    spectra = make_spectra(rows, AXIS, step_nm=0.5)
    assert np.flatnonzero(np.isnan(profile(spectra, EDGES, RATIO, POISSON).value)).tolist() == [3, 30]
    assert changed(spectra).relative_change.value == pytest.approx(-0.27, abs=0.03)


def test_scan_that_has_not_reached_the_second_grain():
    spectra = line(8).with_valid(np.arange(40) < 23)
    found = changed(spectra)
    assert np.isnan(found.relative_change.value) and np.isnan(found.ratio["grain_2"].value)
    assert found.ratio["boundary"].value / found.ratio["grain_1"].value - 1 == pytest.approx(-0.27, abs=0.03)


def test_nothing_acquired_yet():
    found = changed(line(9).with_valid(np.zeros(40, bool)))
    assert found.fit is None and np.isnan(found.relative_change.value)
    assert [flag.code for flag in found.flags] == ["CORE_LOSS_EMPTY"]


def test_one_pixel_per_region_is_enough():
    thin = replace(REGIONS, grain_1=replace(REGIONS.grain_1, end_nm=0.0), grain_2=replace(REGIONS.grain_2, end_nm=12.5))
    thin = replace(thin, boundary=replace(REGIONS.boundary, start_nm=10.0, end_nm=10.0))
    found = change(line(10), EDGES, RATIO, thin, POISSON).relative_change
    assert abs(found.value + 0.27) < 3 * found.sigma


def test_no_edges_in_the_spectra_give_no_ratio():
    rows = np.random.default_rng(0).poisson(2e3 * (AXIS.energies_ev / 43) ** -3.0, (40, AXIS.size)).astype(float)
    found = changed(make_spectra(rows, AXIS, step_nm=0.5))
    assert np.isnan(found.relative_change.value)
    assert "EDGE_NOT_SEEN" in [flag.code for flag in found.flags]


def test_spectra_of_something_else_are_refused():
    energy = AXIS.energies_ev
    rows = np.tile(1e4 * (energy / 43) ** -3.0 + 8e3 * np.sin(energy) ** 2, (40, 1))
    found = changed(make_spectra(rows, AXIS, step_nm=0.5))
    assert np.isnan(found.relative_change.value)
    assert {"CORE_LOSS_REFUSED", "EDGE_NOT_SEEN"} & {flag.code for flag in found.flags}


@pytest.mark.parametrize("axis", [EnergyAxis(50.0, 0.1, 1024), EnergyAxis(0.0, 0.02, 1024)])
def test_axis_without_the_edges_is_refused(axis):
    with pytest.raises(UnusableInput, match="eV"):
        changed(make_spectra(np.ones((40, 1024)), axis, step_nm=0.5))


def test_recipe_without_edges_is_refused():
    with pytest.raises(UnusableInput, match="no core-loss edges"):
        change(line(1), (), RATIO, REGIONS, POISSON)


def rows_of(name):
    """What a camera, a file or a hand on the regions may bring about."""
    rows, position = line(12).rows.copy(), 0.5 * np.arange(40)
    in_boundary = np.abs(position - 10) < 1
    return {
        "zeros": 0 * rows,
        "all the same": 0 * rows + 7.0,
        "negative": -rows,
        "no more than read noise": np.random.default_rng(0).normal(0.0, 5.0, rows.shape),
        "negative at the boundary": np.where(in_boundary[:, None], -rows, rows),
        "negative in grain 2": np.where((position > 12)[:, None], -rows, rows),
        "one pixel": rows[:1],
        "eleven pixels": rows[:11],
    }[name]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("zeros", "CORE_LOSS_EMPTY"),
        ("all the same", "EDGE_NOT_SEEN"),
        ("negative", "CORE_LOSS_EMPTY"),
        ("no more than read noise", "CORE_LOSS_REFUSED"),
        ("negative at the boundary", "CORE_LOSS_REGION_EMPTY"),
        ("negative in grain 2", "CORE_LOSS_REGION_EMPTY"),
        ("one pixel", "CORE_LOSS_REGION_EMPTY"),
        ("eleven pixels", "CORE_LOSS_REGION_EMPTY"),
    ],
)
@pytest.mark.parametrize("noise", [POISSON, NoiseModel("estimated", 0.3)])
def test_unusable_counts_give_no_change_and_a_reason(name, code, noise):
    found = changed(make_spectra(rows_of(name), AXIS, step_nm=0.5), noise)
    assert np.isnan(found.relative_change.value) and np.isnan(found.relative_change.sigma)
    assert code in [flag.code for flag in found.flags]


@pytest.mark.parametrize("boundary", [(19.5, 19.5), (10.1, 10.2), (30.0, 40.0)])
def test_regions_that_hold_no_pixel(boundary):
    regions = replace(REGIONS, boundary=Region(*boundary), grain_2=Region(25.0, 26.0))
    found = change(line(13), EDGES, RATIO, regions, POISSON)
    assert np.isnan(found.relative_change.value)
    message = next(flag.message for flag in found.flags if flag.code == "CORE_LOSS_REGION_EMPTY")
    assert "grain 2" in message


@pytest.mark.parametrize("shift_ev", [-0.2, 0.0, 0.2])
def test_edge_shift_and_its_error(shift_ev):
    pulls = []
    for seed in range(8):
        value, sigma = changed(line(seed, shift_ev=shift_ev)).edge_shift_ev
        assert value == pytest.approx(shift_ev, abs=0.03)
        pulls.append((value - shift_ev) / sigma)
    assert 0.3 < np.sqrt(np.mean(np.square(pulls))) < 2.0


def test_changes_of_the_elements():
    found = changed(line(None)).elements
    for name, true in {"Li": 0.73**0.5, "Co": 0.73**-0.5}.items():
        # The boundary's spectrum is 4.3e4 high, those of the grains 4e4 and 3.7e4.
        assert abs(found[name].value - (true * 4.3 / 3.85 - 1)) < 2 * found[name].sigma


def test_unmixing_inverts_the_cross_talk():
    matrix = np.array([[1.0, 0.1], [0.8, 1.0]])
    amounts = np.array([[3.0, 5.0], [2.0, 6.0]])
    assert unmixed(amounts @ matrix.T, matrix) == pytest.approx(amounts)


@cache
def simulated(name, seed):
    microscope = SimulatedMicroscope(specimen=SPECIMENS[name](), seed=seed)
    places = default_places(microscope)
    spectra = acquire_all(microscope, places, roles=(Role.VALENCE, Role.CORE_LOSS))
    true = truth(microscope.specimen, places.line)["li_to_co"]["relative_change"]
    return spectra[Role.VALENCE], spectra[Role.CORE_LOSS], own_regions(microscope.specimen, places.line), true


@pytest.mark.parametrize("name", ["lco_boundary", "twin"])
@pytest.mark.parametrize("with_valence", [True, False])
def test_simulated_line_with_plural_scattering(name, with_valence):
    pulls = []
    for seed in range(5):
        valence, core_loss, regions, true = simulated(name, seed)
        plural = plural_scattering(core_loss, valence) if with_valence else None
        found = change(core_loss, EDGES, RATIO, regions, core_loss.noise, plural=plural).relative_change
        assert found.value == pytest.approx(true, abs=0.02)
        assert found.sigma < 0.04
        pulls.append((found.value - true) / found.sigma)
    assert np.abs(pulls).max() < 3
    assert np.sqrt(np.mean(np.square(pulls))) < 2


def test_plain_windows_of_a_simulated_line():
    valence, core_loss, regions, true = simulated("lco_boundary", 0)
    plural = plural_scattering(core_loss, valence)
    found = change(core_loss, EDGES, RATIO, regions, core_loss.noise, plural=plural)
    assert found.uncorrected_relative_change.value > true + 0.02
    without = change(core_loss, EDGES, RATIO, regions, core_loss.noise)
    assert "PLURAL_NOT_REMOVED" in [flag.code for flag in without.flags]
