"""Maps written as arrays and figures, with one file that says what they are; and as a page for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .files import export
from .maps import PeakMaps
from .materials import Recipe

SCHEMA = "eels-iontransport/maps/1"
LISTING = "maps.json"

_WORDS = {
    "centre_mev": ("centre", "meV"),
    "sigma_mev": ("Gaussian sigma", "meV"),
    "gamma_mev": ("Lorentzian gamma", "meV"),
    "fwhm_mev": ("FWHM", "meV"),
    "area": ("area", "counts meV"),
}


@dataclass(frozen=True, eq=False)
class Map:
    """One map: the name of its files, what it shows, in words and unit, and its values (height, width)."""

    name: str
    title: str
    unit: str
    values: np.ndarray


def chosen_maps(maps: PeakMaps, wanted: Sequence[tuple[str, str]]) -> Iterator[Map]:
    """The quantities with their uncertainties, then how good the fits and where the zero-loss peaks are."""
    for peak, quantity in wanted:
        words, unit = _WORDS[quantity]
        name = re.sub(r"[^\w.-]+", "_", f"{peak}_{quantity}")  # peaks may be called anything, files may not
        yield Map(name, f"{peak} {words}", unit, maps.value(peak, quantity))
        yield Map(f"{name}_sigma", f"{peak} {words}, standard deviation", unit, maps.sigma(peak, quantity))
    yield Map("chi2", "Reduced chi-squared", "", maps.chi2)
    yield Map("zlp_position_mev", "Zero-loss peak position", "meV", maps.zlp.position_mev)
    yield Map("zlp_fwhm_mev", "Zero-loss peak FWHM", "meV", maps.zlp.fwhm_mev)
    yield Map("zlp_integral", "Zero-loss peak integral", "counts", maps.zlp.integral)


def write(
    folder: Path,
    maps: PeakMaps,
    wanted: Sequence[tuple[str, str]],
    recipe: Recipe,
    record: Mapping[str, Any],
) -> list[Path]:
    """An array and a figure of every map, and the listing last; returns the paths. record: the provenance.

    Raises UnusableInput.
    """
    from .figures import style
    from .figures.maps import draw_map

    (folder / LISTING).unlink(missing_ok=True)  # it would speak of other maps until the end
    written, entries = [], []
    for one in chosen_maps(maps, wanted):
        array, picture = folder / f"{one.name}.npy", folder / f"{one.name}.png"
        with export.whole_file(array) as part:
            np.save(part, one.values)
        with export.whole_file(picture) as part:
            draw_map(one.values, one.title, one.unit, maps.step_nm).savefig(part, dpi=style.DPI)
        written += [array, picture]
        files_of_it = {"array": array.name, "figure": picture.name}
        entries.append({"name": one.name, "title": one.title, "unit": one.unit, **files_of_it, **_summary(one.values)})
    listing = {
        "schema": SCHEMA,
        "material": recipe.name,
        "mode": record["parameters"]["mode"],
        "shape": maps.shape,
        "step_nm": maps.step_nm,
        "maps": entries,
        "flags": [flag.to_dict() for flag in maps.flags],
        "provenance": record,
    }
    export.write_json(folder / LISTING, listing)
    return [*written, folder / LISTING]


def _summary(values: np.ndarray) -> dict[str, float | int]:
    finite = values[np.isfinite(values)]
    return {"pixels": finite.size, "median": float(np.median(finite)) if finite.size else np.nan}


def page(maps: PeakMaps, wanted: Sequence[tuple[str, str]], recipe: Recipe, mode: str) -> list[str]:
    """What the terminal shows: the middle of every map and the range of most pixels, then the doubts."""
    height, width = maps.shape
    lines = [f"{recipe.title}, mode {mode}, {height} x {width} pixels"]
    for one in chosen_maps(maps, wanted):
        finite = one.values[np.isfinite(one.values)]
        if finite.size:
            form = "{:.3f}" if one.unit == "meV" else "{:.4g}"
            low, middle, high = (form.format(value) for value in np.percentile(finite, (5, 50, 95)))
            text = f"{middle} {one.unit}".strip() + f"  (90 % of {finite.size} pixels from {low} to {high})"
        else:
            text = "not determined in any pixel"
        lines.append(f"{one.title:<42}{text}")
    return [*lines, *(f"! {flag.message}" for flag in maps.flags)]
