"""The engine against scipy on all parameters at once, its gradient against differences, its errors against scatter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.special import voigt_profile

from eels_iontransport import materials
from eels_iontransport.decomposition import engine
from eels_iontransport.decomposition.layout import KnownShapes, Sharing, lay_out
from eels_iontransport.decomposition.lines import PlainVoigts
from eels_iontransport.decomposition.problem import Block
from eels_iontransport.measure.background import log_polynomial
from eels_iontransport.measure.lineshapes import voigt_fwhm

ENERGY = np.arange(25.0, 95.2, 0.4)
RECIPE = materials.load("lco")
PUBLISHED = {peak.name: peak.published for peak in RECIPE.peaks}
TRUE = {
    "out_of_plane": (40.6, 4.6, 0.7, 6.5e4),
    "LDO": (50.4, 4.4, 0.7, 4.5e4),
    "CoO6": (66.2, 4.4, 0.8, 1.35e5),
    "P81": (80.6, 5.0, 0.8, 7e4),
}
PEAKS = RECIPE.phononic_peaks


def counts(random=None, scale=1.0, shift=0.0):
    mean = 2e3 * (ENERGY / 50) ** -2.0
    for name, (c, s, g, area) in TRUE.items():
        mean = mean + area * voigt_profile(ENERGY - c - (shift if name == "LDO" else 0.0), s, g)
    return scale * mean if random is None else random.poisson(scale * mean).astype(float)


def block(y, order=1):
    return Block(ENERGY, y, np.sqrt(np.maximum(y, 1)), PlainVoigts(ENERGY), log_polynomial(ENERGY, order))


def published_problem(y, **sharing):
    return lay_out(PEAKS, PUBLISHED, [block(y)], Sharing(common_widths=False, **sharing))


def test_noiseless_data_give_the_truth_back():
    found = engine.fit(*_one(published_problem(counts())))
    centres = found.theta[[0, 3, 6, 9]]
    assert centres == pytest.approx([v[0] for v in TRUE.values()], abs=1e-3)
    assert found.blocks[0].areas == pytest.approx([v[3] for v in TRUE.values()], rel=1e-3)
    assert found.chi2 < 1e-3


def _one(problem_and_start):
    return problem_and_start[0], [problem_and_start[1]]


def test_the_same_optimum_as_scipy_on_all_parameters():
    y = counts(np.random.default_rng(2))
    problem, start = published_problem(y)
    found = engine.fit(problem, [start])

    def residual(p):
        model = p[12] * (ENERGY / 50) ** -2.0 + p[13] * (ENERGY / 50) ** -2.0 * np.log(ENERGY / 50)
        for k in range(4):
            model = model + p[14 + k] * 1e4 * voigt_profile(ENERGY - p[3 * k], p[3 * k + 1], p[3 * k + 2])
        return (y - model) / np.sqrt(np.maximum(y, 1))

    lower = np.r_[problem.lower, -np.inf, -np.inf, np.zeros(4)]
    upper = np.r_[problem.upper, np.inf, np.inf, np.full(4, np.inf)]
    best = min(
        least_squares(
            residual,
            np.r_[np.clip(s, lower[:12] + 1e-3, upper[:12] - 1e-3), 2e3, 0, 6, 4, 13, 7],
            bounds=(lower, upper),
            x_scale="jac",
            xtol=1e-10,
            ftol=1e-10,
        ).cost
        for s in (start, found.theta)
    )
    assert found.chi2 == pytest.approx(2 * best, abs=1e-3)


@pytest.mark.parametrize("limits", [None, (8.0, 20.0)])
def test_the_gradient_is_exact(limits):
    prior = KnownShapes(np.array([34.0, 4.0, 1.0, 54.0, 5.0, 1.0, 74.0, 5.5, 1.0]), 0.04 * np.eye(9))
    blocks = [block(counts(np.random.default_rng(k), shift=0.9 * k)) for k in range(2)]
    sharing = Sharing(None if limits else prior, None if limits else 1.0, fwhm_mev=limits)
    problem, start = lay_out(RECIPE.peaks, PUBLISHED, blocks, sharing)
    evaluator = engine._Evaluator(problem, lambda: False)
    evaluator.rest = np.where(problem.free, 0.0, start)
    inside = problem.lower + 0.45 * (problem.upper - problem.lower)
    at = inside[problem.free]

    def cost(x):
        return float(np.sum(evaluator.residual(x) ** 2))

    gradient = 2 * evaluator.jacobian(at).T @ evaluator.residual(at)
    step = 1e-5
    differences = [(cost(at + step * e) - cost(at - step * e)) / (2 * step) for e in np.eye(at.size)]
    assert gradient == pytest.approx(np.array(differences), abs=2e-6 * np.abs(gradient).max())


def test_a_start_on_a_bound_does_not_stick():
    problem, start = published_problem(counts())
    on_bounds = np.where(np.arange(start.size) % 2, problem.lower, problem.upper)
    assert engine.fit(problem, [on_bounds]).chi2 < 1e-3


def test_areas_do_not_go_negative():
    y = counts() - 3e4 * voigt_profile(ENERGY - 50.4, 5, 1) - 4.5e4 * voigt_profile(ENERGY - 50.4, 4.4, 0.7)
    found = engine.fit(*_one(published_problem(y)))
    assert found.blocks[0].areas.min() >= 0
    assert found.blocks[0].areas[1] == 0 and np.isnan(found.blocks[0].area_sigma[1])


def test_limits_on_the_width_hold_exactly():
    recipe_limits = (9.5, 11.0)
    problem, start = lay_out(PEAKS, PUBLISHED, [block(counts())], Sharing(common_widths=False, fwhm_mev=recipe_limits))
    found = engine.fit(problem, [start])
    _, sigma, gamma = problem.line_parameters(found.theta, 0)
    widths = voigt_fwhm(sigma, gamma)
    assert np.all(widths >= 9.5 - 1e-9) and np.all(widths <= 11.0 + 1e-9)
    assert found.railed.any()


def test_covariance_is_the_scatter_of_repeated_fits():
    held = {name: (s, g) for name, (_, s, g, _) in TRUE.items()}
    centres, sigmas, area_pulls = [], [], []
    for seed in range(60):
        y = counts(np.random.default_rng(seed), scale=10.0)
        problem, start = lay_out(PEAKS, PUBLISHED, [block(y)], Sharing(held_widths=held))
        found = engine.fit(problem, [start])
        centres.append(found.theta[problem.centre[0, 1]])
        sigmas.append(np.sqrt(found.covariance[problem.centre[0, 1], problem.centre[0, 1]]))
        area_pulls.append((found.blocks[0].areas[1] - 4.5e5) / found.blocks[0].area_sigma[1])
    assert 0.75 < np.std(centres) / np.median(sigmas) < 1.3
    assert 0.75 < np.std(area_pulls) < 1.3
    assert abs(np.mean(centres) - 50.4) < 4 * np.std(centres) / np.sqrt(60)


def test_common_widths_tell_a_shift_better_than_widths_of_their_own():
    ys = [counts(np.random.default_rng(s), scale=5.0, shift=d) for s, d in ((1, 0.0), (2, 1.0), (3, 0.0))]
    sigma = {}
    for common in (True, False):
        problem, start = lay_out(PEAKS, PUBLISHED, [block(y) for y in ys], Sharing(common_widths=common))
        found = engine.fit(problem, [start])
        i, j = problem.centre[0, 1], problem.centre[1, 1]
        c = found.covariance
        sigma[common] = np.sqrt(c[i, i] + c[j, j] - 2 * c[i, j])
    assert sigma[True] < 0.7 * sigma[False]


def test_a_caller_can_stop_it():
    problem, start = published_problem(counts())
    with pytest.raises(engine.Cancelled):
        engine.fit(problem, [start], should_stop=lambda: True)
