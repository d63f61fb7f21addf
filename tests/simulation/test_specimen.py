"""The specimens and their truth."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import k0

from eels_iontransport.data.geometry import Line, Point
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.specimen import lco_boundary, twin
from eels_iontransport.simulation.stability import Stability
from eels_iontransport.simulation.truth import own_regions, truth


def test_shares_add_up_and_the_plateau_has_its_width():
    specimen = lco_boundary()
    x = np.linspace(10.0, 30.0, 2001)
    shares = specimen.weights(x)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert (shares >= -1e-12).all()
    assert shares[:, 1].sum() * (x[1] - x[0]) == pytest.approx(specimen.plateau_nm, rel=1e-3)
    assert specimen.weights(20.0)[0, 1] > 0.99


def test_aloof_intensity_falls_as_k0():
    specimen = replace(lco_boundary(), reach_nm=1e6)
    distances = np.array([10.0, 30.0, 65.0, 150.0, 400.0])
    decay = specimen.aloof_decay(distances)
    for column, reach_nm in ((0, 2590.0), (2, 1190.0)):  # v / omega at 34 and 74 meV
        expected = k0(2 * distances / (1.117 * reach_nm)) / k0(2 * 65.0 / (1.117 * reach_nm))
        assert decay[:, column] == pytest.approx(expected, rel=0.01)


def test_the_vacuum_point_is_free_of_polaritons_and_thickness():
    specimen = lco_boundary()
    vacuum, aloof = specimen.vacuum_point().x_nm, specimen.aloof_point().x_nm
    assert specimen.t_over_lambda([vacuum, aloof]) == pytest.approx(0.0)
    assert specimen.polariton_strength([vacuum]).max() < 1e-5 * specimen.polariton_strength([aloof]).min()


def test_the_thickness_varies_along_the_line():
    specimen = lco_boundary()
    t = specimen.t_over_lambda([point.x_nm for point in specimen.line().points()])
    assert 0.5 < t.min() < t.max() < 0.7 and np.ptp(t) > 0.05


def test_the_boundary_shifts_and_has_less_lithium():
    content = truth(lco_boundary(), lco_boundary().line())
    assert content["ldo_peak"]["blue_shift_mev"] == pytest.approx(1.8, abs=0.05)
    assert content["li_to_co"]["relative_change"] == pytest.approx(-0.27, abs=0.01)
    shift = content["ldo_peak"]
    assert shift["blue_shift_mev"] == pytest.approx(
        0.5 * (shift["shift_vs_grain_1_mev"] + shift["shift_vs_grain_2_mev"])
    )
    json.dumps(content, allow_nan=False)


def test_the_twin_has_exactly_nothing_to_find():
    content = truth(twin(), twin().line())
    assert content["ldo_peak"]["blue_shift_mev"] == pytest.approx(0.0, abs=1e-12)
    assert content["li_to_co"]["relative_change"] == pytest.approx(0.0, abs=1e-12)
    assert content["thickness"]["grain_1"] != pytest.approx(content["thickness"]["grain_2"], rel=0.02)


def test_a_wide_boundary_region_is_diluted_by_what_it_holds():
    specimen, line = lco_boundary(), lco_boundary().line(pixels=400)
    wide = Regions(Region(0.0, 5.0), Region(8.0, 12.0), Region(15.0, 20.0))
    content = truth(specimen, line, wide)
    boundary, grain = specimen.phases[1].phonons[1], specimen.phases[0].phonons[1]
    share = 0.5 * boundary.probability / (0.5 * boundary.probability + 0.5 * grain.probability)
    expected = share * boundary.centre_mev + (1 - share) * 49.6
    assert content["ldo_peak"]["boundary_mev"] == pytest.approx(expected, abs=0.03)


def test_own_regions_leave_out_the_pixels_in_transition():
    specimen, line = lco_boundary(), lco_boundary().line(pixels=80)
    regions = own_regions(specimen, line)
    x = np.array([point.x_nm for point in line.points()])
    boundary = regions.boundary.mask(np.arange(80) * line.step_nm)
    assert np.abs(x[boundary] - specimen.boundary_x_nm).max() < 0.5 * specimen.plateau_nm
    assert regions.grain_1.end_nm < regions.boundary.start_nm < regions.boundary.end_nm < regions.grain_2.start_nm


def test_a_line_the_other_way_meets_the_grains_in_its_own_order():
    specimen = lco_boundary()
    line = specimen.line()
    forward, backward = truth(specimen, line), truth(specimen, Line(line.end, line.start, line.pixels))
    assert backward["ldo_peak"]["grain_1_mev"] == pytest.approx(forward["ldo_peak"]["grain_2_mev"], abs=1e-4)
    assert backward["profiles"]["thickness"][0] > backward["profiles"]["thickness"][-1]


def test_a_line_that_misses_the_boundary_has_profiles_only():
    line = Line(Point(0.0, -60.0), Point(0.0, 0.0), 30)
    content = truth(lco_boundary(), line)
    assert "ldo_peak" not in content
    assert content["profiles"]["ldo_centre_mev"][0] is None  # in the vacuum
    assert content["profiles"]["ldo_centre_mev"][-1] == pytest.approx(49.55, abs=0.01)


@pytest.mark.parametrize("turn", [0.0, 0.3, -1.2])
def test_a_turned_specimen_is_the_same_across_its_boundary(turn):
    plain, turned = lco_boundary(), replace(lco_boundary(), turn_rad=turn)
    across = np.linspace(-60.0, 60.0, 25)
    along = np.linspace(-5.0, 8.0, 25)
    # Places so far across the boundary and along it, in the turned specimen.
    x = plain.boundary_x_nm + across * np.cos(turn) - along * np.sin(turn)
    y = across * np.sin(turn) + along * np.cos(turn)
    assert turned.across_nm(y, x) == pytest.approx(plain.boundary_x_nm + across)


def test_drift_along_y_moves_a_turned_edge_past_the_probe():
    still = Stability(0, 0, 1, 0, 0)
    specimen = replace(lco_boundary(), turn_rad=0.5)
    distance = (specimen.edge_x_nm - specimen.boundary_x_nm) / np.cos(0.5)
    inside = Point(0.0, specimen.boundary_x_nm + distance + 0.3)
    counts = []
    for drift in (0.0, 2.0):  # the edge runs up to the right: moving down brings it right
        stability = replace(still, spatial_drift_nm_per_min=(drift, 0.0))
        microscope = SimulatedMicroscope(specimen, seed=4, stability=stability)
        microscope.clock.wait(60.0)
        counts.append(microscope.frames(0.01, 1, inside).max())
    assert counts[1] > 1.4 * counts[0]


def test_the_lattice_in_the_image_has_its_period():
    specimen = replace(lco_boundary(), lattice_nm=0.4, lattice_contrast=0.3)
    x = np.arange(0.0, 12.8, 0.05)
    y, x = np.meshgrid(x, x, indexing="ij")
    image = specimen.brightness(y, x) - lco_boundary().brightness(y, x)
    power = np.abs(np.fft.rfft2(image * np.outer(*(np.hanning(256),) * 2))) ** 2
    frequency = np.hypot(np.fft.fftfreq(256, 0.05)[:, None], np.fft.rfftfreq(256, 0.05))
    assert frequency.flat[power.argmax()] == pytest.approx(1 / 0.4, rel=0.05)


def test_speckle_shows_structure_in_both_directions():
    plain, rough = (replace(lco_boundary(), speckle=speckle) for speckle in (0.0, 0.05))
    y, x = np.meshgrid(np.arange(0.0, 64.0), np.arange(-20.0, 15.0), indexing="ij")
    ratio = rough.brightness(y, x) / plain.brightness(y, x) - 1.0
    assert ratio.std() == pytest.approx(0.05, rel=0.2)
    assert np.diff(ratio, axis=0).std() > 0.01 and np.diff(ratio, axis=1).std() > 0.01
