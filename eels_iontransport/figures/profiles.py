"""What is measured along the line, with one-sigma bands and the three regions shaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.regions import Regions
from ..evaluation import Evaluation
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIGMA = {"ldo_centre_mev": "ldo_centre_sigma_mev"}  # the others are called <name>_sigma
POSITION_LABEL = "Position along the line (nm)"


@dataclass(frozen=True)
class Profile:
    """A profile to draw: its name in `Evaluation.profiles`, and the label of its axis."""

    name: str
    label: str


def wanted(evaluation: Evaluation, ratio: Sequence[str] | None) -> tuple[Profile, ...]:
    """The profiles that there are: centre of the shift peak, ratio of the two elements, thickness."""
    candidates = [
        Profile("ldo_centre_mev", f"{evaluation.shift_peak} centre\n(meV)"),
        Profile("li_to_co", f"{':'.join(ratio)}\n(intensity ratio)" if ratio else "Ratio"),
        Profile("thickness", "t/λ"),
    ]
    return tuple(p for p in candidates if np.isfinite(evaluation.profiles.get(p.name, np.nan)).any())


@style.styled
def draw_profiles(evaluation: Evaluation, profiles: Sequence[Profile]) -> Figure:
    """The profiles above each other on one position axis."""
    figure = style.new_figure(6.0, 1.0 + 1.7 * len(profiles))
    grid = figure.subplots(len(profiles), 1, squeeze=False, sharex=True)
    for axis, profile in zip(grid[:, 0], profiles):
        _regions(axis, evaluation.regions, named=axis is grid[0, 0])
        _band(axis, evaluation, profile.name)
        axis.set_ylabel(profile.label)
    figure.align_ylabels(grid[:, 0])
    grid[-1, 0].set_xlabel(f"{POSITION_LABEL}; bands are one standard deviation")
    return figure


@style.styled
def draw_map(evaluation: Evaluation) -> Figure:
    """Normalised intensity on a logarithmic scale, energy loss upwards; rows without data are grey."""
    assert evaluation.normalised is not None and evaluation.normalised_axis is not None
    figure = style.new_figure(6.0, 3.8)
    axis = figure.subplots()
    shown = np.where(evaluation.valid[:, None], evaluation.normalised, np.nan).T * 1e3
    axis.set_facecolor("#DDDDDD")
    norm = _norm(shown)
    mesh = axis.pcolormesh(
        evaluation.position_nm,
        evaluation.normalised_axis.energies_mev,
        shown,
        cmap=style.MAP,
        norm=norm,
        shading="nearest",
        rasterized=True,
    )
    bar = figure.colorbar(mesh, ax=axis, label="Intensity / ZLP ($10^{-3}$ meV$^{-1}$)", ticks=_ticks(norm))
    bar.ax.yaxis.set_major_formatter("{x:.3g}")
    bar.minorticks_off()
    if evaluation.regions is not None:
        for edge in (evaluation.regions.boundary.start_nm, evaluation.regions.boundary.end_nm):
            axis.axvline(edge, color="white", linewidth=0.9, linestyle=(0, (4, 3)))
    axis.set(xlabel=POSITION_LABEL, ylabel=style.ENERGY_LABEL, title="Vibrational line scan")
    return figure


def _norm(shown: np.ndarray) -> Any:
    """Logarithmic, as the tail of the zero-loss peak spans decades; linear where nothing is above zero."""
    from matplotlib.colors import LogNorm, Normalize

    positive = shown[np.isfinite(shown) & (shown > 0)]
    if not positive.size:
        return Normalize(0.0, 1.0)
    low, high = np.percentile(positive, [1, 99])
    return LogNorm(low, high) if high > low else Normalize(0.0, high)


def _ticks(norm: Any) -> np.ndarray | None:
    """1, 2 and 5 of every decade of a logarithmic scale; None leaves a linear one alone."""
    from matplotlib.colors import LogNorm

    if not isinstance(norm, LogNorm) or norm.vmin is None or norm.vmax is None:
        return None
    low, high = float(norm.vmin), float(norm.vmax)
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = np.outer(decades, (1.0, 2.0, 5.0)).ravel()
    return ticks[(ticks >= low) & (ticks <= high)]


def _regions(axis: Any, regions: Regions | None, named: bool) -> None:
    for name, region in regions or ():
        colour = style.REGION_COLOURS[name]
        axis.axvspan(region.start_nm, region.end_nm, color=colour, alpha=0.07, linewidth=0)
        if named:
            middle = 0.5 * (region.start_nm + region.end_nm)
            label = style.REGION_LABELS[name]
            axis.annotate(
                label, (middle, 1.0), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
                ha="center", va="bottom", color=colour,
            )  # fmt: skip


def _band(axis: Any, evaluation: Evaluation, name: str) -> None:
    position, values = evaluation.position_nm, _known(evaluation, evaluation.profiles[name])
    sigma = evaluation.profiles.get(_SIGMA.get(name, f"{name}_sigma"))
    if sigma is not None:
        sigma = _known(evaluation, sigma)
        axis.fill_between(position, values - sigma, values + sigma, color=style.BAND, linewidth=0)
    axis.plot(position, values, "o-", color=style.FIT, markersize=2.5, linewidth=1.0)
    _limits(axis, values, sigma)


def _known(evaluation: Evaluation, values: np.ndarray) -> np.ndarray:
    return np.where(evaluation.valid, values, np.nan)


def _limits(axis: Any, values: np.ndarray, sigma: np.ndarray | None) -> None:
    """Room for the values and typical bands; a row of hopeless sigma does not flatten the rest."""
    spread = np.nanmedian(sigma) if sigma is not None and np.isfinite(sigma).any() else 0.0
    low, high = np.nanmin(values), np.nanmax(values)
    margin = max(2.0 * spread, 0.08 * (high - low), 1e-3 * max(abs(low), abs(high)))
    axis.set_ylim(low - margin, high + margin)
