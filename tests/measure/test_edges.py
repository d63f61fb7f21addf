"""Edge shapes against what their parameters mean, and the joint fit against spectra of other shapes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.materials import Edge, WhiteLine
from eels_iontransport.measure import edgefit
from eels_iontransport.measure.edges import GAUSSIAN, LOGISTIC, cross_talk, deformed, normalised, prior_sigma, shape

from .edge_spectra import AXIS, cobalt, expected, lithium

FINE = np.arange(30.0, 120.0, 0.01)
STEP = Edge("X", "X", 60.0, (43.0, 45.0), (62.0, 70.0), onset_width_ev=2.0, decay_exponent=0.0)
LINE = replace(STEP, continuum=0.0, white_lines=(WhiteLine(64.0, 3.0, 0.7),))
EDGES = materials.load("lco").edges
CHANNELS = AXIS.channels(46.0, 75.0)
ENERGY = AXIS.energies_ev[CHANNELS]


@pytest.mark.parametrize("form", [GAUSSIAN, LOGISTIC])
def test_step_rises_from_zero_to_one_at_its_onset_with_its_width(form):
    step = shape(STEP, FINE, form)
    assert step[0] == pytest.approx(0.0, abs=1e-9) and step[-1] == pytest.approx(1.0)
    assert np.interp(60.0, FINE, step) == pytest.approx(0.5)
    rise = np.gradient(step, FINE)
    above = FINE[rise > 0.5 * rise.max()]
    assert np.ptp(above) == pytest.approx(2.0, abs=0.03)


def test_white_line_has_its_height_centre_and_width():
    line = shape(LINE, FINE)
    assert line.max() == pytest.approx(0.7)
    assert FINE[line.argmax()] == pytest.approx(64.0, abs=0.01)
    assert np.ptp(FINE[line > 0.35]) == pytest.approx(3.0, abs=0.03)


def test_continuum_falls_with_its_exponent():
    edge = replace(STEP, decay_exponent=3.0)
    assert shape(edge, np.array([120.0]))[0] == pytest.approx(0.125)


def test_no_deformation_is_the_edge_itself():
    for edge in EDGES:
        assert deformed(edge, np.zeros(prior_sigma(edge).size)) == edge


def test_deformation_by_hand():
    edge = deformed(LINE, np.array([0.5, np.log(2), 1.0, -0.3, np.log(3), np.log(0.5)]))
    assert (edge.onset_ev, edge.onset_width_ev, edge.decay_exponent) == pytest.approx((60.5, 4.0, 1.0))
    line = edge.white_lines[0]
    assert (line.centre_ev, line.fwhm_ev, line.weight) == pytest.approx((63.7, 9.0, 0.35))


def test_normalised_shapes_hold_one_count_in_their_window():
    energy = AXIS.energies_ev
    for edge in EDGES:
        low, high = edge.signal_window_ev
        plain, moved = normalised(edge, energy, np.array([0.0, 2.0]))
        assert plain[(energy > low) & (energy < high)].sum() == pytest.approx(1.0, rel=0.03)
        assert moved[(energy > low + 2) & (energy < high + 2)].sum() == pytest.approx(1.0, rel=0.03)


def test_cross_talk_of_two_steps_by_hand():
    first = replace(STEP, element="A", onset_ev=50.0, onset_width_ev=0.01, signal_window_ev=(50.0, 55.0))
    second = replace(STEP, element="B", onset_ev=60.0, onset_width_ev=0.01, signal_window_ev=(60.0, 70.0))
    assert cross_talk((first, second)) == pytest.approx(np.array([[1.0, 0.0], [2.0, 1.0]]), abs=1e-9)


def fitted(amounts, shifts=None, exponents=(3.2, 3.2)):
    """Joint fit of noise-free spectra with these amounts of Li and Co."""
    shifts = shifts or [0.0] * len(amounts)
    counts = np.array(
        [expected(*n, s, exponent=r)[CHANNELS] for n, s, r in zip(amounts, shifts, exponents, strict=True)]
    )
    return edgefit.fit(ENERGY, counts, counts, EDGES, np.array(exponents), order=1)


def test_amounts_follow_their_elements():
    fit = fitted([(1.0, 1.0), (0.8, 1.1)])
    assert fit.amounts[1] / fit.amounts[0] == pytest.approx([0.8, 1.1], rel=0.05)
    assert fit.window_amounts[1] / fit.window_amounts[0] == pytest.approx([0.8, 1.1], rel=0.03)
    own = [
        f(ENERGY)[(ENERGY > w[0]) & (ENERGY < w[1])].sum() for f, w in zip((lithium, cobalt), windows(), strict=True)
    ]
    assert fit.amounts[0] / (0.15 * 4e4) == pytest.approx(own, rel=0.15)


def windows():
    return [edge.signal_window_ev for edge in EDGES]


def test_edge_shift_is_found_and_is_no_change_of_amounts():
    fit = fitted([(1.0, 1.0), (1.0, 1.0)], shifts=[0.0, 0.5])
    assert fit.shift_ev[1] - fit.shift_ev[0] == pytest.approx(0.5, abs=0.02)
    assert fit.amounts[1] / fit.amounts[0] == pytest.approx([1.0, 1.0], rel=0.01)


def test_equal_spectra_have_equal_amounts_whatever_the_shapes():
    fit = fitted([(1.0, 1.0), (1.0, 1.0)])
    assert fit.amounts[1] == pytest.approx(fit.amounts[0], rel=1e-4)


def test_covariance_covers_over_seeds():
    clean = np.array([expected(level=3e3)[CHANNELS], expected(0.8, 1.1, level=4e3)[CHANNELS]])
    exponents = np.array([3.2, 3.2])
    without_noise = edgefit.fit(ENERGY, clean, clean, EDGES, exponents)
    ratio, sigma = [], []
    for seed in range(100):
        noisy = np.random.default_rng(seed).poisson(clean).astype(float)
        fit = edgefit.fit(ENERGY, noisy, clean, EDGES, exponents)
        n = fit.amounts
        ratio.append(n[1, 0] / n[0, 0])
        gradient = np.array([-n[1, 0] / n[0, 0] ** 2, 0, 1 / n[0, 0], 0])
        sigma.append(np.sqrt(gradient @ fit.covariance @ gradient))
    pull = (np.array(ratio) - without_noise.amounts[1, 0] / without_noise.amounts[0, 0]) / sigma
    assert 0.8 < pull.std() < 1.2
    assert abs(pull.mean()) < 0.4


def test_too_few_channels_are_refused():
    with pytest.raises(UnusableInput, match="too few channels"):
        edgefit.fit(ENERGY[:20], np.ones((1, 20)), np.ones((1, 20)), EDGES, np.array([3.0]))


def gaussian_edge(energy, onset_ev, width_ev, decay, *lines):
    """A step that falls, under Gaussian lines (centre, FWHM, height)."""
    step = 0.5 * (1 + erf((energy - onset_ev) / (0.6 * width_ev))) * (energy / onset_ev) ** -decay
    return step + sum(h * np.exp(-4 * np.log(2) * ((energy - c) / w) ** 2) for c, w, h in lines)


LI = [
    (55.48, 0.73, 2.34, (55.73, 1.82, 0.62), (60.49, 1.91, 2.56)),
    (55.44, 0.66, 2.21, (55.02, 1.40, 0.82), (61.01, 2.88, 3.01)),
    (55.52, 0.68, 3.59, (55.73, 1.68, 0.37), (60.77, 3.08, 2.18)),
]
CO = [
    (60.52, 1.51, 2.33, (58.87, 1.49, 0.40), (64.68, 4.27, 1.54)),
    (60.37, 2.59, 2.94, (59.02, 1.44, 0.34), (64.07, 4.57, 3.15)),
    (60.11, 1.35, 3.55, (59.27, 2.03, 0.34), (64.34, 4.42, 1.67)),
]


@pytest.mark.parametrize(("lithium_edge", "cobalt_edge"), list(zip(LI, CO)))
def test_shapes_far_from_the_recipe_are_found(lithium_edge, cobalt_edge):
    """Begun with the full weight of the counts, the search ended elsewhere, with a reduced chi-squared of 3 to 10."""
    lithium_counts, cobalt_counts = (gaussian_edge(ENERGY, *edge) for edge in (lithium_edge, cobalt_edge))
    amounts = ((17.0, 17.0), (2.7, 3.7), (16.0, 16.0))
    clean = [
        2e5 * (sum(n) / 2 * (ENERGY / 43) ** -3.2 + 0.15 * (n[0] * lithium_counts + n[1] * cobalt_counts))
        for n in amounts
    ]
    counts = np.random.default_rng(0).poisson(clean).astype(float)
    fit = edgefit.fit(ENERGY, counts, np.array(clean), EDGES, np.full(3, 3.2), order=2)
    assert fit.chi2 < 1.2
    ratio = fit.amounts[:, 0] / fit.amounts[:, 1]
    assert ratio[1] / ratio[0] == pytest.approx(2.7 / 3.7, rel=0.015)
