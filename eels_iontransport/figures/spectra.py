"""Fitted spectra: what was measured, what the model makes of it, and what is left over."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import wording
from ..data.regions import NAMES
from ..evaluation import FittedSpectrum
from . import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMALISED_LABEL = "Intensity / ZLP ($10^{-3}$ meV$^{-1}$)"
_PER_MILLE = 1e3
_LOG_FROM = 10.0  # a spectrum that spans so much is drawn on a logarithmic scale
_LINE_STYLES = ("-", "--", "-.", ":")


def scale(fit: FittedSpectrum) -> float:
    """Factor from counts per channel to thousandths of the ZLP's counts per meV."""
    step_mev = float(np.diff(fit.energy_mev).mean())
    return _PER_MILLE / (fit.zlp_integral * step_mev)


@style.styled
def draw_fits(
    fits: Mapping[str, FittedSpectrum],
    titles: Mapping[str, str],
    polaritonic: Collection[str] = (),
    unreported: Collection[tuple[str, str]] = (),
) -> Figure:
    """One column per fit: background-subtracted data with components above, residual below, on common scales.

    polaritonic: names of the peaks that the aloof spectrum shows too. unreported: (fit, peak) of the peaks that the
    data do not carry, which are drawn as what they are.
    """
    figure = style.new_figure(1.2 + 2.7 * len(fits), 4.6)
    grid = figure.subplots(2, len(fits), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1))
    for column, (name, fit) in enumerate(fits.items()):
        _components(grid[0, column], fit, polaritonic, [peak for where, peak in unreported if where == name])
        _residual(grid[1, column], fit)
        grid[0, column].set_title(f"{titles[name]}\n", color=style.REGION_COLOURS.get(name, "black"))
        grid[0, column].text(
            0.5,
            1.02,
            f"reduced $\\chi^2$ = {fit.chi2:.2f}",
            transform=grid[0, column].transAxes,
            ha="center",
            fontsize=8,
        )
        grid[1, column].set_xlabel(style.ENERGY_LABEL)
    grid[0, 0].set_ylabel(NORMALISED_LABEL)
    grid[1, 0].set_ylabel("Residual")
    figure.align_ylabels(grid[:, 0])
    style.legend_below(figure, grid[0, 0], 2 * len(fits) if len(fits) > 1 else 4)
    return figure


@style.styled
def draw_background(fit: FittedSpectrum, title: str) -> Figure:
    """The recorded spectrum with the background that the model gives it."""
    figure = style.new_figure(4.6, 3.4)
    axis = figure.subplots()
    factor = scale(fit)
    axis.plot(fit.energy_mev, fit.counts * factor, ".", color=style.DATA, markersize=3, label="data")
    axis.plot(fit.energy_mev, fit.model * factor, color=style.FIT, linewidth=1.4, label="fit")
    axis.plot(fit.energy_mev, fit.background * factor, "--", color=style.RESIDUAL, label="background")
    known = fit.counts[np.isfinite(fit.counts)]
    if known.min(initial=np.inf) > 0 and known.max(initial=0.0) > _LOG_FROM * known.min(initial=np.inf):
        axis.set_yscale("log")
    axis.set(xlabel=style.ENERGY_LABEL, ylabel=NORMALISED_LABEL, title=title)
    style.legend_below(figure, axis, 3)
    return figure


@style.styled
def draw_peak(fits: Mapping[str, FittedSpectrum], peak: str, centres: Mapping[str, Any]) -> Figure:
    """One peak alone, as the fit sees it in each region; dots are the data less everything else in the fit.

    centres: region -> quantity of the centre in meV; a region without a centre is not drawn.
    """
    figure = style.new_figure(4.8, 3.8)
    axis = figure.subplots()
    for name in (name for name in NAMES if name in fits):
        fit, centre = fits[name], centres.get(name)
        colour = style.REGION_COLOURS[name]
        line = fit.components[peak] * scale(fit)
        if centre is None or centre.get("value") is None:
            axis.plot([], [], color=colour, label=f"{style.REGION_LABELS[name]}  not determined")
            continue
        text = wording.with_sigma(centre["value"], centre.get("sigma"), "meV")
        axis.plot(fit.energy_mev, line + fit.residual * scale(fit), ".", color=colour, markersize=2.5, alpha=0.3)
        axis.plot(fit.energy_mev, line, color=colour, linewidth=1.8, label=f"{style.REGION_LABELS[name]}  {text}")
        axis.plot([centre["value"]] * 2, [0, line.max()], color=colour, linewidth=0.9, linestyle=":")
    _around_peak(axis, fits, peak)
    axis.set(xlabel=style.ENERGY_LABEL, ylabel=NORMALISED_LABEL, title=f"{peak} peak alone")
    style.legend_below(figure, axis, 1)
    return figure


def _around_peak(axis: Any, fits: Mapping[str, FittedSpectrum], peak: str) -> None:
    """Where any region's peak is above a hundredth of its maximum."""
    energies = [f.energy_mev[f.components[peak] > 0.01 * f.components[peak].max()] for f in fits.values()]
    ends = [end for energy in energies if energy.size for end in (energy[0], energy[-1])]
    if ends:
        axis.set_xlim(min(ends), max(ends))
    axis.axhline(0.0, color="black", linewidth=0.6)


def _components(axis: Any, fit: FittedSpectrum, polaritonic: Collection[str], unreported: Collection[str]) -> None:
    factor, energy = scale(fit), fit.energy_mev
    filled = [name for name in fit.components if name not in unreported]
    if np.any(fit.polaritonic) and any(name in polaritonic for name in filled):
        axis.fill_between(energy, fit.polaritonic * factor, color=style.POLARITONIC, linewidth=0, label="polaritonic")
    if np.any(fit.phononic) and any(name not in polaritonic for name in filled):
        axis.fill_between(energy, fit.phononic * factor, color=style.PHONONIC, linewidth=0, label="phononic")
    for number, (name, line) in enumerate(fit.components.items()):
        dashes = _LINE_STYLES[number % len(_LINE_STYLES)]
        colour = style.POLARITONIC_LINE if name in polaritonic else style.PHONONIC_LINE
        words = name.replace("_", " ")
        if name in unreported:
            dashes, colour, words = ":", style.RESIDUAL, f"{words} (not reported)"
        axis.plot(energy, line * factor, dashes, color=colour, linewidth=0.8, label=words)
    data = (fit.counts - fit.background) * factor
    axis.plot(energy, data, ".", color=style.DATA, markersize=3.5, zorder=3, label="data")
    axis.plot(energy, (fit.model - fit.background) * factor, color=style.FIT, linewidth=1.6, zorder=4, label="fit")
    axis.axhline(0.0, color="black", linewidth=0.6)


def _residual(axis: Any, fit: FittedSpectrum) -> None:
    axis.axhline(0.0, color="black", linewidth=0.6)
    axis.plot(fit.energy_mev, fit.residual * scale(fit), color=style.RESIDUAL, linewidth=0.8)
