"""The response against what was measured on real zero-loss peaks."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.files import load
from eels_iontransport.simulation.response import gain_tail, response


def _fwhm(fwhm_mev: float) -> float:
    energy = np.linspace(-20.0, 20.0, 40001)
    above = energy[response(energy, fwhm_mev) > 0.5]
    return above[-1] - above[0]


@pytest.mark.parametrize("fwhm_mev", [5.0, 8.0, 11.0])
def test_full_width_at_half_maximum(fwhm_mev):
    assert _fwhm(fwhm_mev) == pytest.approx(fwhm_mev, abs=0.02)


@pytest.mark.parametrize(("energy_mev", "level"), [(40.0, 2e-3), (135.0, 2e-4), (200.0, 1e-4)])
def test_levels_of_the_loss_side(energy_mev, level):
    assert response(np.array([energy_mev]))[0] == pytest.approx(level, rel=0.05)


@pytest.mark.parametrize(
    ("low_mev", "high_mev", "slope"), [(18.0, 25.0, -2.8), (25.0, 40.0, -2.1), (40.0, 60.0, -1.3), (60.0, 90.0, -1.9)]
)
def test_local_slopes_of_the_loss_side(low_mev, high_mev, slope):
    energy = np.geomspace(low_mev, high_mev, 50)
    fitted = np.polyfit(np.log(energy), np.log(response(energy)), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.1)


def test_no_step_and_no_second_maximum():
    energy = np.linspace(-300.0, 300.0, 60001)
    change = np.diff(response(energy))
    assert np.all(change[energy[1:] < -0.05] > 0) and np.all(change[energy[:-1] > 0.05] < 0)


def test_tails_match_a_measured_zero_loss_peak(measured):
    spectrum = load(measured / "hermes_cnt" / "EmptyCNT_RT.ndata1")
    counts, energy = spectrum.rows[0], spectrum.energy.energies_mev
    peak = counts.argmax()
    energy = energy - energy[peak]
    for low, high in ((20.0, 40.0), (40.0, 60.0), (60.0, 88.0)):  # beyond lies a phonon of the support
        there = (energy > low) & (energy < high)
        ratio = response(energy[there]) / (counts[there] / counts[peak])
        assert np.median(ratio) == pytest.approx(1.0, abs=0.07)
    gain = (energy < -20.0) & (energy > -150.0)
    assert np.median(gain_tail(-energy[gain]) / (counts[gain] / counts[peak])) == pytest.approx(1.0, abs=0.05)
