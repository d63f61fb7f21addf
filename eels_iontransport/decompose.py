"""Peaks of every spectrum of a line, for scripts and notebooks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .data.errors import UnusableInput
from .data.spectrum import Spectra
from .decomposition.engine import fit
from .decomposition.fitting import pose
from .decomposition.result import Decomposition
from .materials import Recipe
from .measure.passes import in_step
from .memory import Memory, seen
from .prepared import Prepared, Preparer, prepare_all
from .session import line_masks
from .vibrational import Vibrations, draw_rows, measure_vibrations

if TYPE_CHECKING:
    import lmfit


def decompose(
    line: Spectra, recipe: Recipe, *, aloof: Spectra | None = None, zlp: Spectra | None = None, mode: str = "shared"
) -> Decomposition:
    """Take every row of a line, or one spectrum, apart; n rows, nan where a row cannot be fitted.

    mode "shared" takes the widths from a joint fit of stretches of the line. Raises UnusableInput, also where no row
    can be fitted.
    """
    found, prepared = _measured(line, recipe, aloof, zlp, mode)
    assert found.together is not None
    rows = draw_rows(found, prepared) if line.is_line else None
    return replace(rows or found.together, flags=found.flags)


def reference_model(
    line: Spectra, recipe: Recipe, *, aloof: Spectra | None = None, zlp: Spectra | None = None, mode: str = "shared"
) -> lmfit.Minimizer:
    """The same fit as an lmfit Minimizer, to fit again and to report on: of one spectrum, or of a line's stretches.

    Its parameters begin where `decompose` ended. `lmfit.fit_report(found.least_squares())` tells all of it. Raises
    UnusableInput, also for a line in a mode that fits every spectrum by itself.
    """
    from .decomposition import reference

    found, prepared = _measured(line, recipe, aloof, zlp, mode)
    if line.is_line and mode != "shared":
        raise UnusableInput(f"In mode '{mode}' every spectrum is fitted by itself; give one spectrum of the line.")
    assert found.model is not None
    masks = line_masks(prepared, None)
    sums = [prepared.total(masks[name] & prepared.usable) for name in found.names]
    posed = pose(found.model.setup, [total for total in sums if total is not None])
    ended = fit(posed.layout, posed.data, posed.starts).theta[0]
    return reference.model(posed.layout, posed.data, ended, [peak.name for peak in recipe.peaks])


def _measured(
    line: Spectra, recipe: Recipe, aloof: Spectra | None, zlp: Spectra | None, mode: str
) -> tuple[Vibrations, Prepared]:
    """What was found, and the line as it was prepared. Raises UnusableInput where nothing was."""
    given = (("vibrational", line), ("aloof", aloof), ("zlp", zlp))
    inputs = {name: seen(in_step(spectra)) for name, spectra in given if spectra is not None}
    prepared = prepare_all({name: Preparer() for name in inputs}, inputs)
    masks = line_masks(prepared["vibrational"], None)
    found = measure_vibrations(recipe, mode, None, prepared, masks, Memory())
    if found.together is None:
        reasons = [flag.message for flag in found.flags] or ["No spectrum has a usable zero-loss peak."]
        raise UnusableInput(reasons[0])
    return found, prepared["vibrational"]
