"""Parametric shapes of core-loss edges: a step with an E^-r fall, and white lines on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import erf, expit

from ..materials.recipe import Edge

# How far a measured shape may lie from the recipe's, one standard deviation: eV, or a natural logarithm.
ONSET_PRIOR_EV = 0.5
CENTRE_PRIOR_EV = 0.3
WIDTH_PRIOR = 0.3
WEIGHT_PRIOR = 0.7
DECAY_PRIOR = 1.0
# Two forms of the step at an onset: a Gaussian's integral has short tails, a logistic one longer. Which of them an edge
# has is not known, and what hangs on it is an uncertainty.
GAUSSIAN, LOGISTIC = "gaussian", "logistic"
_FINE_EV = 0.05
FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))
_FWHM_TO_SCALE = 0.25 / np.arccosh(np.sqrt(2))  # of a logistic function whose derivative has this full width


def shape(edge: Edge, energy_ev: np.ndarray, step: str = GAUSSIAN) -> np.ndarray:
    """Intensity of an edge at energy_ev, any shape, in units of its step.

    continuum H(E) (E / onset)^-decay + sum_j weight_j exp(-(E - c_j)^2 / (2 s_j^2)), with H a step from 0 to 1 whose
    derivative has the full width onset_width at half maximum.
    """
    result = edge.continuum * rise(energy_ev - edge.onset_ev, edge.onset_width_ev, step)
    result = result * (np.maximum(energy_ev, 1.0) / edge.onset_ev) ** -edge.decay_exponent
    for line in edge.white_lines:
        sigma = FWHM_TO_SIGMA * line.fwhm_ev
        result = result + line.weight * np.exp(-0.5 * ((energy_ev - line.centre_ev) / sigma) ** 2)
    return result


def normalised(edge: Edge, energy_ev: np.ndarray, shift_ev: np.ndarray, step: str = GAUSSIAN) -> np.ndarray:
    """Shape of an edge moved by shifts (R,) on a uniform axis (m,), with unit counts in its signal window; (R, m)."""
    width = energy_ev[1] - energy_ev[0]
    own = shape(edge, window_middles(edge.signal_window_ev, width), step).sum()
    return shape(edge, energy_ev - np.reshape(shift_ev, (-1, 1)), step) / own


def cross_talk(edges: Sequence[Edge], step: str = GAUSSIAN) -> np.ndarray:
    """(K, K): counts in the signal window of edge i from edge j, per count of j in its own; the diagonal is one."""
    windows = [window_middles(edge.signal_window_ev, _FINE_EV) for edge in edges]
    counts = np.array([[shape(edge, window, step).sum() for edge in edges] for window in windows])
    return counts / np.diag(counts)


def window_middles(window_ev: tuple[float, float], width_ev: float) -> np.ndarray:
    """Middles of the channels that fill a window."""
    return np.arange(window_ev[0] + 0.5 * width_ev, window_ev[1], width_ev)


def rise(beyond_ev: np.ndarray, width_ev: float | np.ndarray, form: str) -> np.ndarray:
    """A step from 0 to 1 whose derivative has the full width width_ev at half maximum."""
    if form == LOGISTIC:
        return expit(beyond_ev / (_FWHM_TO_SCALE * width_ev))
    return 0.5 * (1 + erf(beyond_ev / (np.sqrt(2) * FWHM_TO_SIGMA * width_ev)))


def rise_slope(beyond_ev: np.ndarray, width_ev: np.ndarray, form: str, risen: np.ndarray) -> np.ndarray:
    """Derivative of `rise` by energy, where it has the value `risen`."""
    if form == LOGISTIC:
        return risen * (1 - risen) / (_FWHM_TO_SCALE * width_ev)
    sigma = FWHM_TO_SIGMA * width_ev
    return np.exp(-0.5 * (beyond_ev / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)


def prior_sigma(edge: Edge) -> np.ndarray:
    """Standard deviations of the free parameters of a shape, in the order of `deformed`."""
    return np.array(
        [ONSET_PRIOR_EV, WIDTH_PRIOR, DECAY_PRIOR]
        + [CENTRE_PRIOR_EV, WIDTH_PRIOR, WEIGHT_PRIOR] * len(edge.white_lines)
    )


def deformed(edge: Edge, parameters: np.ndarray) -> Edge:
    """The edge with its shape changed; all zero is the edge itself.

    parameters: addend of the onset in eV, ln of its width's factor, addend of the decay exponent, then for every white
    line the addend of its centre in eV and the ln of the factors of its width and weight.
    """
    lines = tuple(
        replace(
            line,
            centre_ev=line.centre_ev + centre,
            fwhm_ev=line.fwhm_ev * float(np.exp(width)),
            weight=line.weight * float(np.exp(weight)),
        )
        for line, (centre, width, weight) in zip(edge.white_lines, np.reshape(parameters[3:], (-1, 3)), strict=True)
    )
    return replace(
        edge,
        onset_ev=edge.onset_ev + float(parameters[0]),
        onset_width_ev=edge.onset_width_ev * float(np.exp(parameters[1])),
        decay_exponent=edge.decay_exponent + float(parameters[2]),
        white_lines=lines,
    )
