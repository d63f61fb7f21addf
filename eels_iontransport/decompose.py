"""Peaks of every spectrum of a line, for scripts and notebooks."""

from __future__ import annotations

from dataclasses import replace

from .data.errors import UnusableInput
from .data.spectrum import Spectra
from .decomposition.result import Decomposition
from .materials import Recipe
from .memory import Memory
from .prepared import prepare
from .session import line_masks
from .vibrational import draw_rows, measure_vibrations


def decompose(
    line: Spectra, recipe: Recipe, *, aloof: Spectra | None = None, zlp: Spectra | None = None, mode: str = "shared"
) -> Decomposition:
    """Take every row of a line, or one spectrum, apart; n rows, nan where a row cannot be fitted.

    mode "shared" takes the widths from a joint fit of stretches of the line. Raises UnusableInput, also where no row
    can be fitted.
    """
    prepared = {
        name: prepare(s) for name, s in (("vibrational", line), ("aloof", aloof), ("zlp", zlp)) if s is not None
    }
    masks = line_masks(prepared["vibrational"], None)
    found = measure_vibrations(recipe, mode, None, prepared, masks, Memory())
    if found.together is None:
        reasons = [flag.message for flag in found.flags] or ["No spectrum has a usable zero-loss peak."]
        raise UnusableInput(reasons[0])
    rows = draw_rows(found, prepared["vibrational"]) if line.is_line else None
    return replace(rows or found.together, flags=found.flags)
