"""From vibrational spectra to fitted peaks: zero, response, aloof shapes, regions together, rows one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from .behind_the_shift import BehindTheShift, behind_the_shift
from .data.errors import UnusableInput
from .data.flags import Flag
from .decomposition import response as responses
from .decomposition.engine import Stop, never
from .decomposition.fitting import Setup, fit_aloof, fit_rows, fit_together, plan_rows
from .decomposition.layout import KnownShapes
from .decomposition.presence import Presence, test_presence
from .decomposition.response import Response
from .decomposition.result import Decomposition, PeakTable, scatter
from .materials import Recipe
from .materials.recipe import POLARITONIC, Interval
from .measure.alignment import Aligned, aligned_row
from .measure.background import Tail
from .memory import Itself, Memory, digest
from .prepared import Prepared
from .prepared import prepare as prepare
from .progress import Progress, silent
from .rows import Basis, RowFits
from .shift_study import MovedGroups, ShiftStudy, can_be_studied, vacuum_tail

SHAPE_DIGITS = 2  # rows see common shapes to 0.01 meV: no centre feels it, and rows need no refit for less


@dataclass(frozen=True, eq=False)
class Model:
    """What is fitted with: the setup (with aloof shapes, if any), and the aloof decomposition behind it.

    key: another one whenever something is.
    """

    setup: Setup
    aloof: Decomposition | None
    aloof_integral: float
    key: Any
    flags: tuple[Flag, ...]


def build_model(
    recipe: Recipe,
    mode: str,
    windows_mev: tuple[Interval, Interval] | None,
    line: Prepared,
    aloof: Prepared | None,
    vacuum: Prepared | None,
    memory: Memory,
    should_stop: Stop = never,
    *,
    tail: Tail | None = None,
) -> Model:
    """Response and aloof shapes for the spectra of a line. Raises UnusableInput.

    recipe: with the order of the background that is fitted. tail: what lies under the lines in place of it.
    """
    response, unusable = _response(line, aloof, vacuum, memory)
    setup = Setup(recipe, mode, line.noise, response, windows_mev, tail=tail)
    result, shapes, flags = _aloof_shapes(setup, aloof, memory, should_stop)
    flags = (*unusable, *_response_flags(setup), *flags)
    key = memory.recall(("model", Itself(recipe), mode, windows_mev, line.noise, response, shapes, tail), object)
    if result is None or aloof is None:
        return Model(setup, None, np.nan, key, flags)
    integral = aloof.total_integral(aloof.usable)
    return Model(replace(setup, polaritons=shapes), result, integral, key, flags)


def _aloof_shapes(
    setup: Setup, aloof: Prepared | None, memory: Memory, should_stop: Stop
) -> tuple[Decomposition | None, KnownShapes | None, tuple[Flag, ...]]:
    """The aloof spectrum taken apart, and the line shapes that it gives; None where it gives none, with the reason."""
    if not setup.recipe.aloof_peaks:
        return None, None, ()
    total = aloof.total() if aloof is not None else None
    if aloof is None or total is None:
        reason = "was not given" if aloof is None else "has no usable zero-loss peak"
        message = f"The aloof spectrum {reason}; polariton shapes are fitted to the line itself."
        return None, None, (Flag("NO_ALOOF", message),)
    key = ("aloof", Itself(setup.recipe), setup.mode, setup.windows_mev, setup.response, setup.tail, aloof.token)
    try:
        make = partial(fit_aloof, replace(setup, noise=aloof.noise), total, should_stop)
        result, shapes = memory.recall(key, make)
    except UnusableInput as fault:
        return None, None, (Flag("ALOOF_UNUSABLE", f"The aloof spectrum cannot be used: {fault}"),)
    if result.described[0]:
        return result, shapes, ()
    message = f"The polariton lines do not describe the aloof spectrum (reduced chi-squared {result.chi2[0]:.1f})."
    return result, shapes, (Flag("ALOOF_MISFIT", message),)


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
        fitted = _fitted(recipe, mode, windows_mev, prepared, groups, memory, should_stop, settled)
        model, _, together = fitted
        if settled and can_be_studied(recipe, mode, groups):
            progress(0, 1, "Studying the shift")
            by_error = _moved_sums(line, moved_masks, memory)
            behind = behind_the_shift(_study(fitted, groups, prepared, memory, should_stop, by_error), line, masks)
        presence = test_groups(model, groups, memory, should_stop)
    except UnusableInput as fault:
        if windows_mev is not None:
            raise
        return Vibrations(flags=(Flag("NOT_DECOMPOSED", str(fault)),))
    rows = None
    if row_fits is not None and line.spectra.is_line:
        rows = fit_line(model, line, together, row_fits, should_stop, progress, settled=settled)
    integrals = {name: line.total_integral(masks[name]) for name in groups}
    flags = (*model.flags, *(behind.flags if behind is not None else ()))
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


_BACKGROUND = "background"  # rows of the line, and the order of the background that the data preferred, the last time
WORTH_A_CHOICE = 0.05  # part by which a line that fills has to grow for its background to be chosen again


def _fitted(
    recipe: Recipe,
    mode: str,
    windows_mev: tuple[Interval, Interval] | None,
    prepared: Mapping[str, Prepared],
    groups: Mapping[str, Aligned],
    memory: Memory,
    should_stop: Stop,
    settled: bool,
) -> tuple[Model, int | None, Decomposition]:
    """The model with the background that the data prefer, its order (None: vacuum tail), and the regions' fit.

    The recipe's background, unless another one is to be chosen; while rows come in, the last that was chosen.
    """

    def fitted(order: int | None) -> tuple[Model, int | None, Decomposition]:
        model = _model_with(recipe, order, mode, windows_mev, prepared, memory, should_stop)
        return model, order, fit_groups(model, groups, memory, should_stop, settled=settled)

    rows = sum(spectrum.rows for spectrum in groups.values())
    last_rows, last = memory.last.get(_BACKGROUND, (0, recipe.background_order))
    found = fitted(recipe.background_order if settled else last)
    due = settled or rows >= (1 + WORTH_A_CHOICE) * last_rows or rows < last_rows
    if not (due and recipe.choose_background and can_be_studied(recipe, mode, groups)):
        return found
    preferred = _study(found, groups, prepared, memory, should_stop).preferred_order
    memory.last[_BACKGROUND] = rows, preferred
    return found if preferred == found[1] else fitted(preferred)


def _study(
    fitted: tuple[Model, int | None, Decomposition],
    groups: Mapping[str, Aligned],
    prepared: Mapping[str, Prepared],
    memory: Memory,
    should_stop: Stop,
    moved: MovedGroups | None = None,
) -> ShiftStudy:
    model, order, together = fitted
    aloof, vacuum = prepared.get("aloof"), prepared.get("zlp")
    return ShiftStudy(model.setup, order, together, groups, aloof, vacuum, moved, memory, should_stop)


def _model_with(
    recipe: Recipe,
    order: int | None,
    mode: str,
    windows_mev: tuple[Interval, Interval] | None,
    prepared: Mapping[str, Prepared],
    memory: Memory,
    should_stop: Stop,
) -> Model:
    """The model with a background of some order; None: the tail of the vacuum ZLP times a power law."""
    line, aloof, vacuum = (prepared.get(role) for role in ("vibrational", "aloof", "zlp"))
    assert line is not None
    tail = vacuum_tail(recipe, vacuum, memory) if order is None else None
    if order is not None and order != recipe.background_order:
        make = partial(replace, recipe, background_order=order)
        recipe = memory.recall(("recipe", Itself(recipe), order), make)
    return build_model(recipe, mode, windows_mev, line, aloof, vacuum, memory, should_stop, tail=tail)


def _group_sum(line: Prepared, mask: np.ndarray, memory: Memory) -> Aligned | None:
    """The sum of some rows, the same object as long as these do not change."""
    key = ("sum", mask.tobytes(), line.version[mask].tobytes())
    total: Aligned | None = memory.recall(key, partial(line.total, mask))
    return total


def fit_groups(
    model: Model,
    groups: Mapping[str, Aligned],
    memory: Memory,
    should_stop: Stop = never,
    *,
    settled: bool = True,
) -> Decomposition:
    """The spectra of the regions fitted together, in the order of the mapping.

    settled: from all starts; else from the optimum of the last time, where there was one for the same groups.
    """
    spectra, names = list(groups.values()), ("together", *groups)
    key = (model.key, *names, *map(Itself, spectra))
    start = None if settled or key in memory else memory.last.get(names)
    make = partial(fit_together, model.setup, spectra, should_stop, start)
    together: Decomposition = memory.recall(key if start is None else ("from the last", *key), make)
    memory.last[names] = together
    return together


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


def _response(
    line: Prepared, aloof: Prepared | None, vacuum: Prepared | None, memory: Memory
) -> tuple[Response | None, tuple[Flag, ...]]:
    """From the vacuum ZLP, else from the gain side of the aloof spectrum, else of the line; what was not usable."""
    ways = (vacuum, responses.from_vacuum), (aloof, responses.from_gain_side), (line, responses.from_gain_side)
    flags: list[Flag] = []
    for source, measure in ways:
        total = source.total() if source is not None else None
        if source is None:
            continue
        if total is None:
            if source is vacuum:
                message = "The vacuum spectrum has no usable zero-loss peak, so the response is taken from elsewhere."
                flags.append(Flag("RESPONSE_UNUSABLE", message))
            continue
        try:
            make = partial(measure, total.energy_mev, total.counts)
            response: Response = memory.recall(("response", source.token), make)
        except UnusableInput as fault:
            flags.append(Flag("RESPONSE_UNUSABLE", str(fault)))
            continue
        return response, tuple(flags)
    return None, tuple(flags)


def _response_flags(setup: Setup) -> tuple[Flag, ...]:
    """Whether lines are seen through a response that is known well enough; `published` looks through none."""
    response = setup.response
    if setup.is_published or response is None or response.is_described:
        return ()
    message = (
        f"The response from the {response.source} is known to {100 * response.misfit:.2g} % of a line's height only, "
        "which can move the centre of a weak line; record a vacuum zero-loss peak with more counts."
    )
    return (Flag("RESPONSE_COARSE", message),)
