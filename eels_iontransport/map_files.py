"""Maps written as arrays and figures, with one file that says what they are; and as a page for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import export
from .map_kinds import OF_ZERO_LOSS, of_peaks
from .maps import PeakMaps
from .materials import Recipe

SCHEMA = "eels-iontransport/maps/1"
LISTING = "maps.json"


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
    for kind in (*of_peaks(wanted), *OF_ZERO_LOSS):
        values, title = kind.values(maps), kind.title[0].upper() + kind.title[1:]
        array, picture = folder / f"{kind.name}.npy", folder / f"{kind.name}.png"
        with export.whole_file(array) as part:
            np.save(part, values)
        with export.whole_file(picture) as part:
            draw_map(values, title, kind.unit, maps.step_nm).savefig(part, dpi=style.DPI)
        written += [array, picture]
        named = {"name": kind.name, "title": title, "unit": kind.unit, "array": array.name, "figure": picture.name}
        entries.append({**named, **_summary(values)})
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
    for kind in (*of_peaks(wanted), *OF_ZERO_LOSS):
        values = kind.values(maps)
        finite = values[np.isfinite(values)]
        if finite.size:
            form = "{:.3f}" if kind.unit == "meV" else "{:.4g}"
            low, middle, high = (form.format(value) for value in np.percentile(finite, (5, 50, 95)))
            text = f"{middle} {kind.unit}".strip() + f"  (90 % of {finite.size} pixels from {low} to {high})"
        else:
            text = "not determined in any pixel"
        lines.append(f"{kind.title:<42}{text}")
    return [*lines, *(f"! {flag.message}" for flag in maps.flags)]
