"""Composition as published: plain windows over a power law fitted in one window, and unmixed by a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..data.flags import Flag
from ..data.regions import NAMES
from ..data.spectrum import Spectra
from ..materials.recipe import Edge, Interval
from . import coreloss, values
from .edgedata import EdgeData
from .values import UNKNOWN, Value

RESIDUAL_FLAG = 0.01  # part of the counts before the edges by which the background may be wrong without a remark
RESIDUAL_SIGNIFICANCE = 3.0


@dataclass(frozen=True)
class WindowRatios:
    """Ratio of two edges by region, and its relative change, from window intensities as they are.

    unmixed_change: the same change after the cross-talk between the windows was taken out by its matrix.
    """

    ratio: Mapping[str, Value] = field(default_factory=lambda: dict.fromkeys(NAMES, UNKNOWN))
    relative_change: Value = UNKNOWN
    unmixed_change: Value = UNKNOWN
    flags: tuple[Flag, ...] = ()


def window_ratios(
    data: EdgeData,
    edges: tuple[Edge, ...],
    pair: list[int],
    masks: Mapping[str, np.ndarray],
    cross_talk: np.ndarray,
    background_window_ev: Interval | None = None,
) -> WindowRatios:
    """masks: pixels of the regions that have some. cross_talk: (K, K), see `edges.cross_talk`.

    background_window_ev: in place of the recipe's. Plural scattering is set aside where `data` has it.
    """
    summed = Spectra(
        np.array([data.spectra.rows[mask].sum(axis=0) for mask in masks.values()]),
        data.spectra.energy,
        np.ones(len(masks), bool),
    )
    aside = None if data.plural is None else np.array([data.plural[mask].sum(axis=0) for mask in masks.values()])
    window = background_window_ev or edges[pair[0]].background_window_ev
    zero = data.zero_ev
    background = coreloss.power_law_background(summed, window, data.noise, plural=aside, shift_ev=zero)
    signal_windows = tuple(edge.signal_window_ev for edge in edges)
    found = coreloss.intensities(summed, signal_windows, background, data.noise, plural=aside, shift_ev=zero)
    ratios = dict.fromkeys(NAMES, UNKNOWN)
    for r, name in enumerate(masks):
        ratios[name] = values.quotient(found.value[r], found.covariance[r], pair)
    inverse = np.linalg.inv(cross_talk)
    own = coreloss.Intensities(found.value @ inverse.T, inverse @ found.covariance @ inverse.T)
    flags = _residual_flags(summed, edges[pair[0]], window, data, aside)
    if list(masks) != list(NAMES):
        return WindowRatios(ratios, flags=flags)
    return WindowRatios(ratios, _change(found, pair), _change(own, pair), flags)


def unmixed(intensities: np.ndarray, cross_talk: np.ndarray) -> np.ndarray:
    """Own counts of each edge from window intensities (..., K): the solution of I = M n."""
    return np.linalg.solve(cross_talk, intensities[..., None])[..., 0]


def _change(found: coreloss.Intensities, pair: list[int]) -> Value:
    """Relative change of the ratio, the regions being independent."""
    seen = [values.quotient(v, c, pair) for v, c in zip(found.value, found.covariance, strict=True)]
    if not all(np.isfinite(ratio.value) for ratio in seen):
        return UNKNOWN
    k = found.value.shape[1]
    covariance = np.zeros((3 * k, 3 * k))
    for r in range(3):
        covariance[r * k : (r + 1) * k, r * k : (r + 1) * k] = found.covariance[r]
    return Value(values.relative_change(found.value, pair), values.relative_sigma(found.value, covariance, pair))


def _residual_flags(
    summed: Spectra, edge: Edge, window: Interval, data: EdgeData, aside: np.ndarray | None
) -> tuple[Flag, ...]:
    """Whether the background passes through the counts between its window and the edge."""
    if edge.residual_window_ev is None:
        return ()
    left, sigma = coreloss.pre_edge_residual(
        summed, window, edge.residual_window_ev, data.noise, plural=aside, shift_ev=data.zero_ev
    )
    wrong = (np.abs(left) > RESIDUAL_FLAG) & (np.abs(left) > RESIDUAL_SIGNIFICANCE * sigma)
    if not wrong.any():
        return ()
    worst = float(left[wrong][np.argmax(np.abs(left[wrong]))])
    low, high = edge.residual_window_ev
    message = (
        f"The background fitted at {window[0]:g}-{window[1]:g} eV misses the counts at {low:g}-{high:g} eV, before the "
        f"edges, by {100 * worst:+.1f} %; the uncorrected ratio suffers from it."
    )
    return (Flag("PRE_EDGE_RESIDUAL", message),)
