"""From vibrational spectra to fitted peaks: zero, response, aloof shapes, regions together, rows one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from .behind_the_shift import BehindTheShift, behind_the_shift
from .chosen_fit import RegionsToFit
from .data.errors import UnusableInput
from .data.flags import Flag
from .decomposition.engine import Stop, never
from .decomposition.fitting import fit_rows, plan_rows
from .decomposition.presence import Presence, test_presence
from .decomposition.result import Decomposition, PeakTable, scatter
from .materials import Recipe
from .materials.recipe import POLARITONIC, Interval
from .measure.alignment import Aligned, aligned_row
from .memory import Itself, Memory, digest
from .polaritons import offset_flags
from .prepared import Prepared
from .prepared import prepare as prepare
from .progress import Progress, silent
from .rows import Basis, RowFits
from .shift_study import MovedGroups, can_be_studied
from .vibrational_model import Model

SHAPE_DIGITS = 2  # rows see common shapes to 0.01 meV: no centre feels it, and rows need no refit for less


@dataclass(frozen=True, eq=False)
class Vibrations:
    """What the vibrational spectra gave.

    names: the groups of rows fitted together, in the order of `together`; regions where there are any. rows: the peaks
    of every row of a line, nan where there are none. presence: by (peak, group), for peaks that may be absent.
    groups: the sums of their spectra. behind: what stands behind the shift, where it was asked for and there is one.
    """

    names: tuple[str, ...] = ()
    together: Decomposition | None = None
    integrals: Mapping[str, float] = field(default_factory=dict)
    presence: Mapping[tuple[str, str], Presence] = field(default_factory=dict)
    rows: PeakTable | None = None
    model: Model | None = None
    behind: BehindTheShift | None = None
    groups: Mapping[str, Aligned] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()


def measure_vibrations(
    recipe: Recipe,
    mode: str,
    windows_mev: tuple[Interval, Interval] | None,
    prepared: Mapping[str, Prepared],
    masks: Mapping[str, np.ndarray],
    memory: Memory,
    should_stop: Stop = never,
    progress: Progress = silent,
    *,
    row_fits: RowFits | None = None,
    moved_masks: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray], float] | None = None,
    settled: bool = True,
) -> Vibrations:
    """The line of prepared["vibrational"] taken apart, with prepared["aloof"] and ["zlp"] where there are such.

    masks: group -> (n,) bool, the rows that are summed and fitted together. A window that the recipe chose and the
    spectra do not cover is a flag; one that the user chose raises UnusableInput. row_fits: keeps the rows; None to fit
    none. moved_masks: the masks with the boundary one error of its place before and after, and the part of the change
    that the error would make. settled: as for `Session.evaluate`.
    """
    line = prepared["vibrational"]
    sums = {name: _group_sum(line, mask & line.usable, memory) for name, mask in masks.items()}
    groups = {name: total for name, total in sums.items() if total is not None}
    if not groups:
        return Vibrations()
    behind = None
    try:
        progress(0, 1, "Fitting regions")
        regions = RegionsToFit(recipe, mode, windows_mev, prepared, groups, memory, should_stop)
        fitted = regions.choose(settled)
        model, together = fitted.model, fitted.together
        if settled and can_be_studied(recipe, mode, groups):
            progress(0, 1, "Studying the shift")
            by_error = _moved_sums(line, moved_masks, memory)
            behind = behind_the_shift(regions.study(fitted, by_error), line, masks)
        presence = test_groups(model, groups, memory, should_stop)
    except UnusableInput as fault:
        if windows_mev is not None:
            raise
        return Vibrations(flags=(Flag("NOT_DECOMPOSED", str(fault)),))
    rows = None
    if row_fits is not None and line.spectra.is_line:
        rows = fit_line(model, line, together, row_fits, should_stop, progress, settled=settled)
    integrals = {name: line.total_integral(masks[name]) for name in groups}
    flags = (*model.flags, *offset_flags(together), *(behind.flags if behind is not None else ()))
    return Vibrations(tuple(groups), together, integrals, presence, rows, model, behind, groups, flags)


def _moved_sums(
    line: Prepared,
    masks: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray], float] | None,
    memory: Memory,
) -> MovedGroups | None:
    """The sums of moved regions; None where one of them is empty, or nothing moves."""
    if masks is None or not masks[2] > 0:
        return None
    before, after = (
        {name: _group_sum(line, mask & line.usable, memory) for name, mask in moved.items()} for moved in masks[:2]
    )
    sums = [{name: total for name, total in part.items() if total is not None} for part in (before, after)]
    if any(len(part) < len(before) for part in sums):
        return None
    key = ("moved", masks[2], *(Itself(total) for part in sums for total in part.values()))
    moved: MovedGroups = memory.recall(key, partial(MovedGroups, sums[0], sums[1], masks[2]))
    return moved


def _group_sum(line: Prepared, mask: np.ndarray, memory: Memory) -> Aligned | None:
    """The sum of some rows, the same object as long as these do not change."""
    key = ("sum", mask.tobytes(), line.version[mask].tobytes())
    total: Aligned | None = memory.recall(key, partial(line.total, mask))
    return total


def test_groups(
    model: Model, groups: Mapping[str, Aligned], memory: Memory, should_stop: Stop = never
) -> dict[tuple[str, str], Presence]:
    """(peak, group) -> whether a peak that may be absent is there."""
    tested = {}
    for peak in model.setup.recipe.peaks:
        for name, spectrum in groups.items() if peak.test_presence else ():
            key = ("presence", model.key, peak.name, Itself(spectrum))
            make = lambda p=peak.name, s=spectrum: test_presence(model.setup, s, p, should_stop)  # noqa: E731
            tested[peak.name, name] = memory.recall(key, make)
    return tested


def fit_line(
    model: Model,
    line: Prepared,
    together: Decomposition,
    row_fits: RowFits,
    should_stop: Stop = never,
    progress: Progress = silent,
    *,
    settled: bool = True,
) -> PeakTable | None:
    """Every usable row with the common shapes of the regions' fit, nan for one that cannot be fitted."""
    mean = line.total()
    if mean is None:
        return None
    common = _rounded(together)
    # Centres of phononic peaks are free in the rows; a change of theirs must not make every row be fitted again.
    held = np.array([peak.component == POLARITONIC for peak in common.peaks])
    shapes = (common.values["centre_mev"][0][held], *(common.values[q][0] for q in ("sigma_mev", "gamma_mev")))
    basis = Basis((model.key, digest(*shapes)), digest(mean.counts, mean.energy_mev))
    plan = partial(plan_rows, model.setup, common, mean, should_stop)
    options: dict[str, Any] = {"settled": settled, "should_stop": should_stop, "progress": progress}
    try:
        return row_fits.fit(line, common.peaks, basis, plan, **options)
    except UnusableInput:
        return None


def draw_rows(vibrations: Vibrations, line: Prepared, should_stop: Stop = never) -> Decomposition | None:
    """Every row of a line taken apart, with its spectra; None where there is no fit. Raises UnusableInput."""
    if vibrations.model is None or vibrations.together is None:
        return None
    rows = np.flatnonzero(line.usable)
    spectra = [aligned_row(line.spectra, row, line.zero.position_ev[row]) for row in rows.tolist()]
    part = fit_rows(vibrations.model.setup, _rounded(vibrations.together), spectra, should_stop)
    return scatter(part, rows, len(line.spectra.rows))


def _rounded(together: Decomposition) -> Decomposition:
    """The common shapes as rows see them: polaritons and widths, rounded."""
    values = {q: np.round(v, SHAPE_DIGITS) if q != "area" else v for q, v in together.values.items()}
    return replace(together, values=values)
