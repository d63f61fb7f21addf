"""The lmfit model of a fit: its lines against brute-force convolution, its limits, its names, and what it recovers."""

from __future__ import annotations

import subprocess
import sys

import lmfit
import numpy as np
import pytest
from scipy.signal import fftconvolve

from eels_iontransport import materials
from eels_iontransport.decomposition import reference
from eels_iontransport.decomposition.layout import KnownShapes, Sharing, lay_out
from eels_iontransport.decomposition.problem import Data, FwhmLimits, Layout, Prior
from eels_iontransport.measure.background import log_polynomial

RECIPE = materials.load("lco")
NAMES = [peak.name for peak in RECIPE.peaks]
FINE_MEV = 0.05
FINE = np.arange(-1200.0, 1200.0 + FINE_MEV / 2, FINE_MEV)
ENERGY = np.arange(25.0, 100.0, 0.5)
RESPONSES = (((0.8, 0.3, 3.0, 0.6), (0.2, -1.0, 6.0, 4.0)), ((1.0, -0.2, 3.4, 0.8), (0.0, 0.0, 1.0, 1.0)))


def gauss(sigma):
    density = np.exp(-0.5 * (FINE / sigma) ** 2)
    return density / density.sum()


def lorentz(gamma):
    return FINE_MEV * gamma / np.pi / (FINE**2 + gamma**2)


def seen(lines, response):
    """Lines (centre, sigma, gamma, area) convolved with the response on a fine grid, at ENERGY."""
    total = np.zeros(ENERGY.size)
    for centre, sigma, gamma, area in lines:
        line = fftconvolve(gauss(sigma), lorentz(gamma) / FINE_MEV, mode="same")
        for weight, offset, wider_sigma, wider_gamma in response:
            kernel = fftconvolve(gauss(wider_sigma), lorentz(wider_gamma), mode="same")
            wider = fftconvolve(line, kernel, mode="same")
            total += area * weight * np.interp(ENERGY - centre - offset, FINE, wider)
    return total


def two_spectra():
    """A layout of two lines in two spectra, centres apart and widths together, the first line moved by an offset."""
    lower, upper = np.array([30.0, 45, 46, 0.5, 1, 0.2, 0.3, -3]), np.array([36.0, 55, 56, 3, 4, 2, 3, 3])
    centre, sigma, gamma = np.array([[0, 1], [0, 2]]), np.array([[3, 4], [3, 4]]), np.array([[5, 6], [5, 6]])
    layout = Layout(centre, sigma, gamma, np.array([7, -1]), lower, upper)
    theta = np.array([33.0, 50.2, 51.9, 1.5, 2.2, 0.9, 1.1, -0.7])
    smooth = log_polynomial(ENERGY, 1)
    counts = np.array(
        [
            seen([(32.3, 1.5, 0.9, 3e5), (50.2, 2.2, 1.1, 2e5)], RESPONSES[0]) + [4e3, -1e3] @ smooth,
            seen([(32.3, 1.5, 0.9, 2e5), (51.9, 2.2, 1.1, 4e5)], RESPONSES[1]) + [2e3, 5e2] @ smooth,
        ]
    )
    energy, background = np.tile(ENERGY, (1, 2, 1)), np.tile(smooth, (1, 2, 1, 1))
    data = Data(energy, counts[None], np.sqrt(counts)[None], background, np.array([RESPONSES]))
    return layout, data, theta


def lco_problem(mode_limits, sharing, spectra=1):
    """The peaks of the recipe on flat counts: for what does not hang on the counts."""
    shapes = {peak.name: peak.published if mode_limits else peak.wide for peak in RECIPE.peaks}
    layout, start = lay_out(RECIPE.peaks, shapes, spectra, sharing)
    counts = np.full((1, spectra, ENERGY.size), 1e4)
    background = np.tile(log_polynomial(ENERGY, 1), (1, spectra, 1, 1))
    response = np.tile([1.0, 0, 0, 0], (1, spectra, 1, 1))
    return layout, Data(np.tile(ENERGY, (1, spectra, 1)), counts, np.sqrt(counts), background, response), start


def test_lines_are_convolutions_with_the_response():
    layout, data, theta = two_spectra()
    minimizer = reference.model(layout, data, theta, ["A", "B"])
    values = minimizer.params.valuesdict()
    assert values["A_area_0"] == pytest.approx(3e5, rel=1e-5) and values["B_area_1"] == pytest.approx(4e5, rel=1e-5)
    assert minimizer.userfcn.model(minimizer.params) == pytest.approx(data.counts[0], rel=1e-6)


def test_a_fit_finds_what_the_spectra_were_made_with():
    layout, data, theta = two_spectra()
    lower, upper = layout.lower.copy(), layout.upper.copy()
    lower[7] = upper[7] = -0.7  # the offset moves the same line as its centre does
    layout = Layout(layout.centre, layout.sigma, layout.gamma, layout.offset, lower, upper)
    start = np.array([35.0, 53, 48, 2.5, 1.2, 0.4, 2.5, -0.7])
    found = reference.fit(layout, data, start[None], ["A", "B"])
    assert found.theta == pytest.approx(theta, abs=2e-3)
    assert found.areas == pytest.approx(np.array([[3e5, 2e5], [2e5, 4e5]]), rel=1e-3)
    assert found.background == pytest.approx(np.array([[4e3, -1e3], [2e3, 5e2]]), rel=1e-2)
    assert found.cost < 1e-4 and found.cost == pytest.approx(found.chi2.sum())


def test_the_best_of_several_optima_is_kept():
    lower, upper, two = np.array([30.0, 2.0, 1.0]), np.array([90.0, 2.0, 1.0]), np.zeros((1, 1), int)
    layout = Layout(two, two + 1, two + 2, np.array([-1]), lower, upper)
    plain = ((1.0, 0.0, 1e-3, 1e-3),)
    counts = seen([(40.0, 2.0, 1.0, 1e4), (60.0, 2.0, 1.0, 3e4), (80.0, 2.0, 1.0, 1e4)], [(1.0, 0.0, 0.1, 1e-3)]) + 1.0
    arrays = (ENERGY, counts, np.sqrt(counts), np.empty((0, ENERGY.size)), np.array(plain))
    data = Data(*(array[None, None] for array in arrays))
    starts = np.array([[41.0, 2.0, 1.0], [59.0, 2.0, 1.0], [79.0, 2.0, 1.0]])
    assert reference.fit(layout, data, starts, ["A"]).theta[0] == pytest.approx(60.0, abs=0.1)


def test_masked_channels_do_not_count():
    layout, data, theta = two_spectra()
    spoilt, sigma = data.counts.copy(), data.sigma.copy()
    spoilt[0, 0, 40], spoilt[0, 1, 60:63] = np.nan, 1e9
    sigma[0, 0, 40] = sigma[0, 1, 60:63] = np.inf
    minimizer = reference.model(
        layout, Data(data.energy_mev, spoilt, sigma, data.background, data.response), theta, "AB"
    )
    residual = minimizer.userfcn(minimizer.params)
    assert residual.size == 2 * ENERGY.size - 4
    assert np.abs(residual).max() < 1e-3


def test_what_is_known_beforehand_adds_to_chi_squared():
    layout, data, theta = two_spectra()
    covariance = np.array([[0.25, 0.3], [0.3, 1.0]])
    priors = (Prior(np.array([7, 3]), np.array([0.0, 1.0]), covariance),)
    known = Layout(layout.centre, layout.sigma, layout.gamma, layout.offset, layout.lower, layout.upper, priors)
    minimizer = reference.model(known, data, theta, ["A", "B"])
    deviation = np.array([-0.7, 0.5])
    cost = np.sum(minimizer.userfcn(minimizer.params) ** 2)
    assert cost == pytest.approx(deviation @ np.linalg.solve(covariance, deviation), abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_limits_on_the_fwhm_hold_wherever_the_search_goes(seed):
    limits = (8.0, 12.0)
    layout, data, start = lco_problem(True, Sharing(common_widths=False, fwhm_mev=limits))
    parameters = reference.model(layout, data, start, NAMES).params
    random = np.random.default_rng(seed)
    for name in NAMES:
        parameters[f"{name}_sigma_fraction"].value = random.choice([0.0, 1.0, random.uniform()])
        parameters[f"{name}_gamma"].value = random.uniform(0.1, 2.0)
    for peak in RECIPE.peaks:
        sigma, gamma = (parameters[f"{peak.name}_{q}"].value for q in ("sigma", "gamma"))
        assert limits[0] - 1e-9 <= parameters[f"{peak.name}_fwhm"].value <= limits[1] + 1e-9
        assert peak.sigma_mev.lower <= sigma <= peak.sigma_mev.upper
        falling = fftconvolve(gauss(sigma), lorentz(gamma), mode="same")[FINE.size // 2 :]
        width = 2 * np.interp(-falling[0] / 2, -falling, FINE_MEV * np.arange(falling.size))
        assert parameters[f"{peak.name}_fwhm"].value == pytest.approx(width, rel=5e-4)


def test_limits_on_the_fwhm_are_those_of_the_engine():
    layout, data, start = lco_problem(True, Sharing(common_widths=False, fwhm_mev=(8.0, 12.0)))
    assert isinstance(layout.fwhm_limits, FwhmLimits)
    values = reference.model(layout, data, start, NAMES).params.valuesdict()
    sigma = layout.line_parameters(start)[1][0]
    assert [values[f"{name}_sigma"] for name in NAMES] == pytest.approx(sigma, abs=1e-12)


def test_names_say_what_is_shared():
    aloof = KnownShapes(np.array([34.0, 4, 1, 54, 5, 1, 74, 5.5, 1]), 0.04 * np.eye(9))
    layout, data, start = lco_problem(False, Sharing(aloof, 1.0), spectra=3)
    parameters = reference.model(layout, data, start, NAMES).params
    searched = {name for name, p in parameters.items() if p.vary}
    assert {"LDO_centre_0", "LDO_centre_2", "LDO_sigma", "LDO_gamma", "LDO_area_1", "PhP1_centre"} <= searched
    assert {"polariton_offset", "PhP2_sigma", "PhP2_area_0", "background_0_2", "background_1_0"} <= searched
    assert not searched & {"LDO_centre", "LDO_sigma_0", "PhP1_centre_0", "LDO_area", "LDO_fwhm"}
    assert len(searched) == layout.free.sum() + 3 * len(NAMES) + 3 * 2


def test_names_of_one_spectrum_are_not_numbered():
    layout, data, start = lco_problem(True, Sharing(KnownShapes(np.full(9, 5.0)), common_widths=False))
    parameters = reference.model(layout, data, start, NAMES).params
    assert {"LDO_centre", "LDO_sigma", "LDO_gamma", "LDO_area", "background_0"} <= set(parameters)
    assert not parameters["PhP1_centre"].vary and parameters["PhP1_centre"].value == 5.0


def test_names_that_lmfit_cannot_take_are_made_so_that_it_can():
    layout, data, theta = two_spectra()
    for names, expected in ((["O-H", "O H"], ["O_H", "O_H_"]), (["1s", "\u03bd1"], ["_1s", "_1"])):
        found = reference.model(layout, data, theta, names).params
        assert {f"{name}_sigma" for name in expected} <= set(found)


def test_the_user_can_release_and_hold_parameters():
    layout, data, theta = two_spectra()
    minimizer = reference.model(layout, data, theta, ["A", "B"])
    minimizer.params["polariton_offset"].set(vary=False)
    minimizer.params["B_sigma"].set(value=2.0, vary=False)
    result = minimizer.least_squares()
    assert result.params["B_sigma"].value == 2.0 and result.chisqr > 1
    assert "B_sigma" not in result.var_names


def test_confidence_intervals_of_lmfit_agree_with_its_standard_errors():
    layout, data, theta = two_spectra()
    lower, upper = layout.lower.copy(), layout.upper.copy()
    for held in (0, 3, 5, 7):
        lower[held] = upper[held] = theta[held]
    layout = Layout(layout.centre, layout.sigma, layout.gamma, layout.offset, lower, upper)
    counts = np.random.default_rng(1).poisson(data.counts).astype(float)
    data = Data(data.energy_mev, counts, data.sigma, data.background, data.response)
    found = reference.fit(layout, data, theta[None], ["A", "B"])
    interval = lmfit.conf_interval(found.minimizer, found.result, p_names=["B_centre_0"], sigmas=[1])["B_centre_0"]
    (_, low), _, (_, high) = interval
    # lmfit takes its intervals from ratios of chi-squared, which stretches them by the misfit.
    assert found.sigma()[1] * np.sqrt(found.result.redchi) == pytest.approx((high - low) / 2, rel=0.02)
    assert np.isnan(found.sigma()[0])
    assert "B_centre_0" in lmfit.fit_report(found.result)


def test_lmfit_is_not_imported_before_it_is_needed():
    code = "import sys, eels_iontransport.decomposition.reference; sys.exit('lmfit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
