"""Information of a fit against the engine, a fit of all parameters at once, closed forms, and fits of changed data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.decomposition import reference
from eels_iontransport.decomposition.engine import fit
from eels_iontransport.decomposition.fitting import pose
from eels_iontransport.decomposition.information import cut_off_variance, information
from eels_iontransport.decomposition.line_slopes import Lines
from eels_iontransport.decomposition.problem import Data, Layout, Prior

from .plain_lines import SeenVoigts
from .test_engine import PLAIN
from .test_resampling import ALL, APART, simulated

LINES = len(ALL.recipe.peaks)
LDO = [peak.name for peak in ALL.recipe.peaks].index("LDO")


def fitted(seed, sample=ALL, **simulation):
    """Layout, data and fits of three regions together, of a seed."""
    posed = pose(*simulated(seed, sample, **simulation))
    return posed.layout, posed.data, fit(posed.layout, posed.data, posed.starts)


@pytest.fixture(scope="module")
def apart():
    """Lines that stand apart: no area is zero, no parameter at a limit."""
    layout, data, fits = fitted(1, APART, dose=0.3)
    assert not fits.railed.any() and (fits.areas > 0).all()
    return layout, data, fits


@pytest.mark.parametrize("seed", range(4, 9))
def test_covariances_are_those_of_the_engine(seed):
    """With areas at zero, and parameters at limits, in some of them."""
    layout, data, fits = fitted(seed)
    found = information(layout, data, fits)
    for k in range(LINES):
        at = found.centre(k)
        engines = fits.covariance_across(layout.centre[:, k])[0]
        assert np.array_equal(np.isfinite(np.diag(engines)), found.moving[at])
        known = np.isfinite(engines)
        assert found.covariance[np.ix_(at, at)][known] == pytest.approx(engines[known], rel=1e-5)
        areas = np.where(fits.areas[0, :, k] > 0, np.sqrt(np.diag(found.covariance)[found.area(k)]), np.nan)
        assert areas == pytest.approx(fits.area_sigma[0, :, k], rel=1e-5, nan_ok=True)


def test_some_of_the_cases_have_areas_at_zero_and_parameters_at_limits():
    found = [information(*fitted(seed)) for seed in range(4, 9)]
    assert any(one.at_zero.any() for one in found) and any((~one.moving).any() for one in found)


def test_everything_agrees_with_a_fit_of_all_parameters_at_once(apart):
    """Cross-covariances of areas, centres and background too; lines and slopes there are scipy's."""
    layout, data, fits = apart
    names = [peak.name for peak in APART.recipe.peaks]
    minimizer = reference.model(layout, data, fits.theta[0], names)
    jacobian = minimizer.userfcn.jacobian(minimizer.params)
    scale = 1 / np.linalg.norm(jacobian, axis=0)
    covariance = np.linalg.inv((jacobian * scale).T @ (jacobian * scale)) * np.outer(scale, scale)
    residual = minimizer.userfcn
    wanted = [*residual.names.theta[layout.free], *residual.names.area.ravel(), *residual.names.background.ravel()]
    varying = [p.name for p in minimizer.params.values() if p.vary]
    order = [varying.index(name) for name in wanted]
    assert sorted(order) == list(range(len(varying)))
    expected, found = covariance[np.ix_(order, order)], information(layout, data, fits).covariance
    sigma = np.sqrt(np.diag(expected))
    assert np.sqrt(np.diag(found)) == pytest.approx(sigma, rel=1e-3)
    assert found / np.outer(sigma, sigma) == pytest.approx(expected / np.outer(sigma, sigma), abs=1e-3)


def test_slopes_are_those_of_scipys_voigts(apart):
    layout, data, fits = apart
    lines = Lines.of(layout, data, fits.theta[0], fits.areas[0])
    for b, shapes in enumerate(zip(*layout.line_parameters(fits.theta[0]))):
        seen = SeenVoigts(data.energy_mev[0, b], data.response[0, b])
        value, *slopes = seen(*shapes)
        assert lines.values[b] == pytest.approx(value, abs=1e-8 * value.max())
        second = lines.second_slopes()[b]
        for i, slope in enumerate(slopes):
            assert lines.slopes[b, :, i] == pytest.approx(slope, abs=2e-6 * np.abs(slope).max())
            up, down = (seen(*(p + s * (i == k) for k, p in enumerate(shapes)))[1:] for s in (1e-3, -1e-3))
            expected = (np.array(up) - np.array(down)) / 2e-3
            assert np.moveaxis(second[:, i], 1, 0) == pytest.approx(expected, abs=1e-3 * np.abs(expected).max())


ENERGY = np.arange(-60.0, 60.0, 0.25)
AREA, WIDTH, NOISE = 3e4, 4.0, 20.0


def gaussians(spectra=1, shared=True, prior_mev=None):
    """Gaussian lines without background in even noise: layout, data and fits."""
    centre = np.zeros((spectra, 1), int) if shared else np.arange(spectra)[:, None]
    last = centre.max() + 1
    lower, upper = np.full(last + 2, -5.0), np.full(last + 2, 5.0)
    lower[last:], upper[last:] = (3.0, 0.0), (5.0, 0.0)  # a width to search for, and no Lorentzian part
    priors = () if prior_mev is None else (Prior(np.array([0]), np.zeros(1), np.array([[prior_mev**2]])),)
    layout = Layout(
        centre, np.full_like(centre, last), np.full_like(centre, last + 1), np.array([-1]), lower, upper, priors
    )
    energy = np.tile(ENERGY, (1, spectra, 1))
    counts = AREA * np.exp(-0.5 * (energy / WIDTH) ** 2) / (np.sqrt(2 * np.pi) * WIDTH)
    response = np.tile(PLAIN, (1, spectra, 1, 1))
    data = Data(energy, counts, np.full_like(counts, NOISE), np.empty((1, spectra, 0, ENERGY.size)), response)
    return layout, data, fit(layout, data, np.r_[np.full(last, 0.3), 4.2, 0.0][None])


# The integrals of the squared slopes of a Gaussian line of area 1: 1/(4 sqrt(pi) s^3) by its centre, and so on.
CENTRE_VARIANCE = 4 * np.sqrt(np.pi) * WIDTH**3 * NOISE**2 * 0.25 / AREA**2


@pytest.mark.parametrize(
    ("spectra", "prior_mev", "variance"),
    [
        (1, None, CENTRE_VARIANCE),
        (4, None, CENTRE_VARIANCE / 4),
        (1, 0.01, 1 / (1 / CENTRE_VARIANCE + 1 / 0.01**2)),
    ],
)
def test_the_bound_of_a_gaussian_line_in_closed_form(spectra, prior_mev, variance):
    found = information(*gaussians(spectra, prior_mev=prior_mev))
    vector = found.of_centres(0, np.full(spectra, 1.0 / spectra))
    assert found.sigma(vector) == pytest.approx(np.sqrt(variance), rel=1e-5)
    # Area and width share what they know: the area is by sqrt(3/2) worse than with a known width.
    held = np.sqrt(2 * np.sqrt(np.pi) * WIDTH * 0.25) * NOISE
    if spectra == 1:
        assert found.sigma(np.eye(3)[found.area(0)[0]]) == pytest.approx(np.sqrt(1.5) * held, rel=1e-5)


def test_the_bound_of_a_shift_is_that_of_both_centres():
    found = information(*gaussians(2, shared=False))
    assert found.sigma(found.of_centres(0, np.array([-1.0, 1.0]))) == pytest.approx(np.sqrt(2 * CENTRE_VARIANCE))


def test_centres_that_are_held_or_at_a_limit_have_no_bound():
    layout, data, fits = gaussians(2, shared=False)
    limited = replace(layout, lower=np.where(np.arange(4) == 1, 0.5, layout.lower))
    held = replace(
        layout, **{end: np.where(np.arange(4) == 1, 0.0, getattr(layout, end)) for end in ("lower", "upper")}
    )
    for other in (limited, held):
        found = information(other, data, fit(other, data, fits.theta[:, None]))
        assert found.of_centres(0, np.array([-1.0, 1.0])) is None
        assert found.of_centres(0, np.array([1.0, 0.0])) is not None
        assert np.isfinite(found.covariance).all()


def test_masked_channels_tell_nothing():
    layout, data, fits = gaussians()
    sigma, counts = data.sigma.copy(), data.counts.copy()
    sigma[..., ENERGY > 0], counts[..., ENERGY > 0] = np.inf, np.nan
    half = information(layout, replace(data, sigma=sigma, counts=counts), fits)
    whole = information(layout, data, fits)
    assert np.trace(half.of_spectra[0] / whole.of_spectra[0]) / 3 == pytest.approx(0.5, rel=0.04)
    assert half.response(np.where(ENERGY > 0, 1e6, 0.0)[None]) == pytest.approx(0.0)


@pytest.mark.parametrize("seed", [4, 1, 7, 9])
def test_the_response_to_added_counts_is_what_a_fit_of_them_finds(seed):
    """Also where areas are at zero and parameters at limits; the model bends, so few counts are added."""
    layout, data, fits = fitted(seed)
    found = information(layout, data, fits)
    bump = 1e-4 * data.counts[0] * np.sin(data.energy_mev[0] / 2.5) * np.array([1.0, -0.5, 0.3])[:, None]
    moved = fit(layout, replace(data, counts=data.counts + bump), fits.theta[:, None])
    response = found.response(bump)
    expected = (moved.theta - fits.theta)[0, layout.centre[:, LDO]]
    assert response[found.centre(LDO)] == pytest.approx(expected, rel=0.02, abs=5e-6)
    at = np.array([found.area(k) for k in range(LINES)]).T
    scale = np.sqrt(np.diag(found.covariance))[at]
    assert response[at] / scale == pytest.approx((moved.areas - fits.areas)[0] / scale, rel=0.02, abs=1e-4)


def test_the_pull_of_the_unbounded_areas_leads_to_where_they_fit_best():
    """A line of negative area: the fit ends at zero, the unbounded solution is the true one."""
    layout, data, _ = gaussians()
    negative = replace(data, counts=-0.2 * data.counts)
    fixed = replace(layout, lower=np.array([-5.0, WIDTH, 0.0]), upper=np.array([5.0, WIDTH, 0.0]))
    found = information(fixed, negative, fit(fixed, negative, np.array([[0.0, WIDTH, 0.0]])))
    change, covariance = found.unbounded()
    assert found.at_zero.tolist() == [False, True]
    assert change == pytest.approx([0.0, -0.2 * AREA], rel=1e-4)
    assert found.covariance[1, 1] < covariance[1, 1]


def drawn_between(low, high):
    """Variance of normal draws between two limits."""
    draws = np.random.default_rng(0).standard_normal(2_000_000)
    return draws[(draws > low) & (draws < high)].var()


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, np.inf), (1.0, np.inf), (-1.0, np.inf), (-0.5, 1.5), (-np.inf, np.inf), (-3.0, -2.0)]
)
def test_the_variance_of_a_normal_distribution_that_is_cut_off(low, high):
    assert cut_off_variance(np.array(low), high) == pytest.approx(drawn_between(low, high), rel=0.02)


def test_limits_that_are_far_away_change_nothing():
    found = information(*gaussians(2, shared=False))
    assert found.covariance_within_limits() == pytest.approx(found.covariance, rel=1e-6)
    assert found.covariance_within_limits(9.0) == pytest.approx(found.covariance / 9, rel=1e-6)
    one = found.covariance_within_limits(np.array([4.0, 1.0]))
    assert one[0, 0] == pytest.approx(found.covariance[0, 0] / 4, rel=1e-3)


def test_a_prior_grows_by_its_own_factor():
    found = information(*gaussians(1, prior_mev=0.01))
    variance = [found.covariance_within_limits(data, (prior,))[0, 0] for data, prior in ((2.0, 1.0), (1.0, 3.0))]
    expected = [1 / (2 / CENTRE_VARIANCE + 1 / 0.01**2), 1 / (1 / CENTRE_VARIANCE + 3 / 0.01**2)]
    assert variance == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_a_centre_between_limits_is_a_normal_distribution_cut_off(factor):
    """A line whose place is known to half a standard deviation of what the data tell."""
    layout, data, fits = gaussians()
    half = 0.25 * np.sqrt(CENTRE_VARIANCE)
    near = replace(layout, lower=np.array([-half, 3.0, 0.0]), upper=np.array([half, 5.0, 0.0]))
    found = information(near, data, fit(near, data, np.array([[0.0, 4.0, 0.0]])))
    expected = CENTRE_VARIANCE / factor * drawn_between(-0.25 * np.sqrt(factor), 0.25 * np.sqrt(factor))
    assert found.covariance_within_limits(factor)[0, 0] == pytest.approx(expected, rel=0.02)
