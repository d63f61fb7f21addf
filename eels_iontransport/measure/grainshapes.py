"""The boundary seen through the edge shapes of one grain, then of the other.

A grain boundary may part grains whose edges have different fine structure, by orientation or by phase. Shapes that all
regions share are then a compromise. So each grain is fitted with the boundary alone, the grain's counts holding the
shapes, and the two answers are compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..data.flags import Flag
from ..data.regions import BOUNDARY, GRAIN_1, GRAIN_2, NAMES
from ..materials.recipe import Edge
from . import edgedata, values
from .edgedata import EdgeData
from .edgefit import MISFIT_FLAG, MISFIT_LIMIT, EdgeFit
from .edgeways import relative_change, ways
from .values import UNKNOWN, Value

GRAINS = (GRAIN_1, GRAIN_2)
SIGNIFICANCE = 3.0
GAIN_FLAG = 3.0  # times the misfit that a needless parameter takes up; noise alone reaches 2.4 once in a thousand
# Part of the misfit beyond noise that shapes of its own must take away from a grain. Where the form of the edges is not
# that of the fit, other amounts alone let the optimum move, and take away up to a third.
SHARE_FLAG = 0.5
LIKELIHOOD = 9.0  # by which the boundary's chi-squared must tell one set of shapes from the other: three sigma


@dataclass(frozen=True)
class GrainShapes:
    """Change of the ratio of two edges at the boundary, with one set of edge shapes for each grain.

    against: boundary over this grain minus one, both with its shapes; nan where these do not describe the two, and
    where the boundary has those of the other grain. difference: what ln of the boundary's ratio differs by between the
    shapes of grain 1 and those of grain 2, beyond what the grains' ratios do with shared shapes, and its error. doubt:
    the difference beyond its error. gain: by grain, the misfit that shapes of its own take away, in units of what each
    of their parameters would take up of noise. share: by grain, the same as a part of the misfit beyond noise. alike:
    the grain whose shapes the boundary has, None where it cannot be told.
    """

    against: Mapping[str, Value]
    difference: Value
    doubt: float
    gain: Mapping[str, float]
    share: Mapping[str, float]
    alike: str | None = None

    @property
    def differ(self) -> bool:
        """Whether one set of shapes is not enough."""
        by_ratio = abs(self.difference.value) > SIGNIFICANCE * self.difference.sigma
        return by_ratio or any(self.gain[name] > GAIN_FLAG and self.share[name] > SHARE_FLAG for name in GRAINS)

    @property
    def flags(self) -> tuple[Flag, ...]:
        if not self.differ:
            return ()
        seen = [
            f"{100 * value.value:+.1f} % against {name.replace('_', ' ')}"
            for name, value in self.against.items()
            if math.isfinite(value.value)
        ]
        message = "The edges of the two grains differ in fine structure, so the change against their mean means little"
        message += f"; with a grain's own edge shapes it is {' and '.join(seen)}" if seen else ""
        message += f", and the boundary's are those of {self.alike.replace('_', ' ')}." if self.alike else "."
        return (Flag("GRAIN_SHAPES_DIFFER", message),)


def grain_fits(
    data: EdgeData, edges: tuple[Edge, ...], masks: Mapping[str, np.ndarray], shared: EdgeFit
) -> dict[str, EdgeFit]:
    """Of each grain with the boundary. masks: pixels of all three regions. shared: the fit of them together."""
    start = shared if shared.chi2 <= MISFIT_FLAG else None  # a poor fit is no place to begin
    return {name: edgedata.joint_fit(data, [masks[name], masks[BOUNDARY]], edges, start=start) for name in GRAINS}


def searched_again(
    data: EdgeData,
    edges: tuple[Edge, ...],
    masks: Mapping[str, np.ndarray],
    shared: EdgeFit,
    fits: Mapping[str, EdgeFit],
) -> EdgeFit:
    """The shared fit, begun at the shapes of each grain where these are much better: it may have stopped short."""
    better = [own for name, own in fits.items() if _gain(name, shared, own) > GAIN_FLAG]
    again = [edgedata.joint_fit(data, list(masks.values()), edges, start=own) for own in better]
    return min([shared, *again], key=lambda fit: fit.chi2)


def grain_shapes(
    data: EdgeData,
    edges: tuple[Edge, ...],
    pair: list[int],
    masks: Mapping[str, np.ndarray],
    shared: EdgeFit,
    fits: Mapping[str, EdgeFit],
) -> GrainShapes:
    """masks: pixels of all three regions. shared: the fit of them with common shapes. fits: see `grain_fits`.

    Where the shapes differ and it cannot be told which of them the boundary has, the errors hold the doubt. That of the
    difference follows from what the shared fit gains in certainty (J. A. Hausman, Econometrica 46 (1978) 1251), the two
    fits being taken as fully anticorrelated; it is no less than that of the grains' ratio.
    """
    common, common_covariance = values.log_ratios(shared.amounts, shared.covariance, pair)
    against, gain, share, moved, freedom = {}, {}, {}, [], []
    for name, own in fits.items():
        gain[name], share[name] = _gain(name, shared, own), _share(name, shared, own)
        against[name] = UNKNOWN
        if own.chi2 <= MISFIT_LIMIT:
            several = ways(data, [masks[name], masks[BOUNDARY]], edges, own)
            against[name] = relative_change(several, pair, (0, 1, 0))
        step, error = _step(*values.log_ratios(own.amounts, own.covariance, pair), 1, 0)
        shared_step, shared_error = _step(common, common_covariance, _place(BOUNDARY), _place(name))
        moved.append(step - shared_step)
        freedom.append(math.sqrt(max(error**2 - shared_error**2, 0.0)))
    grains_error = _step(common, common_covariance, _place(GRAIN_2), _place(GRAIN_1))[1]
    difference = Value(moved[0] - moved[1], max(sum(freedom), grains_error))
    doubt = math.sqrt(max(difference.value**2 - difference.sigma**2, 0.0))
    found = GrainShapes(against, difference, doubt, gain, share, _alike(fits))
    if not found.differ:
        return found
    return replace(found, against={name: _where_shapes_differ(v, name, found) for name, v in against.items()})


def _gain(grain: str, shared: EdgeFit, own: EdgeFit) -> float:
    """The misfit that shapes of its own take away from a grain and the boundary, for each of their parameters."""
    return _taken(grain, shared, own) / (own.deformation.size * max(own.chi2, 1.0))


def _share(grain: str, shared: EdgeFit, own: EdgeFit) -> float:
    """The same as a part of the misfit beyond noise."""
    taken = _taken(grain, shared, own)
    return taken / max(float(own.misfit.sum()) + taken - own.model.size, taken) if taken > 0 else 0.0


def _taken(grain: str, shared: EdgeFit, own: EdgeFit) -> float:
    return float(shared.misfit[[_place(grain), _place(BOUNDARY)]].sum() - own.misfit.sum())


def _where_shapes_differ(against: Value, grain: str, found: GrainShapes) -> Value:
    if found.alike is None:
        return Value(against.value, math.hypot(against.sigma, (1 + against.value) * found.doubt))
    return against if found.alike == grain else UNKNOWN


def _alike(fits: Mapping[str, EdgeFit]) -> str | None:
    """The grain whose shapes describe the boundary, which is the second region of each fit, clearly better."""
    (one, first), (two, second) = ((name, float(fit.misfit[1])) for name, fit in fits.items())
    scale = max(1.0, min(fit.chi2 for fit in fits.values()))
    if abs(first - second) < LIKELIHOOD * scale:
        return None
    return one if first < second else two


def _place(name: str) -> int:
    return NAMES.index(name)


def _step(logarithms: np.ndarray, covariance: np.ndarray, to: int, start: int) -> tuple[float, float]:
    """How far the logarithm of a ratio goes from one region to another, and its error."""
    variance = covariance[to, to] + covariance[start, start] - 2 * covariance[to, start]
    return float(logarithms[to] - logarithms[start]), math.sqrt(max(float(variance), 0.0))
