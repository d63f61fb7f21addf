"""The zero-loss peak against closed forms and measured spectra."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.files import load
from eels_iontransport.measure import zlp

AXIS = EnergyAxis(-0.1, 0.0004, 1024)
SIGMA_MEV = 3.4


def gaussian(zero_mev, counts=1e6, axis=AXIS, sigma_mev=SIGMA_MEV):
    return counts * np.exp(-0.5 * ((axis.energies_mev - zero_mev) / sigma_mev) ** 2)


@pytest.mark.parametrize("zero_mev", [0.0, 0.1, -0.199, 3.37, -7.71])
def test_position_and_width_below_a_channel(zero_mev):
    found = zlp.measure(make_spectra(gaussian(zero_mev) + 1.0, AXIS))
    assert found.position_ev[0] * 1000 == pytest.approx(zero_mev, abs=0.002)
    assert found.fwhm_ev[0] * 1000 == pytest.approx(2.3548 * SIGMA_MEV, abs=0.02)
    assert found.height[0] == pytest.approx(1e6, rel=1e-3)


def test_position_sigma_is_the_scatter_of_noisy_peaks():
    random = np.random.default_rng(11)
    rows = random.poisson(gaussian(0.13, 2000.0), (400, AXIS.size)).astype(float)
    found = zlp.measure(make_spectra(rows, AXIS))
    scatter = found.position_ev.std()
    assert abs(found.position_ev.mean() * 1000 - 0.13) < 4 * scatter * 1000 / 20
    assert 0.7 < scatter / np.sqrt(np.mean(found.position_sigma_ev**2)) < 1.1


@pytest.mark.parametrize("zero_mev", [0.0, 0.1, 0.2, 0.3, 0.37])
def test_integral_follows_the_peak_by_fractions_of_a_channel(zero_mev):
    spectra = make_spectra(gaussian(zero_mev), AXIS)
    found = zlp.integral(spectra, np.array([zero_mev / 1000]), 0.0025)
    exact = 1e6 * SIGMA_MEV * np.sqrt(2 * np.pi) * erf(2.5 / SIGMA_MEV / np.sqrt(2)) / 0.4
    assert found[0] == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(
    ("counts", "level", "saturated"),
    [
        (gaussian(0.0), None, False),
        (gaussian(0.0), 2e6, False),
        (gaussian(0.0), 1e6, True),
        (np.minimum(gaussian(0.0), 7e5), None, True),
        (np.minimum(gaussian(0.0), 7e5), 7e5, True),
    ],
)
def test_saturation_is_seen_and_leaves_no_position(counts, level, saturated):
    found = zlp.measure(make_spectra(counts, AXIS, saturation_level=level))
    assert bool(found.saturated[0]) is saturated
    assert bool(found.found[0]) is not saturated


@pytest.mark.parametrize(
    "counts",
    [np.zeros(1024), np.full(1024, -3.0), np.linspace(0, 10, 1024), np.linspace(10, 0, 1024), np.full(1024, np.nan)],
    ids=["zeros", "negative", "rising", "falling", "nan"],
)
def test_no_peak_is_no_position(counts):
    found = zlp.measure(make_spectra(counts, AXIS))
    assert np.isnan(found.position_ev[0]) and not found.found[0]


def test_rows_of_any_width_are_measured_as_if_alone():
    sigmas = np.array([0.5, 1.0, 3.4, 12.0, 25.0])
    rows = np.array([gaussian(1.37, sigma_mev=sigma) + 1.0 for sigma in sigmas])
    found = zlp.measure(make_spectra(rows, AXIS))
    assert found.position_ev * 1000 == pytest.approx(1.37, abs=0.01)
    assert found.fwhm_ev[1:] * 1000 == pytest.approx(2.3548 * sigmas[1:], rel=0.03)
    for i, row in enumerate(rows):
        peak = zlp.peak_of(row)
        alone = (AXIS.offset_ev + AXIS.step_ev * peak.position, AXIS.step_ev * peak.sigma, AXIS.step_ev * peak.fwhm)
        assert alone == (found.position_ev[i], found.position_sigma_ev[i], found.fwhm_ev[i])


def test_position_does_not_depend_on_the_gain():
    rows = np.random.default_rng(4).poisson(gaussian(0.13, 2000.0), (5, AXIS.size)).astype(float)
    one, seven = (zlp.measure(make_spectra(rows, AXIS), variance) for variance in (1.0, 7.0))
    assert np.array_equal(one.position_ev, seven.position_ev)
    assert (seven.position_sigma_ev > one.position_sigma_ev).all()


@pytest.mark.parametrize(
    ("name", "position_mev", "fwhm_mev"),
    [("EmptyCNT_RT", -0.5, 8.66), ("FilledCNT_1pt4nm_RT", None, 8.71)],
)
def test_measured_vibrational_spectra(measured, name, position_mev, fwhm_mev):
    spectra = load(measured / "hermes_cnt" / f"{name}.ndata1")
    found = zlp.measure(spectra)
    assert found.fwhm_ev[0] * 1000 == pytest.approx(fwhm_mev, abs=0.3)
    if position_mev is not None:  # the centre of the highest channel, of 0.945 meV
        assert found.position_ev[0] * 1000 == pytest.approx(position_mev, abs=0.945)


@pytest.mark.parametrize(("name", "position_ev"), [("P1_lowloss_20C", 0.1), ("P2_lowloss_20C", 0.5)])
def test_measured_low_loss_spectra(measured, name, position_ev):
    found = zlp.measure(load(measured / "lixcoo2" / f"{name}.ndata1"))
    assert found.position_ev[0] == pytest.approx(position_ev, abs=0.1)
