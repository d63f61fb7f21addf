"""Plain windows: over either background, moved with the edges, unmixed; and whether a background misses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport import materials
from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import make_spectra
from eels_iontransport.measure.composition import change
from eels_iontransport.measure.values import CROSS_TALK_DOUBT, cross_talk_doubt

from .edge_spectra import AXIS, REGIONS, STEP_NM, expected, line

EDGES, RATIO = materials.load("lco").edges, ("Li", "Co")
ENERGY = AXIS.energies_ev
TRUE = -0.27


def measured(spectra, edges=EDGES):
    return change(spectra, edges, RATIO, REGIONS, given(1.0)).backgrounds


def with_double_plasmon(seed, height):
    """A line on a hump near 51 eV, `height` of the power law there."""
    rows = line(None).rows + height * 4e4 * (51 / 43) ** -3.2 * np.exp(-0.5 * ((ENERGY - 51) / 2.5) ** 2)
    return make_spectra(np.random.default_rng(seed).poisson(rows).astype(float), AXIS, step_nm=STEP_NM)


@pytest.mark.parametrize("shift_ev", [-0.5, -0.2, 0.0, 0.2, 0.5])
def test_windows_that_move_with_the_edges(shift_ev):
    found = measured(line(1, TRUE, shift_ev))
    for windows in (found.published, found.alternative):
        value, sigma = windows.unmixed_change
        assert abs(value - TRUE) < 2 * sigma
    assert found.alternative.unmixed_change.sigma < found.published.unmixed_change.sigma
    assert found.alternative.unmixed_change.value == pytest.approx(TRUE, abs=0.025)


def test_unmixed_changes_cover_over_seeds():
    results = [measured(line(seed, TRUE, 0.2)) for seed in range(12)]
    for name in ("published", "alternative"):
        value, sigma = np.array([getattr(found, name).unmixed_change for found in results]).T
        assert np.mean(np.abs(value - TRUE) < 2 * sigma) > 0.9


def test_a_power_law_passes_in_silence():
    flags = [flag for seed in range(25) for flag in measured(line(seed)).flags]
    assert flags == []


@pytest.mark.parametrize("height", [0.03, 0.06])
def test_a_double_plasmon_is_told(height):
    results = [measured(with_double_plasmon(seed, height)) for seed in range(10)]
    assert all([flag.code for flag in found.flags] == ["PRE_EDGE_RESIDUAL"] for found in results)
    assert all(found.better == "alternative" for found in results)
    assert all("48-53 eV is the better one" in found.flags[0].message for found in results)
    residual = np.mean([found.published.residual["grain_1"].value for found in results])
    hump = height * np.exp(-0.5 * ((np.arange(48.0, 54.05, 0.1) - 51) / 2.5) ** 2).mean()
    assert residual == pytest.approx(hump / (1 + hump), rel=0.2)


def test_without_an_alternative_the_published_one_is_all_there_is():
    edges = tuple(replace(edge, alternative_background_window_ev=None) for edge in EDGES)
    found = measured(with_double_plasmon(0, 0.06), edges)
    assert found.alternative is None and found.better == "published"
    assert "better" not in found.flags[0].message


def test_counts_of_equal_spectra_have_equal_residuals():
    rows = np.tile(expected(), (40, 1))
    found = measured(make_spectra(rows, AXIS, step_nm=STEP_NM))
    assert found.published.residual["boundary"].value == pytest.approx(found.published.residual["grain_1"].value)
    assert found.published.unmixed_change.value == pytest.approx(0.0, abs=1e-6)


def test_doubt_of_the_cross_talk_by_hand():
    cross_talk = np.array([[1.0, 0.0], [0.5, 1.0]])
    intensities = np.array([[2.0, 11.0], [1.0, 10.5], [2.0, 11.0]])  # own counts 2, 10 and 1, 10

    def ratio_at_boundary(amounts):
        return amounts[1, 0] / amounts[1, 1]

    other = 1 / (10.5 - 0.5 * (1 + CROSS_TALK_DOUBT))
    assert cross_talk_doubt(intensities, cross_talk, ratio_at_boundary) == pytest.approx(abs(other - 0.1))


def test_equal_regions_leave_no_doubt_of_their_change():
    cross_talk = np.array([[1.0, 0.1], [0.8, 1.0]])
    intensities = np.tile([3.0, 9.0], (3, 1)) * np.array([[5.0], [1.0], [4.0]])

    def change_of_ratio(amounts):
        ratio = amounts[:, 0] / amounts[:, 1]
        return ratio[1] / (0.5 * (ratio[0] + ratio[2])) - 1

    assert cross_talk_doubt(intensities, cross_talk, change_of_ratio) == pytest.approx(0.0, abs=1e-12)
