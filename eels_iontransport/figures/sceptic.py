"""The sceptic's page: two figures drawn from the readout's entry alone. A check that is missing says why."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import wording
from ..data.regions import NAMES
from ..sceptic.words import NOT_CHECKED, p_text
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Page = Mapping[str, Any]
Row = tuple[str, Mapping[str, Any], str]  # label, quantity, colour

_OTHER = "#555555"  # rows in no region, and what belongs to none
_FREE, _TIED = style.FIT, style.RESIDUAL
_SMOOTHED = 9  # channels
_ROOM = 1.45  # height of the histogram's axis over its highest bar: room for a legend that covers no data
_LABELS = {  # of the covariates
    "area": "Area / ZLP (%)",
    "fwhm_mev": "FWHM, intrinsic (meV)",
    "thickness": "t/λ",
    "zlp_fwhm_mev": "ZLP FWHM (meV)",
    "zlp_position_mev": "Energy zero (meV)",
}
_SCALES = {"area": 100.0}


def has_shift(page: Page) -> bool:
    """Whether there is something to draw in `draw_shift`."""
    return any(page[name] for name in ("halves", "passes", "pseudo_boundaries", "residuals"))


def has_rows(page: Page) -> bool:
    """Whether there is something to draw in `draw_rows`."""
    return any(page[name] for name in ("covariates", "injection"))


@style.styled
def draw_shift(page: Page, shift: Mapping[str, Any], peak: str) -> Figure:
    """The shift against each grain and in parts of the data, in stretches of the grains, and what the spectra say.

    page, shift: `sceptic` and `ldo_peak` of a readout.
    """
    figure = style.new_figure(7.2, 6.6)
    parts: Any = figure.subfigures(2, 1)
    above, below = parts
    left, right = above.subplots(1, 2)
    _shifts(left, _rows(page, shift))
    left.set_title(f"{peak} shift in parts of the data")
    _or_reason(right, page, "pseudo_boundaries", _windows)
    right.set_title("Stretches of the grains' interior")
    _residuals(below, page, peak)
    return figure


@style.styled
def draw_rows(page: Page, peak: str) -> Figure:
    """The centre along the line against all that it should not follow, and known shifts as they were recovered."""
    figure = style.new_figure(7.2, 4.9)
    axes = figure.subplots(2, 3).ravel()
    entry = page["covariates"]
    names = [name for name in _LABELS if entry and name in entry["covariates"]]
    for axis, name in zip(axes, names):
        _covariate(axis, entry, name)
    if not names:
        _reason(axes[0], page, "covariates")
        names = ["covariates"]
    for row in axes[: len(names) : 3]:
        row.set_ylabel(f"{peak} centre (meV)")
    _or_reason(axes[len(names)], page, "injection", _injection)
    for axis in axes[len(names) + 1 :]:
        axis.set_axis_off()
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels())))
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def _rows(page: Page, shift: Mapping[str, Any]) -> list[Row]:
    """The shift, against each grain, in both halves, and in the first and the last passes."""
    rows: list[Row] = [(f"against {_reference(shift)}", shift["blue_shift_mev"], style.FIT)]
    for name in ("grain_1", "grain_2"):
        rows.append((f"against {style.label(name).lower()}", shift[f"shift_vs_{name}_mev"], style.REGION_COLOURS[name]))
    halves, passes = page["halves"], page["passes"]
    if halves:
        rows += [(f"{half} {halves['by']}", halves[f"{half}_mev"], _OTHER) for half in ("odd", "even")]
    if passes:
        for end in ("first", "last"):
            numbers = passes[f"{end}_passes"]
            which = f"pass {numbers[0]}" if len(numbers) == 1 else f"passes {numbers[0]}\N{EN DASH}{numbers[-1]}"
            rows.append((which, passes[f"{end}_mev"], style.RESIDUAL))
    return rows


def _reference(shift: Mapping[str, Any]) -> str:
    return "both grains" if shift["reference"] == "mean" else style.label(shift["reference"]).lower()


def _shifts(axis: Any, rows: Sequence[Row]) -> None:
    shown = [row for row in rows if row[1]["value"] is not None]
    for at, (_, quantity, colour) in enumerate(shown):
        axis.errorbar(quantity["value"], at, xerr=quantity["sigma"] or 0.0, fmt="o", color=colour, markersize=4)
    axis.set_yticks(range(len(shown)), [label for label, _, _ in shown])
    axis.set_ylim(len(shown) - 0.5, -0.5)
    axis.axvline(0.0, color="black", linewidth=0.6)
    axis.margins(x=0.08)
    axis.set_xlabel("Shift (meV); bars are one standard deviation")


def _windows(axis: Any, entry: Mapping[str, Any]) -> None:
    """A histogram of the shifts of the windows, and the boundary's."""
    by_grain = {
        grain: [w["shift_mev"]["value"] for w in entry["windows"] if w["grain"] == grain and _is_known(w["shift_mev"])]
        for grain in dict.fromkeys(w["grain"] for w in entry["windows"])
    }
    values = np.concatenate([np.array(v, float) for v in by_grain.values()])
    observed = entry["observed_mev"]
    reach = 1.15 * max(np.abs(values).max(initial=0.0), abs(observed["value"]) + observed["sigma"])
    edges = np.linspace(-reach, reach, 32)
    axis.hist(
        list(by_grain.values()),
        edges,
        stacked=True,
        color=[style.REGION_COLOURS[grain] for grain in by_grain],
        label=[style.label(grain) for grain in by_grain],
        alpha=0.7,
    )
    top, colour = 1.0 / _ROOM, style.REGION_COLOURS["boundary"]
    axis.axvline(observed["value"], 0.0, top, color=colour, label="Boundary")
    span = (observed["value"] - observed["sigma"], observed["value"] + observed["sigma"])
    axis.axvspan(*span, 0.0, top, color=colour, alpha=0.15, linewidth=0)
    axis.set_ylim(0, _ROOM * axis.get_ylim()[1])
    axis.legend(loc="upper left", ncols=len(by_grain) + 1, handlelength=1.2, columnspacing=1.0)
    _note(axis, f"{entry['count']} overlapping windows of {entry['pixels']} pixels, {p_text(entry['p_value'])}", 0.84)
    axis.set(xlabel="Shift (meV)", ylabel="Windows")


def _residuals(figure: Any, page: Page, peak: str) -> None:
    entry = page["residuals"]
    if not entry:
        axis = figure.subplots()
        _reason(axis, page, "residuals")
        return
    spectra = entry["spectra"]
    axes = np.atleast_1d(figure.subplots(1, len(spectra), sharey=True))
    for axis, spectrum in zip(axes, spectra):
        energy = np.array(spectrum["energy_mev"], float)
        axis.axhline(0.0, color="black", linewidth=0.6)
        for key, colour, label in (("tied", _TIED, "one centre for all"), ("free", _FREE, "a centre each")):
            residual = np.array(spectrum[key], float)
            axis.plot(energy, residual, ".", color=colour, markersize=1.5, alpha=0.25)
            axis.plot(energy, _smooth(residual), color=colour, label=label)
        axis.set_title(style.label(spectrum["region"]), color=style.REGION_COLOURS.get(spectrum["region"], _OTHER))
        axis.set_xlabel(style.ENERGY_LABEL)
    axes[0].set_ylabel("(Data \N{MINUS SIGN} model) / σ of a channel")
    text = f"Chi-squared greater by {entry['difference']:.1f} with one {peak} centre, {p_text(entry['p_value'])}"
    figure.suptitle(f"Residuals with and without the shift\n{text}", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    labels = [f"{label} (lines: mean of {_SMOOTHED} channels)" for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running mean; nan where a channel has no number."""
    kernel = np.ones(_SMOOTHED) / _SMOOTHED
    return np.convolve(values, kernel, mode="same") / np.convolve(np.ones(values.size), kernel, mode="same")


def _covariate(axis: Any, entry: Mapping[str, Any], name: str) -> None:
    covariate = entry["covariates"][name]
    x = _SCALES.get(name, 1.0) * np.array(covariate["values"], float)
    y, region = np.array(entry["centre_mev"], float), np.array([r or "" for r in entry["region"]])
    for group in ("", *NAMES):
        chosen = (region == group) & np.isfinite(x) & np.isfinite(y)
        if chosen.any():
            colour, label = (style.REGION_COLOURS[group], style.label(group)) if group else (_OTHER, "In no region")
            axis.plot(x[chosen], y[chosen], "o" if group else "x", color=colour, label=label, markersize=3, alpha=0.8)
    axis.margins(0.06)
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.16 * (high - low))  # room for the note
    r = covariate["pearson_in_grains"]["r"]
    inside = "r unknown" if r is None else f"r = {wording.number(r, 2, signed=True)}"
    _note(axis, f"in grains {inside}, {p_text(covariate['p_value'])}", 0.99)
    axis.set_xlabel(_LABELS[name])


def _injection(axis: Any, entry: Mapping[str, Any]) -> None:
    injected = np.array(entry["injected_mev"], float)
    ends = np.array([injected.min(), injected.max()])
    axis.plot(ends, ends, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=3)
    for window in entry["windows"]:
        recovered = np.array(window["recovered_mev"], float)
        axis.plot(injected, recovered, ".-", color=style.REGION_COLOURS[window["grain"]], linewidth=0.6, markersize=4)
    slope = entry["slope"]
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.22 * (high - low))
    text = "not determined" if slope["value"] is None else wording.with_sigma(slope["value"], slope["sigma"])
    _note(axis, f"slope {text}", 0.99)
    axis.set(xlabel="Shift put in (meV)", ylabel="Recovered (meV)")


def _or_reason(axis: Any, page: Page, name: str, draw: Callable[[Any, Mapping[str, Any]], None]) -> None:
    if page[name]:
        draw(axis, page[name])
    else:
        _reason(axis, page, name)


def _reason(axis: Any, page: Page, name: str) -> None:
    """Why there is nothing to see."""
    text = f"{NOT_CHECKED.capitalize()}: {page['reasons'].get(name, '')}"
    axis.text(0.5, 0.5, textwrap.fill(text, 34), ha="center", va="center", transform=axis.transAxes, fontsize=8)
    axis.set_axis_off()


def _note(axis: Any, text: str, height: float) -> None:
    axis.text(0.02, height, text, transform=axis.transAxes, ha="left", va="top", fontsize=8)


def _is_known(quantity: Mapping[str, Any]) -> bool:
    return quantity["value"] is not None
