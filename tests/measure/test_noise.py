"""The noise estimate against noise that was made with known gain, read noise and point spread."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.measure import noise

AXIS = EnergyAxis(-0.1, 0.0004, 2048)


def rows(gain=1.0, read=0.0, spread=0.0, n=12, dose=1.0, seed=0):
    energy = np.abs(AXIS.energies_mev)
    mean = dose * (2e7 * np.exp(-0.5 * (energy / 3.4) ** 2) + 4e4 / (1 + (energy / 20) ** 2))
    random = np.random.default_rng(seed)
    counts = random.poisson(mean, (n, AXIS.size)) * gain
    if spread:
        counts = gaussian_filter1d(counts.astype(float), spread, axis=1)
    return counts + random.normal(0.0, read, (n, AXIS.size))


@pytest.mark.parametrize("gain", [0.02, 1.0, 20.0])
def test_variance_per_count_is_the_gain(gain):
    found = noise.estimate(make_spectra(rows(gain), AXIS))
    assert found.source == "estimated" and found.electrons_per_count is None
    assert found.variance_per_count == pytest.approx(gain, rel=0.06)
    assert found.correlation == pytest.approx(1.0, abs=0.1)


def test_read_noise_is_a_floor_not_a_gain():
    found = noise.estimate(make_spectra(rows(2.5, read=20.0), AXIS))
    assert found.variance_per_count == pytest.approx(2.5, rel=0.1)
    assert found.floor == pytest.approx(400.0, rel=0.2)


def test_a_feature_does_not_pass_for_noise():
    line = 3e4 * np.exp(-0.5 * ((AXIS.energies_mev - 50) / 4) ** 2)
    found = noise.estimate(make_spectra(rows() + np.random.default_rng(5).poisson(line, (12, AXIS.size)), AXIS))
    assert found.variance_per_count == pytest.approx(1.0, rel=0.06)


def test_a_point_spread_lowers_the_scatter_of_channels_but_not_that_of_their_sum():
    found = noise.for_spectra(make_spectra(rows(2.5, spread=0.6), AXIS, noise=given(0.4)))
    assert found.source == "given" and found.electrons_per_count == 0.4
    assert found.variance_per_count < 0.6 * 2.5
    assert found.variance_per_count * found.correlation == pytest.approx(2.5, rel=1e-9)


@pytest.mark.parametrize(
    "counts", [np.zeros((3, 2048)), np.full((2, 2048), np.nan), np.ones(16)], ids=["0", "nan", "few"]
)
def test_nothing_to_measure_counts_as_poisson(counts):
    axis = AXIS if counts.shape[-1] == 2048 else EnergyAxis(0.0, 1.0, 16)
    found = noise.estimate(make_spectra(counts, axis))
    assert found.variance_per_count == 1.0 and found.correlation == 1.0
