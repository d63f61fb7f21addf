"""Spectra that nobody would want: fitted, refused or left out, but no exception else and no number made up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel
from eels_iontransport.decomposition.fitting import MODES, Setup, fit_aloof, fit_each, fit_rows, fit_together
from eels_iontransport.decomposition.response import from_vacuum

from . import synthetic

RECIPE = materials.load("lco")
ZERO, CHANNELS = 500, 1500  # channel of the zero, and how many there are, of the synthetic spectra
WINDOWS = {"published": (25.0, 95.0), "wide": (22.0, 110.0), "shared": (22.0, 110.0)}
MASKED = [np.nan, np.inf, -np.inf, -1e6, -1e12]

ways = pytest.mark.parametrize("mode", MODES)


@cache
def good_spectra():
    """Three spectra of a line."""
    lines = [synthetic.grain(shift) for shift in (0.0, 0.9, 1.8)]
    return [synthetic.noisy(synthetic.spectrum(line, 3e8), np.random.default_rng(s)) for s, line in enumerate(lines)]


@cache
def setup_of(mode, scale=1.0):
    random = np.random.default_rng(7)
    zlp = synthetic.noisy(synthetic.spectrum((), 1e9), random)
    aloof = synthetic.noisy(synthetic.spectrum(synthetic.POLARITONS, 1e9), random)
    setup = Setup(RECIPE, mode, NoiseModel("given", scale), from_vacuum(zlp.energy_mev, scale * zlp.counts))
    return replace(setup, polaritons=fit_aloof(setup, scaled(aloof, scale))[1])


@cache
def regions_of(scale=1.0):
    return fit_together(setup_of("shared", scale), [scaled(s, scale) for s in good_spectra()])


def fit_line(mode, spectra, scale=1.0):
    """Spectra as the rows of a line are fitted."""
    setup = setup_of(mode, scale)
    return fit_rows(setup, regions_of(scale), spectra) if mode == "shared" else fit_each(setup, spectra)


@cache
def undamaged(mode):
    return fit_line(mode, good_spectra())


def scaled(spectrum, factor):
    return replace(spectrum, counts=factor * spectrum.counts)


def damaged(spectrum, channels, value):
    counts = spectrum.counts.copy()
    counts[channels] = value
    return replace(spectrum, counts=counts)


def in_window(mode, channels):
    """How many of the channels lie in the fit window of a mode."""
    low, high = WINDOWS[mode]
    energy = good_spectra()[1].energy_mev[channels]
    return int(np.sum((energy >= low - 1e-9) & (energy < high - 1e-9)))


def assert_honest(found):
    """What is given as a number has an uncertainty, or is at a limit, or was held; what is not there is nan."""
    area, area_sigma = found.values["area"], found.sigmas["area"]
    there = area > 0
    assert np.all(np.isnan(area) | (area >= 0))
    assert np.all(area_sigma[there] > 0)
    phononic = np.array([peak.component == "phononic" for peak in found.peaks])
    for quantity in ("centre_mev", "sigma_mev", "gamma_mev", "fwhm_mev"):
        value, sigma, railed = (table[quantity] for table in (found.values, found.sigmas, found.railed))
        assert np.all(np.isnan(value[~there])) and np.all(np.isnan(sigma[~there]))
        assert not np.any(sigma <= 0)
        if quantity == "centre_mev":  # widths are held in rows, and polaritons in some modes
            assert np.all(~there | railed | (sigma > 0) | ~phononic)
    assert np.all(np.isnan(found.chi2) | (found.chi2 >= 0))
    fitted = np.isfinite(area).all(axis=1) & np.isfinite(found.chi2)
    assert np.all(np.isfinite(found.model[fitted]))


damages = st.lists(
    st.tuples(
        st.integers(ZERO + 20, ZERO + 320),
        st.integers(1, 40),
        st.sampled_from([*MASKED, 0.0, -3.0, 1e7, 1e12]),
    ),
    min_size=1,
    max_size=4,
)


def with_damage(spectrum, damage):
    for first, count, value in damage:
        spectrum = damaged(spectrum, slice(first, first + count), value)
    return spectrum


@ways
@given(damages)
@settings(max_examples=25)
@example([(ZERO + 240, 25, 0.0)])
@example([(0, CHANNELS, 0.0)])
@example([(0, CHANNELS, np.nan)])
@example([(0, CHANNELS, -5.0)])
@example([(0, CHANNELS, 1.0)])
def test_a_damaged_row_is_fitted_or_left_out(mode, damage):
    before, spectrum, after = good_spectra()
    found = fit_line(mode, [before, with_damage(spectrum, damage), after])
    assert_honest(found)
    assert np.all(found.described[[0, 2]])


@ways
@given(damages)
@settings(max_examples=15)
@example([(ZERO + 240, 25, 0.0)])
def test_a_damaged_row_does_no_harm_to_its_neighbours(mode, damage):
    before, spectrum, after = good_spectra()
    found, same = fit_line(mode, [before, with_damage(spectrum, damage), after]), undamaged(mode)
    for centre, its, sigma in (
        (found.value("LDO", "centre_mev")[i], same.value("LDO", "centre_mev")[i], same.sigma("LDO", "centre_mev")[i])
        for i in (0, 2)
    ):
        assert centre == pytest.approx(its, abs=0.05 * sigma)


@ways
@given(st.lists(st.integers(ZERO + 60, ZERO + 270), min_size=1, max_size=6, unique=True), st.sampled_from(MASKED))
@settings(max_examples=15)
def test_bad_channels_are_masked_whatever_is_in_them(mode, channels, value):
    spectrum = good_spectra()[1]
    found = fit_line(mode, [damaged(spectrum, channels, value)])
    same = fit_line(mode, [damaged(spectrum, channels, np.nan)])
    assert found.masked[0] == in_window(mode, channels)
    assert found.value("LDO", "centre_mev") == pytest.approx(same.value("LDO", "centre_mev"), abs=1e-3)
    assert found.chi2 == pytest.approx(same.chi2, abs=1e-3)
    assert 0.6 < found.chi2[0] < 1.5


@ways
def test_a_few_masked_channels_cost_what_they_knew(mode):
    found = fit_line(mode, [damaged(good_spectra()[1], [ZERO + 105, ZERO + 160], np.nan)])
    whole, sigma = undamaged(mode).value("LDO", "centre_mev")[1], found.sigma("LDO", "centre_mev")[0]
    assert abs(found.value("LDO", "centre_mev")[0] - whole) < sigma
    assert sigma == pytest.approx(undamaged(mode).sigma("LDO", "centre_mev")[1], rel=0.3)


@ways
def test_a_bad_channel_outside_the_window_changes_nothing(mode):
    # Wider than the response, as rows are whose energy jitters: the widening must survive.
    wide = replace(good_spectra()[1], counts=np.convolve(good_spectra()[1].counts, np.full(15, 1 / 15), "same"))
    results = [fit_line(mode, [s]) for s in (wide, damaged(wide, ZERO + 800, np.nan), damaged(wide, 5, np.inf))]
    for other in results[1:]:
        assert other.values["centre_mev"] == pytest.approx(results[0].values["centre_mev"], abs=1e-6, nan_ok=True)


def test_what_dark_subtraction_leaves_of_few_counts_is_not_masked():
    noise = np.random.default_rng(3).normal(0.0, 1.5, CHANNELS)
    zlp_only = synthetic.spectrum((), 1e5)
    spectrum = replace(zlp_only, counts=zlp_only.counts + noise)
    setup = replace(setup_of("wide"), noise=NoiseModel("given", 1.0, floor=1.5**2))
    assert spectrum.counts[ZERO + 55 : ZERO + 275].min() < 0
    assert fit_each(setup, [spectrum]).masked[0] == 0


@ways
@given(st.floats(15.0, 110.0), st.floats(0.0, 60.0))
@settings(max_examples=25)
@example(46.0, 7.0)  # fewer channels than parameters
@example(44.0, 12.0)
@example(82.0, 25.0)  # all peaks outside
@example(22.0, 23.0)
def test_windows_with_few_channels_or_without_the_peaks(mode, low, width):
    setup = replace(setup_of(mode), windows_mev=((low, low), (low + width, low + width)))
    if mode == "published":
        setup = replace(setup, recipe=replace(RECIPE, fit_window_mev=(low, low + width)), windows_mev=None)
    for fit in (fit_each, fit_together, lambda s, spectra: fit_rows(s, regions_of(), spectra)):
        try:
            found = fit(setup, good_spectra())
        except UnusableInput:
            continue
        assert_honest(found)


@ways
@given(st.floats(-12, 12))
@settings(max_examples=10)
@example(-12)
@example(12)
def test_counts_of_any_scale(mode, exponent):
    factor = 10.0**exponent
    found = fit_line(mode, [scaled(s, factor) for s in good_spectra()], factor)
    same = undamaged(mode)
    assert found.values["centre_mev"] == pytest.approx(same.values["centre_mev"], abs=2e-3, nan_ok=True)
    assert found.sigmas["centre_mev"] == pytest.approx(same.sigmas["centre_mev"], rel=0.01, nan_ok=True)
    assert found.values["area"] / factor == pytest.approx(same.values["area"], rel=0.01, nan_ok=True)
    assert found.chi2 == pytest.approx(same.chi2, abs=1e-4)


@ways
@given(st.floats(-12, 12))
@settings(max_examples=10)
@example(-12)
@example(12)
def test_a_row_of_another_scale_than_its_noise(mode, exponent):
    before, spectrum, after = good_spectra()
    found = fit_line(mode, [before, scaled(spectrum, 10.0**exponent), after])
    assert_honest(found)
    assert np.all(found.described[[0, 2]])


@ways
def test_rows_without_counts_are_left_out(mode):
    good = good_spectra()[1]
    empty = [scaled(good, 0.0), damaged(good, slice(None), np.nan), scaled(good, -1.0)]
    found = fit_line(mode, [empty[0], good, *empty[1:]])
    assert np.isfinite(found.chi2).tolist() == [False, True, False, False]
    for table in (found.values, found.sigmas):
        assert all(np.all(np.isnan(table[quantity][[0, 2, 3]])) for quantity in table)
    assert np.all(np.isnan(found.model[[0, 2, 3]])) and np.all(np.isfinite(found.model[1]))
    assert not found.described[0] and found.described[1]


@ways
@pytest.mark.parametrize("spectra", [[], "empty"], ids=["none", "empty"])
def test_nothing_to_fit_is_said(mode, spectra):
    spectra = [scaled(good_spectra()[0], 0.0)] if spectra == "empty" else []
    for fit in (fit_each, fit_together, lambda s, some: fit_rows(s, regions_of(), some)):
        with pytest.raises(UnusableInput, match="spectrum"):
            fit(setup_of(mode), spectra)


def test_spectra_are_not_fitted_together_without_one_of_them():
    with pytest.raises(UnusableInput, match="holds no counts"):
        fit_together(setup_of("shared"), [good_spectra()[0], scaled(good_spectra()[1], 0.0)])


def test_two_threads_at_once():
    jobs = [(mode, [spectrum] * 3) for mode in MODES for spectrum in good_spectra()[:2]] * 2
    regions_of()
    alone = [fit_line(*job) for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda job: fit_line(*job), jobs))
    for one, other in zip(alone, both):
        assert all(np.array_equal(one.values[q], other.values[q], equal_nan=True) for q in one.values)
        assert all(np.array_equal(one.sigmas[q], other.sigmas[q], equal_nan=True) for q in one.sigmas)
