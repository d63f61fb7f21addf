"""What the counts and the description of the response do to a shift, against responses that were recorded again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.decomposition import response_draws, voigt_sum
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_together
from eels_iontransport.decomposition.response import Response, from_gain_side, from_vacuum
from eels_iontransport.measure.alignment import Aligned

from . import response_shifts
from .synthetic import POLARITONS, grain, noisy, spectrum

TRUE_SHIFT, WEIGHTS = 1.8, np.array([-0.5, 1.0, -0.5])
DRAWS = 12
FAINT = 2e5  # electrons in a ZLP whose counts show in the shift


def vacuum(electrons: float) -> Aligned:
    return spectrum([], electrons)


def response(of: Aligned) -> Response:
    return from_vacuum(of.energy_mev, of.counts)


@pytest.fixture(scope="module")
def regions() -> list[Aligned]:
    """Expected counts of three regions: of noise, only that of the response is to be seen."""
    return [spectrum(grain(shift, scale), 1e9) for shift, scale in ((0.0, 1.0), (TRUE_SHIFT, 0.75), (0.0, 1.0))]


@pytest.fixture(scope="module")
def setup() -> Setup:
    bare = Setup(eit.material("lco"), "shared", given(1.0), response(vacuum(1e9)))
    _, shapes = fit_aloof(bare, spectrum(POLARITONS, 1e9))
    return replace(bare, polaritons=shapes)


@pytest.fixture(scope="module")
def recorded_again(setup, regions) -> float:
    """Standard deviation of the shift over vacuum spectra that were recorded independently."""
    random = np.random.default_rng(11)
    again = [response(noisy(vacuum(FAINT), random)) for _ in range(DRAWS)]
    return response_shifts.shift_spread(setup, regions, again, "LDO", WEIGHTS)


def test_counts_drawn_around_one_spectrum_scatter_as_spectra_recorded_again(setup, regions, recorded_again):
    one = noisy(vacuum(FAINT), np.random.default_rng(5))
    drawn = response_draws.draw_counts(one, given(1.0), DRAWS, seed=1)
    assert len(drawn) == DRAWS
    found = response_shifts.shift_spread(setup, regions, drawn, "LDO", WEIGHTS)
    assert 0.4 < found / recorded_again < 2.5  # each is good to 20 %, and the one spectrum is not the mean one


def test_frames_drawn_anew_scatter_as_spectra_recorded_again(setup, regions, recorded_again):
    random, expected = np.random.default_rng(6), vacuum(FAINT / 40)
    axis = EnergyAxis(1e-3 * expected.energy_mev[0], 1e-3 * expected.step_mev, expected.energy_mev.size)
    frames = make_spectra(random.poisson(expected.counts, (40, axis.size)).astype(float), axis)
    drawn = response_draws.draw_frames(frames, np.zeros(40), DRAWS, seed=1)
    found = response_shifts.shift_spread(setup, regions, drawn, "LDO", WEIGHTS)
    assert 0.4 < found / recorded_again < 2.5


def test_of_many_counts_only_the_choice_of_voigts_is_left_and_it_is_told(setup, regions):
    """Several sums of Voigts describe this response equally well, and move the shift by more than 0.1 meV or hardly."""
    drawn = response_draws.draw_counts(vacuum(1e9), given(1.0), 6, seed=1)
    moved = response_shifts.shifts(setup, regions, drawn, "LDO", WEIGHTS)
    by_choice = [response_shifts.misfit_shift(replace(setup, response=one), regions, "LDO", WEIGHTS) for one in drawn]
    assert moved.std(ddof=1) > 0.03
    assert (moved - by_choice).std(ddof=1) < 0.25 * moved.std(ddof=1)


def test_counts_of_unknown_gain_are_drawn_with_their_noise(setup):
    one = noisy(vacuum(FAINT), np.random.default_rng(5))
    bright = Aligned(one.energy_mev, 7 * one.counts, 1)
    pairs = zip(response_draws.draw_counts(one, given(1.0), 3), response_draws.draw_counts(bright, given(1 / 7), 3))
    for a, b in pairs:
        assert b.density == pytest.approx(a.density, rel=1e-9, abs=1e-15)


def test_the_description_of_the_response_accounts_for_what_it_does_to_the_shift(setup, regions):
    """Without noise the fit is off by the description of the response, and by little else."""
    off = float(WEIGHTS @ fit_together(setup, regions).value("LDO", "centre_mev")) - TRUE_SHIFT
    found = response_shifts.misfit_shift(setup, regions, "LDO", WEIGHTS)
    assert abs(off) > 0.01  # else there is nothing to account for
    assert abs(off - found) < 0.5 * abs(off)


def test_a_response_that_is_its_description_does_nothing_to_the_shift(setup, regions):
    exact = setup.response
    described = Response(exact.energy_mev, voigt_sum.total(exact.energy_mev, exact.components), exact.fwhm_mev, "exact")
    off = response_shifts.misfit_shift(replace(setup, response=described), regions, "LDO", WEIGHTS)
    assert abs(off) < 0.25 * abs(response_shifts.misfit_shift(setup, regions, "LDO", WEIGHTS))


def test_shapes_of_the_aloof_spectrum_are_found_anew_with_each_response(setup, regions):
    wider = replace(setup.response, energy_mev=1.1 * setup.response.energy_mev, density=setup.response.density / 1.1)
    wider = replace(wider, fwhm_mev=1.1 * setup.response.fwhm_mev)
    aloof = spectrum(POLARITONS, 1e9), given(1.0)
    held, anew = (
        response_shifts.shifts(setup, regions, [setup.response, wider], "LDO", WEIGHTS, of) for of in (None, aloof)
    )
    assert held[0] == pytest.approx(anew[0], abs=2e-3)
    assert abs(held[1] - anew[1]) > 0.02


def test_the_gain_side_can_be_one_of_an_ensemble(setup, regions):
    total = vacuum(1e9)
    both = [setup.response, from_gain_side(total.energy_mev, total.counts)]  # the same here: it is symmetric
    found = response_shifts.shifts(setup, regions, both, "LDO", WEIGHTS)
    assert found[0] == pytest.approx(found[1], abs=0.01)


@pytest.mark.parametrize("rows", [3, 15])
def test_an_ensemble_is_of_frames_where_there_are_enough_and_of_counts_else(rows):
    expected = vacuum(FAINT)
    axis = EnergyAxis(1e-3 * expected.energy_mev[0], 1e-3 * expected.step_mev, expected.energy_mev.size)
    counts = np.random.default_rng(0).poisson(expected.counts, (rows, axis.size)).astype(float)
    zero = np.r_[np.nan, np.zeros(rows - 1)]
    counts[0] = 1e9  # has no zero and takes no part
    found = response_draws.response_ensemble(make_spectra(counts, axis), zero, given(1.0), 5)
    sums = {round(float(one.fwhm_mev), 6) for one in found}
    assert len(sums) == 5 and all(7.5 < width < 8.5 for width in sums)
    whole = response(Aligned(expected.energy_mev, counts[1:].sum(axis=0), rows - 1))
    for one in found:
        density = np.interp(whole.energy_mev, one.energy_mev, one.density)
        assert np.abs(density - whole.density).max() < 0.1 * whole.density.max()
    with pytest.raises(UnusableInput, match="no zero-loss peak"):
        response_draws.response_ensemble(make_spectra(counts, axis), np.full(rows, np.nan), given(1.0), 5)


def test_few_frames_are_refused_with_what_to_do():
    axis = EnergyAxis(-0.2, 0.0004, 1500)
    frames = make_spectra(np.random.default_rng(0).poisson(vacuum(FAINT).counts, (5, 1500)).astype(float), axis)
    with pytest.raises(UnusableInput, match="5 frames.*12"):
        response_draws.draw_frames(frames, np.zeros(5))


def test_centres_that_are_not_determined_have_no_spread(setup, regions):
    far = [regions[0], spectrum(grain(9.0, 2.0), 1e9), regions[2]]  # beyond the limit of the centre
    drawn = response_draws.draw_counts(vacuum(1e9), given(1.0), 4)
    assert np.isnan(response_shifts.shift_spread(setup, far, drawn, "LDO", WEIGHTS))
    assert np.isfinite(response_shifts.shift_spread(setup, far, drawn, "LDO", np.array([-1.0, 0.0, 1.0])))
