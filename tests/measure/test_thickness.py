"""t/lambda against multiple scattering in closed form, and against measured spectra."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.measure.thickness import t_over_lambda
from eels_iontransport.simulation.specimen import lco_boundary
from eels_iontransport.simulation.spectra import SpectrumModel

STEP_EV = 0.1
AXIS = EnergyAxis(-9.8, STEP_EV, 1024)  # ends at 92.5 eV


def plural_scattering(t, counts=4e6, zero_ev=0.0, size=32768):
    """Poisson series of a damped plasmon (25 eV, 9 eV wide), on an axis long enough to hold all of it."""
    energy = STEP_EV * np.arange(size)
    single = np.where(energy > 2, energy / ((energy**2 - 25.0**2) ** 2 + (energy * 9.0) ** 2), 0.0)
    single /= single.sum()
    spectrum = np.fft.rfft(single, 2 * size)
    loss = np.fft.irfft(np.exp(t * (spectrum - 1)) - np.exp(-t), 2 * size)[:size] * counts
    energy_ev = AXIS.energies_ev - zero_ev
    peak = np.exp(-0.5 * (energy_ev / 0.15) ** 2)
    zlp = counts * np.exp(-t) * peak / peak.sum()
    return zlp + np.interp(energy_ev, energy, loss, left=0.0)


@pytest.mark.parametrize(("t", "relative"), [(0.1, 0.01), (0.3, 0.01), (0.55, 0.01), (1.0, 0.02), (1.5, 0.035)])
def test_value_of_plural_scattering(t, relative):
    result = t_over_lambda(make_spectra(plural_scattering(t), AXIS, noise=given(1.0)))
    assert result.value[0] == pytest.approx(t, rel=relative)
    assert abs(result.value[0] - t) < 2 * result.total_sigma[0]
    assert result.flags == ()


def test_tail_beyond_the_axis_is_added_and_half_of_it_is_doubt():
    spectrum = plural_scattering(0.55)
    plain = np.log(spectrum.sum() / spectrum[: int((9.8 + 2) / STEP_EV)].sum())
    result = t_over_lambda(make_spectra(spectrum, AXIS))
    assert plain < 0.55 - 0.004
    assert result.value[0] - result.tail_correction[0] == pytest.approx(plain, abs=1e-3)
    assert abs(result.value[0] - 0.55) < 0.5 * abs(plain - 0.55)
    assert result.systematic[0] == pytest.approx(0.5 * result.tail_correction[0], rel=0.1)


@pytest.mark.parametrize("zero_ev", [-4.9, 0.5, 0.03])
def test_value_does_not_depend_on_the_energy_zero(zero_ev):
    result = t_over_lambda(make_spectra(plural_scattering(0.55, zero_ev=zero_ev), AXIS))
    assert result.value[0] == pytest.approx(0.55, rel=0.01)


def test_value_and_relative_error_do_not_depend_on_the_gain():
    spectrum = np.random.default_rng(1).poisson(plural_scattering(0.5, counts=1e5)).astype(float)
    one = t_over_lambda(make_spectra(spectrum, AXIS, noise=NoiseModel("given", 1.0)))
    seven = t_over_lambda(make_spectra(7 * spectrum, AXIS, noise=NoiseModel("given", 7.0)))
    assert seven.value == pytest.approx(one.value)
    assert seven.sigma == pytest.approx(one.sigma)


def test_dark_level_is_removed_and_told():
    spectrum = plural_scattering(0.55) + 300.0 + np.random.default_rng(2).normal(0, 5, AXIS.size)
    result = t_over_lambda(make_spectra(spectrum, AXIS))
    assert result.value[0] == pytest.approx(0.55, rel=0.02)
    assert result.dark_correction[0] < -0.03
    assert result.systematic[0] > 0.5 * abs(result.dark_correction[0])
    assert "DARK_LEVEL" in [flag.code for flag in result.flags]


def test_sigma_covers_over_seeds():
    expected = plural_scattering(0.55, counts=3e4)
    noisy = np.array([np.random.default_rng(seed).poisson(expected) for seed in range(100)], float)
    result = t_over_lambda(make_spectra(noisy, AXIS, noise=given(1.0)))
    without_noise = t_over_lambda(make_spectra(expected, AXIS)).value[0]
    pull = (result.value - without_noise) / result.sigma
    assert 0.8 < pull.std() < 1.2
    assert abs(pull.mean()) < 0.4
    assert np.abs(result.value - 0.55).max() < 4 * result.total_sigma.max()


def test_rows_that_are_not_valid_stay_nan():
    rows = np.tile(plural_scattering(0.5), (3, 1))
    rows[1] = np.nan
    result = t_over_lambda(make_spectra(rows, AXIS, valid=np.array([True, True, False])))
    assert np.isfinite(result.value).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        (np.zeros(AXIS.size), "THICKNESS_NO_ZLP"),
        (-np.ones(AXIS.size), "THICKNESS_NO_ZLP"),
        (np.linspace(1, 2, AXIS.size), "THICKNESS_NO_ZLP"),
        (np.linspace(2, 1, AXIS.size), "THICKNESS_NO_ZLP"),
        (np.minimum(plural_scattering(0.5), 1e5), "THICKNESS_SATURATED"),
    ],
)
def test_unusable_spectrum_is_nan_with_a_flag(counts, code):
    result = t_over_lambda(make_spectra(counts, AXIS, noise=given(1.0)))
    assert np.isnan(result.value).all() and np.isnan(result.total_sigma).all()
    assert [flag.code for flag in result.flags] == [code]


def test_saturation_level_counts():
    spectrum = plural_scattering(0.5)
    result = t_over_lambda(make_spectra(spectrum, AXIS, saturation_level=spectrum.max()))
    assert np.isnan(result.value[0])


def test_vibrational_range_carries_no_thickness():
    axis = EnergyAxis(-0.2, 0.0004, 2048)
    spectrum = 1e6 * np.exp(-0.5 * (axis.energies_ev / 0.0034) ** 2) + 10.0
    result = t_over_lambda(make_spectra(spectrum, axis))
    assert np.isnan(result.value[0])
    assert [flag.code for flag in result.flags] == ["SHORT_LOSS_RANGE"]


@pytest.mark.parametrize("x_nm", [12.0, 20.0, 28.0])
def test_simulated_valence_scan_with_edges_and_plural_scattering(x_nm):
    axis = EnergyAxis(-10.0, 0.05, 2048)
    expected = SpectrumModel(lco_boundary(), axis).expected(x_nm, np.zeros(1))[0]
    result = t_over_lambda(make_spectra(1e8 * expected, axis, noise=given(1.0)))
    true = lco_boundary().t_over_lambda(np.array([x_nm]))[0]
    assert result.value[0] == pytest.approx(true, rel=0.025)
    assert abs(result.value[0] - true) < result.total_sigma[0]


def low_loss(folder, name):
    pytest.importorskip("rsciio", reason="rosettasciio is not installed")
    from rsciio import digitalmicrograph, hspy

    reader = hspy if name.endswith(".hspy") else digitalmicrograph
    content = reader.file_reader(str(folder / "lowloss" / name))[0]
    axis = content["axes"][-1]
    energy = EnergyAxis(float(axis["offset"]), float(axis["scale"]), int(axis["size"]))
    return make_spectra(np.asarray(content["data"], float), energy, noise=given(1.0))


@pytest.mark.filterwarnings("ignore")
def test_measured_manganite_line(measured):
    result = t_over_lambda(low_loss(measured, "LSMO_linescan_low_loss.hspy"))
    assert 0.22 < np.nanmin(result.value) < 0.30
    assert 0.48 < np.nanmax(result.value) < 0.58
    assert np.corrcoef(np.arange(40), result.value)[0, 1] > 0.9  # a wedge


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["tio2_lowloss_raw.dm3", "tio2_lowloss_calibrated.dm3"])
def test_measured_titania(measured, name):
    result = t_over_lambda(low_loss(measured, name))
    assert np.median(result.value) == pytest.approx(0.89, abs=0.03)
    assert np.abs(result.value - 0.89).max() < 3 * result.total_sigma.max()
