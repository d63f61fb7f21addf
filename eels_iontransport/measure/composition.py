"""Composition along a line from overlapping core-loss edges: amounts, their ratio, and its change at the boundary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..data.flags import Flag, unique
from ..data.noise import NoiseModel
from ..data.regions import NAMES, Regions
from ..data.spectrum import Spectra
from ..materials.recipe import Edge, Interval
from . import edgedata, edgefit, edgeways, values
from .edgedata import EdgeData
from .edgefit import MISFIT_FLAG, MISFIT_LIMIT
from .edgeways import ways
from .grainshapes import GrainShapes, grain_fits, grain_shapes, searched_again
from .plural import Plural
from .values import UNKNOWN, Value
from .windows import Backgrounds, WindowRatios, window_ratios

SHIFT_DOUBT_EV = 0.1  # by which the edges of single pixels may lie beside those of their surroundings
SHIFT_SIGNIFICANCE = 3.0


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

    ratio: by region, of the edges' own counts. backgrounds: the same from plain windows. elements: change of each
    element's own counts per pixel, boundary over the grains' mean minus one. fit: None where no region has a usable
    pixel. grains: the change with edge shapes of either grain, None where there is none. edge_shift_ev: of the boundary
    against the mean of the grains.
    """

    ratio: Mapping[str, Value]
    relative_change: Value
    backgrounds: Backgrounds
    elements: Mapping[str, Value]
    fit: edgefit.EdgeFit | None
    flags: tuple[Flag, ...] = ()
    grains: GrainShapes | None = None
    edge_shift_ev: Value = UNKNOWN

    @property
    def windows(self) -> WindowRatios:
        """Over the published background, or the one that was asked for."""
        return self.backgrounds.published

    @property
    def uncorrected_ratio(self) -> Mapping[str, Value]:
        return self.windows.ratio

    @property
    def uncorrected_relative_change(self) -> Value:
        return self.windows.relative_change


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
    pair = [fit.index(element) for element in ratio]
    shapes = fit.shapes(shift)
    slopes = (fit.shapes(shift + 0.01) - fit.shapes(shift - 0.01)) / 0.02
    rows = np.flatnonzero(data.usable)
    amounts, covariance = _amounts(data, rows, shapes, slopes)
    result.amounts[rows] = amounts
    result.amounts_sigma[rows] = np.sqrt(np.einsum("nkk->nk", covariance))
    result.value[rows], result.sigma[rows] = values.quotients(amounts, covariance, pair)
    return result


def change(
    spectra: Spectra,
    edges: tuple[Edge, ...],
    ratio: tuple[str, str],
    regions: Regions,
    noise: NoiseModel,
    *,
    plural: Plural | None = None,
    background_window_ev: Interval | None = None,
) -> Change:
    """Ratio of two edges by region and its change at the boundary, corrected for the overlap of the edges.

    The summed spectra of the regions are fitted together (`edgefit`), once with each form of the onsets, and amounts
    are read from the fitted shapes and from the windows; values are the mean. sigma holds counting noise, the freedom
    of the shapes, half the range of these ways, half of what a background of one order more makes, what the cross-talk
    of the edges may be wrong by (`values.CROSS_TALK_DOUBT`), and what it changes by from the shapes of one grain to
    those of the other (`grainshapes`). Regions without a usable pixel are nan. background_window_ev: of the plain
    windows, in place of the recipe's. Raises UnusableInput where the axis does not hold the edges.
    """
    data = edgedata.prepare(spectra, edges, noise, plural)
    position = spectra.position_nm
    masks = {name: region.mask(position) & data.usable for name, region in regions}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    nothing = dict.fromkeys(NAMES, UNKNOWN)
    if not masks:
        flag = Flag("CORE_LOSS_EMPTY", "No region holds a usable core-loss spectrum.")
        return Change(nothing, UNKNOWN, Backgrounds(), {}, None, (flag,))
    chosen, present = list(masks.values()), list(masks)
    fit, whole = edgedata.joint_fit(data, chosen, edges), present == list(NAMES)
    if whole:
        by_grain = grain_fits(data, edges, masks, fit)
        fit = searched_again(data, edges, masks, fit, by_grain)
    pair = [fit.index(element) for element in ratio]
    plain = window_ratios(data, edges, pair, masks, fit, background_window_ev)
    shift = _edge_shift(fit, present)
    flags = [*_missing(present), *_doubts(fit, shift, data, plural), *plain.flags]
    grains = grain_shapes(data, edges, pair, masks, fit, by_grain) if whole else None
    if grains is not None:
        flags += grains.flags
    refusal = _refusal(fit, grains)
    if refusal is not None:
        flags.append(refusal)
        return Change(nothing, UNKNOWN, plain, {}, fit, unique(flags), grains, shift)
    found = ways(data, chosen, edges, fit)
    ratios = nothing | {name: edgeways.ratio(found, pair, r) for r, name in enumerate(present)}
    relative = edgeways.relative_change(found, pair) if whole else UNKNOWN
    if grains is not None:
        sigma = math.hypot(relative.sigma, (1 + relative.value) * grains.doubt)
        relative = Value(relative.value, sigma) if math.isfinite(sigma) else UNKNOWN
    if any(np.isnan(ratios[name].value) for name in present) or (whole and np.isnan(relative.value)):
        flags.append(Flag("EDGE_NOT_SEEN", f"{ratio[0]} or {ratio[1]} does not stand out of the core-loss noise."))
    pixels = np.array([mask.sum() for mask in chosen])
    elements = {e.element: edgeways.amount_change(found, j, pixels) for j, e in enumerate(edges)} if whole else {}
    return Change(ratios, relative, plain, elements, fit, unique(flags), grains, shift)


def _amounts(data: EdgeData, rows: np.ndarray, shapes: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Amounts (r, K) of each edge in some pixels and their covariances (r, K, K).

    A shift of a pixel's own by one prior sigma, small enough to be linear, is one function more.
    """
    counts, weight = data.counts[rows], 1 / np.sqrt(data.variance[rows] * data.noise.correlation)
    exponents = edgedata.background_exponents(data, counts)
    background = edgefit.log_polynomial(data.energy_ev, exponents, data.order)
    first = background.shape[1]
    basis = np.empty((len(rows), first + len(shapes) + 1, counts.shape[1]))
    basis[:, :first] = background
    basis[:, first:-1] = shapes
    basis[:, -1] = 0.0
    basis *= weight[:, None]
    target = (basis @ (counts * weight)[..., None])[..., 0]
    normal = basis @ basis.transpose(0, 2, 1)
    without_shift = _solved(normal[:, :-1, :-1], target[:, :-1])[0]
    moved = -(without_shift[:, first:] @ slopes) * SHIFT_DOUBT_EV * weight
    across = (basis @ moved[..., None])[..., 0]
    normal[:, :, -1] = normal[:, -1, :] = across
    normal[:, -1, -1] = np.einsum("rm,rm->r", moved, moved) + 1.0
    target[:, -1] = np.einsum("rm,rm->r", moved, counts * weight)
    solution, covariance = _solved(normal, target)
    own = slice(first, first + len(shapes))
    return solution[:, own], covariance[:, own, own]


def _solved(normal: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (n, p) of normal equations (n, p, p), and their covariances for unit variance."""
    scale = np.sqrt(np.einsum("npp->np", normal))
    scale[scale == 0] = 1.0
    scaled = normal / (scale[:, :, None] * scale[:, None, :])
    try:
        inverse = np.linalg.inv(scaled)
    except np.linalg.LinAlgError:  # a shape that is nowhere in the channels
        inverse = np.linalg.pinv(scaled)
    inverse /= scale[:, :, None] * scale[:, None, :]
    return (inverse @ target[..., None])[..., 0], inverse


def _edge_shift(fit: edgefit.EdgeFit, present: list[str]) -> Value:
    """How far the boundary's edges lie above the mean of the grains'; nan where hardly more than the prior is known."""
    if present != list(NAMES):
        return UNKNOWN
    weights = np.array([-0.5, 1.0, -0.5])
    sigma = float(np.sqrt(weights @ fit.shift_covariance @ weights))
    return Value(float(weights @ fit.shift_ev), sigma) if sigma < 0.5 * edgefit.SHIFT_PRIOR_EV else UNKNOWN


def _refusal(fit: edgefit.EdgeFit, grains: GrainShapes | None) -> Flag | None:
    """Why there is no ratio. A misfit that all regions have in common cancels; one that tells them apart does not."""
    differ = grains is not None and grains.differ
    if differ and (fit.chi2 > MISFIT_FLAG or (grains is not None and grains.alike is not None)):
        message = "One set of edge shapes does not describe both grains, so there is no ratio against their mean."
        return Flag("CORE_LOSS_REFUSED", message)
    if fit.chi2 <= MISFIT_LIMIT:
        return None
    message = f"The edge shapes do not describe the core-loss spectra (reduced chi-squared {fit.chi2:.1f})."
    return Flag("CORE_LOSS_REFUSED", message)


def _missing(present: list[str]) -> list[Flag]:
    """Regions without a usable spectrum, in which case there is no change."""
    absent = [name.replace("_", " ") for name in NAMES if name not in present]
    if not absent:
        return []
    message = (
        f"No usable core-loss spectrum lies in the {' and the '.join(absent)}, so there is no change of the ratio."
    )
    return [Flag("CORE_LOSS_REGION_EMPTY", message)]


def _doubts(fit: edgefit.EdgeFit, shift: Value, data: EdgeData, plural: Plural | None) -> list[Flag]:
    flags = list(plural.flags) if plural is not None else []
    if data.plural is None:
        message = "Without a valence scan of the same pixels, plural scattering stays under the core-loss edges."
        flags.append(Flag("PLURAL_NOT_REMOVED", message))
    if MISFIT_FLAG < fit.chi2:
        message = f"The edge shapes describe the core-loss spectra poorly (reduced chi-squared {fit.chi2:.1f})."
        flags.append(Flag("CORE_LOSS_MISFIT", message))
    if abs(shift.value) > 2 * SHIFT_DOUBT_EV and abs(shift.value) > SHIFT_SIGNIFICANCE * shift.sigma:
        message = f"The boundary's edges lie {shift.value:+.2f} eV from those of the grains; the ratio allows for it."
        flags.append(Flag("EDGE_SHIFT", message))
    return flags
