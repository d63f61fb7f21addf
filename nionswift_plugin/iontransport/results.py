"""What each output of a session shows: arrays, axes, layers and ranges, from an evaluation. Knows no host."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from eels_iontransport.data import regions as region_names
from eels_iontransport.data import units
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.units import mev
from eels_iontransport.evaluation import Evaluation
from eels_iontransport.materials.recipe import Recipe

COLOURS = {region_names.GRAIN_1: "#0072B2", region_names.BOUNDARY: "#B84A00", region_names.GRAIN_2: "#00755A"}
LABELS = {region_names.GRAIN_1: "grain 1", region_names.BOUNDARY: "boundary", region_names.GRAIN_2: "grain 2"}

MAP, REGIONS, FIT, SHIFT, RATIO, THICKNESS = "map", "regions", "fit", "shift", "ratio", "thickness"

DEFAULT_INTERVALS = {
    region_names.GRAIN_1: (0.05, 0.40),
    region_names.BOUNDARY: (0.45, 0.55),
    region_names.GRAIN_2: (0.60, 0.95),
}

NAMES = (MAP, REGIONS, FIT, SHIFT, RATIO, THICKNESS)
PROFILES = (SHIFT, RATIO, THICKNESS)

MAP_ASPECT = 1.0  # width over height of the map on the screen
MAP_PERCENTILES = (1.0, 99.0)
MAP_TICKS_APART = 0.08  # of the energy axis, so that labels do not touch
REGIONS_APART = 0.35  # of the spectra's span
SPECTRUM_HEAD, PROFILE_HEAD = 0.6, 0.9  # of the data's span, for the legend, and for the labels of the regions

TICK_LENGTH = 0.04  # of the data's span
_ROWS = {REGIONS: 4, FIT: 7, SHIFT: 3, RATIO: 3, THICKNESS: 3}

Tick = tuple[str, float]  # label, place as a fraction of the axis


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
    ticks: label and place (0..1 along the energy axis) of the recipe's peaks, for an image.
    covered: fraction of an image's width from which on rows were not taken.
    """

    data: np.ndarray
    axes: tuple[Axis, ...]
    value_units: str
    value_range: tuple[float, float]
    summary: str = ""
    view: tuple[int, int] | None = None
    ticks: tuple[Tick, ...] = ()
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
_REGION_LAYERS = tuple(Layer(LABELS[name], COLOURS[name], None, 1.5) for name in region_names.NAMES)
_FIT_LAYERS = (
    Layer("data", "#777777"),
    Layer("fit", "#000000", None, 2.0),
    Layer("polaritonic", None, "rgba(0,114,178,0.35)"),
    Layer("phononic", None, "rgba(230,159,0,0.55)"),
    Layer("residual", "#882255"),
)


def layers(name: str, recipe: Recipe) -> tuple[Layer, ...] | None:
    """How the rows of an output are drawn, in the order of the rows; None for an image.

    The last layer of spectra are ticks at the recipe's peaks, whose energies the legend tells.
    """
    peaks = " ".join(label for label, _ in _peaks(recipe))
    ticks = Layer(f"{peaks} meV", None, "#555555")
    drawn = {
        REGIONS: (*_REGION_LAYERS, ticks),
        FIT: (*_FIT_LAYERS, ticks),
        SHIFT: _BAND,
        RATIO: _BAND,
        THICKNESS: _BAND,
    }
    return drawn.get(name)


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


def outputs(evaluation: Evaluation, recipe: Recipe, wanted: Collection[str]) -> dict[str, Output]:
    """What an evaluation has to show; an output of which nothing is known yet is missing."""
    made: dict[str, Output | None] = {
        MAP: _map(evaluation, recipe),
        REGIONS: _regions(evaluation, recipe),
        FIT: _fit(evaluation, recipe),
        SHIFT: _profile(evaluation, "ldo_centre_mev", "ldo_centre_sigma_mev", "meV", head=PROFILE_HEAD),
        RATIO: _profile(evaluation, "li_to_co", "li_to_co_sigma", ""),
        THICKNESS: _profile(evaluation, "thickness", "thickness_sigma", ""),
    }
    return {name: output for name, output in made.items() if name in wanted and output is not None}


def blank(name: str) -> Output:
    """An output of which nothing is known, with as many layers as it will have."""
    if name == MAP:
        return Output(np.full((16, 16), np.nan), (Axis(0.0, 1.0, ""),) * 2, "", (0.0, 1.0))
    return Output(np.full((_ROWS[name], 16), np.nan), (Axis(0.0, 1.0, ""),), "", (0.0, 1.0))


def line_axis(position_nm: np.ndarray) -> Axis:
    """Axis of a plot along the line; row i spans half a step to either side of its position."""
    step = float(position_nm[1] - position_nm[0]) if len(position_nm) > 1 else 1.0
    return Axis(float(position_nm[0]) - step / 2, step, "nm")


def fractions(regions: Regions, axis: Axis, rows: int) -> dict[str, tuple[float, float]]:
    """Ends of the regions as fractions 0..1 of the axis."""
    span = rows * axis.scale
    return {
        name: units.fraction_from_interval((region.start_nm, region.end_nm), axis.offset, span)
        for name, region in regions
    }


def regions_from_fractions(intervals: Mapping[str, tuple[float, float]], axis: Axis, rows: int) -> Regions | None:
    """Inverse of `fractions`; None unless all three are there."""
    if set(intervals) != set(region_names.NAMES):
        return None
    span = rows * axis.scale
    ends = (units.interval_from_fraction(intervals[name], axis.offset, span) for name in region_names.NAMES)
    return Regions(*(Region(*interval) for interval in ends))


def _map(evaluation: Evaluation, recipe: Recipe) -> Output | None:
    """Normalised spectra side by side: position across, energy up, columns repeated until the map is wide enough."""
    rows, axis, valid = evaluation.normalised, evaluation.normalised_axis, evaluation.valid
    if rows is None or rows.ndim != 2 or axis is None or not valid.any():
        return None
    first, last = _window(axis.energies_mev, recipe.wide_window_mev)
    energies = axis.energies_mev[first : last + 1]
    rows = np.where(valid[:, None], rows[:, first : last + 1], np.nan)
    repeat = max(1, round(MAP_ASPECT * rows.shape[1] / rows.shape[0]))
    along = line_axis(evaluation.position_nm)
    down = Axis(float(energies[-1]), -mev(axis.step_ev), "meV")
    limits = np.nanpercentile(rows, MAP_PERCENTILES) if np.isfinite(rows).any() else (0.0, 1.0)
    return Output(
        np.repeat(rows.T[::-1], repeat, axis=1),
        (down, Axis(along.offset, along.scale / repeat, along.units)),
        "1/meV",
        _spread(float(limits[0]), float(limits[1])),
        ticks=_apart(_ticks(recipe, energies), MAP_TICKS_APART),
        covered=(int(np.flatnonzero(valid)[-1]) + 1) / len(valid),
    )


def _regions(evaluation: Evaluation, recipe: Recipe) -> Output | None:
    """Mean normalised spectrum of each region, each above the one after it."""
    rows, axis = evaluation.normalised, evaluation.normalised_axis
    if evaluation.regions is None or rows is None or axis is None:
        return None
    shown = _window(axis.energies_mev, recipe.wide_window_mev)
    masks = [region.mask(evaluation.position_nm) & evaluation.valid for _, region in evaluation.regions]
    spectra = np.array([_mean(rows[mask]) for mask in masks])
    low, high = _extent(spectra[:, shown[0] : shown[1]])
    shift = REGIONS_APART * (high - low) * np.arange(len(spectra))[::-1]
    spectra = spectra + shift[:, None]
    value_range = _spread(*_extent(spectra[:, shown[0] : shown[1]]), low=2 * TICK_LENGTH, head=SPECTRUM_HEAD)
    marks = _marks(recipe, axis.energies_mev, value_range[0] + TICK_LENGTH * (value_range[1] - value_range[0]))
    return Output(np.vstack([spectra, marks]), (_energy_axis(axis.energies_mev),), "1/meV", value_range, view=shown)


def _fit(evaluation: Evaluation, recipe: Recipe) -> Output | None:
    """Fit of the boundary, or of the only spectrum, above its background; the background is the last row, not shown."""
    name = region_names.BOUNDARY if region_names.BOUNDARY in evaluation.fits else region_names.SPECTRUM
    fit = evaluation.fits.get(name)
    if fit is None:
        return None
    above = (fit.counts - fit.background, fit.model - fit.background)
    data = np.array([*above, fit.polaritonic, fit.phononic, fit.residual])
    value_range = _spread(*_extent(data), low=TICK_LENGTH, head=SPECTRUM_HEAD)
    marks = _marks(recipe, fit.energy_mev, value_range[0])
    return Output(
        np.vstack([data, marks, fit.background]),
        (_energy_axis(fit.energy_mev),),
        "counts",
        value_range,
        summary=f"{LABELS.get(name, name)}" + (f", chi2 {fit.chi2:.2f}" if np.isfinite(fit.chi2) else ""),
    )


def _profile(
    evaluation: Evaluation, value_name: str, sigma_name: str, units: str, *, head: float = 0.1
) -> Output | None:
    """A quantity along the line with its band of one sigma: rows upper, lower, value."""
    value = np.asarray(evaluation.profiles.get(value_name, ()), float)
    if not np.isfinite(value).any():
        return None
    sigma = np.nan_to_num(np.asarray(evaluation.profiles.get(sigma_name, np.zeros_like(value)), float))
    data = np.array([value + sigma, value - sigma, value])
    value_range = _spread(*_extent(data), low=0.1, head=head)
    return Output(data, (line_axis(evaluation.position_nm),), units, value_range)


def _energy_axis(energies_mev: np.ndarray) -> Axis:
    return Axis(float(energies_mev[0]), float(energies_mev[1] - energies_mev[0]), "meV")


def _peaks(recipe: Recipe) -> list[tuple[str, float]]:
    """The recipe's peaks: centre in meV, rounded for a label and as it is."""
    centres = sorted(peak.centre_mev.initial for peak in recipe.peaks)
    return [(f"{centre:.0f}", centre) for centre in centres]


def _marks(recipe: Recipe, energies_mev: np.ndarray, end: float) -> np.ndarray:
    """A layer whose fill draws a short stroke at every peak, from the plot's base line to `end`."""
    marks = np.full(len(energies_mev), np.nan)
    for _, centre in _peaks(recipe):
        if energies_mev[0] <= centre <= energies_mev[-1]:
            marks[np.argmin(np.abs(energies_mev - centre))] = end
    return marks


def _ticks(recipe: Recipe, energies_mev: np.ndarray) -> tuple[Tick, ...]:
    """The recipe's peaks within an energy axis, by label and place."""
    axis = _energy_axis(energies_mev)
    places = [(label, (centre - axis.offset) / (axis.scale * len(energies_mev))) for label, centre in _peaks(recipe)]
    return tuple((label, place) for label, place in places if 0.0 < place < 1.0)


def _apart(ticks: tuple[Tick, ...], distance: float) -> tuple[Tick, ...]:
    """The ticks that keep this distance from the one before."""
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick[1] - kept[-1][1] >= distance:
            kept.append(tick)
    return tuple(kept)


def _window(energies_mev: np.ndarray, window_mev: tuple[float, float]) -> tuple[int, int]:
    inside = np.flatnonzero((energies_mev >= window_mev[0]) & (energies_mev <= window_mev[1]))
    return (int(inside[0]), int(inside[-1])) if inside.size > 1 else (0, len(energies_mev) - 1)


def _mean(rows: np.ndarray) -> np.ndarray:
    """Mean of rows (n, m), (m,), of those that hold a number; nan where none does."""
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, rows, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _extent(data: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value; (0, 1) where there is none."""
    finite = data[np.isfinite(data)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _spread(minimum: float, maximum: float, *, low: float = 0.0, head: float = 0.0) -> tuple[float, float]:
    """A range with room below and above, given as parts of the data's span; never empty."""
    span = maximum - minimum if maximum > minimum else max(abs(maximum), 1.0) * 0.1
    return minimum - low * span, maximum + head * span if maximum > minimum else minimum + (1.0 + head) * span
