"""The test of common widths, against spectra whose true widths are known to be common or not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import convolve1d
from scipy.stats import chi2

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.decomposition import sharing_test
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_together
from eels_iontransport.decomposition.response import from_vacuum
from eels_iontransport.decomposition.sharing_test import SharedWidths, fit_own_widths, judge_widths

from . import synthetic

RECIPE = materials.load("lco")
SHIFT = np.array([-0.5, 1.0, -0.5])
TRUE_MEV = 1.8
REGIONS = ((0.0, 1.0), (TRUE_MEV, 1.3), (0.0, 0.9))  # shift in meV, strength of the phonons
ELECTRONS = 7.5e8  # of a region: ten pixels, the LDO line of each 3600 high
KERNEL = np.array([0.25, 0.5, 0.25])
CORRELATED = NoiseModel("given", float(KERNEL @ KERNEL), 1.0, 1.0 / float(KERNEL @ KERNEL))
NOISES = {"independent": given(1.0), "correlated": CORRELATED}


@cache
def counts_of(line=None, electrons=1.0):
    """Of one line; of the zero-loss peak alone without."""
    return synthetic.spectrum([] if line is None else [line], electrons).counts


def expected(lines, electrons):
    bare = counts_of()
    return electrons * (bare + sum(counts_of(line) - bare for line in lines))


@cache
def seen():
    return from_vacuum(synthetic.spectrum([], 1.0).energy_mev, counts_of())


def setup_of(noise="independent", seed=0):
    """With the shapes of an aloof spectrum of its own."""
    setup = Setup(RECIPE, "shared", NOISES[noise], seen())
    aloof = counted(expected(synthetic.POLARITONS, 4e9), np.random.default_rng(seed + 1000), noise)
    return replace(setup, polaritons=fit_aloof(setup, aloof)[1])


def counted(counts, random, noise="independent"):
    drawn = random.poisson(counts).astype(float)
    if noise == "correlated":
        drawn = convolve1d(drawn, KERNEL, mode="nearest")
    return synthetic.Aligned(synthetic.STEP_MEV * np.arange(-500, 1000), drawn, 1)


def region(i, factors, phonons=1.0):
    """Lines of a region; factors (4, 2) of sigma and gamma of its phonons."""
    lines = synthetic.grain(*REGIONS[i])
    broadened = [(c, s * f, g * h, phonons * a) for (c, s, g, a), (f, h) in zip(lines[3:], factors)]
    return [*lines[:3], *broadened]


def simulated(seed, scatter=0.0, noise="independent", electrons=ELECTRONS):
    random = np.random.default_rng(seed)
    factors = 1 + scatter * random.standard_normal((3, 4, 2))
    return [counted(expected(region(i, factors[i]), electrons), random, noise) for i in range(3)]


def shift_of(found):
    covariance = found.centre_covariance("LDO")
    return SHIFT @ found.value("LDO", "centre_mev"), np.sqrt(SHIFT @ covariance @ SHIFT)


@pytest.mark.parametrize("noise", NOISES)
def test_common_widths_pass(noise):
    judged = [judge_widths(setup_of(noise, seed), simulated(seed, noise=noise)) for seed in range(30)]
    p_values = np.array([j.p_value for j in judged])
    assert np.mean(p_values < 0.05) <= 0.1
    assert 0.35 < p_values.mean() < 0.7
    assert all(j.flags == () for j in judged if not j.differ)


@pytest.mark.parametrize("noise", NOISES)
def test_scattered_widths_are_found_out_as_often_as_it_says(noise):
    judged = [judge_widths(setup_of(noise, seed), simulated(seed, 0.05, noise)) for seed in range(15)]
    found = np.mean([j.differ for j in judged])
    assert found == pytest.approx(np.mean([j.power for j in judged]), abs=0.2)
    assert 0.03 <= np.nanmedian([j.scatter for j in judged]) <= 0.07


def test_a_broader_boundary_is_flagged_with_what_to_do():
    factors = np.ones((3, 4, 2))
    factors[1] = 1.25
    spectra = [counted(expected(region(i, factors[i]), ELECTRONS), np.random.default_rng(i)) for i in range(3)]
    judged = judge_widths(setup_of(), spectra)
    assert judged.differ and [flag.code for flag in judged.flags] == ["WIDTHS_DIFFER"]
    assert "widths of their own" in judged.flags[0].message
    assert judged.to_dict()["differ"] is True and judged.to_dict()["scatter"] > 0.05


def test_few_electrons_tell_little_and_say_so():
    few, many = (judge_widths(setup_of(), simulated(1, electrons=n)) for n in (3e6, 3e9))
    assert few.power < 0.1 and many.power > 0.9


def test_no_unit_of_counts_changes_the_verdict():
    setup, spectra = setup_of(), simulated(3, 0.05)
    times_7 = [replace(s, counts=7 * s.counts) for s in spectra]
    plain, scaled = judge_widths(setup, spectra), judge_widths(replace(setup, noise=given(1 / 7)), times_7)
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-3)
    assert scaled.power == pytest.approx(plain.power, rel=1e-3)


def test_noise_that_is_larger_than_it_is_said_to_be_passes_for_no_width():
    meek = replace(setup_of(), noise=NoiseModel("given", 0.1))
    assert np.mean([judge_widths(meek, simulated(seed)).differ for seed in range(20)]) <= 0.15


def test_lines_in_one_region_only_tell_nothing():
    recipe = replace(RECIPE, peaks=(RECIPE.peak("CoO6"),), shift_peak=None)
    line = synthetic.PHONONS[2]
    spectra = [counted(expected(lines, ELECTRONS), np.random.default_rng(2)) for lines in ([line], [])]
    judged = judge_widths(replace(setup_of(), recipe=recipe, polaritons=None), spectra)
    assert np.isnan(judged.p_value) or judged.power < 0.06
    assert not judged.differ


@pytest.mark.parametrize(("mode", "count"), [("wide", 3), ("published", 3), ("shared", 1)])
def test_only_spectra_fitted_together_can_be_judged(mode, count):
    with pytest.raises(UnusableInput, match="in common"):
        judge_widths(replace(setup_of(), mode=mode), simulated(0)[:count])


def test_it_can_be_stopped():
    with pytest.raises(Cancelled):
        judge_widths(setup_of(), simulated(0), should_stop=lambda: True)


def test_own_widths_without_scatter_are_common_widths():
    setup, spectra = setup_of(), simulated(5)
    common = fit_together(setup, spectra)
    own = fit_own_widths(setup, spectra, 1e-5, together=common)
    assert own.value("LDO", "centre_mev") == pytest.approx(common.value("LDO", "centre_mev"), abs=0.01)
    assert shift_of(own)[1] == pytest.approx(shift_of(common)[1], rel=0.1)


def test_with_own_widths_the_shift_is_covered_where_widths_scatter():
    errors = []
    for seed in range(15):
        setup, spectra = setup_of(seed=seed), simulated(seed, 0.05)
        common = fit_together(setup, spectra)
        own = fit_own_widths(setup, spectra, together=common)
        assert np.ptp(own.value("P81", "sigma_mev")) > 0 == np.ptp(common.value("P81", "sigma_mev"))
        errors.append([(shift - TRUE_MEV) / sigma for shift, sigma in (shift_of(common), shift_of(own))])
    of_common, of_own = np.sqrt(np.mean(np.square(errors), axis=0))
    assert of_common > 1.5 and 0.5 < of_own < 1.3


@pytest.mark.parametrize("weights", [[1.0] * 6, [0.9, 0.9, 0.5, 0.4, 0.1, 0.01], [0.95, 0.02]])
@pytest.mark.parametrize("level", [0.3, 0.05, 0.005])
def test_weighted_sums_of_chi_squareds(weights, level):
    weights = np.array(weights)
    drawn = np.random.default_rng(0).chisquare(1, (200_000, weights.size)) @ weights
    limit = float(np.quantile(drawn, 1 - level))
    assert sharing_test._above(limit, weights) == pytest.approx(level, rel=0.1, abs=1e-3)
    assert sharing_test._exceeded(level, weights) == pytest.approx(limit, rel=0.05)


def test_equal_weights_are_a_chi_squared():
    assert sharing_test._above(2 * 9.0, np.full(5, 2.0)) == pytest.approx(chi2.sf(9.0, 5))


@pytest.mark.parametrize("scatter", [0.02, 0.1])
def test_the_likeliest_scatter_is_that_of_the_values(scatter):
    """z^2 as large as it is on average: chi-squared left over by a scatter s is z^2 / (1 + s^2 l)."""
    known = np.full(50, 4000.0)
    chi2s = [float(np.sum((1 + scatter**2 * known) / (1 + s**2 * known))) for s in sharing_test.SCATTERS]
    assert sharing_test._likeliest(np.array(chi2s), known) == scatter


def test_more_than_the_largest_scatter_is_not_known():
    assert np.isnan(sharing_test._likeliest(np.linspace(1e4, 0, len(sharing_test.SCATTERS)), np.full(3, 4000.0)))
    assert "by more than 30 %" in SharedWidths(1e-9, 1.0, np.nan).flags[0].message


def test_what_is_not_known_is_null_and_flagged():
    nothing = SharedWidths(np.nan, np.nan)
    assert nothing.to_dict() == {
        "differ": False,
        "p_value": None,
        "scatter": None,
        "power": None,
        "power_at_scatter": 0.05,
    }
    assert [flag.code for flag in nothing.flags] == ["WIDTHS_UNTESTED"]
