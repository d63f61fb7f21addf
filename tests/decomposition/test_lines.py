"""Lines through the response against closed forms and brute-force convolution; derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import voigt_profile

from eels_iontransport.decomposition.lines import ConvolvedVoigts, PlainVoigts
from eels_iontransport.decomposition.response import Response, from_gain_side, from_vacuum

from . import synthetic

ENERGY = np.arange(22.1, 110.0, 0.4)
CENTRE, SIGMA, GAMMA = np.array([34.0, 50.3, 66.0]), np.array([1.5, 0.5, 3.0]), np.array([2.0, 0.2, 1.0])


def gaussian_response(sigma=3.4):
    energy = np.arange(-120.0, 120.2, 0.4)
    return Response(energy, np.exp(-0.5 * (energy / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)), 2.3548 * sigma, "test")


def test_a_gaussian_response_makes_a_wider_voigt():
    value = ConvolvedVoigts(ENERGY, gaussian_response())(CENTRE, SIGMA, GAMMA)[0]
    for k in range(3):
        exact = voigt_profile(ENERGY - CENTRE[k], np.hypot(SIGMA[k], 3.4), GAMMA[k])
        # What is left is the Lorentzian's tail coming round the circle: flat, and taken up by the background.
        assert np.abs(value[k] - exact).max() < 5e-4 * exact.max()


def test_a_measured_response_against_brute_force():
    zlp = synthetic.spectrum((), 1e9)
    measured = from_vacuum(zlp.energy_mev, zlp.counts)
    line = (50.3, 1.5, 0.7, 1e-3)
    expected = synthetic.spectrum([line], 1.0).counts - synthetic.spectrum((), 1.0).counts
    energy = zlp.energy_mev[560:760]
    value = ConvolvedVoigts(energy, measured)(*(np.array([p]) for p in line[:3]))[0][0] * 1e-3 * 0.4
    assert np.abs(value - expected[560:760]).max() < 5e-3 * expected.max()


@pytest.mark.parametrize(
    "shapes", [PlainVoigts(ENERGY), ConvolvedVoigts(ENERGY, gaussian_response())], ids=["plain", "convolved"]
)
@pytest.mark.parametrize("parameter", [0, 1, 2])
def test_derivatives(shapes, parameter):
    ends = []
    for sign in (1, -1):
        moved = [CENTRE.copy(), SIGMA.copy(), GAMMA.copy()]
        moved[parameter] += sign * 1e-5
        ends.append(shapes(*moved)[0])
    difference = (ends[0] - ends[1]) / 2e-5
    assert (
        np.abs(shapes(CENTRE, SIGMA, GAMMA)[1 + parameter] - difference).max() < 1e-7 * np.abs(difference).max() + 1e-10
    )


def test_the_response_has_unit_area_and_its_zero_at_the_peak():
    zlp = synthetic.spectrum((), 1e9)
    for found in (from_vacuum(zlp.energy_mev, zlp.counts), from_gain_side(zlp.energy_mev, zlp.counts)):
        assert found.density.sum() * 0.4 == pytest.approx(1.0)
        assert abs(found.energy_mev[found.density.argmax()]) < 0.2
        assert found.transform(np.zeros(1))[0] == pytest.approx(1.0)


def test_losses_do_not_get_into_a_response_from_the_gain_side():
    bare, lossy = synthetic.spectrum((), 1e9), synthetic.spectrum(synthetic.grain(), 1e9)
    clean = from_vacuum(bare.energy_mev, bare.counts)
    found = from_gain_side(lossy.energy_mev, lossy.counts)
    beyond = found.energy_mev > 30
    excess = np.abs(found.density - clean.density)[beyond].max()
    assert excess < 0.05 * np.abs(from_vacuum(lossy.energy_mev, lossy.counts).density - clean.density)[beyond].max()


def test_a_row_wider_than_the_response_has_wider_lines():
    response = gaussian_response(3.4)
    broadening = response.broadening(2.3548 * 4.0)
    assert broadening == pytest.approx(np.sqrt(4.0**2 - 3.4**2), rel=1e-3)
    assert response.broadening(2.0 * 3.4) == 0.0
    value = ConvolvedVoigts(ENERGY, response, broadening)(CENTRE, SIGMA, GAMMA)[0][0]
    exact = voigt_profile(ENERGY - CENTRE[0], np.hypot(SIGMA[0], 4.0), GAMMA[0])
    assert np.abs(value - exact).max() < 5e-4 * exact.max()
