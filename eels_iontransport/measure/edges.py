"""Parametric shapes of core-loss edges: a step with an E^-r fall, and white lines on top."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import erf

from ..materials.recipe import Edge

# How far a measured shape may lie from the recipe's, one standard deviation: eV, or a natural logarithm.
ONSET_PRIOR_EV = 0.5
CENTRE_PRIOR_EV = 0.3
WIDTH_PRIOR = 0.3
WEIGHT_PRIOR = 0.7
DECAY_PRIOR = 1.0
_FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))


def shape(edge: Edge, energy_ev: np.ndarray) -> np.ndarray:
    """Intensity of an edge at energy_ev, any shape, in units of its step.

    continuum H(E) (E / onset)^-decay + sum_j weight_j exp(-(E - c_j)^2 / (2 s_j^2)), with H an error function whose
    derivative has the full width onset_width at half maximum.
    """
    step = 0.5 * (1 + erf((energy_ev - edge.onset_ev) / (np.sqrt(2) * _FWHM_TO_SIGMA * edge.onset_width_ev)))
    result = edge.continuum * step * (np.maximum(energy_ev, 1.0) / edge.onset_ev) ** -edge.decay_exponent
    for line in edge.white_lines:
        result = result + line.weight * np.exp(-0.5 * ((energy_ev - line.centre_ev) / (_FWHM_TO_SIGMA * line.fwhm_ev)) ** 2)
    return result


def prior_sigma(edge: Edge) -> np.ndarray:
    """Standard deviations of the free parameters of a shape, in the order of `deformed`."""
    return np.array([ONSET_PRIOR_EV, WIDTH_PRIOR, DECAY_PRIOR] + [CENTRE_PRIOR_EV, WIDTH_PRIOR, WEIGHT_PRIOR] * len(edge.white_lines))


def deformed(edge: Edge, parameters: np.ndarray) -> Edge:
    """The edge with its shape changed; all zero is the edge itself.

    parameters: addend of the onset in eV, ln of its width's factor, addend of the decay exponent, then for every white line the addend of
    its centre in eV and the ln of the factors of its width and weight.
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
