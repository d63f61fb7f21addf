"""A map of an image: one colour a pixel, a scale bar where the distance of pixels is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "#BBBBBB"
PERCENTILES = (1.0, 99.0)  # few wild pixels do not flatten the rest
BAR_PART = 0.3  # of the width that a scale bar has at most
_LONGEST_IN, _SHORTEST_IN = 4.2, 0.8  # sides of the map


@style.styled
def draw_map(values: np.ndarray, title: str, unit: str, step_nm: tuple[float, float] | None = None) -> Figure:
    """values (height, width) in this unit, nan in grey. step_nm: distance of pixels (down, across)."""
    down, across = step_nm or (1.0, 1.0)
    height, width = values.shape[0] * down, values.shape[1] * across
    figure = style.new_figure(*_size(height, width))
    axis = figure.subplots()
    low, high, extend = _limits(values)
    shown = axis.imshow(
        np.ma.masked_invalid(values),
        cmap=_colours(),
        vmin=low,
        vmax=high,
        extent=(0.0, width, height, 0.0),
        interpolation="nearest",
    )
    axis.set(xticks=[], yticks=[], title=title)
    axis.spines[:].set_visible(True)
    figure.colorbar(shown, ax=axis, label=unit, extend=extend)
    if step_nm is not None:
        _add_scale_bar(axis, width, max(width, height))
    return figure


def _colours() -> Any:
    from matplotlib import colormaps

    return colormaps[style.MAP].with_extremes(bad=MISSING)


def _size(height: float, width: float) -> tuple[float, float]:
    """Of the figure in inches, for a map of these sides."""
    scale = _LONGEST_IN / max(height, width)
    return max(scale * width, _SHORTEST_IN) + 1.5, max(scale * height, _SHORTEST_IN) + 0.8


def _limits(values: np.ndarray) -> tuple[float, float, str]:
    """Ends of the colours, and at which of them there is more beyond."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0, "neither"
    low, high = (float(end) for end in np.percentile(finite, PERCENTILES))
    if high <= low:
        margin = max(1e-3 * abs(low), 1e-6)
        return low - margin, high + margin, "neither"
    below, above = bool(finite.min() < low), bool(finite.max() > high)
    return (
        low,
        high,
        {(False, False): "neither", (True, False): "min", (False, True): "max"}.get((below, above), "both"),
    )


def _add_scale_bar(axis: Any, width_nm: float, longest_nm: float) -> None:
    """Below the map, where it hides nothing."""
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    length = round_length(BAR_PART * width_nm)
    bar = AnchoredSizeBar(
        axis.transData, length, f"{length:g} nm", "upper left", pad=0.0, borderpad=0.5, sep=3, frameon=False,
        size_vertical=0.008 * longest_nm, bbox_to_anchor=(0.0, 0.0), bbox_transform=axis.transAxes,
    )  # fmt: skip
    axis.add_artist(bar)


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5, 10 ... that is not longer; longest > 0."""
    decade = 10.0 ** np.floor(np.log10(longest))
    return float(max(part * decade for part in (1.0, 2.0, 5.0) if part * decade <= longest * (1 + 1e-9)))
