"""Finding a boundary in profiles drawn from steps and dips of our own making."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.measure.boundary import find, shares, spectral_profiles

STEP_NM = 0.5
POSITION = STEP_NM * np.arange(40)


def profile(seed, *, dip=0.0, rise=0.0, ramp=0.0, centre=10.0, width=2.0, sigma=0.03, edge=0.3):
    """Levels 1, 1 + dip, 1 + rise with logistic edges, a ramp over the line, and noise."""
    left, right = (1 / (1 + np.exp(-(POSITION - centre - s * width / 2) / edge)) for s in (-1, 1))
    clean = 1 + dip * (left - right) + rise * right + ramp * POSITION / POSITION[-1]
    return clean + sigma * np.random.default_rng(seed).standard_normal(POSITION.size), np.full(POSITION.size, sigma)


@pytest.mark.parametrize("centre", [4.3, 10.0, 14.8])
@pytest.mark.parametrize(("dip", "ramp"), [(-0.27, 0.0), (0.3, 0.0), (-0.27, 0.2)])
def test_dip_is_found_where_it_is(centre, dip, ramp):
    found = find(POSITION, *profile(1, dip=dip, ramp=ramp, centre=centre))
    assert found.flags == ()
    assert found.centre_nm == pytest.approx(centre, abs=0.3)
    assert found.width_nm == pytest.approx(2.0, abs=0.7)
    boundary = found.regions.boundary
    assert centre - 1.0 <= boundary.start_nm <= boundary.end_nm <= centre + 1.0


def test_pixels_in_transition_belong_to_no_region():
    regions = find(POSITION, *profile(2, dip=-0.27, sigma=0.003)).regions
    assert regions.grain_1.end_nm <= 8.5 and regions.grain_2.start_nm >= 11.5
    assert regions.grain_1.start_nm == 0.0 and regions.grain_2.end_nm == POSITION[-1]
    assert regions.boundary.start_nm >= 9.5 and regions.boundary.end_nm <= 10.5


@pytest.mark.parametrize("edge", [0.02, 0.3])
@pytest.mark.parametrize("rise", [0.3, -0.3])
def test_step_between_two_phases_is_a_boundary(rise, edge):
    found = find(POSITION, *profile(3, rise=rise, width=0.01, edge=edge))
    assert found.centre_nm == pytest.approx(10.0, abs=0.6)
    regions = found.regions
    assert regions.boundary.start_nm - regions.grain_1.end_nm >= 2 * STEP_NM  # a pixel in between may hold both
    assert regions.grain_2.start_nm - regions.boundary.end_nm >= 2 * STEP_NM


@pytest.mark.parametrize("sigma", [0.05, 0.02, 0.003])
def test_centre_error_covers(sigma):
    pulls = []
    for seed in range(100):
        found = find(POSITION, *profile(seed, dip=-0.27, sigma=sigma, centre=10.13))
        pulls.append((found.centre_nm - 10.13) / found.centre_sigma_nm)
    assert 0.6 < np.std(pulls) < 1.4
    assert np.mean(np.abs(pulls) < 2) > 0.88


@pytest.mark.parametrize("sigma", [0.05, 0.02])
def test_centre_error_of_a_step_covers(sigma):
    pulls = []
    for seed in range(60):
        found = find(POSITION, *profile(seed, rise=0.3, width=0.01, sigma=sigma, centre=10.13))
        pulls.append((found.centre_nm - 10.13) / found.centre_sigma_nm)
    assert 0.6 < np.std(pulls) < 1.4


@pytest.mark.parametrize("ramp", [0.0, 0.2])
def test_nothing_is_invented_in_a_uniform_line(ramp):
    invented = [find(POSITION, *profile(seed, ramp=ramp)).regions for seed in range(100)]
    assert sum(regions is not None for regions in invented) == 0


def test_scatter_beyond_the_stated_errors_is_no_boundary():
    for seed in range(30):
        values, sigma = profile(seed)
        assert find(POSITION, values, sigma / 4).regions is None


def test_nothing_found_says_so():
    found = find(POSITION, *profile(5))
    assert [flag.code for flag in found.flags] == ["BOUNDARY_NOT_FOUND"]
    assert np.isfinite(found.centre_nm)


def test_pixels_without_a_value_do_not_count():
    values, sigma = profile(6, dip=-0.27)
    values[[3, 25]], sigma[30] = np.nan, np.nan
    values[36:] = np.nan  # the scan goes on
    found = find(POSITION, values, sigma)
    assert found.centre_nm == pytest.approx(10.0, abs=0.3)
    assert found.regions.grain_2.end_nm == POSITION[35]


@pytest.mark.parametrize("usable", [0, 1, 8])
def test_too_few_pixels_are_told(usable):
    values, sigma = profile(7, dip=-0.27)
    values[usable:] = np.nan
    found = find(POSITION, values, sigma)
    assert found.regions is None
    assert [flag.code for flag in found.flags] == ["BOUNDARY_TOO_SHORT"]


def test_boundary_at_the_end_leaves_no_second_grain():
    found = find(POSITION, *profile(8, rise=-0.5, centre=18.4, width=0.01, sigma=0.01))
    assert found.regions is None
    assert found.flags[0].code in ("BOUNDARY_AT_END", "BOUNDARY_NOT_FOUND")


def spectra(seed, boundary):
    """Rows of two bands over a tail; the line is thinner in its middle, and the second band grows at the boundary."""
    energy = np.linspace(25, 95, 120)
    thickness = 1 - 0.3 * np.exp(-(((POSITION - 10) / 2) ** 2))
    extra = boundary * shares(POSITION, 10.0, 2.0, 0.3)[:, 1]
    bands = np.exp(-0.5 * ((energy - 45) / 4) ** 2) + (1 + extra)[:, None] * np.exp(-0.5 * ((energy - 65) / 4) ** 2)
    expected = 2000 * thickness[:, None] * (bands + (energy / 40) ** -2.0)
    return np.random.default_rng(seed).poisson(expected).astype(float)


def test_boundary_in_spectra_without_core_loss():
    counts = spectra(0, 0.3)
    found = find(POSITION, *spectral_profiles(counts / 1e6, counts / 1e12))
    assert found.centre_nm == pytest.approx(10.0, abs=0.3)
    assert found.regions is not None


def test_thickness_alone_is_no_boundary_in_spectra():
    for seed in range(20):
        counts = spectra(seed, 0.0)
        assert find(POSITION, *spectral_profiles(counts / 1e6, counts / 1e12)).regions is None


def test_spectral_profiles_keep_rows_without_data_nan():
    counts = spectra(1, 0.3)
    counts[5] = np.nan
    values, sigma = spectral_profiles(counts, counts)
    assert np.isnan(values[5]).all() and np.isnan(sigma[5]).all()
    assert np.isfinite(np.delete(values, 5, axis=0)).all()


@pytest.mark.parametrize("many", [False, True])
def test_lost_channels_hide_no_boundary_and_make_none(many):
    random = np.random.default_rng(9)
    for boundary in (0.3, 0.0):
        counts = spectra(2, boundary)
        lost = random.uniform(size=counts.shape) < 0.05 if many else np.zeros(counts.shape, bool)
        lost[7, 30:60] = True
        counts[lost] = np.nan
        found = find(POSITION, *spectral_profiles(counts / 1e6, counts / 1e12))
        if boundary:
            assert found.centre_nm == pytest.approx(10.0, abs=0.3) and found.regions is not None
        else:
            assert found.regions is None
