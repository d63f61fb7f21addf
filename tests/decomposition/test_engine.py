"""The engine against the plain solver and scipy on all parameters at once; its errors against scatter."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.special import voigt_profile

from eels_iontransport import materials
from eels_iontransport.decomposition import engine
from eels_iontransport.decomposition.layout import KnownShapes, Sharing, lay_out
from eels_iontransport.decomposition.problem import Data
from eels_iontransport.measure.background import log_polynomial
from eels_iontransport.measure.lineshapes import voigt_fwhm

from . import plain

ENERGY = np.arange(25.0, 95.2, 0.4)
RECIPE = materials.load("lco")
PUBLISHED = {peak.name: peak.published for peak in RECIPE.peaks}
TRUE = {
    "out_of_plane": (40.6, 4.6, 0.7, 6.5e4),
    "LDO": (50.4, 4.4, 0.7, 4.5e4),
    "CoO6": (66.2, 4.4, 0.8, 1.35e5),
    "P81": (80.6, 5.0, 0.8, 7e4),
}
POLARITONS = {"PhP1": (33.6, 4.1, 0.9, 7e4), "PhP2": (54.6, 4.8, 1.0, 1.2e4), "PhP3": (73.6, 5.2, 1.1, 9e4)}
PEAKS = RECIPE.phononic_peaks
PLAIN = np.array([[1.0, 0.0, 0.0, 0.0]])
WIDER = np.array([[0.7, 0.0, 1.0, 0.2], [0.25, -0.5, 2.0, 1.0], [0.05, 0.3, 0.5, 6.0]])  # any sum of Voigts will do


def counts(random=None, scale=1.0, shift=0.0, lines=None, energy=ENERGY):
    mean = 2e3 * (energy / 50) ** -2.0
    for name, (c, s, g, area) in (lines or TRUE).items():
        mean = mean + area * voigt_profile(energy - c - (shift if name == "LDO" else 0.0), s, g)
    return scale * mean if random is None else random.poisson(scale * mean).astype(float)


def data(ys, order=1, response=PLAIN, energy=ENERGY, together=False):
    """ys (n, m) as n problems of one spectrum, or as one problem of n."""
    ys = np.asarray(ys)
    energies = np.broadcast_to(energy, ys.shape)
    background = np.moveaxis(log_polynomial(energies, order), 0, 1)
    arrays = (
        energies,
        ys,
        np.sqrt(np.maximum(ys, 1)),
        background,
        np.broadcast_to(response, (len(ys), *response.shape)),
    )
    return Data(*(a[None] if together else a[:, None] for a in arrays))


def layout(spectra=1, peaks=PEAKS, common_widths=False, **sharing):
    return lay_out(peaks, PUBLISHED, spectra, Sharing(common_widths=common_widths, **sharing))


def known_polaritons(sigma=0.05):
    mean = np.array([v for line in POLARITONS.values() for v in line[:3]])
    return KnownShapes(mean, sigma**2 * np.eye(9))


def test_noiseless_data_give_the_truth_back():
    problem, start = layout()
    found = engine.fit(problem, data([counts()]), start[None])
    assert found.theta[0, problem.centre[0]] == pytest.approx([v[0] for v in TRUE.values()], abs=1e-3)
    assert found.areas[0, 0] == pytest.approx([v[3] for v in TRUE.values()], rel=1e-3)
    assert found.chi2[0, 0] < 1e-3 and found.converged[0]


def test_the_same_optimum_as_scipy_on_all_parameters():
    y = counts(np.random.default_rng(2))
    problem, start = layout()
    found = engine.fit(problem, data([y]), start[None])

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
        for s in (start, found.theta[0])
    )
    assert found.chi2[0, 0] == pytest.approx(2 * best, abs=1e-3)


CASES = {
    "published": ({"fwhm_mev": (8.0, 20.0)}, PLAIN, 1, 1),
    "seen": ({}, WIDER, 1, 3),
    "known": ({"polaritons": known_polaritons(), "offset_prior_mev": 1.0}, WIDER, 1, 3),
    "together": ({"polaritons": known_polaritons(), "offset_prior_mev": 1.0, "common_widths": True}, WIDER, 3, 3),
    "rows": ({"held_widths": {n: (s, g) for n, (_, s, g, _) in TRUE.items()}}, PLAIN, 1, 2),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_result_as_the_plain_solver(case, seed):
    sharing, response, spectra, order = CASES[case]
    peaks = RECIPE.peaks if "polaritons" in sharing else PEAKS
    lines = {**POLARITONS, **TRUE} if "polaritons" in sharing else TRUE
    random = np.random.default_rng(seed)
    ys = [counts(random, 30.0, shift, lines) for shift in (0.0, 1.5, 0.3)[:spectra]]
    problem, start = layout(spectra, peaks, **sharing)
    batch = data(ys, order, response, together=True)
    oracle = plain.fit(plain.problem(problem, batch), [start])
    found = engine.fit(problem, batch, oracle.theta[None])  # the same optimum, whatever others there are
    assert found.cost[0] <= oracle.chi2 + 1e-3
    if found.cost[0] < oracle.chi2 - 1e-3:
        oracle = plain.fit(plain.problem(problem, batch), [found.theta[0]])
    assert found.cost[0] == pytest.approx(oracle.chi2, abs=1e-4)
    sigma = np.sqrt(np.nan_to_num(np.diag(oracle.covariance)))
    assert np.all(np.abs(found.theta[0] - oracle.theta) < 0.02 * sigma + 1e-4)
    same_rails = np.array_equal(found.railed[0], oracle.railed)
    for b, block in enumerate(oracle.blocks):
        assert found.areas[0, b] == pytest.approx(block.areas, rel=1e-3)
        assert found.degrees[0, b] == pytest.approx(block.degrees)
        if same_rails:
            indices = np.unique(np.concatenate([problem.centre[b], problem.sigma[b], problem.gamma[b]]))
            expected = oracle.covariance[np.ix_(indices, indices)]
            scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
            assert np.nanmax(np.abs(found.covariance(b, indices)[0] - expected) / scale) < 2e-2
            assert np.array_equal(np.isnan(found.covariance(b, indices)[0]), np.isnan(expected))
            if np.all(block.areas > 0):  # the plain solver leaves out how areas trade against one that ended at zero
                assert found.area_sigma[0, b] == pytest.approx(block.area_sigma, rel=2e-2)
            assert found.significance[0, b] == pytest.approx(block.significance, rel=1e-2)
    if spectra > 1 and same_rails:
        centres = problem.centre[:, 4]
        assert found.covariance_across(centres)[0] == pytest.approx(
            oracle.covariance[np.ix_(centres, centres)], rel=2e-2, nan_ok=True
        )


def test_spectra_of_a_batch_do_not_know_of_each_other():
    problem, start = layout()
    ys = [counts(np.random.default_rng(seed), shift=0.2 * seed) for seed in range(9)]
    batch = engine.fit(problem, data(ys), start[None])
    for i, y in enumerate(ys):
        alone = engine.fit(problem, data([y]), start[None])
        assert alone.theta[0] == pytest.approx(batch.theta[i], abs=1e-6)
        assert alone.cost[0] == pytest.approx(batch.cost[i], abs=1e-8)


def test_every_spectrum_has_its_own_energy_axis():
    problem, start = layout()
    ys = [counts(energy=ENERGY + shift) for shift in (0.0, 0.17)]
    energies = np.stack([ENERGY, ENERGY + 0.17])
    found = engine.fit(problem, data(ys, energy=energies), start[None])
    assert found.theta[0] == pytest.approx(found.theta[1], abs=2e-3)


def test_a_start_on_a_bound_does_not_stick():
    problem, start = layout()
    on_bounds = np.where(np.arange(start.size) % 2, problem.lower, problem.upper)
    assert engine.fit(problem, data([counts()]), on_bounds[None]).cost[0] < 1e-3


def test_the_best_of_several_starts_is_kept_and_optima_are_counted():
    y = counts(lines={"one": (48.0, 1.0, 0.1, 2e4), "other": (57.0, 1.0, 0.1, 3e4)})  # one line cannot be both
    problem, start = layout(1, PEAKS[1:2], held_widths={"LDO": (1.0, 0.1)})
    problem.lower[problem.centre[0, 0]], problem.upper[problem.centre[0, 0]] = 45.0, 62.0
    starts = np.tile(start, (3, 1))
    starts[:, problem.centre[0, 0]] = 48.5, 47.5, 56.5
    each = [engine.fit(problem, data([y]), s[None]).cost[0] for s in starts]
    together = engine.fit(problem, data([y]), starts)
    assert together.cost[0] == pytest.approx(min(each), abs=1e-6)
    assert max(each) > min(each) + 1 and together.optima[0] == 2
    assert engine.fit(problem, data([y]), starts[:2]).optima[0] == 1


def test_areas_do_not_go_negative():
    y = counts() - 3e4 * voigt_profile(ENERGY - 50.4, 5, 1) - 4.5e4 * voigt_profile(ENERGY - 50.4, 4.4, 0.7)
    problem, start = layout()
    found = engine.fit(problem, data([y]), start[None])
    assert found.areas.min() >= 0
    assert found.areas[0, 0, 1] == 0 and np.isnan(found.area_sigma[0, 0, 1])


def test_limits_on_the_width_hold_exactly():
    problem, start = layout(fwhm_mev=(9.5, 11.0))
    found = engine.fit(problem, data([counts()]), start[None])
    _, sigma, gamma = problem.line_parameters(found.theta[0])
    widths = voigt_fwhm(sigma, gamma)
    assert np.all(widths >= 9.5 - 1e-9) and np.all(widths <= 11.0 + 1e-9)
    assert found.railed.any()


@pytest.mark.parametrize("case", CASES)
def test_no_step_in_the_box_leads_further_down(case):
    """First-order optimality by differences of the plain solver's chi-squared, bounds included."""
    sharing, response, spectra, order = CASES[case]
    peaks = RECIPE.peaks if "polaritons" in sharing else PEAKS
    lines = {**POLARITONS, **TRUE} if "polaritons" in sharing else TRUE
    for seed in range(3):
        random = np.random.default_rng(seed)
        ys = [counts(random, 3.0, 0.5 * b, lines) for b in range(spectra)]
        problem, start = layout(spectra, peaks, **sharing)
        batch = data(ys, order, response, together=True)
        found = engine.fit(problem, batch, start[None])
        evaluator = plain.Evaluator(plain.problem(problem, batch))
        free = problem.free
        evaluator.rest = np.where(free, 0.0, found.theta[0])
        at = found.theta[0][free]
        gradient = 2 * evaluator.jacobian(at).T @ evaluator.residual(at) * (problem.upper - problem.lower)[free]
        low, high = at <= problem.lower[free] + 1e-9, at >= problem.upper[free] - 1e-9
        wrong = np.where(low, np.maximum(-gradient, 0), np.where(high, np.maximum(gradient, 0), np.abs(gradient)))
        assert wrong.max() < 1e-2 * max(1.0, found.cost[0] / 500)


def test_covariance_is_the_scatter_of_repeated_fits():
    held = {name: (s, g) for name, (_, s, g, _) in TRUE.items()}
    problem, start = layout(held_widths=held)
    ys = [counts(np.random.default_rng(seed), scale=10.0) for seed in range(60)]
    found = engine.fit(problem, data(ys), start[None])
    index = problem.centre[0, 1:2]
    centres, sigmas = found.theta[:, index[0]], np.sqrt(found.covariance(0, index)[:, 0, 0])
    pulls = (found.areas[:, 0, 1] - 4.5e5) / found.area_sigma[:, 0, 1]
    assert 0.75 < np.std(centres) / np.median(sigmas) < 1.3
    assert 0.75 < np.std(pulls) < 1.3
    assert abs(np.mean(centres) - 50.4) < 4 * np.std(centres) / np.sqrt(60)


def test_common_widths_tell_a_shift_better_than_widths_of_their_own():
    ys = [counts(np.random.default_rng(s), scale=5.0, shift=d) for s, d in ((1, 0.0), (2, 1.0), (3, 0.0))]
    sigma = {}
    for common in (True, False):
        problem, start = layout(3, common_widths=common)
        found = engine.fit(problem, data(ys, together=True), start[None])
        c = found.covariance_across(problem.centre[:, 1])[0]
        sigma[common] = np.sqrt(c[0, 0] + c[1, 1] - 2 * c[0, 1])
    assert sigma[True] < 0.7 * sigma[False]


def test_masked_channels_have_no_say():
    problem, start = layout()
    whole = data([counts(np.random.default_rng(4))])
    masked = np.zeros(ENERGY.size, bool)
    masked[[3, 50, 51, 120]] = True
    spoilt = Data(
        whole.energy_mev,
        np.where(masked, [np.nan, 1e9, -1e9, np.nan][0], whole.counts),
        np.where(masked, np.inf, whole.sigma),
        whole.background,
        whole.response,
    )
    left = Data(
        *(a[..., ~masked] for a in (whole.energy_mev, whole.counts, whole.sigma, whole.background)), whole.response
    )
    found, expected = (engine.fit(problem, d, start[None]) for d in (spoilt, left))
    assert found.theta == pytest.approx(expected.theta, abs=1e-4)
    assert found.cost == pytest.approx(expected.cost, abs=1e-6)
    assert found.degrees == pytest.approx(expected.degrees)


def test_a_prior_pulls_where_the_data_say_little():
    y = counts(np.random.default_rng(0), 1.0, 0.0, {**POLARITONS, **TRUE})
    theta = {}
    for sigma in (1e-3, 5.0):
        known = known_polaritons(sigma)
        problem, start = layout(1, RECIPE.peaks, polaritons=known)
        theta[sigma] = engine.fit(problem, data([y]), start[None]).theta[0, problem.centre[0, 1]]
    assert theta[1e-3] == pytest.approx(54.6, abs=2e-3)
    assert abs(theta[5.0] - 54.6) > 2e-3


def test_means_of_priors_can_be_given_for_every_problem():
    problem, start = layout(1, RECIPE.peaks, polaritons=known_polaritons(1e-3))
    means = np.stack([known_polaritons().mean, known_polaritons().mean + 0.5])
    batch = data([counts(None, 1.0, 0.0, {**POLARITONS, **TRUE})] * 2)
    found = engine.fit(problem, batch, start[None], prior_means=means)
    assert found.theta[1, problem.centre[0, :3]] - found.theta[0, problem.centre[0, :3]] == pytest.approx(0.5, abs=0.02)


def test_a_caller_can_stop_it():
    problem, start = layout()
    with pytest.raises(engine.Cancelled):
        engine.fit(problem, data([counts()]), start[None], should_stop=lambda: True)
    asked = []
    with pytest.raises(engine.Cancelled):
        engine.fit(problem, data([counts()] * 300), start[None], should_stop=lambda: asked.append(0) or len(asked) > 2)


def test_two_callers_at_once_get_what_each_would_get_alone():
    problem, start = layout()
    batches = [data([counts(np.random.default_rng(k + 20 * i)) for k in range(20)]) for i in range(2)]
    alone = [engine.fit(problem, batch, start[None]).theta for batch in batches]
    together: list = [None, None]

    def work(i):
        together[i] = engine.fit(problem, batches[i], start[None]).theta

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array(together) == pytest.approx(np.array(alone), abs=1e-6)
