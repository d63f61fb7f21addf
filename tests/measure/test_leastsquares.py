"""The minimiser against known minima and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from eels_iontransport.measure.leastsquares import minimise

X = np.linspace(0.0, 4.0, 60)
NOISY = 3.0 * np.exp(-1.3 * X) + 0.5 + 0.02 * np.random.default_rng(0).standard_normal(X.size)


def decay(p):
    return p[0] * np.exp(-p[1] * X) + p[2] - NOISY


def decay_slopes(p):
    fall = np.exp(-p[1] * X)
    return np.stack([fall, -p[0] * X * fall, np.ones_like(X)], axis=1)


def valley(p):
    """Rosenbrock's."""
    return np.array([10 * (p[1] - p[0] ** 2), 1 - p[0]])


def valley_slopes(p):
    return np.array([[-20 * p[0], 10.0], [-1.0, 0.0]])


def state(residual, slopes, asked):
    class State:
        def __init__(self, parameters):
            asked.append(parameters)
            self.parameters, self.cost = parameters, float(residual(parameters) @ residual(parameters))

        def normal(self):
            jacobian = slopes(self.parameters)
            return jacobian.T @ jacobian, jacobian.T @ residual(self.parameters)

    return State


@pytest.mark.parametrize(
    ("residual", "slopes", "start"),
    [
        (decay, decay_slopes, [1.0, 1.0, 0.0]),
        (decay, decay_slopes, [0.1, 3.0, 2.0]),
        (valley, valley_slopes, [-1.2, 1.0]),
        (valley, valley_slopes, [0.0, 0.0]),
    ],
)
def test_minimum_is_that_of_scipy(residual, slopes, start):
    asked = []
    found = minimise(state(residual, slopes, asked), np.array(start), ftol=1e-12, xtol=1e-10, evaluations=500)
    expected = least_squares(residual, start, slopes, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert found.parameters == pytest.approx(expected.x, abs=1e-6)
    assert len(asked) < 60


def test_steps_that_lead_uphill_are_taken_back():
    asked = []
    found = minimise(state(valley, valley_slopes, asked), np.array([-1.2, 1.0]), ftol=1e-12, xtol=1e-10, evaluations=9)
    costs = [float(valley(p) @ valley(p)) for p in asked]
    assert max(np.diff(costs)) > 0 and found.cost == min(costs)
    assert len(asked) == 9


def test_a_loose_tolerance_stops_early():
    counts = []
    for tolerance in (1e-1, 1e-12):
        asked = []
        minimise(state(decay, decay_slopes, asked), np.ones(3), ftol=tolerance, xtol=tolerance, evaluations=100)
        counts.append(len(asked))
    assert counts[0] < counts[1]
