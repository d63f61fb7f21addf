"""Backgrounds: the two-window power law is exact on a power law, the polynomial follows a measured tail."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.measure.background import fit_tail, log_polynomial, tail_power_law, two_window_power_law

ENERGY = np.arange(10.0, 130.0, 0.4)
WINDOWS = ((20.0, 25.0), (95.0, 105.0))


@pytest.mark.parametrize(("amplitude", "exponent"), [(1e7, 2.5), (3e5, 1.3), (2e9, 4.0)])
def test_exact_on_a_power_law_whatever_lies_between_the_windows(amplitude, exponent):
    exact = amplitude * ENERGY**-exponent
    counts = exact + 1e4 * np.exp(-0.5 * ((ENERGY - 60) / 8) ** 2) * ((ENERGY > 26) & (ENERGY < 94))
    law = two_window_power_law(ENERGY, counts, np.maximum(counts, 1), WINDOWS)
    assert law.exponent == pytest.approx(exponent, rel=1e-8)
    assert law(ENERGY) == pytest.approx(exact, rel=1e-7)


def test_channels_without_a_number_are_left_out():
    counts = 1e7 * ENERGY**-2.5
    counts[[26, 27, 30, 220]] = np.nan, np.inf, -np.inf, np.nan
    assert two_window_power_law(ENERGY, counts, 1e7 * ENERGY**-2.5, WINDOWS).exponent == pytest.approx(2.5, rel=1e-8)
    counts[(ENERGY > 90) & (ENERGY < 110)] = np.nan
    with pytest.raises(UnusableInput, match="95-105 meV holds no counts"):
        two_window_power_law(ENERGY, counts, 1e7 * ENERGY**-2.5, WINDOWS)


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (((-5.0, 5.0), (95.0, 105.0)), "-5-5 meV is not covered"),
        (((20.0, 25.0), (300.0, 320.0)), "300-320 meV is not covered"),
        (((25.0, 20.0), (95.0, 105.0)), "25-20 meV"),
    ],
)
def test_windows_outside_the_spectrum(windows, said):
    with pytest.raises(UnusableInput, match=said):
        two_window_power_law(ENERGY, np.ones_like(ENERGY), np.ones_like(ENERGY), windows)


def test_windows_without_counts():
    with pytest.raises(UnusableInput, match="holds no counts"):
        two_window_power_law(ENERGY, np.zeros_like(ENERGY), np.ones_like(ENERGY), WINDOWS)


def test_a_cubic_follows_a_tail_whose_slope_changes_where_a_power_law_does_not():
    energy = np.arange(22.0, 110.0, 0.4)
    slope = np.interp(energy, [22, 32, 50, 75, 110], [-2.8, -2.1, -1.3, -1.9, -1.9])
    tail = 1e5 * np.exp(np.cumsum(slope * np.gradient(np.log(energy))))
    misfit = {}
    for order in (0, 3):
        basis = log_polynomial(energy, order).T / tail[:, None]
        misfit[order] = np.abs(basis @ np.linalg.lstsq(basis, np.ones_like(energy), rcond=None)[0] - 1).max()
    assert misfit[0] > 0.2  # of the tail
    assert misfit[3] < 0.03


TAIL_ENERGY = np.arange(10.0, 130.0, 0.4)


def closed_form_tail(energy):
    """No power law: steep, then flat, with a shoulder."""
    return (
        4e5 * (energy / 20) ** -3
        + 9e4 / np.hypot(1, energy / 12)
        + 4e4 * np.exp(-0.5 * (np.log(energy / 50) / 0.4) ** 2)
    )


@pytest.mark.parametrize("gain", [1.0, 7.0])
def test_a_tail_is_found_below_its_noise(gain):
    random = np.random.default_rng(4)
    expected = gain * closed_form_tail(TAIL_ENERGY)
    counts = gain * random.poisson(expected / gain)
    tail = fit_tail(TAIL_ENERGY, counts, gain * expected, 18.0, 115.0)
    inside = (TAIL_ENERGY >= 18) & (TAIL_ENERGY <= 115)
    off = tail(TAIL_ENERGY[inside]) / expected[inside] - 1
    noise = np.sqrt(gain / expected[inside])
    assert np.sqrt(np.mean(off**2)) < 0.4 * np.sqrt(np.mean(noise**2))
    assert tail(np.array([130.0])) == pytest.approx(tail(np.array([115.0])))


@pytest.mark.parametrize("ends", [(5.0, 115.0), (18.0, 140.0), (0.0, 100.0)])
def test_a_tail_that_is_not_covered_is_refused(ends):
    counts = closed_form_tail(TAIL_ENERGY)
    with pytest.raises(UnusableInput, match="no tail"):
        fit_tail(TAIL_ENERGY, counts, counts, *ends)


def test_a_tail_without_counts_is_refused():
    counts = 1e-4 * closed_form_tail(TAIL_ENERGY)
    with pytest.raises(UnusableInput, match="no tail"):
        fit_tail(TAIL_ENERGY, counts, counts, 18.0, 115.0)


def test_the_tail_times_a_power_law_near_one_is_in_its_basis():
    tail = fit_tail(TAIL_ENERGY, closed_form_tail(TAIL_ENERGY), closed_form_tail(TAIL_ENERGY), 18.0, 115.0)
    energy = np.linspace(22.0, 110.0, 200)
    wanted = 0.8 * tail(energy) * (energy / 50.0) ** -0.05
    basis = tail_power_law(tail, energy)
    found = np.linalg.lstsq(basis.T, wanted, rcond=None)[0] @ basis
    assert np.abs(found / wanted - 1).max() < 2e-3
