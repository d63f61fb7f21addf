"""Sums of rows that have their zeros on different channels, of unlike brightness, with lost channels."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.spectrum import EnergyAxis, Spectra
from eels_iontransport.measure.alignment import WIDEST_GAP, aligned_sum

AXIS = EnergyAxis(-0.1, 0.0004, 800)
SHIFTS = np.array([0, 3, -2, 1, 0, 5, -4, 2, 0, 1, -1, 2, 0, 0, 3, -3, 1, 0, 2, -2])
BRIGHTNESS = np.linspace(0.5, 2.0, SHIFTS.size)
ZERO_EV = SHIFTS * AXIS.step_ev


def clean():
    energy = AXIS.energies_mev - 0.4 * SHIFTS[:, None]
    return BRIGHTNESS[:, None] * (1e6 * np.exp(-0.5 * (energy / 3.4) ** 2) + 5e3 / (1 + (energy / 20) ** 2))


def total(rows):
    return aligned_sum(Spectra(rows, AXIS, np.ones(len(rows), bool)), np.ones(len(rows), bool), ZERO_EV)


def at(found, energy_mev):
    return int(np.argmin(np.abs(found.energy_mev - energy_mev)))


def test_rows_are_summed_from_their_zeros_on():
    found = total(clean())
    energy = found.energy_mev
    expected = BRIGHTNESS.sum() * (1e6 * np.exp(-0.5 * (energy / 3.4) ** 2) + 5e3 / (1 + (energy / 20) ** 2))
    assert found.rows == 20 and found.energy_mev.size == 800 - np.ptp(SHIFTS)
    assert found.counts == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("row", [0, 19], ids=["dim", "bright"])
@pytest.mark.parametrize("width", [1, 4])
def test_channels_that_one_row_lost_leave_no_dip(row, width):
    rows = clean()
    first = 375 + SHIFTS[row]  # at 50 meV
    rows[row, first : first + width] = np.nan
    found, expected = total(rows), total(clean())
    assert found.counts == pytest.approx(expected.counts, rel=5e-4)
    touched = np.abs(found.energy_mev - 50.0 - 0.2 * (width - 1)) < 0.2 * width
    assert np.array_equal(found.counts != expected.counts, touched)


def test_a_channel_that_too_many_lost_is_lost():
    rows = clean()
    for row in range(0, 20, 5):
        rows[row, 375 + SHIFTS[row]] = np.nan
    found = total(rows)
    assert np.flatnonzero(np.isnan(found.counts)).tolist() == [at(found, 50.0)]


def test_no_line_is_drawn_over_a_wide_gap():
    rows = clean()
    rows[3, 375:] = np.nan
    found = total(rows)
    assert np.isnan(found.counts).sum() == pytest.approx(800 - 375, abs=20)
    assert np.isfinite(found.counts[: at(found, 45.0)]).all()
    rows = clean()
    rows[3, 375 : 375 + WIDEST_GAP] = np.nan
    assert np.isfinite(total(rows).counts).all()


def test_a_sum_without_its_peak_has_no_zero():
    rows = clean()
    rows[:, 240:260] = np.nan
    assert total(rows) is None
