"""Numbers of peaks, against spectra of which it is known how many lines they are made of."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.decomposition import peak_trials
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_together
from eels_iontransport.decomposition.peak_count import Candidate, PeakCount, count_aloof_peaks, count_phononic_peaks
from eels_iontransport.decomposition.response import from_vacuum
from eels_iontransport.simulation.response import response as measured_response

from . import synthetic

RECIPE = materials.load("lco")
SHIFT = np.array([-0.5, 1.0, -0.5])
REGIONS = ((0.0, 1.0), (1.8, 1.3), (0.0, 0.9))  # shift in meV, strength of the phonons
ALOOF, REGION = 4e9, 7.5e8  # electrons
FIFTH = (57.5, 2.2, 0.9, 3e-3)
KERNEL = np.array([0.25, 0.5, 0.25])
CORRELATED = NoiseModel("given", float(KERNEL @ KERNEL), 1.0, 1.0 / float(KERNEL @ KERNEL))


@cache
def counts_of(lines=()):
    return synthetic.spectrum(lines, 1.0).counts


def counted(lines, electrons, seed, noise=None):
    drawn = np.random.default_rng(seed).poisson(electrons * counts_of(tuple(lines))).astype(float)
    if noise is CORRELATED:
        drawn = convolve1d(drawn, KERNEL, mode="nearest")
    return synthetic.Aligned(synthetic.STEP_MEV * np.arange(-500, 1000), drawn, 1)


@cache
def seen():
    return from_vacuum(synthetic.spectrum([], 1.0).energy_mev, counts_of())


def aloof_of(seed=0, lines=synthetic.POLARITONS, noise=None):
    return counted(lines, ALOOF, seed, noise)


def setup_of(noise=None):
    setup = Setup(RECIPE, "shared", noise or given(1.0), seen())
    return replace(setup, polaritons=fit_aloof(setup, aloof_of(noise=noise))[1])


def regions_of(seed=1, more=(), electrons=REGION, noise=None):
    lines = [[*synthetic.grain(*region), *more] for region in REGIONS]
    return [counted(of, electrons, 10 * seed + i, noise) for i, of in enumerate(lines)]


@pytest.fixture(scope="module")
def phononic():
    return count_phononic_peaks(setup_of(), regions_of(), SHIFT)


@pytest.fixture(scope="module")
def polaritonic():
    return count_aloof_peaks(setup_of(), aloof_of(), given(1.0), regions_of(), SHIFT)


def choices(found):
    return found.chosen, found.by_aicc, found.by_bic


@pytest.mark.parametrize("noise", [None, CORRELATED], ids=["independent", "correlated"])
@pytest.mark.parametrize("seed", [1, 2])
def test_as_many_as_there_are(seed, noise):
    of_regions = count_phononic_peaks(setup_of(noise), regions_of(seed, noise=noise))
    of_aloof = count_aloof_peaks(setup_of(noise), aloof_of(seed, noise=noise), noise or given(1.0))
    assert (of_regions.by_bic, of_aloof.by_bic, of_regions.recipe, of_aloof.recipe) == (4, 3, 4, 3)
    assert of_regions.candidates[1].reduced_chi2 == pytest.approx(1.0, abs=0.3)
    if noise is None:  # channels of their own; else five per cent of chi-squared are a fluctuation
        assert (of_regions.chosen, of_aloof.chosen, of_regions.flags, of_aloof.flags) == (4, 3, (), ())


def test_a_shoulder_that_is_not_there():
    found = count_aloof_peaks(
        setup_of(), aloof_of(lines=(synthetic.POLARITONS[0], synthetic.POLARITONS[2])), given(1.0)
    )
    assert (found.chosen, found.by_bic) == (2, 2)
    assert found.candidates[0].names == ("PhP1", "PhP3")
    assert [flag.code for flag in found.flags] == ["PEAK_COUNT"]
    assert "without PhP2" in found.flags[0].message and "see what the shift is with 2" in found.flags[0].message


def test_tails_as_measured_are_no_shoulder(monkeypatch):
    monkeypatch.setattr(synthetic, "response", measured_response)
    bare, lines = (synthetic.spectrum(of, ALOOF) for of in ([], [synthetic.POLARITONS[0], synthetic.POLARITONS[2]]))
    setup = Setup(RECIPE, "shared", given(1.0), from_vacuum(bare.energy_mev, bare.counts))
    for seed in range(2):
        found = count_aloof_peaks(setup, synthetic.noisy(lines, np.random.default_rng(seed)), given(1.0))
        assert (found.chosen, found.by_bic) == (2, 2)


def test_a_line_that_the_recipe_has_not():
    found = count_phononic_peaks(setup_of(), regions_of(more=[FIFTH], electrons=5e9))
    assert choices(found) == (5, 5, 5)
    assert found.candidates[-1].added_mev == pytest.approx(FIFTH[0], abs=1.0)
    assert [flag.code for flag in found.flags] == ["PEAK_COUNT"] and "at 5" in found.flags[0].message


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_criteria_do_not_believe_a_wrong_noise(factor, phononic):
    setup = setup_of()
    wrong = replace(setup, noise=NoiseModel("given", factor))
    found = count_phononic_peaks(wrong, regions_of())
    assert (found.by_aicc, found.by_bic) == (phononic.by_aicc, phononic.by_bic)
    assert found.candidates[1].reduced_chi2 == pytest.approx(phononic.candidates[1].reduced_chi2 / factor, rel=0.2)


def test_candidates_as_they_are(phononic, polaritonic):
    for found, names in ((phononic, RECIPE.phononic_peaks), (polaritonic, RECIPE.aloof_peaks)):
        fewer, usual, more = found.candidates
        assert (fewer.count, more.count) == (usual.count - 1, usual.count + 1)
        assert usual.names == tuple(peak.name for peak in names) == more.names[:-1]
        assert fewer.parameters < usual.parameters < more.parameters
        assert fewer.chi2 > usual.chi2 > more.chi2 - 0.1
        assert 30 <= more.added_mev <= 102 and np.isnan(usual.added_mev)
    assert all("LDO" in candidate.names for candidate in phononic.candidates)
    # 3 x 4 centres, offset's and aloof shapes' priors apart, 8 widths; 3 x (7 areas and 7 of the background)
    assert phononic.candidates[1].parameters == 12 + 8 + 3 * (7 + 7)
    assert polaritonic.candidates[1].parameters == 9 + 3 + 7


def test_the_shift_with_the_number_of_the_recipe_is_the_shift(phononic, polaritonic):
    together = fit_together(setup_of(), regions_of())
    covariance = together.centre_covariance("LDO")
    shift, sigma = SHIFT @ together.value("LDO", "centre_mev"), np.sqrt(SHIFT @ covariance @ SHIFT)
    for found in (phononic, polaritonic):
        assert (found.candidates[1].shift_mev, found.candidates[1].shift_sigma_mev) == pytest.approx((shift, sigma))
        assert all(candidate.shift_sigma_mev > 0 for candidate in found.candidates if candidate.is_line)


def test_no_shift_without_weights():
    found = count_phononic_peaks(setup_of(), regions_of())
    assert all(np.isnan(candidate.shift_mev) for candidate in found.candidates)
    assert found.to_dict()["candidates"][0]["shift_mev"]["value"] is None


def test_an_entry_of_the_readout(phononic, polaritonic):
    for found in (phononic, polaritonic):
        entry = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert (entry["recipe"], entry["chosen"], len(entry["candidates"])) == (found.recipe, found.chosen, 3)
        assert entry["candidates"][1]["shift_mev"]["sigma"] > 0


def test_a_recipe_of_one_peak_has_none_to_spare():
    recipe = replace(RECIPE, peaks=(RECIPE.peak("CoO6"),), shift_peak=None)
    setup = replace(setup_of(), recipe=recipe, polaritons=None)
    spectra = [counted([synthetic.PHONONS[2]], REGION, seed) for seed in (1, 2)]
    found = count_phononic_peaks(setup, spectra, np.array([-1.0, 1.0]))
    assert [candidate.count for candidate in found.candidates] == [1, 2]
    assert (found.chosen, found.by_bic) == (1, 1)


def test_a_recipe_without_such_peaks_is_refused():
    setup = replace(setup_of(), recipe=replace(RECIPE, peaks=RECIPE.phononic_peaks))
    with pytest.raises(UnusableInput, match="no polaritonic peaks"):
        count_aloof_peaks(setup, aloof_of(), given(1.0))


def test_progress_is_told_to_the_end():
    told = []
    count_aloof_peaks(setup_of(), aloof_of(), given(1.0), progress=lambda done, total, text: told.append((done, total)))
    assert told[0] == (0, 5) and told[-1] == (5, 5) and told == sorted(told)


@pytest.mark.parametrize("allowed", [0, 5])
def test_it_can_be_stopped(allowed):
    asked, setup, spectra = iter(range(1000)), setup_of(), regions_of()
    with pytest.raises(Cancelled):
        count_phononic_peaks(setup, spectra, should_stop=lambda: next(asked) >= allowed)


def candidate(count, reduced, aicc=0.0, bic=0.0, is_line=True):
    names = tuple(f"p{i}" for i in range(count))
    return Candidate(names, 100 * reduced, reduced, 10, aicc, bic, is_line=is_line)


@pytest.mark.parametrize(
    ("reduced", "is_line", "chosen"),
    [
        ((1.04, 1.0, 1.0), True, 2),
        ((1.06, 1.0, 1.0), True, 3),
        ((2.0, 1.06, 1.0), True, 4),
        ((2.0, 1.06, 1.0), False, 3),  # what mends the background is no peak
        ((np.nan, 1.0, 1.0), True, 3),
        ((2.0, np.nan, 1.0), True, 4),
        ((np.nan, np.nan, np.nan), True, None),
    ],
)
def test_the_published_rule(reduced, is_line, chosen):
    lines = (True, True, is_line)
    found = PeakCount("phononic", 3, tuple(candidate(n, r, is_line=x) for n, r, x in zip((2, 3, 4), reduced, lines)))
    assert found.chosen == chosen
    comparable = chosen is not None and np.isfinite(reduced[1])
    assert bool(found.flags) == (comparable and chosen != 3)


def test_criteria_do_without_a_fit_that_came_to_no_end(monkeypatch):
    ended = peak_trials.Trial.cost.fget
    monkeypatch.setattr(
        peak_trials.Trial, "cost", property(lambda t: np.nan if len(t.setup.recipe.peaks) == 4 else ended(t))
    )
    found = count_aloof_peaks(setup_of(), aloof_of(), given(1.0))
    assert np.isnan(found.candidates[-1].bic) and choices(found) == (3, 3, 3)


def test_criteria_choose_the_smallest():
    found = PeakCount(
        "phononic", 3, (candidate(2, 1.0, 5.0, 1.0), candidate(3, 1.0, 3.0, 4.0), candidate(4, 1.0, 4, 9))
    )
    assert (found.by_aicc, found.by_bic) == (3, 2)
