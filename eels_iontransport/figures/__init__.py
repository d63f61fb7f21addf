"""Figures of an evaluation, written as PNG files. Needs matplotlib, which is imported when the first one is drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.regions import NAMES, SPECTRUM
from ..evaluation import Evaluation
from ..files.export import whole_file
from ..materials import Recipe
from . import profiles, sceptic, specification, spectra, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw", "save"]


def draw(evaluation: Evaluation, recipe: Recipe) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """The figures that the evaluation has the data for: (file name without ending, how to draw it)."""
    fits = evaluation.fits
    polaritonic = [peak.name for peak in recipe.aloof_peaks]
    missing = [
        (peak["region"], peak["name"])
        for peak in evaluation.readout.get("peaks", ())
        if peak["centre_mev"]["value"] is None
    ]
    aloof, single = evaluation.aloof_fit, fits.get(SPECTRUM)
    if aloof is not None:
        yield "aloof_fit", lambda: spectra.draw_fits({"aloof": aloof}, {"aloof": "Aloof spectrum"}, polaritonic)
    if single is not None:
        title = {SPECTRUM: f"{recipe.title}: single spectrum"}
        yield "spectrum_fit", lambda: spectra.draw_fits({SPECTRUM: single}, title, polaritonic, missing)
        yield "spectrum_background", lambda: spectra.draw_background(single, title[SPECTRUM])
    along = {name: fit for name, fit in fits.items() if name != SPECTRUM}
    if along:
        yield "region_fits", lambda: spectra.draw_fits(along, {n: style.label(n) for n in along}, polaritonic, missing)
    peak = evaluation.shift_peak
    if peak is not None and set(NAMES) & set(along):
        found = evaluation.readout.get("ldo_peak", {})
        centres = {name: found.get(f"{name}_mev") for name in along}
        yield f"{peak.lower()}_peak", lambda: spectra.draw_peak(along, peak, centres)
    curve = evaluation.readout.get("specification", ())
    if peak is not None and specification.known(curve):
        yield "specification_curve", lambda: specification.draw_curve(curve, peak)
    page = evaluation.readout.get("sceptic")
    if peak is not None and page is not None and sceptic.has_shift(page):
        yield "sceptic_shift", lambda: sceptic.draw_shift(page, evaluation.readout["ldo_peak"], peak)
    if peak is not None and page is not None and sceptic.has_rows(page):
        yield "sceptic_rows", lambda: sceptic.draw_rows(page, peak)
    shown = profiles.wanted(evaluation, recipe.ratio)
    if shown:
        yield "profiles", lambda: profiles.draw_profiles(evaluation, shown)
    if evaluation.normalised is not None and len(evaluation.normalised) > 1:
        yield "line_map", lambda: profiles.draw_map(evaluation)


def save(evaluation: Evaluation, recipe: Recipe, folder: str | os.PathLike[str]) -> list[Path]:
    """Writes every figure into the folder and returns their paths. Raises UnusableInput where it cannot be written."""
    written = []
    for name, make in draw(evaluation, recipe):
        path = Path(folder) / f"{name}.png"
        figure = make()
        with whole_file(path) as part:
            figure.savefig(part, dpi=style.DPI)
        written.append(path)
    return written
