"""Bootstraps against the scatter of spectra simulated independently, and against what the fit quotes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.decomposition import resampling
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_together
from eels_iontransport.decomposition.resampling import Resampled, bootstrap
from eels_iontransport.decomposition.response import from_vacuum
from eels_iontransport.materials.recipe import Bound, Recipe

from . import synthetic

RECIPE = materials.load("lco")
ENERGY = synthetic.STEP_MEV * np.arange(-500, 1000)
SHIFT = np.array([-0.5, 1.0, -0.5])
REGIONS = ((0.0, 1.0), (1.8, 1.3), (0.0, 0.9))  # shift in meV, strength of the phonons
KERNEL = np.array([0.25, 0.5, 0.25])  # of a detector that spreads electrons over its channels
INDEPENDENT = given(1.0)
CORRELATED = NoiseModel("given", float(KERNEL @ KERNEL), 1.0, 1.0 / float(KERNEL @ KERNEL))
NOISES = pytest.mark.parametrize("noise", [INDEPENDENT, CORRELATED], ids=["independent", "correlated"])


@dataclass(frozen=True)
class Sample:
    """Lines that spectra are made of, and the recipe of the peaks that they are fitted with."""

    recipe: Recipe
    polaritons: tuple[int, ...] = (0, 1, 2)
    phonons: tuple[int, ...] = (0, 1, 2, 3)
    gamma_mev: float | None = None

    def aloof(self, offset_mev=0.0, strength=1.0):
        return self._lines([synthetic.POLARITONS[i] for i in self.polaritons], strength, offset_mev)

    def phononic(self, shift_mev, strength):
        """The LDO line moved."""
        lines = synthetic.grain(shift_mev, strength)[len(synthetic.POLARITONS) :]
        return self._lines([lines[i] for i in self.phonons])

    def _lines(self, lines, strength=1.0, offset_mev=0.0):
        return tuple((c + offset_mev, s, self.gamma_mev or g, strength * a) for c, s, g, a in lines)


def of_peaks(recipe, *names):
    return replace(recipe, peaks=tuple(peak for peak in recipe.peaks if peak.name in names))


NO_OFFSET = replace(RECIPE, polariton_offset_prior_mev=None)
ALL = Sample(RECIPE)
APART = Sample(of_peaks(RECIPE, "PhP1", "PhP3", "LDO", "CoO6"), (0, 2), (1, 2), 1.5)  # no limit and no line is near


@cache
def counts_of(lines, electrons):
    return synthetic.spectrum(lines, electrons).counts


def expected(sample, region, electrons, offset_mev=0.0):
    """Counts of a region, its polaritons moved by an offset; parts added up as they are computed once."""
    moved, phonons = sample.aloof(offset_mev, 0.5), sample.phononic(*REGIONS[region])
    return counts_of(moved, electrons) + counts_of(phonons, electrons) - counts_of((), electrons)


def measured(counts, random, noise):
    """Counted electrons, spread over neighbouring channels where the noise model says so."""
    drawn = random.poisson(counts).astype(float)
    if noise.correlation > 1:
        drawn = convolve1d(drawn, KERNEL, mode="nearest")
    return synthetic.Aligned(ENERGY, drawn, 1)


@cache
def response():
    return from_vacuum(ENERGY, counts_of((), 4e9))


def simulated(seed, sample=ALL, noise=INDEPENDENT, offset_mev=0.0, mode="shared", dose=1.0):
    """Setup with the shapes of an aloof spectrum, and the spectra of three regions."""
    random = np.random.default_rng(seed)
    setup = Setup(sample.recipe, mode, noise, response())
    aloof = measured(counts_of(sample.aloof(), 4e9 * dose), random, noise)
    setup = replace(setup, polaritons=fit_aloof(setup, aloof)[1])
    return setup, [measured(expected(sample, r, 1.3e9 * dose, offset_mev), random, noise) for r in range(3)]


def quoted(found):
    """The shift and the standard deviation that the fit quotes."""
    covariance = found.centre_covariance("LDO")
    return SHIFT @ found.value("LDO", "centre_mev"), np.sqrt(SHIFT @ covariance @ SHIFT)


@pytest.fixture(scope="module")
def case():
    return simulated(1, APART, dose=0.3)


@NOISES
def test_as_wide_as_spectra_scatter(noise):
    cases = [simulated(seed, replace(ALL, recipe=NO_OFFSET), noise) for seed in range(40)]
    shifts = [quoted(fit_together(*case))[0] for case in cases]
    drawn = [bootstrap(*case, "LDO", 60, seed).spread(SHIFT)[0] for seed, case in enumerate(cases[:8])]
    assert np.mean(drawn) == pytest.approx(np.std(shifts, ddof=1), rel=0.3)


@NOISES
def test_as_wide_as_the_fit_says_where_nothing_is_near_a_limit(noise):
    for seed in range(3):
        setup, spectra = simulated(seed, APART, noise, dose=0.3)
        found, drawn = fit_together(setup, spectra), bootstrap(setup, spectra, "LDO", 200, seed)
        covariance = found.centre_covariance("LDO")
        assert np.sqrt(np.diag(drawn.covariance)) == pytest.approx(np.sqrt(np.diag(covariance)), rel=0.15)
        assert drawn.spread(SHIFT)[0] == pytest.approx(quoted(found)[1], rel=0.15)


def test_what_is_known_beforehand_is_drawn_too_around_the_fitted_values():
    """Faint spectra with a polariton off its place by two standard deviations: half of what is known of it is prior."""
    sigmas, scatter, moved = [], [], []
    for seed in range(4):
        setup, _ = simulated(seed, APART, dose=0.3)
        _, spectra = simulated(seed, APART, offset_mev=2.0, dose=1e-4)
        found, drawn = fit_together(setup, spectra), bootstrap(setup, spectra, "PhP3", 120, seed)
        sigmas.append(np.nanmax(found.sigma("PhP3", "centre_mev")))
        scatter.append(np.nanstd(drawn.centres_mev))
        moved.append(np.nanmean(drawn.centres_mev) - np.nanmean(found.value("PhP3", "centre_mev")))
    assert np.mean(scatter) == pytest.approx(np.mean(sigmas), rel=0.1)
    assert abs(np.mean(moved)) < 0.2


def test_a_misfit_stretches_the_draws_as_it_stretches_the_quoted_uncertainty():
    setup, spectra = simulated(2, APART, dose=0.3)
    meek = replace(setup, noise=NoiseModel("given", 0.1))  # says less noise than there is
    found = fit_together(meek, spectra)
    assert found.chi2.min() > 8
    assert bootstrap(meek, spectra, "LDO", 200).spread(SHIFT)[0] == pytest.approx(quoted(found)[1], rel=0.2)


def test_around_the_fitted_values(case):
    found = fit_together(*case)
    drawn = bootstrap(*case, "LDO", 200)
    value, _ = quoted(found)
    sigma, (low, high) = drawn.spread(SHIFT)
    assert low < value < high and high - low == pytest.approx(2 * sigma, rel=0.25)
    assert np.sqrt(SHIFT @ drawn.covariance @ SHIFT) == pytest.approx(sigma)
    error = np.sqrt(np.diag(drawn.covariance) / 200)
    assert drawn.centres_mev.mean(axis=0) == pytest.approx(found.value("LDO", "centre_mev"), abs=5 * error.max())


def test_a_seed_draws_the_same_again_however_many_are_asked_for(case):
    first, again, more, other = (bootstrap(*case, "LDO", n, seed) for n, seed in ((40, 3), (40, 3), (60, 3), (40, 4)))
    assert np.array_equal(first.centres_mev, again.centres_mev)
    assert np.array_equal(first.centres_mev, more.centres_mev[:40])
    assert not np.any(first.centres_mev == other.centres_mev)
    assert (first.seed, other.seed) == (3, 4)


def test_it_can_be_stopped_at_any_time(case):
    for allowed in (0, 3, 6):
        asked = iter(range(1000))
        with pytest.raises(Cancelled):
            bootstrap(*case, "LDO", 200, should_stop=lambda n=allowed, a=asked: next(a) >= n)


def test_progress_is_told_to_the_end(case):
    told = []
    bootstrap(*case, "LDO", 100, tell=told.append)
    assert told == [40, 80, 100]


def test_fitted_values_that_miss_the_best_optimum_are_not_the_only_start(case, monkeypatch):
    plain = bootstrap(*case, "LDO", 60)
    monkeypatch.setattr(resampling, "MISSED", -np.inf)
    thorough = bootstrap(*case, "LDO", 60)
    assert (plain.every_start, thorough.every_start) == (False, True)
    assert thorough.centres_mev == pytest.approx(plain.centres_mev, abs=0.02)


def test_centres_at_a_limit_are_failures_and_many_of_them_leave_no_uncertainty(case):
    setup, spectra = case
    centre = fit_together(setup, spectra).value("LDO", "centre_mev")[1]
    sigma = np.sqrt(bootstrap(setup, spectra, "LDO", 40).covariance[1, 1])

    def limited(at_mev):
        ldo = RECIPE.peak("LDO")
        bound = Bound(50.0, ldo.wide.centre_mev.lower, at_mev)
        other = replace(ldo, wide=replace(ldo.wide, centre_mev=bound))
        peaks = tuple(other if peak.name == "LDO" else peak for peak in setup.recipe.peaks)
        return bootstrap(replace(setup, recipe=replace(RECIPE, peaks=peaks)), spectra, "LDO", 100)

    boundary, grains = np.array([False, True, False]), np.array([True, False, True])
    some, many = limited(centre + 2.0 * sigma), limited(centre + 0.3 * sigma)
    assert 0 < some.failed(boundary) <= 10 and np.isfinite(some.spread(SHIFT)[0])
    assert many.failed(boundary) > 20
    assert np.isnan(many.spread(SHIFT)[0]) and np.isnan(many.spread(SHIFT)[1]).all()
    assert np.isnan(many.covariance).all()
    assert many.failed(grains) == 0 and np.isfinite(many.spread(np.array([1.0, 0.0, -1.0]))[0])


@pytest.mark.parametrize(("missing", "known"), [(0, True), (10, True), (11, False), (100, False)])
def test_of_a_hundred_ninety_have_to_succeed(missing, known):
    centres = np.random.default_rng(0).normal(50.0, 0.2, (100, 1))
    centres[:missing] = np.nan
    drawn = Resampled(centres, 0, False)
    assert np.isfinite(drawn.spread(np.ones(1))[0]) == known
    assert np.isfinite(drawn.covariance).all() == known
    assert drawn.failed(np.ones(1, bool)) == missing


@pytest.mark.parametrize("mode", ["wide", "published"])
def test_spectra_fitted_one_by_one_leave_out_what_cannot_be_fitted(mode):
    setup, spectra = simulated(5, mode=mode)
    short = synthetic.Aligned(spectra[1].energy_mev[:600], spectra[1].counts[:600], 1)
    drawn = bootstrap(setup, [spectra[0], short, spectra[2]], "LDO", 20)
    assert np.isnan(drawn.centres_mev[:, 1]).all()
    assert np.isfinite(drawn.centres_mev[:, [0, 2]]).any()


def test_masked_channels_stay_masked(case):
    setup, spectra = case
    counts = spectra[0].counts.copy()
    counts[600:620] = np.nan
    drawn = bootstrap(setup, [synthetic.Aligned(spectra[0].energy_mev, counts, 1), *spectra[1:]], "LDO", 40)
    assert np.isfinite(drawn.centres_mev).all()


def test_too_few_are_refused(case):
    with pytest.raises(UnusableInput, match="5 bootstraps are too few"):
        bootstrap(*case, "LDO", 5)
