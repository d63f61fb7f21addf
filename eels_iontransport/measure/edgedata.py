"""The channels around core-loss edges, ready to fit, and the joint fit of sums of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..data.errors import UnusableInput
from ..data.noise import NoiseModel
from ..data.spectrum import Spectra
from ..materials.recipe import Edge
from . import coreloss, edgefit, zlp
from .edges import GAUSSIAN
from .plural import Plural

FIT_BEYOND_EV = 7.0  # the fit goes on so far beyond the last signal window, where the edges' fall is seen
ORDER_SINGLE, ORDER_PLURAL = 2, 3  # bends of the background with plural scattering removed, and with it still there
ZLP_MARGIN_EV, ZLP_LIMIT_EV = 1.0, 5.0  # an axis that starts so far below zero shows the ZLP, and so near to zero
_SMOOTH_CHANNELS = 9


@dataclass(frozen=True, eq=False)
class EdgeData:
    """The channels around the edges, with plural scattering set aside. zero_ev: where the axis reads zero loss."""

    spectra: Spectra
    noise: NoiseModel
    plural: np.ndarray | None  # (n, channels) of the whole axis
    usable: np.ndarray
    zero_ev: float
    energy_ev: np.ndarray  # (m,) energy loss of the channels
    counts: np.ndarray  # (n, m), plural scattering removed
    variance: np.ndarray  # (n, m), smoothed along energy
    order: int
    background_window: tuple[float, float]


def energy_zero(spectra: Spectra, plural: Plural | None) -> float:
    """Where core-loss spectra read zero loss: by their overlap with the valence scan, else by their own ZLP, else 0.

    What either misses, and chemical shifts, the fit of the edges finds.
    """
    if plural is not None and plural.known.any():
        return float(np.median(plural.zero_ev[plural.known]))
    if spectra.energy.offset_ev > -ZLP_MARGIN_EV:
        return 0.0
    position = zlp.measure(spectra).position_ev
    near = np.abs(np.nan_to_num(position, nan=np.inf)) < ZLP_LIMIT_EV
    return float(np.median(position[near])) if near.any() else 0.0


def prepare(spectra: Spectra, edges: tuple[Edge, ...], noise: NoiseModel, plural: Plural | None) -> EdgeData:
    """The data of an edge analysis. Raises UnusableInput where there are no edges or the axis does not hold them."""
    if not edges:
        raise UnusableInput("The recipe names no core-loss edges; the core-loss spectra cannot be analysed with it.")
    if plural is not None and not plural.known.any():
        plural = None
    window = edges[0].background_window_ev
    before = window if plural else edges[0].alternative_background_window_ev or window
    high = max(edge.signal_window_ev[1] for edge in edges) + FIT_BEYOND_EV
    zero = energy_zero(spectra, plural)
    for edge in edges:
        coreloss.covered_channels(spectra.energy, edge.signal_window_ev, zero, "signal")
        coreloss.covered_channels(spectra.energy, edge.background_window_ev, zero, "background")
    channels = spectra.energy.channels(before[0] + zero, high + zero)
    aside = plural.counts if plural else None
    usable = spectra.valid & (plural.known if plural else True)
    usable = usable & (spectra.rows[:, channels].sum(axis=1) > 0)
    counts = spectra.rows[:, channels] - (0.0 if aside is None else aside[:, channels])
    variance = uniform_filter1d(noise.variance(spectra.rows[:, channels]), _SMOOTH_CHANNELS, axis=1)
    order = ORDER_SINGLE if plural else ORDER_PLURAL
    energy = spectra.energy.energies_ev[channels] - zero
    alternative = edges[0].alternative_background_window_ev
    pre_edge = (before[0], alternative[1]) if alternative else before
    return EdgeData(spectra, noise, aside, usable, zero, energy, counts, variance, order, pre_edge)


def joint_fit(
    data: EdgeData,
    masks: list[np.ndarray],
    edges: tuple[Edge, ...],
    step: str = GAUSSIAN,
    extra_order: int = 0,
    start: edgefit.EdgeFit | None = None,
) -> edgefit.EdgeFit:
    """Joint fit of the sums of the pixels in each mask (n,). extra_order: bends beyond those the background has.

    start: a fit of the same edges to begin at.
    """
    counts = np.array([data.counts[mask].sum(axis=0) for mask in masks])
    variance = np.array([data.variance[mask].sum(axis=0) for mask in masks])
    exponents = background_exponents(data, counts)
    return edgefit.fit(
        data.energy_ev,
        counts,
        variance,
        edges,
        exponents,
        order=data.order + extra_order,
        step=step,
        correlation=data.noise.correlation,
        start=start,
    )


def background_exponents(data: EdgeData, counts: np.ndarray) -> np.ndarray:
    """Rough exponents (n,) of the backgrounds of spectra (n, m) before the edges, the centres of their expansions."""
    low, high = data.background_window
    inside = (data.energy_ev >= low) & (data.energy_ev <= high)
    first, second = (half.mean(axis=1) for half in np.array_split(counts[:, inside], 2, axis=1))
    middles = [np.log(part).mean() for part in np.array_split(data.energy_ev[inside], 2)]
    usable = (first > 0) & (second > 0)
    ratio = np.where(usable, second, 1.0) / np.where(usable, first, 1.0)
    return np.where(usable, np.clip(-np.log(ratio) / (middles[1] - middles[0]), 0.0, 8.0), 3.0)
