"""How figures look: colours, sizes, and axes with room for what they say. Matplotlib is imported when one is made."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from ..data.regions import BOUNDARY, GRAIN_1, GRAIN_2, SPECTRUM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_P = ParamSpec("_P")

REGION_COLOURS = {GRAIN_1: "#0072B2", BOUNDARY: "#B84A00", GRAIN_2: "#00755A", SPECTRUM: "#333333"}
REGION_LABELS = {GRAIN_1: "Grain 1", BOUNDARY: "Boundary", GRAIN_2: "Grain 2", SPECTRUM: "Spectrum"}
DATA, FIT, RESIDUAL, BAND = "#777777", "#000000", "#882255", "#BBD7EA"
POLARITONIC, PHONONIC = (0.0, 114 / 255, 178 / 255, 0.35), (230 / 255, 159 / 255, 0.0, 0.55)
POLARITONIC_LINE, PHONONIC_LINE = "#00456E", "#7A5200"
MAP = "magma"
DPI = 160
ENERGY_LABEL = "Energy loss (meV)"

_STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.2,
}


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draws in the style of these figures, whatever matplotlib has been told elsewhere."""

    @functools.wraps(draw)
    def drawn(*arguments: _P.args, **options: _P.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            return draw(*arguments, **options)

    return drawn


def label(region: str) -> str:
    """A region's name as people read it."""
    return REGION_LABELS.get(region, region.replace("_", " ").capitalize())


def new_figure(width_in: float, height_in: float) -> Figure:
    """A figure that belongs to no window and no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), layout="constrained")


def legend_below(figure: Figure, axis: Any, columns: int) -> None:
    """A legend outside the axes, where it covers no data."""
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=columns)
