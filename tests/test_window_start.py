"""The fit window begins later where its low end is odd, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.referee_lines import AXIS, REGIONS, Condition, session
from eels_iontransport.materials import load
from eels_iontransport.session import Session
from eels_iontransport.window_start import ONE_IN, Misfit, first_that_fits

CHANNELS, LATER = 220, (6, 12)  # of a straight line, and how many of them the shorter fits leave out


def misfits(counts: np.ndarray) -> list[Misfit]:
    """Straight lines by numpy through all channels, and through those that are left."""
    x, found = np.arange(CHANNELS), []
    for first in (0, *LATER):
        line = np.polynomial.Polynomial.fit(x[first:], counts[first:], 1)
        found.append(Misfit(float(((counts[first:] - line(x[first:])) ** 2).sum()), CHANNELS - first - 2.0))
    return found


def test_the_false_alarm_is_as_rare_as_it_says():
    random = np.random.default_rng(0)
    moved = sum(first_that_fits(misfits(random.standard_normal(CHANNELS)), 1.0) > 0 for _ in range(5000))
    assert 0 < moved <= 15  # 5 of 5000 are expected
    assert ONE_IN == 1000


@pytest.mark.parametrize(("odd_channels", "place"), [(6, 1), (12, 2), (0, 0)])
def test_the_start_is_moved_past_what_is_odd(odd_channels, place):
    counts = np.random.default_rng(1).standard_normal(CHANNELS)
    counts[:odd_channels] += 5.0
    assert first_that_fits(misfits(counts), 1.0) == place


def test_correlated_channels_count_less():
    counts = np.random.default_rng(2).standard_normal(CHANNELS)
    counts[:6] += 2.0
    assert first_that_fits(misfits(counts), 1.0) == 1 and first_that_fits(misfits(counts), 5.0) == 0


def test_where_a_window_cannot_be_fitted_the_search_ends():
    odd, fine = Misfit(1000.0, 200.0), Misfit(190.0, 190.0)
    assert first_that_fits([odd, None, fine], 1.0) == 0
    assert first_that_fits([odd, fine, None], 1.0) == 1


def windows_of(readout: dict) -> list[list[float]]:
    return [c["window_mev"] for c in readout["ldo_peak"]["uncertainty"]["backgrounds"] if c["main"]]


def readout_with(bump: float, background=None, choose: bool = True) -> dict:
    """A line whose tail has a bump at 22.4 meV, in parts of the counts there."""
    taken = session(Condition(1.8, 10.0), 11)
    energy = AXIS.energies_mev
    odd = 1 + bump * np.exp(-0.5 * ((energy - 22.4) / 0.6) ** 2)
    analysis = Session(replace(load("lco"), choose_background=choose), regions=REGIONS, background_mev=background)
    analysis.update(**{**taken.inputs, "vibrational": replace(taken.line, counts=taken.line.counts * odd)})
    return analysis.evaluate().readout


def test_a_line_begins_later_where_its_low_end_is_odd():
    found = readout_with(0.05)
    assert windows_of(found) == [[24.2, 110.0]] or windows_of(found) == [[26.4, 110.0]]
    assert abs(found["ldo_peak"]["blue_shift_mev"]["value"] - 1.8) < 3 * found["ldo_peak"]["blue_shift_mev"]["sigma"]


def test_it_keeps_its_window_where_nothing_is_odd_or_the_user_or_the_recipe_says_so():
    assert windows_of(readout_with(0.0)) == [[22.0, 110.0]]
    assert windows_of(readout_with(0.05, background=((22.0, 30.0), (90.0, 110.0)))) == [[22.0, 110.0]]
    assert windows_of(readout_with(0.05, choose=False)) == [[22.0, 110.0]]
