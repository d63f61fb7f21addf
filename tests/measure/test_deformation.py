"""Deformed edges against the edges themselves, and their derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport import materials
from eels_iontransport.measure import edges
from eels_iontransport.measure.deformation import Deformable

EDGES = materials.load("lco").edges
ENERGY = np.arange(43.0, 75.0, 0.1)
SHIFTS = np.array([0.0, -0.4, 0.7])
SIZES = [edges.prior_sigma(edge).size for edge in EDGES]
RANDOM = np.random.default_rng(0)
PARAMETERS = 0.3 * RANDOM.standard_normal(sum(SIZES))
FACTOR = RANDOM.uniform(0.5, 2.0, (len(EDGES), SHIFTS.size * ENERGY.size))


@pytest.mark.parametrize("form", [edges.GAUSSIAN, edges.LOGISTIC])
def test_values_are_those_of_the_deformed_edges(form):
    found = Deformable(EDGES, ENERGY, form).at(PARAMETERS, SHIFTS).values
    for k, part in enumerate(np.split(PARAMETERS, np.cumsum(SIZES)[:-1])):
        expected = edges.normalised(edges.deformed(EDGES[k], part), ENERGY, SHIFTS, form)
        assert found[k].reshape(expected.shape) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("form", [edges.GAUSSIAN, edges.LOGISTIC])
def test_slopes_are_differences(form):
    shapes, step = Deformable(EDGES, ENERGY, form), 1e-6

    def total(parameters, shifts=SHIFTS):
        return (FACTOR * shapes.at(parameters, shifts).values).sum(axis=0)

    by_parameter, by_shift = shapes.at(PARAMETERS, SHIFTS).slopes(FACTOR)
    for j, slope in enumerate(by_parameter):
        moved = step * (np.arange(PARAMETERS.size) == j)
        expected = (total(PARAMETERS + moved) - total(PARAMETERS - moved)) / (2 * step)
        assert slope == pytest.approx(expected, abs=1e-6 * np.abs(expected).max())
    expected = (total(PARAMETERS, SHIFTS + step) - total(PARAMETERS, SHIFTS - step)) / (2 * step)
    assert by_shift == pytest.approx(expected, abs=1e-6 * np.abs(expected).max())
