"""Temperatures of spectra made by brute force, of a simulated line, and of a measured spectrum."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel
from eels_iontransport.decomposition import response as responses
from eels_iontransport.measure.alignment import Aligned
from eels_iontransport.measure.detailed_balance import Features
from eels_iontransport.measure.temperature import check, comb, lines_of, measure, to_dict
from eels_iontransport.prepared import prepare
from eels_iontransport.simulation.response import response

POISSON = NoiseModel("given", 1.0, 1.0)
WINDOW = (22.0, 110.0)
ENERGY = 0.4 * np.arange(-400, 500) + 0.13
# centre, spread and damping in meV, losses per electron of the zero-loss peak
OSCILLATORS = ((33.6, 2.0, 1.8, 1.4e-3), (40.6, 2.4, 1.6, 2.2e-3), (66.2, 2.4, 1.8, 4.5e-3))
LINES = np.array([(c, s, 0.5 * d) for c, s, d, _ in OSCILLATORS])
FINE_MEV = 0.05
FINE = FINE_MEV * np.arange(-6000, 6001)


def spectra(kelvin, electrons=1e9, seed=0):
    """A spectrum at a temperature, and the vacuum ZLP: damped oscillators, detailed balance, convolved on a grid."""
    losses = np.zeros_like(FINE)
    positive = FINE > 0
    for centre, spread, damping, area in OSCILLATORS:
        one = np.zeros_like(FINE)
        e = FINE[positive]
        one[positive] = e * damping / ((e**2 - centre**2) ** 2 + (e * damping) ** 2)
        kernel = np.exp(-0.5 * (np.arange(-300, 301) * FINE_MEV / spread) ** 2)
        one = np.where(positive, np.convolve(one, kernel, "same"), 0.0)
        losses += area * one / (one.sum() * FINE_MEV)
    both = losses + losses[::-1] * np.exp(np.minimum(FINE, 0.0) / (0.08617333 * kelvin))
    elastic = response(FINE) / (response(FINE).sum() * FINE_MEV)
    seen = elastic + np.convolve(both, elastic, "same") * FINE_MEV
    random = np.random.default_rng(seed)
    counts = (random.poisson(electrons * 0.4 * np.interp(ENERGY, FINE, s)).astype(float) for s in (seen, elastic))
    return tuple(Aligned(ENERGY, c, 1) for c in counts)


def features(spectrum, vacuum):
    return Features(spectrum, LINES, responses.from_vacuum(vacuum.energy_mev, vacuum.counts).components)


def measured_at(kelvin, with_vacuum, expected=298.0, **options):
    spectrum, vacuum = spectra(kelvin, **options)
    tail = vacuum if with_vacuum else None
    return measure([features(spectrum, vacuum)], POISSON, WINDOW, vacuum=tail, expected_k=expected)


@pytest.mark.parametrize("with_vacuum", [True, False])
@pytest.mark.parametrize("kelvin", [150.0, 200.0, 298.0, 400.0])
def test_the_temperature_is_that_of_the_specimen(kelvin, with_vacuum):
    found = measured_at(kelvin, with_vacuum)
    assert found.value_k == pytest.approx(kelvin, abs=3 * found.sigma_k)
    assert found.sigma_k < 0.05 * kelvin
    assert found.flags == () and 30 < found.energy_mev < 70
    assert [flag.code for flag in check(found)] == ([] if kelvin == 298.0 else ["TEMPERATURE_ODD"])


@pytest.mark.parametrize("with_vacuum", [True, False])
def test_the_error_covers(with_vacuum):
    found = [measured_at(298.0, with_vacuum, electrons=2e7, seed=seed) for seed in range(12)]
    pulls = np.array([(f.value_k - 298.0) / f.sigma_k for f in found])
    assert np.isfinite(pulls).all()
    assert 0.4 < np.sqrt(np.mean(pulls**2)) < 1.4
    assert not any(check(f) for f in found)


def test_a_cold_specimen_has_no_temperature_and_is_not_warm():
    found = measured_at(40.0, True)
    assert np.isnan(found.value_k) and [flag.code for flag in found.flags] == ["TEMPERATURE_UNKNOWN"]
    assert [flag.code for flag in check(found)] == ["TEMPERATURE_ODD"]
    assert check(measured_at(40.0, True, expected=40.0)) == ()


def test_few_electrons_say_nothing():
    found = measured_at(298.0, True, electrons=1e4)
    assert np.isnan(found.value_k) and check(found) == ()
    assert json.loads(json.dumps(to_dict(found), allow_nan=False))["temperature_k"]["value"] is None


def test_gains_as_strong_as_losses_have_no_temperature_and_are_odd():
    found = measured_at(1e6, True)
    assert not found.value_k < 1e4
    assert [flag.code for flag in check(found)] == ["TEMPERATURE_ODD"]


def test_several_spectra_tell_more():
    pairs = [spectra(298.0, electrons=2e7, seed=seed) for seed in range(4)]
    one, four = (measure([features(*p) for p in pairs[:n]], POISSON, WINDOW, vacuum=pairs[0][1]) for n in (1, 4))
    assert four.statistical_k == pytest.approx(0.5 * one.statistical_k, rel=0.2)
    assert four.value_k == pytest.approx(298.0, abs=3 * four.sigma_k)


def test_a_gain_that_is_not_known_changes_nothing():
    spectrum, vacuum = spectra(298.0, electrons=1e8)
    scaled = [replace(s, counts=7 * s.counts) for s in (spectrum, vacuum)]
    a = measure([features(spectrum, vacuum)], POISSON, WINDOW, vacuum=vacuum)
    b = measure([features(*scaled)], NoiseModel("given", 7.0), WINDOW, vacuum=scaled[1])
    assert (b.value_k, b.sigma_k) == pytest.approx((a.value_k, a.sigma_k), rel=1e-3)


def test_lost_channels_are_left_out():
    spectrum, vacuum = spectra(298.0)
    spectrum.counts[[60, 310, 311, 500]] = np.nan
    found = measure([features(spectrum, vacuum)], POISSON, WINDOW, vacuum=vacuum)
    assert found.value_k == pytest.approx(298.0, abs=3 * found.sigma_k)


@pytest.mark.parametrize("first", [330, 401], ids=["half a gain side", "none"])
def test_a_spectrum_without_gain_side_is_told(first):
    spectrum, vacuum = spectra(298.0)
    cut = Aligned(ENERGY[first - 10 :], spectrum.counts[first - 10 :], 1)
    with pytest.raises(UnusableInput, match="both sides"):
        measure([Features(cut, LINES, features(spectrum, vacuum).response)], POISSON, WINDOW)


def test_a_measured_phonon_of_silicon_nitride_is_at_room_temperature(measured):
    prepared = prepare(eit.load(measured / "hermes_cnt" / "EmptyCNT_RT.ndata1"))
    total = prepared.total()
    response = responses.from_gain_side(total.energy_mev, total.counts)
    lines = comb((85.0, 160.0), total.fwhm_mev)
    found = measure([Features(total, lines, response.components)], prepared.noise, (65.0, 195.0))
    assert found.value_k == pytest.approx(298.0, rel=0.15)
    assert found.value_k == pytest.approx(298.0, abs=3 * found.sigma_k) and found.sigma_k < 30
    assert found.energy_mev == pytest.approx(113.0, abs=3.0)
    assert check(found) == ()


def test_lines_of_a_decomposition_that_are_there():
    values = {"centre_mev": [[30.0, np.nan]], "sigma_mev": [[2.0, np.nan]], "gamma_mev": [[1.0, np.nan]]}
    assert lines_of({k: np.array(v) for k, v in values.items()}, 0).tolist() == [[30.0, 2.0, 1.0]]
