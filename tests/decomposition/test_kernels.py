"""Lines against scipy and closed forms, their slopes against differences; linear algebra against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.special import voigt_profile, wofz

from eels_iontransport.decomposition import kernels

ENERGY = np.arange(-60.0, 160.0, 0.4)
PLAIN = np.array([[1.0, 0.0, 0.0, 0.0]])
WIDER = np.array([[0.7, 0.0, 3.0, 0.4], [0.25, -0.5, 5.0, 3.0], [0.05, 0.3, 0.5, 20.0]])


def line(centre, sigma, gamma, response=PLAIN):
    value, slopes = np.empty(ENERGY.size), np.empty((3, ENERGY.size))
    kernels.seen_line(ENERGY, np.ones(ENERGY.size), response, centre, sigma, gamma, value, slopes)
    return value, slopes


def test_the_faddeeva_function_is_good_to_1e_8():
    x, y = np.meshgrid(np.linspace(-80.0, 80.0, 801), np.r_[0.0, np.geomspace(1e-7, 30.0, 60)])
    found = [kernels._faddeeva(a, b, kernels._W - b, kernels._W + b) for a, b in zip(x.ravel(), y.ravel())]
    exact = wofz(x + 1j * y).ravel()
    assert np.abs(np.array(found) @ [1, 1j] - exact).max() < 1e-10


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.5, 6.0])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 2.0, 6.0])
def test_a_line_is_scipys_voigt(sigma, gamma):
    value, _ = line(50.13, sigma, gamma)
    exact = voigt_profile(ENERGY - 50.13, sigma, gamma)
    assert np.abs(value - exact).max() < 1e-8 * exact.max()


@pytest.mark.parametrize("response", [PLAIN, WIDER], ids=["plain", "seen"])
@pytest.mark.parametrize("shape", [(50.1, 0.4, 0.3), (34.0, 3.0, 1.0), (80.0, 1.0, 5.0)])
@pytest.mark.parametrize("parameter", [0, 1, 2])
def test_slopes_are_differences(response, shape, parameter):
    ends = []
    for sign in (1, -1):
        moved = np.array(shape)
        moved[parameter] += sign * 1e-5
        ends.append(line(*moved, response)[0])
    difference = (ends[0] - ends[1]) / 2e-5
    assert line(*shape, response)[1][parameter] == pytest.approx(difference, abs=1e-6 * np.abs(difference).max())


def test_a_line_through_voigts_is_the_convolution_with_them():
    fine = np.arange(-400.0, 400.0, 0.05)
    response = sum(a * voigt_profile(fine - d, s, g) for a, d, s, g in WIDER)
    brute = np.convolve(voigt_profile(fine - 50.0, 1.2, 0.7), response, mode="same") * 0.05
    value, _ = line(50.0 + 0.05, 1.2, 0.7, WIDER)  # numpy's "same" is half a step off for even lengths
    assert value == pytest.approx(np.interp(ENERGY, fine, brute), abs=2e-3 * brute.max())


def test_a_line_without_width_is_finite():
    value, slopes = line(50.0, 0.0, 0.0)
    assert np.isfinite(value).all() and np.isfinite(slopes).all()


def test_areas_are_those_of_scipys_nnls():
    random = np.random.default_rng(0)
    zeros = 0
    for _ in range(200):
        lines = random.normal(size=(60, 7)) + 0.8 * random.normal(size=(60, 1))
        target = lines @ np.maximum(random.normal(size=7), 0) + random.normal(size=60)
        areas, active = np.empty(7), np.empty(7, bool)
        scratch = np.empty((7, 7)), np.empty(7, np.int64), np.empty(7)
        kernels.non_negative(lines.T @ lines, lines.T @ target, areas, active, *scratch)
        expected = nnls(lines, target)[0]
        assert areas == pytest.approx(expected, abs=1e-8)
        assert np.array_equal(active, expected > 0)
        zeros += (expected == 0).sum()
    assert zeros > 100


def test_an_arrow_is_solved_and_inverted_like_the_full_matrix():
    random = np.random.default_rng(1)
    blocks, own, shared = 4, 3, 5
    size = blocks * own + shared
    full = np.zeros((size, size))
    for n in range(blocks):
        j = random.normal(size=(20, own + shared))
        at = np.r_[n * own : (n + 1) * own, blocks * own : size]
        full[np.ix_(at, at)] += j.T @ j
    a = np.array([full[n * own : (n + 1) * own, n * own : (n + 1) * own] for n in range(blocks)])
    b = full[: blocks * own, blocks * own :].reshape(blocks, own, shared).copy()
    c = full[blocks * own :, blocks * own :].copy()
    right = random.normal(size=size)
    x = right.copy()
    factor_a, left_b, factor_c = a.copy(), b.copy(), c.copy()
    assert kernels.eliminate(factor_a, left_b, factor_c) and kernels.factorise(factor_c, shared)
    kernels.forward_own(factor_a, left_b, x)
    kernels.solve_shared_and_back(factor_a, left_b, factor_c, x)
    assert x == pytest.approx(np.linalg.solve(full, right))
    transfer, inner, inverse = np.empty_like(b), np.empty_like(c), a.copy()
    assert kernels.invert_arrow(inverse, b, c, transfer, inner)
    expected = np.linalg.inv(full)
    assert inner == pytest.approx(expected[blocks * own :, blocks * own :])
    assert -transfer[1] @ inner == pytest.approx(expected[own : 2 * own, blocks * own :])
    assert inverse[2] + transfer[2] @ inner @ transfer[2].T == pytest.approx(expected[6:9, 6:9])
    assert transfer[0] @ inner @ transfer[3].T == pytest.approx(expected[:own, 9:12])


def test_what_is_not_positive_definite_is_not_solved():
    assert not kernels.factorise(np.array([[1.0, 2.0], [2.0, 1.0]]), 2)


def test_the_variance_of_a_normal_cut_off():
    random = np.random.default_rng(2).normal(size=2_000_000)
    for depth in (0.0, 0.5, 1.5):
        assert kernels.cut_off_variance(depth) == pytest.approx(random[random > depth].var(), rel=2e-2)
