"""Which background the data prefer, and what hangs on the choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.referee_lines import REGIONS, Condition, masks, session
from eels_iontransport.background_scan import Alternative, BackgroundScan, main_specification, prefer_background
from eels_iontransport.decomposition.fitting import Setup, fit_together
from eels_iontransport.materials import load
from eels_iontransport.prepared import prepare
from eels_iontransport.session import Session
from eels_iontransport.specification import Specification, other_backgrounds, other_windows
from eels_iontransport.specification_curve import add_up

MAIN = Specification("shared", "", (22.0, 110.0), 3, "vacuum ZLP", True)
MEAN = np.array([[-0.5, 1.0, -0.5]])


def scan(*alternatives: Alternative) -> BackgroundScan:
    return BackgroundScan(MAIN, np.array([49.6, 51.4, 49.6]), 1.0, tuple(alternatives))


def alternative(shift_mev: float, variance_ratio: float = 1.0, plausible: bool = True) -> Alternative:
    centres = np.array([49.6, 49.6 + shift_mev, 49.6])
    return Alternative(MAIN, centres, variance_ratio=variance_ratio, plausible=plausible)


def test_the_spread_of_plausible_choices_is_the_uncertainty():
    found = scan(alternative(1.7), alternative(1.9), alternative(9.0, plausible=False))
    assert found.sigma(MEAN, np.array([0.0])) == pytest.approx([0.1])


def test_what_counting_noise_makes_of_the_differences_is_taken_off():
    found = scan(alternative(1.7, 1.5), alternative(1.9, 1.5))
    assert found.sigma(MEAN, np.array([0.1])) == pytest.approx([np.sqrt(0.1**2 - 0.5 * 0.5 * 0.1**2)])
    assert found.sigma(MEAN, np.array([1.0])) == pytest.approx([0.0])


def test_without_a_plausible_alternative_nothing_is_added():
    assert scan(alternative(9.0, plausible=False)).sigma(MEAN, np.array([0.1])) == pytest.approx([0.0])


def test_alternatives_differ_in_one_thing():
    windows, backgrounds = other_windows(MAIN), other_backgrounds(load("lco"), MAIN, has_tail=True)
    assert {w.window_mev for w in windows} == {(24.2, 110.0), (26.4, 110.0), (22.0, 105.6), (22.0, 114.4)}
    assert {b.background_order for b in backgrounds} == {2, 4, None}
    assert all(replace(w, window_mev=MAIN.window_mev) == MAIN for w in windows)
    assert {b.background_order for b in other_backgrounds(load("lco"), MAIN, has_tail=False)} == {2, 4}


@pytest.fixture(scope="module")
def line():
    return session(Condition(1.8, 1.0), 7)


def test_the_tail_of_the_vacuum_is_preferred_where_it_is_what_lies_under_the_lines(line):
    sums = add_up(load("lco"), {role: prepare(s) for role, s in line.inputs.items()}, masks())
    main = main_specification(sums, "shared", 3, "vacuum ZLP")
    setup = Setup(load("lco"), "shared", sums.noise, sums.responses["vacuum ZLP"])
    together = fit_together(setup, list(sums.groups.values()))
    assert prefer_background(sums, main, together) is None
    assert prefer_background(replace(sums, tail=None), main, together) == 3


@pytest.mark.parametrize(("choose", "background"), [(True, "vacuum tail"), (False, "polynomial")])
def test_a_recipe_may_keep_its_background(line, choose, background):
    analysis = Session(replace(load("lco"), choose_background=choose), regions=REGIONS)
    analysis.update(**line.inputs)
    choices = analysis.evaluate().readout["ldo_peak"]["uncertainty"]["backgrounds"]
    assert [c["background"] for c in choices if c["main"]] == [background]
