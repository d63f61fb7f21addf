"""Several ways to take the same spectra of overlapping edges apart, and what a ratio of amounts depends on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..materials.recipe import Edge
from . import edgedata, values
from .edgedata import EdgeData
from .edgefit import EdgeFit
from .edges import LOGISTIC
from .values import UNKNOWN, Value


@dataclass(frozen=True, eq=False)
class Ways:
    """Fits of the same regions: with one form of the onsets and with the other, and with a background that bends more.

    From each of the first two amounts are read from the fitted shapes and from the windows.
    """

    first: EdgeFit
    logistic: EdgeFit
    bent: EdgeFit

    @property
    def amounts(self) -> list[np.ndarray]:
        """(regions, edges) in four ways."""
        return [amounts for fit in (self.first, self.logistic) for amounts in (fit.amounts, fit.window_amounts)]

    def doubted(self, number: Callable[[np.ndarray], float], sigma: float) -> Value:
        """A number made of amounts (regions, edges), of which sigma is the noise with the freedom of the shapes.

        Its mean over all ways; the error holds half their range, half of what the bend of the background makes, and
        the doubt of the cross-talk.
        """
        found = [number(amounts) for amounts in self.amounts]
        result = values.mean(found, sigma)
        bend = 0.5 * (number(self.bent.amounts) - found[0])
        first = self.first
        in_windows = first.window_amounts @ first.cross_talk.T
        return Value(
            result.value,
            math.hypot(result.sigma, bend, values.cross_talk_doubt(in_windows, first.cross_talk, number)),
        )


def ways(data: EdgeData, masks: list[np.ndarray], edges: tuple[Edge, ...], first: EdgeFit) -> Ways:
    """first: the fit of the sums of the pixels in each mask, where the others begin."""
    logistic = edgedata.joint_fit(data, masks, edges, step=LOGISTIC, start=first)
    return Ways(first, logistic, edgedata.joint_fit(data, masks, edges, extra_order=1, start=first))


def ratio(found: Ways, pair: list[int], region: int) -> Value:
    """Ratio of two amounts in a region; nan if not seen."""
    seen = _seen(found, pair, region)
    if not np.isfinite(seen.value):
        return UNKNOWN
    return found.doubted(lambda amounts: float(amounts[region, pair[0]] / amounts[region, pair[1]]), seen.sigma)


def _seen(found: Ways, pair: list[int], region: int) -> Value:
    """The ratio of the first fit with its noise."""
    k = len(found.first.edges)
    block = slice(region * k, (region + 1) * k)
    return values.quotient(found.first.amounts[region], found.first.covariance[block, block], pair)


def relative_change(found: Ways, pair: list[int], regions: Sequence[int] = (0, 1, 2)) -> Value:
    """Change of the ratio from the mean of the first and last of three regions to the middle one; nan if not seen.

    regions: where they are among those fitted; the first and the last may be the same.
    """
    if not all(np.isfinite(_seen(found, pair, region).value) for region in set(regions)):
        return UNKNOWN
    rows, k, first = list(regions), len(found.first.edges), found.first
    columns = [row * k + j for row in rows for j in range(k)]
    sigma = values.relative_sigma(first.amounts[rows], first.covariance[np.ix_(columns, columns)], pair)
    return found.doubted(lambda amounts: values.relative_change(amounts[rows], pair), sigma)


def amount_change(found: Ways, edge: int, pixels: np.ndarray) -> Value:
    """Change of the counts per pixel of an edge at the boundary; pixels: (3,) of grain 1, boundary and grain 2."""
    columns = np.arange(pixels.size) * len(found.first.edges) + edge
    covariance = found.first.covariance[np.ix_(columns, columns)] / np.outer(pixels, pixels)
    seen = values.amount_change(found.first.amounts[:, edge] / pixels, covariance)
    if not np.isfinite(seen.value):
        return UNKNOWN

    def change(amounts: np.ndarray) -> float:
        one, at, two = amounts[:, edge] / pixels
        return float(at / (0.5 * (one + two)) - 1)

    return found.doubted(change, seen.sigma)
