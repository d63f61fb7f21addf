"""Band intensities against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.materials import Band
from eels_iontransport.measure.bands import intensities

AXIS = EnergyAxis(-0.02, 0.001, 140)  # channel i at i - 20 meV
BAND = Band("low", 10.0, 50.0)


def test_flat_spectrum_gives_level_times_width():
    spectra = make_spectra(np.full((3, AXIS.size), 7.0), AXIS)
    value, sigma = intensities(spectra, [BAND, Band("narrow", 60.25, 60.5)], np.zeros(3), given(1.0))
    assert value == pytest.approx(np.tile([7.0 * 40, 7.0 * 0.25], (3, 1)))
    assert sigma[0, 0] == pytest.approx(np.sqrt(7.0 * (39 + 2 * 0.25)))


def test_band_follows_the_zero_by_fractions_of_a_channel():
    counts = np.zeros((2, AXIS.size))
    counts[:, 70] = 100.0  # at 50 meV
    value, _ = intensities(make_spectra(counts, AXIS), [BAND], np.array([0.0, 0.0003]), given(1.0))
    assert value[:, 0] == pytest.approx([50.0, 80.0])


def test_background_norm_and_gain():
    counts = np.full((2, AXIS.size), 9.0)
    noise = NoiseModel("given", 4.0, correlation=2.0)
    spectra = make_spectra(counts, AXIS)
    value, sigma = intensities(
        spectra, [BAND], np.zeros(2), noise, background=np.full_like(counts, 2.0), norm=np.array([10.0, 0.0])
    )
    assert value[0, 0] == pytest.approx(7.0 * 40 / 10)
    assert sigma[0, 0] == pytest.approx(np.sqrt(2 * 4 * 9.0 * 39.5) / 10)
    assert np.isnan(value[1]).all() and np.isnan(sigma[1]).all()


def test_sigma_covers_over_seeds():
    counts = np.random.default_rng(0).poisson(30.0, (100, AXIS.size)).astype(float)
    value, sigma = intensities(make_spectra(counts, AXIS), [BAND], np.zeros(100), given(1.0))
    pull = (value[:, 0] - 30.0 * 40) / sigma[:, 0]
    assert 0.8 < pull.std() < 1.2


def test_rows_without_data_or_zero_are_nan():
    counts = np.ones((3, AXIS.size))
    counts[0] = np.nan
    value, _ = intensities(make_spectra(counts, AXIS), [BAND], np.array([0.0, np.nan, 0.0]), given(1.0))
    assert np.isfinite(value[:, 0]).tolist() == [False, False, True]


def test_a_lost_channel_costs_the_bands_that_hold_it():
    counts = np.ones((2, AXIS.size))
    counts[1, 45] = np.nan  # at 25 meV
    value, _ = intensities(make_spectra(counts, AXIS), [BAND, Band("other", 60.0, 70.0)], np.zeros(2), given(1.0))
    assert np.isfinite(value).tolist() == [[True, True], [False, True]]


def test_band_outside_the_axis_is_named():
    spectra = make_spectra(np.ones((1, AXIS.size)), AXIS)
    with pytest.raises(UnusableInput, match="high"):
        intensities(spectra, [Band("high", 100.0, 150.0)], np.zeros(1), given(1.0))
