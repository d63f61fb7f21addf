"""The boundary seen through the edge shapes of one grain, then of the other.

A grain boundary may part grains whose edges have different fine structure, by orientation or by phase. Shapes that all
regions share are then a compromise. So each grain is fitted with the boundary alone, the grain's counts holding the
shapes, and the two answers are compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..data.flags import Flag
from ..data.regions import BOUNDARY, GRAIN_1, GRAIN_2, NAMES
from ..materials.recipe import Edge
from . import edgedata, values
from .edgedata import EdgeData
from .edgefit import EdgeFit
from .values import Value

SIGNIFICANCE = 3.0


@dataclass(frozen=True)
class GrainShapes:
    """Change of the ratio of two edges at the boundary, with one set of edge shapes for each grain.

    against: boundary over this grain minus one, both with its shapes. change: boundary over the mean of the grains
    minus one, the boundary seen through the shapes of this grain; what the grains are to each other comes from the fit
    with shared shapes. difference: ln of (1 + change) with the shapes of grain 1, minus that with those of grain 2, and
    its error. doubt: half of the difference beyond its error, as an error of ln(1 + change).
    """

    against: Mapping[str, Value]
    change: Mapping[str, Value]
    difference: Value
    doubt: float
    flags: tuple[Flag, ...] = ()


def grain_shapes(
    data: EdgeData, edges: tuple[Edge, ...], pair: list[int], masks: Mapping[str, np.ndarray], shared: EdgeFit
) -> GrainShapes:
    """masks: pixels of all three regions. shared: the fit of them with common shapes, where these fits begin.

    The error of the difference follows from what the shared fit gains in certainty (J. A. Hausman, Econometrica 46
    (1978) 1251), the two fits being taken as fully anticorrelated; it is no less than that of the grains' ratio.
    """
    order = {name: i for i, name in enumerate(NAMES)}
    common, common_covariance = values.log_ratios(shared.amounts, shared.covariance, pair)
    against, change, moved, freedom = {}, {}, [], []
    for name, other in ((GRAIN_1, GRAIN_2), (GRAIN_2, GRAIN_1)):
        own = edgedata.joint_fit(data, [masks[name], masks[BOUNDARY]], edges, start=shared)
        by_shape, error = _step(*values.log_ratios(own.amounts, own.covariance, pair), 1, 0)
        by_window = values.log_ratios(own.window_amounts, own.covariance, pair)[0]
        before, before_error = _step(common, common_covariance, order[BOUNDARY], order[name])
        step = values.mean([by_shape, by_window[1] - by_window[0]], error)
        others = math.exp(common[order[other]] - common[order[name]])
        against[name] = _less_one(step.value, step.sigma)
        change[name] = _less_one(step.value - math.log(0.5 * (1 + others)), step.sigma)
        moved.append(by_shape - before)
        freedom.append(math.sqrt(max(error**2 - before_error**2, 0.0)))
    grains_error = _step(common, common_covariance, order[GRAIN_2], order[GRAIN_1])[1]
    difference = Value(moved[0] - moved[1], max(sum(freedom), grains_error))
    doubt = 0.5 * math.sqrt(max(difference.value**2 - difference.sigma**2, 0.0))
    return GrainShapes(against, change, difference, doubt, _flags(change, difference))


def _step(logarithms: np.ndarray, covariance: np.ndarray, to: int, start: int) -> tuple[float, float]:
    """How far the logarithm of a ratio goes from one region to another, and its error."""
    variance = covariance[to, to] + covariance[start, start] - 2 * covariance[to, start]
    return float(logarithms[to] - logarithms[start]), math.sqrt(max(float(variance), 0.0))


def _less_one(logarithm: float, sigma: float) -> Value:
    """A factor minus one, from its logarithm."""
    factor = math.exp(logarithm)
    return Value(factor - 1, factor * sigma)


def _flags(change: Mapping[str, Value], difference: Value) -> tuple[Flag, ...]:
    if not abs(difference.value) > SIGNIFICANCE * difference.sigma:
        return ()
    one, two = (100 * change[name].value for name in (GRAIN_1, GRAIN_2))
    message = (
        f"The ratio changes by {one:+.1f} % with the edge shapes of grain 1 and by {two:+.1f} % with those of grain 2: "
        "their edges differ in fine structure, so see the change against each grain."
    )
    return (Flag("GRAIN_SHAPES_DIFFER", message),)
