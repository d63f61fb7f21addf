"""In what the boundary of a line is found, where, and what its error makes of the regions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport.chemistry import find_boundary, measure_chemistry, zero_loss_boundary
from eels_iontransport.data.geometry import Line, Point
from eels_iontransport.data.noise import given
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import from_mapping, moved
from eels_iontransport.data.spectrum import sum_of_passes
from eels_iontransport.measure.boundary import Boundary, compared, find
from eels_iontransport.memory import Memory, seen
from eels_iontransport.prepared import Preparer
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import Places, acquire_all, default_places
from eels_iontransport.simulation.specimen import lco_boundary, twin

LCO = eit.material("lco")
POSITION = 0.5 * np.arange(40)
REGIONS = from_mapping({"grain_1": (0.0, 8.0), "boundary": (9.5, 10.5), "grain_2": (12.0, 19.5)})


def acquired(specimen, seed, roles=(Role.VIBRATIONAL,), centre_nm=10.0):
    """Spectra of a line of 20 nm whose boundary lies at centre_nm."""
    microscope = SimulatedMicroscope(specimen, seed)
    places, start = default_places(microscope), specimen.boundary_x_nm - centre_nm
    line = Line(Point(0.0, start), Point(0.0, start + 20.0), 40)
    return acquire_all(microscope, Places(line, places.aloof, places.vacuum), roles=roles)


def prepared(spectra):
    return Preparer(LCO.wide_window_mev).prepare(seen(spectra[Role.VIBRATIONAL]))


def chemistry(spectra, regions=None):
    core_loss = spectra.get(Role.CORE_LOSS)
    scan = seen(core_loss) if core_loss is not None else None
    return measure_chemistry(LCO, prepared(spectra), None, scan, regions, Memory())


def test_the_composition_comes_first():
    found = chemistry(acquired(lco_boundary(), 60, (Role.VIBRATIONAL, Role.CORE_LOSS)))
    assert found.boundary.source == "core loss" and found.regions == found.boundary.regions
    assert found.boundary.centre_nm == pytest.approx(10.0, abs=0.1)


def test_where_the_composition_does_not_change_the_zero_loss_peak_tells():
    found = chemistry(acquired(twin(), 61, (Role.VIBRATIONAL, Role.CORE_LOSS), centre_nm=8.7))
    assert found.boundary.source == "zero-loss profile" and found.boundary.flags == ()
    assert found.boundary.centre_nm == pytest.approx(8.7, abs=3 * found.boundary.centre_sigma_nm)
    content = json.loads(json.dumps(found.boundary.to_dict(), allow_nan=False))
    assert content["source"] == "zero-loss profile" and content["centre_nm"]["unit"] == "nm"


def test_where_the_zero_loss_peak_is_even_the_spectra_tell():
    line = prepared(acquired(lco_boundary(), 62))
    counts = np.median(line.integral) / line.integral  # a line of even brightness
    spectra = replace(line.spectra, counts=line.spectra.rows * counts[:, None])
    noisy = replace(line, spectra=spectra, integral=line.integral * counts)
    noisy = replace(noisy, spectra=replace(spectra, counts=spectra.rows * brightness(0)[:, None]))
    assert zero_loss_boundary(noisy).regions is None
    found = find_boundary(noisy)
    assert found.source == "vibrational spectra" and found.centre_nm == pytest.approx(10.0, abs=0.2)


@pytest.mark.parametrize("reached", [0, 13, 20, 31])
def test_where_the_last_pass_has_come_to_is_no_boundary(reached):
    """Pixels with a pass fewer have fewer counts, which is nothing of the specimen's."""
    line = prepared(acquired(lco_boundary(), 62))
    rng = np.random.default_rng(reached)
    even = line.spectra.rows.mean(axis=0) / 2
    passes = rng.poisson(even * np.exp(0.01 * rng.standard_normal((2, 40, 1)))).astype(float)
    passes[1, reached:] = 0.0
    spectra = sum_of_passes(passes, line.spectra.energy, step_nm=0.5, noise=given(1.0))
    found = zero_loss_boundary(prepared({Role.VIBRATIONAL: spectra}))
    assert found.regions is None and "BOUNDARY_NOT_FOUND" in [flag.code for flag in found.flags]


def brightness(seed):
    """A beam current that flickers."""
    return np.exp(0.05 * np.random.default_rng(seed).standard_normal(40))


def test_given_regions_are_said_to_be_given():
    found = chemistry(acquired(lco_boundary(), 63), REGIONS)
    assert found.boundary.source == "given" and found.boundary.centre_nm == 10.0
    assert found.boundary.to_dict()["centre_nm"]["sigma"] is None


def test_a_line_in_a_grain_has_no_boundary():
    spectra = acquired(lco_boundary(), 64, centre_nm=40.0)
    found = chemistry(spectra)
    assert found.regions is None and found.boundary.to_dict() is None
    assert [flag.code for flag in found.flags] == ["BOUNDARY_NOT_FOUND"]


@pytest.mark.parametrize("scale_nm", [12.0, 30.0])
@pytest.mark.parametrize("sigma", [0.003, 0.01])
def test_a_wedge_is_no_boundary(scale_nm, sigma):
    for seed in range(30):
        random = np.random.default_rng(seed)
        wedge = 0.1 * np.tanh((POSITION - random.uniform(5, 15)) / scale_nm)
        values = wedge + sigma * random.standard_normal(POSITION.size)
        assert find(POSITION, values, np.full(POSITION.size, sigma), order=3).regions is None


def test_a_straight_line_takes_a_wedge_for_a_boundary():
    """Why thickness needs a cubic: the same wedge, judged against a straight line."""
    found = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        values = 0.1 * np.tanh((POSITION - 13.0) / 6.0) + 0.001 * random.standard_normal(POSITION.size)
        found.append(find(POSITION, values, np.full(POSITION.size, 0.001)).improvement)
    assert min(found) > 100


def test_a_wedge_moves_no_boundary_of_the_zero_loss_profile():
    steep = replace(lco_boundary(), thickness=(0.3, 1.2), thickness_scale_nm=10.0)
    found = zero_loss_boundary(prepared(acquired(steep, 66, centre_nm=7.0)))
    assert found.centre_nm == pytest.approx(7.0, abs=0.3) and found.width_nm == pytest.approx(2.0, abs=0.5)


def test_the_error_of_the_centre_covers_in_the_zero_loss_profile():
    pulls = []
    for seed in range(8):
        centre = 10.0 + np.random.default_rng(seed).uniform(-2, 2)
        found = zero_loss_boundary(prepared(acquired(lco_boundary(), seed, centre_nm=centre)))
        pulls.append((found.centre_nm - centre) / found.centre_sigma_nm)
    assert np.max(np.abs(pulls)) < 4 and 0.3 < np.sqrt(np.mean(np.square(pulls))) < 1.6


@pytest.mark.parametrize(("other_nm", "codes"), [(10.3, []), (10.9, []), (14.0, ["BOUNDARIES_DIFFER"])])
def test_two_boundaries_are_told(other_nm, codes):
    one = Boundary(REGIONS, 10.0, 0.1, 2.0, source="zero-loss profile")
    other = Boundary(REGIONS, other_nm, 0.1, 2.0, source="vibrational spectra")
    assert [flag.code for flag in compared(one, other).flags] == codes
    assert compared(one, replace(other, regions=None)) == one
    assert compared(one, replace(other, centre_sigma_nm=2.0)).flags == ()


def test_a_thickness_step_elsewhere_is_told():
    line = prepared(acquired(lco_boundary(), 65))
    thinner = np.where((POSITION > 3.7) & (POSITION < 6.3), 0.8, 1.0)[:, None]
    stepped = replace(line, spectra=replace(line.spectra, counts=line.spectra.rows * thinner))
    found = find_boundary(stepped)
    assert found.centre_nm == pytest.approx(5.0, abs=0.5)
    assert [flag.code for flag in found.flags] == ["BOUNDARIES_DIFFER"]


@pytest.mark.parametrize("sigma_nm", [0.0, 0.04, np.nan])
def test_an_error_far_below_a_pixel_moves_nothing(sigma_nm):
    found = moved(REGIONS, POSITION, sigma_nm)
    assert found.before == found.after == REGIONS and found.part == 0.0


@pytest.mark.parametrize(("sigma_nm", "by_nm", "part"), [(0.1, 0.5, 0.2), (0.5, 0.5, 1.0), (1.1, 1.0, 1.1)])
def test_the_boundary_is_moved_by_its_error(sigma_nm, by_nm, part):
    found = moved(REGIONS, POSITION, sigma_nm)
    assert found.part == pytest.approx(part)
    for regions, by in ((found.before, -by_nm), (found.after, by_nm)):
        assert (regions.grain_1.start_nm, regions.grain_2.end_nm) == (0.0, 19.5)
        assert regions.grain_1.end_nm == 8.0 + by and regions.grain_2.start_nm == 12.0 + by
        assert (regions.boundary.start_nm, regions.boundary.end_nm) == (9.5 + by, 10.5 + by)


def test_a_grain_keeps_a_pixel():
    found = moved(REGIONS, POSITION, 30.0)
    assert found.before.grain_1.mask(POSITION).sum() == 1 and found.after.grain_2.mask(POSITION).sum() == 1
    thin = replace(REGIONS, grain_1=replace(REGIONS.grain_1, start_nm=8.0))
    assert moved(thin, POSITION, 0.5).before == thin
