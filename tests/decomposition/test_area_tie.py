"""The tie of the polaritons' areas on spectra made by brute force, whose ratios are kept or not."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.decomposition.area_tie import Ratios, tie_areas, tied
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_together
from eels_iontransport.decomposition.forecast import solve

from .test_resampling import ALL, APART, INDEPENDENT, SHIFT, counts_of, measured, of_peaks, response

SHIFT_MEV = 1.8
STRENGTHS = (1.0, 1.3, 0.9)  # of the phonons in each region
GROUPS = ("grain_1", "boundary", "grain_2")
KEPT = ((0.5, 0.5, 0.5),) * 3  # areas of the polaritons over those aloof, by region
PHP1_TWICE = ((0.5, 0.5, 0.5), (1.0, 0.5, 0.5), (0.5, 0.5, 0.5))
PHP1_FIVEFOLD = ((0.5, 0.5, 0.5), (2.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PHP2_TWICE = ((0.5, 0.5, 0.5), (0.5, 1.0, 0.5), (0.5, 0.5, 0.5))


@cache
def unit(line, electrons):
    """Counts of a thousandth of the electrons in one line."""
    return counts_of(((*line[:3], 1e-3),), electrons) - counts_of((), electrons)


def made(seed, sample=ALL, multiples=KEPT, dose=1.0):
    """Setup, spectra by region, what was found in them, and the aloof spectrum taken apart."""
    random, electrons = np.random.default_rng(seed), 1.3e9 * dose
    setup = Setup(sample.recipe, "shared", INDEPENDENT, response())
    aloof, shapes = fit_aloof(setup, measured(counts_of(sample.aloof(), 4e9 * dose), random, INDEPENDENT))
    spectra = {}
    for group, strength, factors in zip(GROUPS, STRENGTHS, multiples):
        phonons = counts_of(sample.phononic(SHIFT_MEV if group == "boundary" else 0.0, strength), electrons)
        parts = [
            factors[i] * 1e3 * line[3] * unit(line, electrons) for i, line in zip(sample.polaritons, sample.aloof())
        ]
        spectra[group] = measured(phonons + sum(parts), random, INDEPENDENT)
    setup = replace(setup, polaritons=shapes)
    return setup, spectra, fit_together(setup, tuple(spectra.values())), aloof


def tie(*arguments, **options):
    return tie_areas(*made(*arguments, **options), "LDO", SHIFT)


def codes(result):
    return [flag.code for flag in result.flags]


def test_areas_that_keep_the_ratios_are_tied_and_the_shift_is_known_better():
    pulls, gains = [], []
    for seed in range(8):
        setup, spectra, together, aloof = made(seed)
        found = tie_areas(setup, spectra, together, aloof, "LDO", SHIFT)
        before = np.sqrt(SHIFT @ together.centre_covariance("LDO") @ SHIFT)
        assert found.applied and found.ties == 6
        assert np.all(found.areas[:, 1] > 0)
        pulls.append((found.shift_mev - SHIFT_MEV) / found.sigma_mev)
        gains.append(found.sigma_mev / before)
    assert np.nanmedian(gains) < 0.6
    assert np.std(pulls) < 1.6 and abs(np.mean(pulls)) < 1.2


def test_a_tie_that_decides_unseen_says_so_and_one_that_moves_nothing_is_silent():
    """Under the shift peak lies PhP2, of which spectra tell little; without it the polaritons stand apart."""
    blind, harmless = tie(3), tie(3, APART)
    assert codes(blind) == ["AREA_TIE_UNTESTED"] and "PhP2 to be twice as strong" in blind.flags[0].message
    assert codes(harmless) == [] and harmless.applied


def test_blindness_is_real():
    """What the flag warns of: PhP2 twice as strong at the boundary passes, and moves the shift as was said."""
    found = [tie(seed, multiples=PHP2_TWICE) for seed in range(8)]
    assert sum(one.applied for one in found) >= 7
    error = np.mean([one.shift_mev for one in found]) - SHIFT_MEV
    assert error == pytest.approx(np.mean([one.moved_mev[1, 1] for one in found]), abs=0.1) and error > 0.1


def test_areas_that_do_not_keep_the_ratios_are_left_as_they_are():
    for seed in range(4):
        setup, spectra, together, aloof = made(seed, APART, PHP1_FIVEFOLD)
        found = tie_areas(setup, spectra, together, aloof, "LDO", SHIFT)
        assert codes(found) == ["AREA_TIE_REJECTED"] and not found.applied and found.p_value < 0.01
        assert found.shift_mev == pytest.approx(SHIFT @ together.value("LDO", "centre_mev"), abs=1e-3)
        sigma = np.sqrt(SHIFT @ together.centre_covariance("LDO") @ SHIFT)
        assert found.sigma_mev == pytest.approx(sigma, rel=1e-3)


def test_p_values_of_areas_that_scatter_by_the_width_are_even():
    random = np.random.default_rng(5)
    found = []
    for seed in range(30):
        multiples = 0.5 * (1 + 0.2 * random.standard_normal((3, 3)))
        found.append(tie(seed, APART, tuple(map(tuple, multiples))).p_value)
    assert 0.3 < np.mean(found) < 0.7
    assert np.mean(np.array(found) < 0.1) < 0.3


def test_the_power_is_how_often_twice_the_area_is_rejected():
    said = np.median([tie(seed, APART).power[1, 0] for seed in range(5)])
    multiples = np.array(PHP1_TWICE) * (1 + 0.2 * np.random.default_rng(6).standard_normal((25, 3, 3)))
    seen = np.mean([not tie(20 + i, APART, tuple(map(tuple, m))).applied for i, m in enumerate(multiples)])
    assert seen == pytest.approx(said, abs=0.3)


def test_the_update_is_a_fit_with_the_tie_as_a_measurement():
    """Against the information added up, in place of a gain: the ratio of two areas, measured to be that aloof."""
    setup, spectra, together, _ = made(2, APART)
    one = solve(setup, tuple(spectra.values()), together).informations[0]
    at = np.array([one.area(k) for k in (0, 1)]).T
    ratios = Ratios(np.array([0, 1]), ("PhP1", "PhP3"), one.values[at[0]] * np.array([1.1, 1.0]), np.zeros(2), 0.05)
    found = tied(one, 1.0, ratios, 2, SHIFT)
    added = np.zeros((one.values.size,) * 2)
    pulled = np.zeros(one.values.size)
    for b in range(3):
        row = np.zeros(one.values.size)
        row[at[b]] = np.array([1.0, -1.0]) / ratios.areas
        multiples = one.values[at[b]] / ratios.areas
        width = 0.05 * np.sqrt(2) * multiples.mean()
        added += np.outer(row, row) / width**2
        pulled -= row * (row @ one.values) / width**2
    scale = 1 / np.sqrt(np.diag(one.total))
    covariance = np.linalg.inv((one.total + added) * np.outer(scale, scale)) * np.outer(scale, scale)
    vector = one.of_centres(2, SHIFT)
    assert found.applied
    assert found.sigma_mev == pytest.approx(np.sqrt(vector @ covariance @ vector), rel=1e-3)
    moved = found.shift_mev - vector @ one.values
    assert moved == pytest.approx(vector @ covariance @ pulled, rel=0.05) and abs(moved) > 1e-4
    assert found.areas == pytest.approx((one.values + covariance @ pulled)[at], rel=2e-3)


def test_an_entry_for_the_readout():
    found = tie(3, APART)
    entry = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (entry["p_value"], entry["applied"]) == (found.p_value, found.applied)
    assert (entry["shift_mev"]["value"], entry["shift_mev"]["sigma"]) == (found.shift_mev, found.sigma_mev)


def test_spectra_that_were_fitted_one_by_one_are_refused():
    setup, spectra, together, aloof = made(1, APART)
    with pytest.raises(UnusableInput, match="mode 'wide'"):
        tie_areas(replace(setup, mode="wide"), spectra, together, aloof, "LDO", SHIFT)


def test_one_polariton_has_no_ratio():
    sample = replace(APART, recipe=of_peaks(APART.recipe, "PhP1", "LDO", "CoO6"), polaritons=(0,))
    with pytest.raises(UnusableInput, match="fewer than two polaritons"):
        tie(1, sample)
