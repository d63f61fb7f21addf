"""What the centre follows along the line: correlations against scipy, and against the one that noise makes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from eels_iontransport.sceptic.covariates import AREA, WORDS, ZERO, Correlation, Covariates, _correlation, follow

from . import lines
from .conftest import case_of

ALL = np.ones(40, bool)
NONE = np.zeros(40, int)


@pytest.mark.parametrize("slope", [0.0, 0.3, -0.5])
def test_correlations_are_those_of_scipy(slope):
    random = np.random.default_rng(3)
    y = random.standard_normal(40)
    x = slope * y + random.standard_normal(40)
    for kind, theirs in (("pearson", pearsonr(x, y)), ("spearman", spearmanr(x, y))):
        ours = _correlation(kind, x, y, NONE, ALL, None)
        assert ours.r == pytest.approx(theirs.statistic) and ours.expected == 0.0
        # Fisher's transformation against Student's t.
        assert np.log(ours.p_value) == pytest.approx(np.log(theirs.pvalue), abs=0.15 + 0.1 * abs(np.log(theirs.pvalue)))


def test_a_step_between_groups_makes_no_correlation():
    random, group = np.random.default_rng(4), np.repeat([0, 1], 20)
    x, y = (random.standard_normal(40) + 8.0 * group for _ in range(2))
    assert _correlation("pearson", x, y, NONE, ALL, None).p_value < 1e-9
    assert _correlation("pearson", x, y, group, ALL, None).p_value > 0.01


def test_what_the_noise_of_a_fit_makes_is_expected():
    """Errors of both series that hang together by 0.8, and nothing behind them."""
    random = np.random.default_rng(5)
    errors = random.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], (25, 40)).transpose(2, 0, 1)
    x, y = errors[:, 0]
    naive = _correlation("pearson", x, y, NONE, ALL, None)
    known = _correlation("pearson", x, y, NONE, ALL, (errors[0, 1:], errors[1, 1:]))
    assert naive.p_value < 1e-6 and known.p_value > 0.01
    assert known.expected == pytest.approx(0.8, abs=0.1)


def test_noise_explains_less_of_what_scatters_more():
    random = np.random.default_rng(6)
    errors = random.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], (25, 40)).transpose(2, 0, 1)
    x, y = 3.0 * random.standard_normal(40), errors[1, 0]
    assert abs(_correlation("pearson", x, y, NONE, ALL, (errors[0, 1:], errors[1, 1:])).expected) < 0.45


@pytest.mark.parametrize("chosen", [np.arange(40) < 7, np.zeros(40, bool)])
def test_few_rows_have_no_correlation(chosen):
    x = np.random.default_rng(7).standard_normal((2, 40))
    assert np.isnan(_correlation("pearson", *x, NONE, chosen, None).p_value)


def test_a_constant_has_no_correlation():
    assert np.isnan(_correlation("pearson", np.arange(40.0), np.ones(40), NONE, ALL, None).p_value)


@pytest.mark.parametrize(("p_values", "p_value"), [((1e-4, 1e-3), 2e-3), ((1e-4, 0.9), 1.0), ((np.nan, 1e-9), np.nan)])
def test_both_kinds_have_to_agree_and_the_number_of_covariates_counts(p_values, p_value):
    both = {f"{kind}_in_grains": Correlation(30, 0.5, 0.0, p) for kind, p in zip(("pearson", "spearman"), p_values)}
    other = {f"{kind}_in_grains": Correlation(30, 0.5, 0.0, 0.5) for kind in ("pearson", "spearman")}
    found = Covariates("LDO", np.zeros(1), (None,), {AREA: np.zeros(1)}, {AREA: both, ZERO: other})
    assert found.p_value(AREA) == pytest.approx(p_value, nan_ok=True)
    assert [flag.code for flag in found.flags] == (["LDO_FOLLOWS_AREA"] if p_value < 0.01 else [])


def test_a_sound_line_follows_nothing(sound):
    found = follow(*case_of(sound), thickness=np.linspace(0.5, 0.6, 40))
    assert found.flags == () and set(found.values) == set(WORDS) and found.tests == len(WORDS)
    assert np.isfinite(found.centre_mev).all() and found.regions.count("boundary") == 4


def test_a_centre_that_follows_its_area_is_told():
    area = np.random.default_rng(8).normal(1.0, 0.2, 40)
    found = follow(*case_of(lines.line(3.0 * (area - 1.0), 5, area=area)))
    assert "LDO_FOLLOWS_AREA" in [flag.code for flag in found.flags]
    inside = np.isfinite(found.centre_mev)
    assert np.corrcoef(found.values[AREA][inside], area[inside])[0, 1] > 0.9
    assert "thickness" not in found.values


def test_rows_without_data_are_left_out(sound):
    line = sound["vibrational"]
    found = follow(*case_of({**sound, "vibrational": line.with_valid(np.arange(40) != 3)}))
    assert np.isnan(found.centre_mev[3]) and np.isfinite(np.delete(found.centre_mev, 3)).all()
