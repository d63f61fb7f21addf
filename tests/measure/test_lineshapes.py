"""Voigt lines against scipy's, their derivatives against differences, their width against a search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import voigt_profile

from eels_iontransport.measure import lineshapes

ENERGY = np.linspace(20.0, 110.0, 301)
SHAPES = [(34.0, 4.0, 1.0), (50.1, 3.1, 0.1), (66.0, 6.0, 2.0), (81.0, 0.4, 5.0)]


@pytest.mark.parametrize("shape", SHAPES)
def test_value(shape):
    value = lineshapes.voigt_with_derivatives(ENERGY, *([p] for p in shape))[0][0]
    assert value == pytest.approx(voigt_profile(ENERGY - shape[0], *shape[1:]), rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parameter", [0, 1, 2])
def test_derivatives(shape, parameter):
    step = 1e-5
    ends = []
    for sign in (1, -1):
        moved = list(shape)
        moved[parameter] += sign * step
        ends.append(voigt_profile(ENERGY - moved[0], *moved[1:]))
    derivative = lineshapes.voigt_with_derivatives(ENERGY, *([p] for p in shape))[1 + parameter][0]
    assert derivative == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7)


@pytest.mark.parametrize(("sigma", "gamma"), [(3.4, 0.01), (4.0, 1.0), (2.0, 6.0), (0.05, 3.0)])
def test_width(sigma, gamma):
    half = 0.5 * voigt_profile(0.0, sigma, gamma)
    exact = 2 * brentq(lambda x: voigt_profile(x, sigma, gamma) - half, 0.0, 50.0)
    assert lineshapes.voigt_fwhm(sigma, gamma) == pytest.approx(exact, rel=3e-4)


@pytest.mark.parametrize(("fwhm", "gamma"), [(8.0, 0.1), (8.0, 2.0), (20.0, 6.0)])
def test_sigma_of_a_width_and_its_slope(fwhm, gamma):
    sigma, slope = lineshapes.sigma_for_fwhm(fwhm, gamma)
    assert lineshapes.voigt_fwhm(sigma, gamma) == pytest.approx(fwhm, rel=1e-12)
    above, below = (lineshapes.sigma_for_fwhm(fwhm, gamma + d)[0] for d in (1e-6, -1e-6))
    assert slope == pytest.approx((above - below) / 2e-6, rel=1e-5)


def test_a_lorentzian_wider_than_the_limit_leaves_no_sigma():
    assert lineshapes.sigma_for_fwhm(8.0, 6.0) == (0.0, 0.0)


def test_slopes_of_the_width():
    by_sigma, by_gamma = lineshapes.voigt_fwhm_slopes(3.0, 1.2)
    f = lineshapes.voigt_fwhm
    assert by_sigma == pytest.approx((f(3.0 + 1e-6, 1.2) - f(3.0 - 1e-6, 1.2)) / 2e-6, rel=1e-6)
    assert by_gamma == pytest.approx((f(3.0, 1.2 + 1e-6) - f(3.0, 1.2 - 1e-6)) / 2e-6, rel=1e-6)
