"""Composition along a line from overlapping core-loss edges: amounts, their ratio, and its change at the boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.flags import Flag, unique
from ..data.noise import NoiseModel
from ..data.regions import BOUNDARY, GRAIN_1, GRAIN_2, NAMES, Regions
from ..data.spectrum import Spectra
from ..materials.recipe import Edge
from . import coreloss, edgedata, edgefit
from .edgedata import EdgeData
from .edges import LOGISTIC
from .plural import Plural

SHIFT_DOUBT_EV = 0.1  # by which the edges of single pixels may lie beside those of their surroundings
DETECTION = 3.0  # an amount below so many sigma is none
MISFIT_FLAG, MISFIT_LIMIT = 1.5, 4.0  # reduced chi-squared that is told, and that is refused


class Value(NamedTuple):
    value: float = np.nan
    sigma: float = np.nan


UNKNOWN = Value()


@dataclass(frozen=True, eq=False)
class Profile:
    """Ratio of two edges' own counts in every pixel: value and sigma (n,), nan where there is none."""

    value: np.ndarray
    sigma: np.ndarray
    amounts: np.ndarray  # (n, K) counts of each edge in its own signal window
    amounts_sigma: np.ndarray


@dataclass(frozen=True, eq=False)
class Change:
    """Ratio of two edges in the regions, and of the boundary to the mean of the grains minus one.

    ratio, uncorrected_ratio: by region. elements: change of each element's own counts, boundary over the grains' mean.
    cross_talk: (K, K), counts in window i of edge j per count in its own window, from the shapes in the grains.
    """

    ratio: Mapping[str, Value]
    relative_change: Value
    uncorrected_ratio: Mapping[str, Value]
    uncorrected_relative_change: Value
    elements: Mapping[str, Value]
    cross_talk: np.ndarray
    fit: edgefit.EdgeFit | None
    flags: tuple[Flag, ...] = ()


def profile(
    spectra: Spectra,
    edges: tuple[Edge, ...],
    ratio: tuple[str, str],
    noise: NoiseModel,
    *,
    plural: Plural | None = None,
    fit: edgefit.EdgeFit | None = None,
) -> Profile:
    """Corrected ratio in every pixel, by a linear fit of background and edge shapes with a shift of its own.

    fit: where the shapes come from, such as `Change.fit`; without it they are fitted to the sum of all pixels, which
    is how a boundary can be looked for before there are regions. sigma holds each pixel's noise, not what the shapes
    have in common. Raises UnusableInput where the axis does not hold the edges.
    """
    data = edgedata.prepare(spectra, edges, noise, plural)
    n, k = len(spectra.rows), len(edges)
    result = Profile(np.full(n, np.nan), np.full(n, np.nan), np.full((n, k), np.nan), np.full((n, k), np.nan))
    if not data.usable.any():
        return result
    fit = fit or edgedata.joint_fit(data, [data.usable], edges)
    shift = float(np.mean(fit.shift_ev))
    first, second = fit.index(ratio[0]), fit.index(ratio[1])
    shapes = fit.shapes(shift)
    slopes = (fit.shapes(shift + 0.01) - fit.shapes(shift - 0.01)) / 0.02
    for i in np.flatnonzero(data.usable).tolist():
        amounts, covariance = _amounts(data, i, shapes, slopes)
        result.amounts[i], result.amounts_sigma[i] = amounts, np.sqrt(np.diag(covariance))
        value = _quotient(amounts, covariance, first, second)
        result.value[i], result.sigma[i] = value
    return result


def change(
    spectra: Spectra,
    edges: tuple[Edge, ...],
    ratio: tuple[str, str],
    regions: Regions,
    noise: NoiseModel,
    *,
    plural: Plural | None = None,
) -> Change:
    """Ratio of two edges by region and its change at the boundary, corrected for the overlap of the edges.

    The summed spectra of the regions are fitted together (`edgefit`), once with each form of the onsets; values are the
    mean of both. sigma holds counting noise, the freedom of the shapes, half of what the form of the onset makes and
    half of what a background of one order more makes. Regions without a usable pixel are nan.
    Raises UnusableInput where the axis does not hold the edges.
    """
    data = edgedata.prepare(spectra, edges, noise, plural)
    position = spectra.position_nm
    masks = {name: region.mask(position) & data.usable for name, region in regions}
    present = [name for name in NAMES if masks[name].any()]
    nothing = dict.fromkeys(NAMES, UNKNOWN)
    if not present:
        flag = Flag("CORE_LOSS_EMPTY", "No region holds a usable core-loss spectrum.")
        return Change(nothing, UNKNOWN, nothing, UNKNOWN, {}, np.full((len(edges),) * 2, np.nan), None, (flag,))
    chosen = [masks[name] for name in present]
    fit = edgedata.joint_fit(data, chosen, edges)
    flags = list(_doubts(fit, present, data, plural))
    uncorrected = _uncorrected(data, edges, ratio, chosen, present)
    if fit.chi2 > MISFIT_LIMIT:
        message = f"The edge shapes do not describe the core-loss spectra (reduced chi-squared {fit.chi2:.1f})."
        flags.append(Flag("CORE_LOSS_REFUSED", message))
        return Change(nothing, UNKNOWN, *uncorrected, {}, fit.cross_talk, fit, unique(flags))
    other_form = edgedata.joint_fit(data, chosen, edges, step=LOGISTIC)
    ratios, relative = _ratios(fit, other_form, ratio, present)
    if any(np.isnan(ratios[name].value) for name in present):
        flags.append(Flag("EDGE_NOT_SEEN", f"{ratio[0]} or {ratio[1]} does not stand out of the core-loss noise."))
    if np.isfinite(relative.value):
        other_order = edgedata.joint_fit(data, chosen, edges, extra_order=1)
        pair = [fit.index(element) for element in ratio]
        background = _relative_change(other_order.amounts, pair) - _relative_change(fit.amounts, pair)
        relative = Value(relative.value, float(np.hypot(relative.sigma, 0.5 * background)))
    elements = _element_changes(fit, masks) if len(present) == len(NAMES) else {}
    return Change(ratios, relative, *uncorrected, elements, fit.cross_talk, fit, unique(flags))


def unmixed(intensities: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Own counts of each edge from window intensities (..., K): the solution of I = M n."""
    return np.linalg.solve(matrix, intensities[..., None])[..., 0]


def _amounts(data: EdgeData, i: int, shapes: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Amounts of each edge in pixel i and their covariance."""
    weight = 1 / np.sqrt(data.variance[i] * data.noise.correlation)
    background = edgefit.log_polynomial(data.energy_ev, edgedata.background_exponent(data, data.counts[i]), data.order)
    basis = np.concatenate([background, shapes])
    solution, _ = _linear(basis * weight, data.counts[i] * weight)
    moved = -(solution[-len(shapes) :] @ slopes) * SHIFT_DOUBT_EV  # the change by a shift of one prior sigma
    basis = np.concatenate([background, shapes, moved[None]]) * weight
    prior = np.zeros((len(basis), 1))
    prior[-1] = 1.0
    solution, covariance = _linear(np.hstack([basis, prior]), np.append(data.counts[i] * weight, 0.0))
    own = slice(len(background), len(background) + len(shapes))
    return solution[own], covariance[own, own]


def _linear(basis: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of values (m,) by the rows of basis (p, m): coefficients and covariance for unit variance."""
    scale = np.sqrt((basis**2).sum(axis=1))
    scale[scale == 0] = 1.0
    scaled = basis / scale[:, None]
    inverse = np.linalg.pinv(scaled @ scaled.T)
    return inverse @ (scaled @ values) / scale, inverse / np.outer(scale, scale)


def _quotient(amounts: np.ndarray, covariance: np.ndarray, first: int, second: int) -> Value:
    """amounts[first] / amounts[second]; nan where either does not stand out of its error."""
    sigma = np.sqrt(np.diag(covariance))
    if not (amounts[second] > DETECTION * sigma[second] and amounts[first] > 0):
        return UNKNOWN
    value = amounts[first] / amounts[second]
    gradient = np.zeros(len(amounts))
    gradient[first], gradient[second] = 1 / amounts[second], -value / amounts[second]
    return Value(float(value), float(np.sqrt(gradient @ covariance @ gradient)))


def _ratios(
    fit: edgefit.EdgeFit, other: edgefit.EdgeFit, ratio: tuple[str, str], present: list[str]
) -> tuple[dict[str, Value], Value]:
    """Ratios and relative change: the mean of two fits, with the noise of the first and half the difference."""
    k, pair = len(fit.edges), [fit.index(element) for element in ratio]
    ratios = dict.fromkeys(NAMES, UNKNOWN)
    for r, name in enumerate(present):
        block = slice(r * k, (r + 1) * k)
        first = _quotient(fit.amounts[r], fit.covariance[block, block], *pair)
        second = _quotient(other.amounts[r], other.covariance[block, block], *pair)
        ratios[name] = _mean(first.value, second.value, first.sigma)
    if not all(np.isfinite(ratios[name].value) for name in NAMES):
        return ratios, UNKNOWN
    first_change, second_change = (_relative_change(f.amounts, pair) for f in (fit, other))
    return ratios, _mean(first_change, second_change, _relative_sigma(fit, pair))


def _mean(first: float, second: float, sigma: float) -> Value:
    return Value(0.5 * (first + second), float(np.hypot(sigma, 0.5 * (first - second))))


def _relative_change(amounts: np.ndarray, pair: list[int]) -> float:
    """Boundary over the mean of the grains minus one; amounts (3, K) in the order of the regions."""
    quotient = amounts[:, pair[0]] / amounts[:, pair[1]]
    return float(quotient[1] / (0.5 * (quotient[0] + quotient[2])) - 1)


def _relative_sigma(fit: edgefit.EdgeFit, pair: list[int]) -> float:
    """Error of the relative change by the covariance of all amounts."""
    quotient = fit.amounts[:, pair[0]] / fit.amounts[:, pair[1]]
    mean = 0.5 * (quotient[0] + quotient[2])
    by_quotient = np.array([-0.5 * quotient[1] / mean, 1.0, -0.5 * quotient[1] / mean]) / mean
    gradient = np.zeros_like(fit.amounts)
    gradient[:, pair[0]] = by_quotient / fit.amounts[:, pair[1]]
    gradient[:, pair[1]] = -by_quotient * quotient / fit.amounts[:, pair[1]]
    flat = gradient.ravel()
    return float(np.sqrt(flat @ fit.covariance @ flat))


def _element_changes(fit: edgefit.EdgeFit, masks: Mapping[str, np.ndarray]) -> dict[str, Value]:
    """Change of every element's counts per pixel, boundary over the mean of the grains minus one."""
    pixels = np.array([masks[name].sum() for name in NAMES])
    amounts, k = fit.amounts / pixels[:, None], len(fit.edges)
    result = {}
    for j, edge in enumerate(fit.edges):
        rows = np.arange(len(NAMES)) * k + j
        covariance = fit.covariance[np.ix_(rows, rows)] / np.outer(pixels, pixels)
        mean = 0.5 * (amounts[0, j] + amounts[2, j])
        if mean <= 0:
            result[edge.element] = UNKNOWN
            continue
        value = amounts[1, j] / mean
        gradient = np.array([-0.5 * value, 1.0, -0.5 * value]) / mean
        result[edge.element] = Value(float(value - 1), float(np.sqrt(gradient @ covariance @ gradient)))
    return result


def _uncorrected(
    data: EdgeData, edges: tuple[Edge, ...], ratio: tuple[str, str], masks: list[np.ndarray], present: list[str]
) -> tuple[dict[str, Value], Value]:
    """Ratio by region and relative change from plain windows over the published single-window background."""
    summed = Spectra(
        np.array([data.spectra.rows[mask].sum(axis=0) for mask in masks]),
        data.spectra.energy,
        np.ones(len(masks), bool),
    )
    aside = None if data.plural is None else np.array([data.plural[mask].sum(axis=0) for mask in masks])
    pair = [next(edge for edge in edges if edge.element == element) for element in ratio]
    background = coreloss.power_law_background(summed, pair[0].background_window_ev, data.noise, plural=aside)
    windows = tuple(edge.signal_window_ev for edge in pair)
    found = coreloss.intensities(summed, windows, background, data.noise, plural=aside)
    values = dict.fromkeys(NAMES, UNKNOWN)
    for r, name in enumerate(present):
        values[name] = _quotient(found.value[r], found.covariance[r], 0, 1)
    grains, boundary = [values[GRAIN_1], values[GRAIN_2]], values[BOUNDARY]
    mean = 0.5 * (grains[0].value + grains[1].value)
    if not np.isfinite([mean, boundary.value]).all():
        return values, UNKNOWN
    mean_sigma = 0.5 * np.hypot(grains[0].sigma, grains[1].sigma)
    factor = boundary.value / mean
    return values, Value(factor - 1, factor * float(np.hypot(boundary.sigma / boundary.value, mean_sigma / mean)))


def _doubts(fit: edgefit.EdgeFit, present: list[str], data: EdgeData, plural: Plural | None) -> list[Flag]:
    flags = list(plural.flags) if plural is not None else []
    if data.plural is None:
        message = "Without a valence scan of the same pixels, plural scattering stays under the core-loss edges."
        flags.append(Flag("PLURAL_NOT_REMOVED", message))
    if MISFIT_FLAG < fit.chi2:
        message = f"The edge shapes describe the core-loss spectra poorly (reduced chi-squared {fit.chi2:.1f})."
        flags.append(Flag("CORE_LOSS_MISFIT", message))
    if len(present) == len(NAMES):
        shift = fit.shift_ev[1] - 0.5 * (fit.shift_ev[0] + fit.shift_ev[2])
        if abs(shift) > 2 * SHIFT_DOUBT_EV:
            message = f"The boundary's edges lie {shift:+.2f} eV from those of the grains; the ratio allows for it."
            flags.append(Flag("EDGE_SHIFT", message))
    return flags
