"""The response as a sum of Voigts: lines through it against brute-force convolution, centres, and bad peaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.signal import fftconvolve
from scipy.special import voigt_profile

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import given
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_together
from eels_iontransport.decomposition.response import Response, from_gain_side, from_vacuum
from eels_iontransport.files import load
from eels_iontransport.measure.alignment import Aligned
from eels_iontransport.prepared import prepare
from eels_iontransport.simulation.response import response as simulated

from . import synthetic

ENERGY = np.arange(-200.0, 400.0, 0.4) + 0.13
WINDOW = np.arange(22.0, 110.0, 0.4)
FINE_MEV = 0.02
SHAPES = [(1.0, 0.5), (2.0, 1.0), (5.0, 0.2), (0.3, 6.0), (5.0, 6.0)]
NANOTUBES = ["EmptyCNT_RT", "FilledCNT_1pt4nm_RT"]
SPECIMEN_ENDS_MEV = 88.0  # beyond lies a phonon of the nanotubes' support
CLEAN = simulated(ENERGY)
SATURATING = np.minimum(1e6 * CLEAN, 3e5 + 1e4 * CLEAN)


def of_simulation(fwhm_mev=8.0, step_mev=0.4):
    energy = np.arange(-200.0, 400.0, step_mev)
    return from_vacuum(energy, 1e8 * simulated(energy, fwhm_mev))


def skewed(tail_mev):
    """A simulated response whose core falls off exponentially on the loss side, as an aberration makes it."""
    delays = np.arange(0.0, 15 * tail_mev, 0.05)
    share = np.exp(-delays / tail_mev)
    core = share / share.sum() @ np.exp(-0.5 * ((ENERGY - delays[:, None] + 0.6 * tail_mev) / 3.0) ** 2)
    tails = simulated(ENERGY) - np.exp(-0.5 * (ENERGY / 3.4) ** 2)
    return from_vacuum(ENERGY, 1e8 * (core / core.max() + np.maximum(tails, 0.0)))


def of_nanotube(folder, name, make):
    total = prepare(load(folder / "hermes_cnt" / f"{name}.ndata1")).total()
    response = make(total.energy_mev, total.counts)
    inside = response.energy_mev < SPECIMEN_ENDS_MEV
    density = response.density[inside] / (response.density[inside].sum() * total.step_mev)
    return Response(response.energy_mev[inside], density, response.fwhm_mev, response.source)


def convolved(response, lines, energy_mev):
    """Lines (centre, sigma, gamma, area) convolved with the density on a fine grid, at energy_mev."""
    first, last = response.energy_mev[[0, -1]]
    kernel_energy = np.arange(first, last, FINE_MEV)
    kernel = CubicSpline(response.energy_mev, response.density)(kernel_energy)
    fine = np.arange(-30.0, 220.0, FINE_MEV)
    intrinsic = sum(area * voigt_profile(fine - c, s, g) for c, s, g, area in lines)
    values = fftconvolve(intrinsic, kernel / kernel.sum())
    return np.interp(energy_mev, fine[0] + first + FINE_MEV * np.arange(values.size), values)


def through_voigts(components, centre, sigma, gamma):
    weight, offset, wider, broader = components.T[:, :, None]
    return (weight * voigt_profile(WINDOW - centre - offset, np.hypot(sigma, wider), gamma + broader)).sum(axis=0)


def worst_line(response, shapes=SHAPES):
    """Largest deviation of a line through the components from brute force, over its maximum; areas are free."""
    worst = 0.0
    for sigma, gamma in shapes:
        for centre in (30.0, 50.3, 100.0):
            expected = convolved(response, [(centre, sigma, gamma, 1.0)], WINDOW)
            found = through_voigts(response.components, centre, sigma, gamma)
            found *= (found @ expected) / (found @ found)
            worst = max(worst, np.abs(found - expected).max() / expected.max())
    return worst


@pytest.mark.parametrize(
    "response",
    [of_simulation(), of_simulation(5.0), of_simulation(11.0), of_simulation(step_mev=1.0), skewed(2.0)],
    ids=["8 meV", "5 meV", "11 meV", "coarse channels", "skewed"],
)
def test_lines_through_few_voigts_are_lines_convolved_with_the_response(response):
    assert len(response.components) <= 6
    assert response.components[:, 0].sum() == pytest.approx(1.0) and response.components[:, 0].min() > 0
    assert worst_line(response) < 1e-3
    assert worst_line(response, [(0.3, 0.2)]) < 2e-3
    assert response.is_described


@pytest.mark.parametrize("make", [from_vacuum, from_gain_side])
@pytest.mark.parametrize("name", NANOTUBES)
def test_lines_through_measured_responses(measured, name, make):
    response = of_nanotube(measured, name, make)
    assert len(response.components) <= 5
    assert worst_line(response) < 1e-3
    assert response.is_described


def centres_off(response, shift_mev=1.8):
    """By how much the fit of spectra without noise misses the LDO centre and its shift, in standard deviations."""
    electrons, step_mev = 1.3e9, 0.4
    energy = np.arange(-80.0, 180.0, step_mev)
    # A background that the fit can follow exactly: what is missed comes from the lines.
    background = CubicSpline(response.energy_mev, response.density)(energy)
    smooth = (energy > 15.0) & (energy < 130.0)
    background[smooth] = 2.5e-4 * (energy[smooth] / 50.0) ** -2 * (1 - 0.3 * np.log(energy[smooth] / 50.0))
    spectra = []
    for lines in (
        synthetic.POLARITONS,
        *(synthetic.grain(d, a) for d, a in ((0.0, 1.0), (shift_mev, 1.3), (0.0, 0.9))),
    ):
        density = background + convolved(response, lines, energy)
        spectra.append(Aligned(energy, electrons * step_mev * density, 1))
    setup = Setup(materials.load("lco"), "shared", given(1.0), response)
    _, shapes = fit_aloof(setup, spectra[0])
    found = fit_together(replace(setup, polaritons=shapes), spectra[1:])
    weights = np.array([[0.0, 1.0, 0.0], [-0.5, 1.0, -0.5]])
    missed = found.value("LDO", "centre_mev") - np.array([49.6, 49.6 + shift_mev, 49.6])
    sigma = np.sqrt(np.diag(weights @ found.centre_covariance("LDO") @ weights.T))
    return np.abs(weights @ missed) / sigma


@pytest.mark.parametrize("response", [of_simulation(), of_simulation(5.0), skewed(2.0)], ids=["8", "5", "skewed"])
def test_centres_do_not_move_for_it(response):
    assert centres_off(response).max() < 0.1


@pytest.mark.parametrize("make", [from_vacuum, from_gain_side])
@pytest.mark.parametrize("name", NANOTUBES)
def test_centres_do_not_move_with_measured_responses(measured, name, make):
    assert centres_off(of_nanotube(measured, name, make)).max() < 0.1


def test_a_gaussian_peak_is_one_gaussian():
    components = from_vacuum(ENERGY, 1e6 * np.exp(-0.5 * (ENERGY / 3.4) ** 2)).components
    assert components.shape == (1, 4)
    assert components[0] == pytest.approx([1.0, 0.0, 3.4, 0.0], abs=5e-3)


def test_widened_components_have_the_width_of_the_spectrum():
    response = of_simulation()
    assert np.array_equal(response.components_for(7.0), response.components)
    fine = np.linspace(-10.0, 10.0, 20001)
    for fwhm_mev in (8.0, 9.0, 11.0):
        weight, offset, sigma, gamma = response.components_for(fwhm_mev).T[:, :, None]
        seen = (weight * voigt_profile(fine - offset, sigma, gamma)).sum(axis=0)
        above = fine[seen > 0.5 * seen.max()]
        assert above[-1] - above[0] == pytest.approx(fwhm_mev, rel=0.02)


def test_losses_do_not_get_into_a_response_from_the_gain_side():
    bare, lossy = synthetic.spectrum((), 1e9), synthetic.spectrum(synthetic.grain(), 1e9)
    clean = from_vacuum(bare.energy_mev, bare.counts)
    found = from_gain_side(lossy.energy_mev, lossy.counts)
    beyond = found.energy_mev > 30.0
    excess = np.abs(found.density - clean.density)[beyond].max()
    assert excess < 0.05 * np.abs(from_vacuum(lossy.energy_mev, lossy.counts).density - clean.density)[beyond].max()
    assert found.density.sum() * 0.4 == pytest.approx(1.0)


def noisy(maximum, read, seed=0):
    random = np.random.default_rng(seed)
    return random.poisson(maximum * CLEAN) + read * random.standard_normal(CLEAN.size)


def with_gaps():
    counts = 1e6 * CLEAN
    counts[[10, 400, 499, 500, 501, 700]] = np.nan
    return counts


@pytest.mark.parametrize("make", [from_vacuum, from_gain_side])
@pytest.mark.parametrize(
    "counts",
    [noisy(1e5, 6.0), noisy(1e3, 10.0), noisy(30.0, 0.0), 1e6 * CLEAN - 3e3, SATURATING, with_gaps()],
    ids=["noisy", "few counts", "hardly any", "dark level too high", "saturated", "gaps"],
)
def test_a_bad_peak_has_a_response_all_the_same(counts, make):
    response = make(ENERGY, counts)
    weight, offset, sigma, gamma = response.components.T
    assert np.all(np.isfinite(response.components)) and len(weight) <= 6
    assert weight.min() > 0 and weight.sum() == pytest.approx(1.0)
    assert np.abs(offset).max() < 80.0 and sigma.min() > 0 and gamma.min() >= 0
    core = np.abs(response.energy_mev) < 3.0  # the sum is a peak of unit area, near zero
    sum_of_voigts = weight @ voigt_profile(response.energy_mev[core] - offset[:, None], sigma[:, None], gamma[:, None])
    assert sum_of_voigts.mean() == pytest.approx(response.density[core].mean(), rel=0.1)


@pytest.mark.parametrize("first_mev", [-40.0, -17.0])
@pytest.mark.parametrize("make", [from_vacuum, from_gain_side])
def test_a_short_gain_side_is_enough(make, first_mev):
    inside = first_mev < ENERGY
    response = make(ENERGY[inside], 1e6 * CLEAN[inside])
    assert response.is_described
    assert np.all(np.abs(response.components[:, 1]) < -first_mev)


@pytest.mark.parametrize(
    ("energy", "counts", "said"),
    [
        (ENERGY[ENERGY > -10], CLEAN[ENERGY > -10], "peak is 8 meV wide and seen to 10 meV only"),
        (ENERGY[ENERGY > 5], CLEAN[ENERGY > 5], "shows no whole, unsaturated peak"),
        (250 * ENERGY, CLEAN, "meV wide and seen to 120 meV only"),
        (ENERGY, 0 * CLEAN, "shows no whole, unsaturated peak"),
        (ENERGY, -CLEAN, "shows no whole, unsaturated peak"),
        (ENERGY, CLEAN - 0.1, "shows no whole, unsaturated peak"),
        (ENERGY, np.nan * CLEAN, "hold no number"),
    ],
    ids=["cut off", "without", "coarse", "empty", "negative", "dark level far too high", "not a number"],
)
@pytest.mark.parametrize("make", [from_vacuum, from_gain_side])
def test_what_is_no_peak_is_refused(energy, counts, said, make):
    with pytest.raises(UnusableInput, match=said):
        make(energy, counts)


def test_a_response_that_few_voigts_do_not_describe_says_so():
    good = of_simulation()
    assert good.is_described and good.misfit < 1e-3
    clipped = from_vacuum(ENERGY, SATURATING)
    assert not clipped.is_described
    assert clipped.misfit == pytest.approx(worst_line(clipped, [(2.0, 1e-6)]), rel=0.3)
    assert not from_vacuum(ENERGY, noisy(1e3, 10.0)).is_described
    assert not from_vacuum(ENERGY, 1e6 * (CLEAN + np.interp(ENERGY - 60.0, ENERGY, CLEAN))).is_described
