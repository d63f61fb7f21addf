"""Passes whose zeros differ are summed at one zero; the sum is no wider than a pass, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.spectrum import EnergyAxis, Spectra, sum_of_passes
from eels_iontransport.measure.passes import in_step
from eels_iontransport.measure.zlp import peak_of

AXIS = EnergyAxis(-0.1, 0.0004, 600)
SIGMA_MEV = 3.4


def line(zeros_mev: np.ndarray, axis: EnergyAxis = AXIS, **fields) -> Spectra:
    """Gaussian zero-loss peaks of 1e5 counts at the zeros (P, n), with the noise of their counts."""
    energy = axis.energies_mev - zeros_mev[..., None]
    expected = 1e5 * np.exp(-0.5 * (energy / SIGMA_MEV) ** 2) + 20.0
    return sum_of_passes(np.random.default_rng(3).poisson(expected).astype(float), axis, **fields)


def test_a_sum_in_step_is_as_narrow_as_its_passes():
    zeros = np.array([[0.0, 1.0], [9.0, 10.0], [-7.0, -6.0]])
    apart, together = line(zeros), in_step(line(zeros))
    narrow = peak_of(line(zeros[:1]).counts[0]).fwhm
    assert peak_of(apart.counts[0]).fwhm > 1.8 * narrow
    assert peak_of(together.counts[0]).fwhm == pytest.approx(narrow, rel=0.02)
    positions = [AXIS.energies_mev[0] + 0.4 * peak_of(row).position for row in together.counts]
    assert positions == pytest.approx([0.0, 1.0], abs=0.3)  # where the middle pass has it
    assert np.array_equal(together.passes, apart.passes)
    reached = np.isfinite(together.counts)
    assert reached[:, 30:-30].all() and not reached[:, 0].any() and not reached[:, -1].any()
    assert np.nansum(together.counts) == pytest.approx(apart.counts.sum(), rel=2e-3)  # but for the ends


def test_where_nothing_moved_nothing_changes():
    still = line(np.zeros((4, 3)))
    assert in_step(still) is still
    single = sum_of_passes(np.ones((1, 2, 600)), AXIS)
    assert in_step(single) is single


def test_zeros_that_hardly_scatter_are_left_alone():
    """What a shift of a channel would mend is less than what whole channels leave."""
    zeros = np.array([[0.0], [0.3], [-0.3]])
    assert np.isfinite(in_step(line(zeros)).counts).all()
    assert np.isnan(in_step(line(10 * zeros)).counts).any()


def test_a_partial_last_pass_and_pixels_without_a_zero_stay_as_they_are():
    taken = line(np.array([[0.0, 0.0, 0.0], [8.0, 8.0, 8.0]]))
    passes = taken.passes.copy()
    passes[1, 1] = 0.0  # not reached
    passes[1, 2] = 50.0  # no peak
    partial = sum_of_passes(passes, AXIS)
    found = in_step(partial)
    assert peak_of(found.counts[0]).fwhm < 0.8 * peak_of(partial.counts[0]).fwhm
    assert np.array_equal(found.counts[1:], partial.counts[1:])


def test_an_axis_without_the_zero_is_left_alone():
    """The highest channel of a core loss is an edge, and edges do shift."""
    axis = EnergyAxis(0.02, 0.0004, 600)
    taken = line(np.array([[100.0], [110.0]]), axis)
    assert in_step(taken) is taken


def test_saturated_passes_are_left_alone():
    taken = line(np.array([[0.0], [9.0]]), saturation_level=2 * 9e4)
    assert in_step(taken) is taken
