"""The noise estimate against noise that was made with known gain, read noise and point spread."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.files import load
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


def frames(
    seed=0, n=40, gain=2.5, read=6.0, kernel=(1.0,), drift_mev=4.0, jitter_mev=0.3, fluctuation=0.05, pattern=0.0
):
    """Frames of one place whose zero drifts and jitters and whose brightness changes, with lines on the tail.

    kernel: share of an electron's signal in its own channel and neighbours. pattern: of the camera's gain, relative.
    """
    random = np.random.default_rng(seed)
    zero = drift_mev * np.linspace(-0.5, 0.5, n) + random.normal(0.0, jitter_mev, n)
    energy = AXIS.energies_mev - zero[:, None]
    mean = 2e7 * np.exp(-0.5 * (energy / 3.4) ** 2) + 4e4 / (1 + (energy / 20) ** 2)
    for centre, height in ((34.0, 8e3), (56.0, 2e3), (74.0, 5e3)):
        mean += height / (1 + ((energy - centre) / 4) ** 2)
    brightness = 1 + fluctuation * random.standard_normal((n, 1))
    electrons = random.poisson(brightness * mean).astype(float)
    shares = np.array(kernel)
    signal = np.array([np.convolve(row, shares, mode="same") for row in electrons])
    flat = 1 + pattern * np.random.default_rng(99).standard_normal(AXIS.size)
    return make_spectra(gain * flat * signal + random.normal(0.0, read, signal.shape), AXIS)


SPREAD = (0.05, 0.9, 0.05)


@pytest.mark.parametrize("gain", [0.02, 2.5, 300.0])
@pytest.mark.parametrize("kernel", [(1.0,), SPREAD, (0.25, 0.5, 0.25)])
def test_frames_tell_gain_and_correlation(gain, kernel):
    found = noise.from_frames(frames(gain=gain, read=2.4 * gain, kernel=kernel))
    alone = float(np.sum(np.square(kernel)))
    assert found.source == "frames" and found.electrons_per_count is None
    assert found.variance_per_count == pytest.approx(gain * alone, rel=0.03)
    assert found.correlation == pytest.approx(1 / alone, rel=0.06)
    assert found.smooth_variance_per_count == pytest.approx(gain, rel=0.06)
    assert found.floor == pytest.approx((2.4 * gain) ** 2, rel=0.15)


def test_the_uncertainty_of_the_scale_is_its_scatter():
    """Over 30 sets of frames; a standard deviation of so many is good to an eighth."""
    found = [noise.from_frames(frames(seed, n=12, kernel=SPREAD)) for seed in range(30)]
    scale = np.array([model.smooth_variance_per_count for model in found]) / 2.5
    quoted = np.mean([model.relative_sigma for model in found])
    assert 0.65 < scale.std(ddof=1) / quoted < 1.45
    assert abs(scale.mean() - 1) < 3 * quoted / np.sqrt(30) + 0.01  # correlations below a fiftieth count as none


def test_what_the_zero_does_between_frames_is_no_noise():
    still = noise.from_frames(frames(jitter_mev=0.0, fluctuation=0.0))
    for jitter, fluctuation in ((1.5, 0.0), (0.3, 0.2)):
        moved = noise.from_frames(frames(jitter_mev=jitter, fluctuation=fluctuation))
        assert moved.variance_per_count == pytest.approx(still.variance_per_count, rel=0.03)


def test_a_line_is_no_noise_between_frames():
    comb = 1 + 0.2 * np.sin(AXIS.energies_mev / 0.8)  # fine enough to pass for noise in one spectrum
    random = np.random.default_rng(3)
    mean = comb * (2e7 * np.exp(-0.5 * (AXIS.energies_mev / 3.4) ** 2) + 4e4 / (1 + (AXIS.energies_mev / 20) ** 2))
    spectra = make_spectra(random.poisson(mean, (30, AXIS.size)).astype(float), AXIS)
    assert noise.from_frames(spectra).smooth_variance_per_count == pytest.approx(1.0, rel=0.05)
    assert noise.estimate(spectra).smooth_variance_per_count > 1.5


def spoilt(change):
    spectra = frames(n=20)
    change(spectra.counts)
    return make_spectra(spectra.counts, AXIS)


def blank_some(counts):
    counts[[3, 8]] = np.random.default_rng(1).normal(0.0, 6.0, (2, AXIS.size))
    counts[3, 1899:1902] += [500.0, 1000.0, 500.0]  # a cosmic ray, which passes for a zero-loss peak


def lose_channels(counts):
    counts[:, 700:703] = np.nan
    counts[5, 900] = np.nan


def add_a_cosmic_ray(counts):
    counts[4, 1000:1003] += 1e5


@pytest.mark.parametrize("change", [blank_some, lose_channels, add_a_cosmic_ray])
def test_a_spoilt_frame_spoils_no_noise_model(change):
    found, whole = noise.from_frames(spoilt(change)), noise.from_frames(frames(n=20))
    assert found.smooth_variance_per_count == pytest.approx(2.5, rel=0.06)
    assert found.relative_sigma < 1.5 * whole.relative_sigma  # nor does it take away what the others tell


@pytest.mark.parametrize(
    "spectra",
    [
        frames(n=noise.MINIMUM_FRAMES - 1),
        make_spectra(np.zeros((20, AXIS.size)), AXIS),
        make_spectra(np.full((20, AXIS.size), np.nan), AXIS),
        make_spectra(np.ones((20, 16)), EnergyAxis(0.0, 1.0, 16)),
    ],
    ids=["few", "zeros", "nan", "short"],
)
def test_frames_that_tell_nothing_have_no_noise_model(spectra):
    assert noise.from_frames(spectra) is None


@pytest.mark.parametrize(("pattern", "codes"), [(0.0, []), (0.05, ["NOISE_DISAGREES"])])
def test_a_pattern_of_the_camera_that_frames_share_is_flagged(pattern, codes):
    spectra = frames(kernel=SPREAD, drift_mev=0.0, jitter_mev=0.0, pattern=pattern)
    measured = noise.estimate(spectra)
    used = noise.reconciled(measured, None, noise.from_frames(spectra))
    assert used.source == "frames" and used.smooth_variance_per_count == pytest.approx(2.5, rel=0.05)
    assert [flag.code for flag in noise.doubts(measured, used)] == codes


def test_a_spectrum_that_is_smooth_nowhere_near_zero_has_a_noise_of_unknown_accuracy():
    random = np.random.default_rng(2)
    bright = 3.0 * random.poisson(1e4 * (1 + np.exp(-0.5 * (AXIS.energies_mev / 30) ** 2)), (5, AXIS.size))
    found = noise.estimate(make_spectra(bright.astype(float), AXIS))
    assert found.variance_per_count == pytest.approx(3.0, rel=0.1) and found.relative_sigma is None
    assert [flag.code for flag in noise.doubts(found, found)] == ["NOISE_UNKNOWN"]
    known = noise.reconciled(found, given(1 / 3.0))
    assert known.relative_sigma == 0.0 and noise.doubts(found, known) == ()


@pytest.mark.parametrize("name", ["EmptyCNT_RT", "FilledCNT_1pt4nm_RT"])
def test_noise_of_measured_spectra(measured, name):
    """Camera counts are not electrons there, and neighbours correlate by a third to a half."""
    found = noise.for_spectra(load(measured / "hermes_cnt" / f"{name}.ndata1"))
    assert 5e-5 < found.variance_per_count < 5e-4
    assert 1.3 < found.correlation < 2.6
    assert 0.05 < found.relative_sigma < 0.5
