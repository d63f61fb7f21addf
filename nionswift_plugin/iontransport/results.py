"""What each output of a session shows: arrays, axes, layers and ranges, from an evaluation. Knows no host."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eels_iontransport.data import regions as region_names
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.materials.recipe import Recipe

COLOURS = {region_names.GRAIN_1: "#0072B2", region_names.BOUNDARY: "#B84A00", region_names.GRAIN_2: "#00755A"}
LABELS = {region_names.GRAIN_1: "grain 1", region_names.BOUNDARY: "boundary", region_names.GRAIN_2: "grain 2"}

MAP, REGIONS, FIT, SHIFT, RATIO, THICKNESS = "map", "regions", "fit", "shift", "ratio", "thickness"

NAMES = (MAP, REGIONS, FIT, SHIFT, RATIO, THICKNESS)
PROFILES = (SHIFT, RATIO, THICKNESS)

MAP_ASPECT = 1.4  # width over height of the map on the screen
MAP_PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class Axis:
    """Calibrated value of channel i: offset + i scale."""

    offset: float
    scale: float
    units: str


@dataclass(frozen=True)
class Layer:
    """How one row of a plot is drawn."""

    label: str
    stroke: str | None
    fill: str | None = None
    width: float = 1.0


@dataclass(frozen=True, eq=False)
class Output:
    """Data of one output item and how to show them.

    data: a plot's layers (layers, m), or an image (height, width); nan where nothing is known.
    axes: one for a plot, (down, across) for an image. value_range: y range of a plot, display limits of an image.
    summary: the result in words, for the title. view: first and last channel shown, None for all.
    ticks: label and place (0..1 along the energy axis) of the recipe's peaks.
    covered: fraction of an image's width from which on rows were not taken.
    """

    data: np.ndarray
    axes: tuple[Axis, ...]
    value_units: str
    value_range: tuple[float, float]
    summary: str = ""
    view: tuple[int, int] | None = None
    ticks: tuple[tuple[str, float], ...] = ()
    covered: float = 1.0


def same(output: Output | None, other: Output | None) -> bool:
    """Whether the two would look the same."""
    if output is None or other is None:
        return output is other
    fields = ("axes", "value_range", "view", "ticks", "covered")
    if any(getattr(output, name) != getattr(other, name) for name in fields):
        return False
    return np.array_equal(output.data, other.data, equal_nan=True)


_BAND = (Layer("", None, "#BBD7EA"), Layer("", None, "#FFFFFF"), Layer("", "#000000", None, 2.0))
LAYERS: dict[str, tuple[Layer, ...]] = {
    REGIONS: tuple(Layer(LABELS[name], COLOURS[name], None, 1.5) for name in region_names.NAMES),
    FIT: (
        Layer("data", "#777777"),
        Layer("fit", "#000000", None, 2.0),
        Layer("polaritonic", None, "rgba(0,114,178,0.35)"),
        Layer("phononic", None, "rgba(230,159,0,0.55)"),
        Layer("residual", "#882255"),
    ),
    SHIFT: _BAND,
    RATIO: _BAND,
    THICKNESS: _BAND,
}


def titles(recipe: Recipe) -> dict[str, str]:
    """What each output is called after the name of the line."""
    return {
        MAP: "normalised map",
        REGIONS: "regions",
        FIT: "fit",
        SHIFT: f"{recipe.shift_peak} centre",
        RATIO: ":".join(recipe.ratio or ()),
        THICKNESS: "t/lambda",
    }


def expected(recipe: Recipe, roles: Collection[str], is_line: bool) -> list[str]:
    """The outputs that a session with these inputs has."""
    if not is_line:
        return [FIT]
    wanted = [MAP, REGIONS, FIT] + [SHIFT] * bool(recipe.shift_peak)
    return wanted + [RATIO] * bool(recipe.ratio and "core_loss" in roles) + [THICKNESS] * ("valence" in roles)


def outputs(evaluation: Any, recipe: Recipe, wanted: Collection[str]) -> dict[str, Output]:
    """What an evaluation has to show; an output of which nothing is known yet is missing."""
    made: dict[str, Output | None] = {
        MAP: _map(evaluation, recipe),
        REGIONS: _regions(evaluation, recipe),
        FIT: _fit(evaluation, recipe),
        SHIFT: _profile(evaluation, "ldo_centre_mev", "ldo_centre_sigma_mev", "meV"),
        RATIO: _profile(evaluation, "li_to_co", "li_to_co_sigma", ""),
        THICKNESS: _profile(evaluation, "thickness", "thickness_sigma", ""),
    }
    return {name: output for name, output in made.items() if name in wanted and output is not None}


def placeholder(name: str) -> np.ndarray:
    """Data of an output before the first evaluation: as many layers as it will have, all nan."""
    rows = len(LAYERS[name]) if name in LAYERS else 16
    return np.full((rows, 16), np.nan)


def blank(name: str) -> Output:
    """An output of which nothing is known."""
    data = placeholder(name)
    axes = (Axis(0.0, 1.0, ""),) * (1 if name in LAYERS else 2)
    return Output(data, axes, "", (0.0, 1.0))


def line_axis(position_nm: np.ndarray) -> Axis:
    """Axis of a plot along the line; row i spans half a step to either side of its position."""
    step = float(position_nm[1] - position_nm[0]) if len(position_nm) > 1 else 1.0
    return Axis(float(position_nm[0]) - step / 2, step, "nm")


def fractions(regions: Regions, axis: Axis, rows: int) -> dict[str, tuple[float, float]]:
    """Ends of the regions as fractions 0..1 of the axis."""
    span = rows * axis.scale
    return {
        name: ((region.start_nm - axis.offset) / span, (region.end_nm - axis.offset) / span) for name, region in regions
    }


def regions_from_fractions(intervals: Mapping[str, tuple[float, float]], axis: Axis, rows: int) -> Regions | None:
    """Inverse of `fractions`; None unless all three are there."""
    if set(intervals) != set(region_names.NAMES):
        return None
    span = rows * axis.scale
    ends = {name: sorted(interval) for name, interval in intervals.items()}
    return Regions(*(Region(*(axis.offset + end * span for end in ends[name])) for name in region_names.NAMES))


def _map(evaluation: Any, recipe: Recipe) -> Output | None:
    """Normalised spectra side by side: position across, energy up, columns repeated until the map is wide enough."""
    rows, energy = np.asarray(evaluation.normalised, float), evaluation.normalised_axis
    valid = np.asarray(evaluation.valid, bool)
    if rows.ndim != 2 or energy is None or not valid.any():
        return None
    rows = np.where(valid[:, None], rows, np.nan)
    repeat = max(1, round(MAP_ASPECT * rows.shape[1] / rows.shape[0]))
    image = np.repeat(rows.T[::-1], repeat, axis=1)
    along = line_axis(evaluation.position_nm)
    across = Axis(along.offset, along.scale / repeat, along.units)
    energies = energy.energies_mev
    step = float(energies[1] - energies[0])
    seen = rows[valid][:, energies >= recipe.wide_window_mev[0]]
    limits = tuple(float(value) for value in np.nanpercentile(seen, MAP_PERCENTILES)) if seen.size else (0.0, 1.0)
    taken = (int(np.flatnonzero(valid)[-1]) + 1) / len(valid)
    down = Axis(float(energies[-1]), -step, "meV")
    ticks = _ticks(recipe, float(energies[0]), step, len(energies))
    return Output(image, (down, across), "1/meV", _spread(*limits), ticks=ticks, covered=taken)


def _regions(evaluation: Any, recipe: Recipe) -> Output | None:
    """Mean normalised spectrum of each region, each above the one before."""
    energy = evaluation.normalised_axis
    if evaluation.regions is None or energy is None:
        return None
    energies = energy.energies_mev
    shown = _window(energies, recipe.wide_window_mev)
    masks = [region.mask(evaluation.position_nm) & evaluation.valid for _, region in evaluation.regions]
    spectra = np.array([_mean(evaluation.normalised[mask], len(energies)) for mask in masks])
    low, high = _extent(spectra[:, shown[0] : shown[1]])
    offset = 0.35 * (high - low)
    spectra = spectra + offset * np.arange(len(spectra))[::-1, None]
    step = float(energies[1] - energies[0])
    return Output(
        spectra,
        (Axis(float(energies[0]), step, "meV"),),
        "1/meV",
        _spread(low, high + 2 * offset, head=0.1),
        view=shown,
        ticks=_ticks(recipe, float(energies[0]), step, len(energies)),
    )


def _fit(evaluation: Any, recipe: Recipe) -> Output | None:
    """Fit of the boundary, or of the only spectrum, above its background; the background is the last row, not shown."""
    name = region_names.BOUNDARY if region_names.BOUNDARY in evaluation.fits else region_names.SPECTRUM
    fit = evaluation.fits.get(name)
    if fit is None:
        return None
    energies = np.asarray(fit.energy_mev, float)
    parts = [fit.counts - fit.background, fit.model - fit.background, fit.polaritonic, fit.phononic, fit.residual]
    data = np.array([np.asarray(part, float) for part in (*parts, fit.background)])
    step = float(energies[1] - energies[0])
    shown = recipe.peaks if name == region_names.BOUNDARY else ()
    return Output(
        data,
        (Axis(float(energies[0]), step, "meV"),),
        "counts",
        _spread(*_extent(data[:-1]), head=0.25),
        summary=f"of the {LABELS.get(name, name)}" + ("" if math.isnan(fit.chi2) else f", chi2 {fit.chi2:.2f}"),
        ticks=_ticks(recipe, float(energies[0]), step, len(energies)) if shown else (),
    )


def _profile(evaluation: Any, value_name: str, sigma_name: str, units: str) -> Output | None:
    """A quantity along the line with its band of one sigma: rows upper, lower, value."""
    value = np.asarray(evaluation.profiles.get(value_name, ()), float)
    if value.ndim != 1 or not value.size:
        return None
    sigma = np.nan_to_num(np.asarray(evaluation.profiles.get(sigma_name, np.zeros_like(value)), float))
    data = np.array([value + sigma, value - sigma, value])
    return Output(data, (line_axis(evaluation.position_nm),), units, _spread(*_extent(data), low=0.1, head=0.6))


def _ticks(recipe: Recipe, first_mev: float, step_mev: float, size: int) -> tuple[tuple[str, float], ...]:
    """The recipe's peaks within an energy axis: label (rounded centre in meV) and place as a fraction of the axis."""
    places = [
        (peak.centre_mev.initial, (peak.centre_mev.initial - first_mev) / (step_mev * size)) for peak in recipe.peaks
    ]
    return tuple((f"{centre:.0f}", place) for centre, place in sorted(places) if 0.0 < place < 1.0)


def _window(energies_mev: np.ndarray, window_mev: tuple[float, float]) -> tuple[int, int]:
    inside = np.flatnonzero((energies_mev >= window_mev[0]) & (energies_mev <= window_mev[1]))
    return (int(inside[0]), int(inside[-1])) if inside.size > 1 else (0, len(energies_mev) - 1)


def _mean(rows: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(rows.mean(axis=0)) if len(rows) else np.full(size, np.nan)


def _extent(data: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value; (0, 1) where there is none."""
    finite = data[np.isfinite(data)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _spread(minimum: float, maximum: float, *, low: float = 0.0, head: float = 0.0) -> tuple[float, float]:
    """A range with room below and above, given as parts of the data's span; never empty."""
    span = maximum - minimum if maximum > minimum else max(abs(maximum), 1.0) * 0.1
    return minimum - low * span, maximum + head * span if maximum > minimum else minimum + (1.0 + head) * span
