"""Widths of zero-loss peaks drawn along a line, and those of simulated lines."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import from_mapping
from eels_iontransport.data.units import mev
from eels_iontransport.measure.resolution import measure
from eels_iontransport.prepared import prepare
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all

POSITION = 0.5 * np.arange(40)
REGIONS = from_mapping({"grain_1": (0.0, 8.0), "boundary": (9.0, 11.0), "grain_2": (12.0, 19.5)})
AT_BOUNDARY = (POSITION >= 8.5) & (POSITION <= 11.5)


def widths(seed, *, level=8.1, slope=0.0, step=0.0, sigma=0.06, memory=0.0):
    """FWHM in meV: slope from end to end, step at the boundary, noise that neighbours share by some part."""
    random, noise = np.random.default_rng(seed), np.zeros(POSITION.size)
    fresh = sigma * np.sqrt(1 - memory**2) * random.standard_normal(POSITION.size)
    noise[0] = sigma * random.standard_normal()
    for i in range(1, POSITION.size):
        noise[i] = memory * noise[i - 1] + fresh[i]
    return level + slope * (POSITION / POSITION[-1] - 0.5) + step * AT_BOUNDARY + noise


def codes(found):
    return [flag.code for flag in found.flags]


@pytest.mark.parametrize(
    ("response", "slope", "step", "flagged"),
    [
        (8.0, 0.0, 0.0, False),
        (7.8, 0.5, 0.0, False),  # taken up
        (8.0, 0.0, 0.5, False),
        (8.0, 0.0, -0.5, True),  # narrower than the response
        (9.0, 0.5, 0.0, True),
        (9.0, 0.0, 0.5, True),
        (None, 0.5, 0.0, True),
        (None, 0.0, 0.5, True),
        (8.0, 1.6, 0.0, True),  # more than a Gaussian makes up for
        (8.0, 0.0, 1.6, True),
        (None, 0.0, 0.05, False),  # too little to matter
    ],
)
def test_flagged_is_what_the_fit_does_not_take_up(response, slope, step, flagged):
    for seed in range(5):
        found = measure(POSITION, widths(seed, slope=slope, step=step), REGIONS, response)
        assert codes(found) == (["RESOLUTION_DRIFTS"] if flagged else [])


def test_too_little_to_matter_is_not_flagged_however_sure_it_is():
    assert codes(measure(POSITION, widths(0, step=0.08, slope=0.08, sigma=0.001), REGIONS, None)) == []


@pytest.mark.parametrize("memory", [0.0, 0.5])
def test_the_errors_cover(memory):
    found = [measure(POSITION, widths(s, slope=0.3, step=0.2, memory=memory), REGIONS, 8.0) for s in range(200)]
    for name, truth in (("change", 0.3), ("step", 0.2)):
        pulls = [(getattr(f, name).value - truth) / getattr(f, name).sigma for f in found]
        assert 0.85 < np.std(pulls) < (1.15 if memory == 0 else 1.3)
    scatter = np.mean([f.scatter_mev for f in found])
    assert scatter == pytest.approx(0.06, rel=0.1)


def test_the_error_of_the_step_covers_where_the_boundary_scatters_more():
    random, found = np.random.default_rng(0), []
    for seed in range(200):
        values = widths(seed) + 0.5 * AT_BOUNDARY * random.standard_normal(POSITION.size)
        found.append(measure(POSITION, values, REGIONS, 8.0).step)
    assert np.std([f.value for f in found]) == pytest.approx(np.mean([f.sigma for f in found]), rel=0.25)


def test_noise_alone_is_hardly_ever_flagged():
    assert sum(bool(measure(POSITION, widths(s, sigma=0.3), REGIONS, None).flags) for s in range(500)) <= 10


def test_the_slope_is_per_nm_and_readable():
    found = measure(POSITION, widths(0, slope=0.5, sigma=1e-6), None, 8.0)
    assert found.slope_mev_per_nm.value == pytest.approx(0.5 / 19.5, rel=1e-3)
    assert np.isnan(found.step.value)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["fwhm_step_mev"]["value"] is None


def test_rows_without_a_width_do_not_count():
    values = widths(0, step=0.5)
    values[::7] = np.nan
    assert measure(POSITION, values, REGIONS, 9.0).step.value == pytest.approx(0.5, abs=0.15)
    values[6:] = np.nan
    found = measure(POSITION, values, REGIONS, 9.0)
    assert np.isnan(found.change.value) and found.flags == ()


def test_a_scan_that_has_not_reached_the_boundary_has_no_step():
    values = widths(0)
    values[16:] = np.nan
    found = measure(POSITION, values, REGIONS, 8.0)
    assert np.isnan(found.step.value) and np.isfinite(found.change.value)


def test_a_simulated_line_keeps_its_resolution():
    spectra = acquire_all(SimulatedMicroscope(seed=53), roles=(Role.ZLP, Role.VIBRATIONAL))
    line = prepare(spectra[Role.VIBRATIONAL])
    response = prepare(spectra[Role.ZLP]).total().fwhm_mev
    found = measure(POSITION, mev(line.zero.fwhm_ev), REGIONS, response)
    assert found.flags == ()
    assert abs(found.step.value) < 3 * found.step.sigma and found.step.sigma < 0.1
