"""Composition as published: plain windows over a power law fitted in one window, and unmixed by a matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..data.regions import NAMES
from ..data.spectrum import Spectra
from ..materials.recipe import Edge, Interval
from . import coreloss, values
from .edgedata import EdgeData
from .edgefit import EdgeFit
from .values import UNKNOWN, Value

RESIDUAL_FLAG = 0.01  # part of the counts before the edges by which the background may be wrong without a remark
RESIDUAL_SIGNIFICANCE = 3.0


@dataclass(frozen=True)
class WindowRatios:
    """Ratio of two edges by region, and its relative change, from window intensities as they are.

    window_ev: where the power law was fitted. unmixed_change: the relative change with windows that move with the
    edges, after the cross-talk between them was taken out by its matrix. residual: by region, the part of the counts
    before the edges that the power law leaves, negative where it is too high.
    """

    window_ev: Interval | None = None
    ratio: Mapping[str, Value] = field(default_factory=lambda: dict.fromkeys(NAMES, UNKNOWN))
    relative_change: Value = UNKNOWN
    unmixed_change: Value = UNKNOWN
    residual: Mapping[str, Value] = field(default_factory=lambda: dict.fromkeys(NAMES, UNKNOWN))

    @property
    def missed(self) -> float:
        """The largest residual that stands out of noise and of what is let pass; nan where none does."""
        wrong = [
            part.value
            for part in self.residual.values()
            if abs(part.value) > RESIDUAL_FLAG and abs(part.value) > RESIDUAL_SIGNIFICANCE * part.sigma
        ]
        return max(wrong, key=abs) if wrong else math.nan


@dataclass(frozen=True)
class Backgrounds:
    """Window ratios over the published background, and over the alternative one where the recipe has it."""

    published: WindowRatios = WindowRatios()
    alternative: WindowRatios | None = None
    flags: tuple[Flag, ...] = ()

    @property
    def better(self) -> str:
        """ "published", or "alternative" where the published background misses the counts before the edges."""
        misses = math.isfinite(self.published.missed)
        return "alternative" if misses and self.alternative is not None else "published"


def window_ratios(
    data: EdgeData,
    edges: tuple[Edge, ...],
    pair: list[int],
    masks: Mapping[str, np.ndarray],
    fit: EdgeFit,
    background_window_ev: Interval | None = None,
) -> Backgrounds:
    """masks: pixels of the regions that have some. fit: of their sums, for cross-talk and shifts of the edges.

    background_window_ev: in place of the published one. Plural scattering is set aside where `data` has it. The errors
    of the unmixed changes hold counting noise, the doubt of the cross-talk, and a doubt of the background: half of what
    the two backgrounds differ by for the one nearer the edges, all of it for the one that is carried twice as far.
    Raises UnusableInput where the axis does not hold the published windows.
    """
    measure = _Windows(data, edges, pair, masks, fit)
    edge = edges[pair[0]]
    published = measure(background_window_ev or edge.background_window_ev)
    alternative = None
    if edge.alternative_background_window_ev is not None:
        try:
            alternative = measure(edge.alternative_background_window_ev)
        except UnusableInput:
            pass
    flags = _flags(published, alternative, edge)
    if list(masks) == list(NAMES) and not math.isfinite(published.relative_change.value):
        flags += (_not_seen(published, edges, pair),)
    if alternative is None:
        return Backgrounds(published, None, flags)
    doubt = alternative.unmixed_change.value - published.unmixed_change.value
    return Backgrounds(_with_doubt(published, doubt), _with_doubt(alternative, 0.5 * doubt), flags)


class _Windows:
    """Window intensities of the sums of regions."""

    def __init__(
        self,
        data: EdgeData,
        edges: tuple[Edge, ...],
        pair: list[int],
        masks: Mapping[str, np.ndarray],
        fit: EdgeFit,
    ) -> None:
        self.data, self.pair, self.names, self.fit = data, pair, list(masks), fit
        self.windows = tuple(edge.signal_window_ev for edge in edges)
        self.residual_window = edges[pair[0]].residual_window_ev
        rows = np.array([data.spectra.rows[mask].sum(axis=0) for mask in masks.values()])
        self.summed = Spectra(rows, data.spectra.energy, np.ones(len(rows), bool))
        self.aside = None if data.plural is None else np.array([data.plural[m].sum(axis=0) for m in masks.values()])

    def __call__(self, window_ev: Interval) -> WindowRatios:
        """Raises UnusableInput where the axis does not hold a window."""
        noise, zero, pair = self.data.noise, self.data.zero_ev, self.pair
        background = coreloss.power_law_background(self.summed, window_ev, noise, plural=self.aside, shift_ev=zero)
        counted = partial(
            coreloss.intensities, self.summed, self.windows, background, noise, plural=self.aside, shift_ev=zero
        )
        plain = counted()
        ratio = dict.fromkeys(NAMES, UNKNOWN)
        for r, name in enumerate(self.names):
            ratio[name] = values.quotient(plain.value[r], plain.covariance[r], pair)
        found = WindowRatios(window_ev, ratio, residual=self._residual(window_ev))
        if self.names != list(NAMES):
            return found
        moved = counted(moved_ev=self.fit.shift_ev)
        inverse = np.linalg.inv(self.fit.cross_talk)
        own = coreloss.Intensities(moved.value @ inverse.T, inverse @ moved.covariance @ inverse.T)
        unmixed = _change(own, pair)
        if math.isfinite(unmixed.value):
            change = partial(values.relative_change, pair=pair)
            unmixed = _doubted(unmixed, values.cross_talk_doubt(moved.value, self.fit.cross_talk, change))
        return replace(found, relative_change=_change(plain, pair), unmixed_change=unmixed)

    def _residual(self, window_ev: Interval) -> dict[str, Value]:
        result = dict.fromkeys(NAMES, UNKNOWN)
        if self.residual_window is None:
            return result
        left, sigma = coreloss.pre_edge_residual(
            self.summed,
            window_ev,
            self.residual_window,
            self.data.noise,
            plural=self.aside,
            shift_ev=self.data.zero_ev,
        )
        return result | {name: Value(float(left[r]), float(sigma[r])) for r, name in enumerate(self.names)}


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


def _doubted(value: Value, doubt: float) -> Value:
    return Value(value.value, math.hypot(value.sigma, doubt))


def _with_doubt(ratios: WindowRatios, doubt: float) -> WindowRatios:
    """With a doubt about the background in the unmixed change, where there is one."""
    if not math.isfinite(doubt):
        return ratios
    return replace(ratios, unmixed_change=_doubted(ratios.unmixed_change, doubt))


def _not_seen(published: WindowRatios, edges: tuple[Edge, ...], pair: list[int]) -> Flag:
    low, high = published.window_ev or edges[pair[0]].background_window_ev
    first, second = (edges[k].element for k in pair)
    message = f"Over the background fitted at {low:g}-{high:g} eV {first} or {second} does not stand out of the noise"
    return Flag("UNCORRECTED_NOT_SEEN", f"{message}; there is no uncorrected ratio.")


def _flags(published: WindowRatios, alternative: WindowRatios | None, edge: Edge) -> tuple[Flag, ...]:
    """Whether the background passes through the counts between its window and the edge."""
    if edge.residual_window_ev is None or published.window_ev is None or not math.isfinite(published.missed):
        return ()
    (low, high), (first, last) = edge.residual_window_ev, published.window_ev
    message = (
        f"The background fitted at {first:g}-{last:g} eV misses the counts at {low:g}-{high:g} eV, before the "
        f"edges, by {100 * published.missed:+.1f} %; the uncorrected ratio suffers from it"
    )
    if alternative is not None and alternative.window_ev is not None:
        first, last = alternative.window_ev
        message += f", that over {first:g}-{last:g} eV is the better one"
    return (Flag("PRE_EDGE_RESIDUAL", f"{message}."),)
