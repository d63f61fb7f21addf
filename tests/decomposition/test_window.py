"""Cutting out windows: row by row or all at once, with gaps, cosmic rays and zeros anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel
from eels_iontransport.decomposition.window import cut_out
from eels_iontransport.measure.alignment import Aligned

WINDOW = (25.0, 95.0)
LAWS = ((20.0, 25.0), (95.0, 105.0))
NOISE = NoiseModel("given", 1.0)


def tail(exponent, first_mev=-50.0, channels=500, rows=1):
    """Counts 1e5 (E/20)^-exponent from 5 meV on, none below."""
    energy = first_mev + 0.4 * np.arange(channels)
    return Aligned(energy, np.where(energy > 5, 1e5 * (np.maximum(energy, 5) / 20) ** -exponent, 0.0), rows)


def cut(spectra, laws=None):
    return cut_out(spectra, WINDOW, NOISE, None, None, laws)


def test_every_row_begins_at_the_window_wherever_its_zero_lies():
    spectra = [tail(2.0, first) for first in (-50.0, -49.9, -38.35, -60.0)]
    found = cut(spectra)
    assert found.energy_mev.shape == (4, 175)
    assert np.all((found.energy_mev[:, 0] >= 25.0 - 1e-9) & (found.energy_mev[:, 0] < 25.4))
    for i, spectrum in enumerate(spectra):
        inside = np.isin(spectrum.energy_mev.round(6), found.energy_mev[i].round(6))
        assert found.counts[i] == pytest.approx(spectrum.counts[inside], rel=1e-12)


def test_spectra_of_several_lengths_keep_their_order():
    spectra = [tail(2.0), tail(2.1, channels=450), tail(2.2), tail(2.3, channels=100), tail(2.4, channels=450)]
    found = cut(spectra, LAWS)
    assert found.rows.tolist() == [0, 1, 2, 4]
    for row, exponent in zip(range(4), (2.0, 2.1, 2.2, 2.4)):
        assert found.subtracted[row] == pytest.approx(1e5 * (found.energy_mev[row] / 20) ** -exponent, rel=1e-6)
        assert np.abs(found.counts[row]).max() < 1e-3


def test_a_row_that_cannot_be_fitted_is_left_out_alone():
    spectra = [tail(2.0), tail(2.0), tail(2.0), tail(2.0)]
    spectra[1].counts[:] = 0.0
    spectra[2].counts[:] = np.nan
    assert cut(spectra, LAWS).rows.tolist() == [0, 3]
    with pytest.raises(UnusableInput, match="no counts in the fit window"):
        cut(spectra[1:3], LAWS)


def test_channels_that_are_no_counts_are_masked_and_spoil_neither_law_nor_uncertainty():
    clean, spoilt = tail(2.0), tail(2.0)
    at = [176, 177, 200, 250, 370]  # 20.4, 20.8, 30, 50 and 98 meV
    spoilt.counts[at] = np.nan, -1e6, np.inf, -1e6, -np.inf
    found, expected = cut([spoilt], LAWS), cut([clean], LAWS)
    masked = np.isinf(found.sigma[0])
    assert found.energy_mev[0, masked] == pytest.approx([30.0, 50.0])
    assert found.subtracted == pytest.approx(expected.subtracted, rel=1e-6)
    beside = np.abs(found.energy_mev[0] - 30.0) < 1.7
    assert found.sigma[0, beside & ~masked] == pytest.approx(expected.sigma[0, beside & ~masked], rel=0.01)


def test_summed_rows_have_the_floor_of_as_many():
    noise = NoiseModel("given", 1.0, floor=400.0)
    (single, summed) = cut_out([tail(2.0), tail(2.0, rows=9)], WINDOW, noise, None, None).sigma ** 2
    assert summed - single == pytest.approx(np.full(175, 8 * 400.0))


@pytest.mark.parametrize(
    ("spectrum", "said"),
    [
        (tail(2.0, first_mev=30.0), "25-95 meV is not covered by the spectrum, which reaches from 30 to 230 meV"),
        (tail(2.0, channels=300), "from -50 to 70 meV"),
    ],
)
def test_windows_that_are_not_covered(spectrum, said):
    with pytest.raises(UnusableInput, match=said):
        cut([spectrum])


def test_a_background_window_that_is_not_covered():
    with pytest.raises(UnusableInput, match="95-105 meV is not covered"):
        cut([tail(2.0, channels=364)], LAWS)  # to 95.2 meV
