"""Losses against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.simulation import losses
from eels_iontransport.simulation.specimen import Mode, lco_boundary
from eels_iontransport.simulation.spectra import SpectrumModel, component_weights

ENERGY_MEV = np.arange(-6000, 6001) * 0.1
MODE = Mode("test", 50.0, 1.5, 2.0, 1.0)


def test_a_vibration_is_one_loss_around_its_centre():
    line = losses.vibration(ENERGY_MEV, MODE, 298.0)
    near = np.abs(ENERGY_MEV - 50.0) < 10.0
    assert line[ENERGY_MEV > 0].sum() * 0.1 == pytest.approx(1.0, abs=0.01)
    assert np.average(ENERGY_MEV[near], weights=line[near]) == pytest.approx(50.0, abs=0.05)


@pytest.mark.parametrize("temperature_k", [100.0, 298.0, 600.0])
def test_gain_and_loss_follow_the_temperature(temperature_k):
    narrow = Mode("narrow", 50.0, 0.3, 0.5, 1.0)
    line = losses.vibration(ENERGY_MEV, narrow, temperature_k)
    gain = line[np.abs(ENERGY_MEV + 50.0) < 5.0].sum() / line[np.abs(ENERGY_MEV - 50.0) < 5.0].sum()
    assert gain == pytest.approx(np.exp(-50.0 / (0.08617333 * temperature_k)), rel=0.03)


def test_valence_losses_have_a_gap_a_plasmon_and_unit_area():
    energy = np.arange(0.0, 480.0, 0.02)
    loss = losses.valence(energy)
    assert loss.sum() * 0.02 == pytest.approx(1.0)
    assert loss[energy < 0.5].max() < 1e-2 * loss.max()
    assert 23.0 < energy[loss.argmax()] < 28.0


@pytest.mark.parametrize(
    ("edge", "weak", "main"),
    [(losses.lithium_edge, (54.5, 56.5), (60.0, 62.0)), (losses.cobalt_edge, (58.0, 60.0), (61.0, 68.0))],
)
def test_edges_rise_where_they_should(edge, weak, main):
    energy = np.arange(40.0, 90.0, 0.05)
    loss = edge(energy)
    assert np.all(loss[energy < weak[0] - 1.5] < 0.05 * loss.max())
    assert loss[(energy > weak[0]) & (energy < weak[1])].mean() > 5 * loss[energy < weak[0] - 1.5].max()
    assert main[0] < energy[loss.argmax()] < main[1]


@pytest.mark.parametrize("x_nm", [-25.0, 10.0, 20.0, 30.0])
def test_the_whole_spectrum_over_its_zero_loss_peak_is_exp_of_thickness(x_nm):
    specimen = lco_boundary()
    wide = EnergyAxis(-20.0, 0.2, 2048)
    total = SpectrumModel(specimen, wide).expected(x_nm, np.array([0.0]))[0]
    zero_loss = total[wide.channels(-2.0, 1.0)].sum()
    assert np.log(total.sum() / zero_loss) == pytest.approx(specimen.t_over_lambda(x_nm)[0], rel=0.01)
    assert total.sum() == pytest.approx(1.0, abs=5e-3)


def test_plural_scattering_follows_poisson():
    specimen = lco_boundary()
    t = specimen.t_over_lambda(15.0)[0]
    weights = component_weights(specimen, 15.0)
    first = 1 + 2 * len(specimen.polaritons) + sum(len(phase.phonons) for phase in specimen.phases)
    quasi_elastic, once, twice, thrice = weights[:first].sum(), *weights[first : first + 3]
    assert quasi_elastic == pytest.approx(np.exp(-t), rel=0.01)
    assert twice / once == pytest.approx(t / 2, rel=0.1)  # an eighth of the events at most ionizes
    assert thrice * once / twice**2 == pytest.approx(2 / 3)


def test_an_energy_shift_moves_the_spectrum_and_keeps_its_counts():
    model = SpectrumModel(lco_boundary(), EnergyAxis(-0.2, 0.0004, 2048))
    still, moved = model.expected(15.0, np.array([0.0, 0.0088]))
    assert moved[22:] == pytest.approx(still[:-22], rel=1e-9)
    assert moved.sum() == pytest.approx(still.sum(), rel=1e-4)


def test_settings_agree_on_the_same_losses():
    specimen = lco_boundary()
    fine, coarse = EnergyAxis(30.0, 0.05, 1024), EnergyAxis(30.0, 0.1, 512)
    counts = [SpectrumModel(specimen, axis).expected(12.0, np.array([0.0]))[0] for axis in (fine, coarse)]
    inner = slice(20, -20)
    assert counts[0].reshape(-1, 2).sum(1)[inner] == pytest.approx(counts[1][inner], rel=2e-2)


def test_published_magnitudes_at_dose_one():
    """1.3e8 electrons: an LDO line 3600 high per 0.4 meV channel on a response tail of 5300 at 50 meV."""
    specimen = lco_boundary()
    axis = EnergyAxis(-0.2, 0.0004, 2048)
    model = SpectrumModel(specimen, axis)
    weights = component_weights(specimen, 12.0)
    names = ["zlp", *["polariton"] * 6, "out_of_plane", "LDO"]
    heights = {}
    for name in ("zlp", "LDO"):
        only = np.zeros_like(weights)
        only[names.index(name)] = weights[names.index(name)]
        spectrum = np.diff(np.interp(model._edges, model._grid, only[model._kept] @ model._integrals))
        heights[name] = 1.3e8 * spectrum
    at_50 = int(np.argmin(np.abs(axis.energies_mev - 50.0)))
    assert heights["LDO"].max() == pytest.approx(3600, rel=0.1)
    assert heights["zlp"][at_50] == pytest.approx(5300, rel=0.15)
