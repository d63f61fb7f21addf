"""Grains with edges of their own: arctangent onsets and lines that are no Gaussians, others in one grain."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport import materials
from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import make_spectra
from eels_iontransport.measure.composition import change

from .edge_spectra import AXIS, REGIONS, STEP_NM, cobalt, lithium

EDGES, RATIO = materials.load("lco").edges, ("Li", "Co")
ENERGY, POSITION = AXIS.energies_ev, STEP_NM * np.arange(40)
TRUE = -0.27


def other_lithium(energy):
    """With a sharper, weaker main peak."""
    return lithium(energy) - 0.5 / (1 + ((energy - 61.6) / 1.2) ** 2)


def other_cobalt(energy):
    """With a stronger main part further up."""
    return cobalt(energy) + 0.3 / (1 + ((energy - 66.5) / 1.5) ** 2)


SHAPES = {"plain": (lithium, cobalt), "other": (other_lithium, other_cobalt)}


def line(seed, grain_1, boundary, grain_2, change=TRUE, level=4e4):
    """A line whose regions have edges of these shapes; Poisson noise."""
    root = np.sqrt(1 + change)

    def spectrum(name, n_lithium=1.0, n_cobalt=1.0):
        edge_lithium, edge_cobalt = SHAPES[name]
        edges = n_lithium * edge_lithium(ENERGY) + n_cobalt * edge_cobalt(ENERGY)
        return level * ((ENERGY / 43) ** -3.2 + 0.15 * edges)

    rows = np.where((POSITION < 10)[:, None], spectrum(grain_1), spectrum(grain_2))
    rows[np.abs(POSITION - 10) < 1] = spectrum(boundary, root, 1 / root)
    return make_spectra(np.random.default_rng(seed).poisson(rows).astype(float), AXIS, step_nm=STEP_NM)


def found(*args, **kwargs):
    return change(line(*args, **kwargs), EDGES, RATIO, REGIONS, given(1.0))


def codes(result):
    return [flag.code for flag in result.flags]


@pytest.mark.parametrize("true", [-0.27, 0.0])
def test_grains_of_one_shape_agree(true):
    results = [found(seed, "plain", "plain", "plain", change=true) for seed in range(12)]
    assert sum("GRAIN_SHAPES_DIFFER" in codes(result) for result in results) == 0
    against = np.array([[result.grains.against[name] for name in ("grain_1", "grain_2")] for result in results])
    assert np.abs(against[:, :, 0] - true).max() < 0.02
    # what the shapes of the grains leave open adds next to nothing where they agree
    assert np.mean([result.grains.doubt for result in results]) < np.mean([r.relative_change.sigma for r in results])


def test_error_of_the_difference_over_seeds():
    pulls = np.array([np.divide(*found(seed, "plain", "plain", "plain").grains.difference) for seed in range(20)])
    assert 0.4 < np.sqrt(np.mean(pulls**2)) < 1.3


@pytest.mark.parametrize(
    ("shapes", "alike", "unlike"),
    [
        (("plain", "plain", "other"), "grain_1", "grain_2"),
        (("plain", "other", "other"), "grain_2", "grain_1"),
        (("other", "other", "plain"), "grain_1", "grain_2"),
    ],
)
@pytest.mark.parametrize("level", [4e4, 1e3])  # at the lower one chi-squared alone would let the shapes pass
def test_the_boundary_is_compared_with_the_grain_whose_shapes_it_has(shapes, alike, unlike, level):
    result = found(1, *shapes, level=level)
    assert result.grains.differ and result.grains.alike == alike
    value, sigma = result.grains.against[alike]
    assert abs(value - TRUE) < 3 * sigma and sigma < 0.05
    assert np.isnan(result.grains.against[unlike].value)
    assert np.isnan(result.relative_change.value)
    assert {"GRAIN_SHAPES_DIFFER", "CORE_LOSS_REFUSED"} <= set(codes(result))
    message = next(flag.message for flag in result.flags if flag.code == "GRAIN_SHAPES_DIFFER")
    assert alike.replace("_", " ") in message


@pytest.mark.parametrize("richer", [0.7, 1.3])
def test_grains_of_other_composition_have_the_same_shapes(richer):
    """Amounts of their own are no reason to doubt the shapes."""
    spectra = line(3, "plain", "plain", "plain")
    rows, grain_2 = spectra.rows.copy(), POSITION > 11
    expected = 4e4 * ((ENERGY / 43) ** -3.2 + 0.15 * (richer * lithium(ENERGY) + cobalt(ENERGY)))
    rows[grain_2] = np.random.default_rng(4).poisson(expected, (int(grain_2.sum()), AXIS.size))
    result = change(make_spectra(rows, AXIS, step_nm=STEP_NM), EDGES, RATIO, REGIONS, given(1.0))
    assert not result.grains.differ
    for name, true in {"grain_1": TRUE, "grain_2": (1 + TRUE) / richer - 1}.items():
        value, sigma = result.grains.against[name]
        assert abs(value - true) < 3 * sigma
    true = (1 + TRUE) / (0.5 * (1 + richer)) - 1
    assert abs(result.relative_change.value - true) < 3 * result.relative_change.sigma


def test_without_the_second_grain_there_is_nothing_to_compare():
    result = change(
        line(5, "plain", "plain", "plain").with_valid(np.arange(40) < 23), EDGES, RATIO, REGIONS, given(1.0)
    )
    assert result.grains is None and np.isnan(result.edge_shift_ev.value)
