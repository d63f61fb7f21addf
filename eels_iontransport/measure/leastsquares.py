"""Nonlinear least squares with few parameters and many data: Levenberg-Marquardt on the normal equations.

The step is bounded as by J. J. More, Lecture Notes in Mathematics 630 (1978) 105. Only sums over the data are asked
for, which is what makes it quick.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

_FIRST_RADIUS = 100.0
_SLACK = 0.1  # part by which a step may miss its bound
_TRIALS = 10  # of the damping, for a bounded step
_BEYOND = 100.0  # times as large a sum of squares is no trial at all
_ACCEPTED, _POOR, _GOOD = 1e-4, 0.25, 0.75  # actual over predicted decrease


class State(Protocol):
    """A trial: its parameters (p,), the sum of squares there, and how it changes."""

    parameters: np.ndarray
    cost: float

    def normal(self) -> tuple[np.ndarray, np.ndarray]:
        """J^T J (p, p) and J^T r (p,) for residuals r with the Jacobian J."""
        ...


S = TypeVar("S", bound=State)


def minimise(at: Callable[[np.ndarray], S], start: np.ndarray, *, ftol: float, xtol: float, evaluations: int) -> S:
    """The least sum of squares that is reached from the start (p,).

    ftol: relative decrease below which it is done; xtol: the same for the step. evaluations: at most so many. Raises
    LinAlgError where the normal equations are singular.
    """
    state, count, damping = at(start), 1, 0.0
    scale, radius = np.zeros(start.size), 0.0
    while state.cost > 0:
        normal, gradient = state.normal()
        first, scale = not scale.any(), np.maximum(scale, np.sqrt(np.diag(normal)))
        if first:
            radius = _FIRST_RADIUS * (_length(scale * start) or 1.0)
        ratio = 0.0
        while ratio < _ACCEPTED:
            step, damping = _bounded(normal, gradient, scale, radius, damping)
            length = _length(scale * step)
            radius = min(radius, length) if first else radius
            trial, count = at(state.parameters + step), count + 1
            decrease = 1 - trial.cost / state.cost if trial.cost < _BEYOND * state.cost else -np.inf
            linear, damped = float(step @ normal @ step) / state.cost, damping * length**2 / state.cost
            predicted = linear + 2 * damped
            ratio = decrease / predicted if predicted > 0 else 0.0
            if ratio <= _POOR:
                shrink = _shrink(decrease, linear + damped)
                radius, damping = shrink * min(radius, 10 * length), damping / shrink
            elif damping == 0 or ratio >= _GOOD:
                radius, damping = 2 * length, damping / 2
            state = trial if ratio >= _ACCEPTED else state
            settled = abs(decrease) <= ftol and predicted <= ftol and ratio <= 2
            if settled or radius <= xtol * _length(scale * state.parameters) or count >= evaluations:
                return state
    return state


def _length(vector: np.ndarray) -> float:
    return math.sqrt(vector @ vector)


def _shrink(decrease: float, slope: float) -> float:
    """By what to shorten steps after one that went too far."""
    return 0.5 if decrease >= 0 else max(0.5 * slope / (slope - 0.5 * decrease), 0.1)


def _bounded(
    normal: np.ndarray, gradient: np.ndarray, scale: np.ndarray, radius: float, damping: float
) -> tuple[np.ndarray, float]:
    """The best step with |scale step| <= radius, nearly, and the damping that bounds it; `damping` is a first guess."""
    step, excess, inward = _step(normal, gradient, scale, radius, 0.0)
    if excess <= _SLACK * radius:
        return step, 0.0
    lowest = excess / inward
    highest = _length(gradient / scale) / radius
    damping = min(max(damping, lowest), highest)
    for _ in range(_TRIALS):
        step, excess, inward = _step(normal, gradient, scale, radius, damping)
        if abs(excess) <= _SLACK * radius:
            break
        lowest, highest = (max(lowest, damping), highest) if excess > 0 else (lowest, min(highest, damping))
        damping = max(lowest, damping + excess / inward)
    return step, damping


def _step(
    normal: np.ndarray, gradient: np.ndarray, scale: np.ndarray, radius: float, damping: float
) -> tuple[np.ndarray, float, float]:
    """A damped step, by how much it is too long, and how that falls with the damping, towards Newton's zero."""
    damped = normal.copy()
    damped.flat[:: len(scale) + 1] += damping * scale**2
    factor, fault = dpotrf(damped)
    if fault:
        raise np.linalg.LinAlgError("The normal equations are singular.")
    step = -dpotrs(factor, gradient)[0]
    length = _length(scale * step)
    weight = scale**2 * step / (length or 1.0)
    return step, length - radius, radius * float(weight @ dpotrs(factor, weight)[0])
