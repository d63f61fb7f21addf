"""Single-window backgrounds and window intensities against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.measure import zlp
from eels_iontransport.measure.coreloss import (
    intensities,
    power_law_background,
    pre_edge_residual,
    subtracted,
)

AXIS = EnergyAxis(30.0, 0.1, 600)
ENERGY = AXIS.energies_ev
WINDOW = (43.0, 45.0)


def power_law(level=2000.0, exponent=3.1):
    return level * (ENERGY / 44.0) ** -exponent


def block(low=60.0, high=65.0, height=500.0):
    return np.where((ENERGY > low - 0.01) & (ENERGY < high + 0.01), height, 0.0)


@pytest.mark.parametrize("exponent", [0.0, 0.9, 3.1, 7.5])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_exact_power_law_is_recovered_exactly(exponent, scale):
    spectra = make_spectra(scale * power_law(exponent=exponent), AXIS)
    background = power_law_background(spectra, WINDOW)
    assert background.exponent[0] == pytest.approx(exponent, abs=1e-8)
    assert background.counts(ENERGY)[0] == pytest.approx(scale * power_law(exponent=exponent), rel=1e-8)


def test_intensity_is_what_was_added():
    spectra = make_spectra(power_law() + block(), AXIS)
    found = intensities(spectra, ((60.0, 65.0), (50.0, 55.0)), power_law_background(spectra, WINDOW))
    assert found.value[0] == pytest.approx([51 * 500.0, 0.0], abs=1e-4)


def test_covariance_covers_counting_and_background_over_seeds():
    expected = power_law() + block()
    rows = np.random.default_rng(0).poisson(expected, (100, AXIS.size)).astype(float)
    spectra = make_spectra(rows, AXIS, noise=given(1.0))
    found = intensities(spectra, ((60.0, 65.0), (66.0, 70.0)), power_law_background(spectra, WINDOW))
    pull = (found.value - [51 * 500.0, 0.0]) / found.sigma
    assert np.all((0.8 < pull.std(axis=0)) & (pull.std(axis=0) < 1.2))
    assert np.all(np.abs(pull.mean(axis=0)) < 0.35)
    # both windows stand on one background: their errors go together
    correlation = found.covariance[0, 0, 1] / np.prod(found.sigma[0])
    assert correlation == pytest.approx(np.corrcoef(found.value.T)[0, 1], abs=0.05)
    assert correlation > 0.9


def test_counting_noise_alone_would_not_cover():
    spectra = make_spectra(power_law() + block(), AXIS, noise=given(1.0))
    found = intensities(spectra, ((60.0, 65.0),), power_law_background(spectra, WINDOW))
    assert found.sigma[0, 0] > 5 * np.sqrt((power_law() + block())[300:351].sum())


def test_low_counts_do_not_pull_the_fit_down():
    rows = np.random.default_rng(1).poisson(power_law(level=3.0), (4000, AXIS.size)).astype(float)
    spectra = make_spectra(rows, AXIS, noise=given(1.0))
    background = power_law_background(spectra, (35.0, 50.0))
    assert np.exp(background.level).mean() * (44.0 / background.reference_ev) ** -3.1 == pytest.approx(3.0, rel=0.01)


def test_relative_results_do_not_depend_on_the_gain():
    rows = np.random.default_rng(2).poisson(power_law() + block(), (3, AXIS.size)).astype(float)
    one, seven = (
        intensities(s, ((60.0, 65.0),), power_law_background(s, WINDOW))
        for s in (make_spectra(g * rows, AXIS, noise=NoiseModel("given", g)) for g in (1.0, 7.0))
    )
    assert seven.value == pytest.approx(7 * one.value)
    assert seven.sigma == pytest.approx(7 * one.sigma)


def test_plural_scattering_is_set_aside_but_makes_noise():
    plural = 3000.0 * np.exp(-0.5 * ((ENERGY - 51) / 6) ** 2)[None]
    spectra = make_spectra(power_law() + block() + plural, AXIS, noise=given(1.0))
    background = power_law_background(spectra, WINDOW, plural=plural)
    found = intensities(spectra, ((60.0, 65.0),), background, plural=plural)
    bare = make_spectra(power_law() + block(), AXIS, noise=given(1.0))
    without = intensities(bare, ((60.0, 65.0),), power_law_background(bare, WINDOW))
    assert found.value == pytest.approx(without.value, abs=1e-3)
    assert found.sigma[0, 0] > 1.1 * without.sigma[0, 0]


def test_shifted_axis_gives_the_same_intensity():
    shifted = EnergyAxis(30.7, 0.1, 600)
    spectra = make_spectra(power_law() + block(), shifted)
    background = power_law_background(spectra, WINDOW, shift_ev=0.7)
    found = intensities(spectra, ((60.0, 65.0),), background, shift_ev=0.7)
    assert found.value[0, 0] == pytest.approx(51 * 500.0, abs=1e-4)


def test_subtracted_map_and_its_axis():
    rows = np.array([power_law() + block(), np.full(AXIS.size, np.nan)])
    spectra = make_spectra(rows, AXIS)
    axis, signal = subtracted(spectra, power_law_background(spectra, WINDOW), 50.0, 70.0)
    assert axis.offset_ev == pytest.approx(50.0) and axis.size == 201
    assert signal[0] == pytest.approx(block()[200:401], abs=1e-6)
    assert np.isnan(signal[1]).all()


def test_residual_before_the_edges():
    good = make_spectra(power_law(), AXIS, noise=given(1.0))
    assert pre_edge_residual(good, WINDOW, (48.0, 54.0))[0] == pytest.approx(0.0, abs=1e-9)
    hump = power_law() * (1 + 0.05 * ((ENERGY > 47.95) & (ENERGY < 54.05)))
    left, sigma = pre_edge_residual(make_spectra(hump, AXIS, noise=given(1.0)), WINDOW, (48.0, 54.0))
    assert left[0] == pytest.approx(0.05 / 1.05, rel=1e-6)
    assert 0 < sigma[0] < 0.05


@pytest.mark.parametrize("counts", [np.zeros(600), np.full(600, -3.0), np.full(600, np.nan)])
def test_no_counts_give_nan_and_no_error(counts):
    spectra = make_spectra(np.array([counts, power_law()]), AXIS)
    found = intensities(spectra, ((60.0, 65.0),), power_law_background(spectra, WINDOW))
    assert np.isnan(found.value[0, 0]) and np.isnan(found.sigma[0, 0])
    assert np.isfinite(found.value[1, 0])


@pytest.mark.parametrize("window", [(20.0, 25.0), (85.0, 95.0), (50.0, 50.1), (-5.0, 35.0)])
def test_windows_outside_the_data_are_named(window):
    spectra = make_spectra(power_law(), AXIS)
    with pytest.raises(UnusableInput, match=f"{window[0]:g}-{window[1]:g} eV"):
        power_law_background(spectra, window)
    with pytest.raises(UnusableInput, match=f"{window[0]:g}-{window[1]:g} eV"):
        intensities(spectra, (window,), power_law_background(spectra, WINDOW))


def lixcoo2(folder, name):
    from eels_iontransport.files import load

    spectra = load(folder / "lixcoo2" / name)
    return spectra, float(zlp.measure(spectra).position_ev[0])


@pytest.mark.parametrize("name", ["P1_lowloss_20C.ndata1", "P2_lowloss_20C.ndata1"])
def test_published_window_misses_the_counts_before_the_edges_of_measured_oxides(measured, name):
    spectra, zero = lixcoo2(measured, name)
    noise = NoiseModel("given", 1e-6)
    published, _ = pre_edge_residual(spectra, WINDOW, (48.0, 54.0), noise, shift_ev=zero)
    nearer, _ = pre_edge_residual(spectra, (48.0, 53.0), (48.0, 54.0), noise, shift_ev=zero)
    assert abs(published[0]) > 0.015
    assert abs(nearer[0]) < 0.005
