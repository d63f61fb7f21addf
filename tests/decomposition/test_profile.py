"""Profiles of shifts, on lines that other code made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.referee_lines import Condition, masks, session
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_together
from eels_iontransport.decomposition.profile import _Points, profile
from eels_iontransport.decomposition.response import from_vacuum
from eels_iontransport.materials import load
from eels_iontransport.prepared import prepare

MEAN = np.array([[-0.5, 1.0, -0.5]])


def posed(condition: Condition, seed: int):
    """Setup and spectra of the regions of a referee's line."""
    prepared = {role: prepare(spectra) for role, spectra in session(condition, seed).inputs.items()}
    line, aloof, vacuum = (prepared[role] for role in ("vibrational", "aloof", "zlp"))
    total = vacuum.total()
    setup = Setup(load("lco"), "shared", line.noise, from_vacuum(total.energy_mev, total.counts))
    shapes = fit_aloof(replace(setup, noise=aloof.noise), aloof.total())[1]
    return replace(setup, polaritons=shapes), [line.total(mask) for mask in masks().values()]


@pytest.fixture(scope="module")
def without_shift():
    setup, spectra = posed(Condition(0.0, 10.0), 3)
    return setup, spectra, fit_together(setup, spectra)


def test_where_nothing_is_in_the_way_it_is_the_curvature(without_shift):
    setup, spectra, together = without_shift
    found, lowest = profile(setup, spectra, together, "LDO", MEAN)
    curvature = np.sqrt(MEAN[0] @ together.centre_covariance("LDO") @ MEAN[0])
    assert found.value[0] == pytest.approx(MEAN[0] @ together.value("LDO", "centre_mev"), abs=1e-3)
    assert found.sigma[0] == pytest.approx(curvature, rel=0.15)
    assert lowest is together


def test_chi_squared_has_risen_by_one_at_the_ends(without_shift):
    """Against fits of one spectrum in which the recipe itself holds the centre."""
    setup, spectra, _ = without_shift
    alone = spectra[1:2]
    free = fit_together(setup, alone)
    found, _ = profile(setup, alone, free, "LDO", np.eye(1))
    for end in (found.low[0], found.high[0]):
        peaks = tuple(_held(peak, end) if peak.name == "LDO" else peak for peak in setup.recipe.peaks)
        held = fit_together(replace(setup, recipe=replace(setup.recipe, peaks=peaks, starts_mev=())), alone)
        rise = _chi2(held) - _chi2(free)
        # The priors take a part of the rise; it is not more than the whole.
        assert 0.5 < rise < 1.1


def _chi2(fit) -> float:
    return float((fit.residual**2 / fit.model).sum())


def _held(peak, centre_mev):
    centre = replace(peak.wide.centre_mev, initial=centre_mev, lower=centre_mev, upper=centre_mev)
    return replace(peak, wide=replace(peak.wide, centre_mev=centre))


def test_a_wrong_optimum_is_left_for_a_better_one():
    setup, spectra = posed(Condition(2.6, 1.0), 44)
    right = fit_together(setup, spectra)
    values = {**right.values, "centre_mev": right.values["centre_mev"].copy()}
    values["centre_mev"][1, right.index("LDO")] = 47.0  # where the boundary's peak hides behind its neighbour
    start = replace(right, values=values)
    wrong = fit_together(setup, spectra, start=start)
    _, lowest = profile(setup, spectra, wrong, "LDO", MEAN)
    assert lowest.chi2.sum() <= wrong.chi2.sum() + 1e-9
    assert lowest.chi2.sum() == pytest.approx(right.chi2.sum(), abs=2e-3)


@pytest.mark.parametrize(
    ("moved", "rise", "crossing"),
    [
        ([0.5, 1.0, 2.0], [0.25, 1.0, 4.0], 1.0),
        ([2.0, 1.0], [4.0, 0.25], 1 + 1 / 3),
        ([0.5], [0.25], np.nan),
        ([], [], np.nan),
        ([-1.0], [9.0], np.nan),
    ],
)
def test_the_end_lies_where_the_root_of_the_rise_is_one(moved, rise, crossing):
    points = _Points(np.array(moved), np.array(rise), np.zeros((len(moved), 1)))
    assert points.crossing(1) == pytest.approx(crossing, nan_ok=True)
