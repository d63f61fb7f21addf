"""The specification curve: the shift under every specification from small to large, and below it what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import wording
from ..specification import TAIL
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Entry = Mapping[str, Any]

_MODES = {"published": "#882255", "wide": "#8A5A00", "shared": "#0072B2"}  # the last is drawn on top
_MAIN = "#000000"
_ROW_IN = 0.155  # height of a row of the matrix

_ORDER = ("shared", "wide", "published", "mean", "grain 1", "grain 2", "vacuum ZLP", "gain side", "with prior", "none")

# Rows of the matrix: group, and what an entry chose of it.
_GROUPS: Mapping[str, Callable[[Entry], Any]] = {
    "Mode": lambda entry: entry["mode"],
    "Reference": lambda entry: entry["reference"].replace("_", " "),
    "From (meV)": lambda entry: entry["window_mev"][0],
    "To (meV)": lambda entry: entry["window_mev"][1],
    "Background": lambda entry: _background(entry),
    "Response": lambda entry: entry["response"],
    "Polariton offset": lambda entry: {True: "with prior", False: "none", None: None}[entry["offset_prior"]],
}


def _background(entry: Entry) -> str | None:
    """What lies under the lines, where it is fitted with them."""
    if entry["background_order"] is not None:
        return f"order {entry['background_order']}"
    return TAIL if entry.get("background") == TAIL else None


def known(entries: Sequence[Entry]) -> list[Entry]:
    """Those that have a shift, in their order."""
    return [entry for entry in entries if entry["shift_mev"]["value"] is not None]


@style.styled
def draw_curve(entries: Sequence[Entry], peak: str) -> Figure:
    """entries: as the readout's `specification` has them, sorted by shift."""
    shown = known(entries)
    rows = [(group, value) for group, of in _GROUPS.items() for value in _values(shown, of)]
    figure = style.new_figure(7.0, 2.6 + _ROW_IN * len(rows))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, _ROW_IN * len(rows)))
    _shifts(above, shown)
    above.set(ylabel="Shift (meV)", title=f"{peak} shift: {len(shown)} of {len(entries)} specifications have one")
    _matrix(below, shown, rows)
    below.set_xlabel("Specifications, from the smallest shift to the largest; bars are one standard deviation")
    style.legend_below(figure, above, 4)
    return figure


def _shifts(axis: Any, shown: Sequence[Entry]) -> None:
    value = np.array([entry["shift_mev"]["value"] for entry in shown])
    sigma = np.array([entry["shift_mev"]["sigma"] or 0.0 for entry in shown])
    mode = np.array([entry["mode"] for entry in shown])
    for name, colour in _MODES.items():
        at = np.flatnonzero(mode == name)
        if at.size:
            axis.vlines(at, value[at] - sigma[at], value[at] + sigma[at], color=colour, alpha=0.25, linewidth=0.8)
            misfit = not any(shown[i]["described"] for i in at.tolist())
            label = f"{name} (does not describe the data)" if misfit else name
            axis.plot(at, value[at], ".", color=colour, markersize=2.5, label=label)
    for i in (i for i, entry in enumerate(shown) if entry["main"]):
        text = wording.with_sigma(float(value[i]), float(sigma[i]), "meV", signed=True)
        axis.plot(i, value[i], "D", color=_MAIN, markersize=5, label=f"the readout, {text}")
        axis.axhline(value[i], color=_MAIN, linewidth=0.6, linestyle=":")
    margin = 2.0 * float(np.median(sigma))  # a hopeless sigma does not flatten the rest
    axis.set_ylim(min(value.min() - margin, 0.0), max(value.max() + margin, 0.0))
    axis.axhline(0.0, color="black", linewidth=0.6)


def _matrix(axis: Any, shown: Sequence[Entry], rows: Sequence[tuple[str, Any]]) -> None:
    """A mark where a specification chose the value of a row."""
    chosen = np.array([[_GROUPS[group](entry) == value for entry in shown] for group, value in rows])
    axis.imshow(np.where(chosen, 0.2, 1.0), cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    groups = [group for group, _ in rows]
    first = [i for i, group in enumerate(groups) if i == 0 or groups[i - 1] != group]
    axis.set_yticks(range(len(rows)), [_label(value) for _, value in rows], fontsize=7)
    axis.tick_params(length=0)
    for i, start in enumerate(first):
        end = first[i + 1] if i + 1 < len(first) else len(rows)
        axis.axhline(start - 0.5, color="black", linewidth=0.5)
        axis.annotate(groups[start], (1.0, 0.5 * (start + end) - 0.5), (4, 0), xycoords=("axes fraction", "data"),
                      textcoords="offset points", va="center", fontsize=7)  # fmt: skip


def _values(shown: Sequence[Entry], of: Callable[[Entry], Any]) -> list[Any]:
    """What the entries chose of a group, each once, in order."""
    found = {value for entry in shown if (value := of(entry)) is not None}
    return sorted(found, key=lambda value: _ORDER.index(value) if value in _ORDER else value)


def _label(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"
