"""The shift under many specifications, with all that does not change between them worked out once.

That is: the sums of the regions, the responses, the aloof fit of a window, background and response, and the fit of the
regions behind all references.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from .data.errors import UnusableInput
from .data.noise import NoiseModel
from .decomposition.engine import THREADS, Cancelled, Stop, never
from .decomposition.fitting import Setup, fit_aloof, fit_together
from .decomposition.layout import KnownShapes
from .decomposition.response import Response, from_gain_side, from_vacuum
from .decomposition.result import Decomposition
from .materials import Recipe
from .materials.recipe import Interval
from .measure.alignment import Aligned
from .measure.background import TAIL_ORDERS, Tail, fit_tail
from .prepared import Prepared
from .progress import Progress, silent
from .shift import shift_peak, weights
from .specification import PUBLISHED, Result, Specification

TAIL_FROM, TAIL_TO = 0.8, 1.05  # of the ends of the fit window: as far as other windows reach, where the peak lets it

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Sums:
    """The spectra behind all specifications: sums of the regions by name and of the aloof rows; responses by source.

    windows_mev: background windows in place of the recipe's. absent: regions known not to show the shift peak.
    tail: of the vacuum ZLP, None where there is none.
    """

    recipe: Recipe
    groups: Mapping[str, Aligned]
    noise: NoiseModel
    aloof: Aligned | None
    aloof_noise: NoiseModel | None
    responses: Mapping[str, Response]
    windows_mev: tuple[Interval, Interval] | None = None
    absent: Collection[str] = ()
    tail: Tail | None = None


def add_up(
    recipe: Recipe,
    prepared: Mapping[str, Prepared],
    masks: Mapping[str, np.ndarray],
    windows_mev: tuple[Interval, Interval] | None = None,
    absent: Collection[str] = (),
) -> Sums:
    """The sums of a line: prepared by role, masks (n,) of the rows of each region. Raises UnusableInput."""
    shift_peak(recipe)
    line, aloof, vacuum = (prepared.get(role) for role in ("vibrational", "aloof", "zlp"))
    if line is None:
        raise UnusableInput("There is no vibrational line scan; give one with a boundary and a grain.")
    sums = {name: line.total(mask & line.usable) for name, mask in masks.items()}
    aloof_sum, vacuum_sum = (part.total() if part is not None else None for part in (aloof, vacuum))
    return Sums(
        recipe,
        {name: total for name, total in sums.items() if total is not None},
        line.noise,
        aloof_sum,
        aloof.noise if aloof is not None else None,
        _responses(((from_vacuum, vacuum_sum), (from_gain_side, aloof_sum), (from_gain_side, line.total()))),
        windows_mev,
        absent,
        tail_of(recipe, vacuum.noise, vacuum_sum) if vacuum is not None else None,
    )


def tail_of(
    recipe: Recipe, noise: NoiseModel, total: Aligned | None, orders: Iterable[int] = TAIL_ORDERS
) -> Tail | None:
    """The tail of a vacuum ZLP, the sum of its spectra, around the fit window; None where it is not seen there."""
    if total is None:
        return None
    low, high = recipe.wide_window_mev
    variance = noise.variance(total.counts, total.rows) * noise.correlation
    with suppress(UnusableInput):
        return fit_tail(total.energy_mev, total.counts, variance, TAIL_FROM * low, TAIL_TO * high, orders)
    return None


def _responses(
    sources: Iterable[tuple[Callable[[np.ndarray, np.ndarray], Response], Aligned | None]],
) -> dict[str, Response]:
    """The responses that can be had, by what they are from; of two from the same, the first."""
    found: dict[str, Response] = {}
    for make, spectrum in sources:
        if spectrum is not None:
            with suppress(UnusableInput):
                response = make(spectrum.energy_mev, spectrum.counts)
                found.setdefault(response.source, response)
    return found


def specification_curve(
    sums: Sums, specifications: Sequence[Specification], should_stop: Stop = never, progress: Progress = silent
) -> list[Result]:
    """The shift under each of the specifications, in their order. Raises Cancelled when should_stop says so."""
    by_aloof = {s.aloof: s for s in specifications}
    by_fit = {s.fit: s for s in specifications}
    tell = _Counter(len(by_aloof) + len(by_fit), progress)
    shapes = _in_threads(lambda s: _aloof_shapes(sums, s, should_stop), by_aloof, should_stop, tell)
    fits = _in_threads(lambda s: _fitted(sums, s, shapes[s.aloof], should_stop)[1], by_fit, should_stop, tell)
    return [_result(sums, specification, fits[specification.fit]) for specification in specifications]


def fits_from(
    sums: Sums, specifications: Sequence[Specification], start: Decomposition, should_stop: Stop = never
) -> list[tuple[Setup | None, Decomposition | UnusableInput]]:
    """What each of the specifications is fitted with and finds from one start, whatever it is referred to.

    The setup is None where the specification cannot be set up. Raises Cancelled when should_stop says so.
    """
    by_fit = {s.fit: s for s in specifications}

    def fitted(specification: Specification) -> tuple[Setup | None, Decomposition | UnusableInput]:
        shapes = _aloof_shapes(sums, specification, should_stop)
        return _fitted(sums, specification, shapes, should_stop, start)

    fits = _in_threads(fitted, by_fit, should_stop, lambda: None)
    return [fits[specification.fit] for specification in specifications]


class _Counter:
    """Tells of each thing that is done."""

    def __init__(self, total: int, progress: Progress):
        self._done, self._total, self._progress = 0, total, progress
        progress(0, total, "Specifications")

    def __call__(self) -> None:
        self._done += 1
        self._progress(self._done, self._total, "Specifications")


def _in_threads(
    work: Callable[[Specification], _T],
    specifications: Mapping[Specification, Specification],
    should_stop: Stop,
    tell: Callable[[], None],
) -> dict[Specification, _T]:
    """work(specification) of each, by its key; the fits leave the interpreter to other threads."""

    def checked(specification: Specification) -> _T:
        if should_stop():
            raise Cancelled
        return work(specification)

    found = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for key, result in zip(specifications, pool.map(checked, specifications.values())):
            found[key] = result
            tell()
    return found


def _fitted(
    sums: Sums,
    specification: Specification,
    polaritons: KnownShapes | None,
    should_stop: Stop,
    start: Decomposition | None = None,
) -> tuple[Setup | None, Decomposition | UnusableInput]:
    """How the regions are taken apart under a specification, and what that found, or why they cannot be."""
    setup = None
    try:
        setup = replace(_setup(sums, specification), polaritons=polaritons)
        return setup, fit_together(setup, list(sums.groups.values()), should_stop, start)
    except UnusableInput as fault:
        return setup, fault


def _setup(sums: Sums, specification: Specification) -> Setup:
    """As the specification has it, without aloof shapes. Raises UnusableInput."""
    recipe = sums.recipe
    if specification.background_order is not None:
        recipe = replace(recipe, background_order=specification.background_order)
    if specification.offset_prior is False:
        recipe = replace(recipe, polariton_offset_prior_mev=None)
    low, high = specification.window_mev
    windows = (low, low), (high, high)
    if specification.mode == PUBLISHED:
        before, after = sums.windows_mev or recipe.background_windows_mev
        windows = (low, before[1]), (after[0], high)
    if specification.response is not None and specification.response not in sums.responses:
        raise UnusableInput(f"There is no response from the {specification.response}; give the spectrum that shows it.")
    response = sums.responses[specification.response] if specification.response is not None else None
    return Setup(recipe, specification.mode, sums.noise, response, windows, tail=_tail(sums, specification))


def _tail(sums: Sums, specification: Specification) -> Tail | None:
    """The tail, where it is what the specification wants. Raises UnusableInput where there is none."""
    if specification.mode == PUBLISHED or specification.background_order is not None:
        return None
    if sums.tail is None:
        raise UnusableInput("There is no vacuum zero-loss peak whose tail could be the background; give one.")
    return sums.tail


def _aloof_shapes(sums: Sums, specification: Specification, should_stop: Stop) -> KnownShapes | None:
    """Shapes of the polaritonic peaks; None where the aloof spectrum gives none, which then are free."""
    if sums.aloof is None or sums.aloof_noise is None or not sums.recipe.aloof_peaks:
        return None
    try:
        setup = replace(_setup(sums, specification), noise=sums.aloof_noise)
        return fit_aloof(setup, sums.aloof, should_stop)[1]
    except UnusableInput:
        return None


def _result(sums: Sums, specification: Specification, fit: Decomposition | UnusableInput) -> Result:
    """What a fit says of the shift against one reference."""
    peak, names = shift_peak(sums.recipe), list(sums.groups)
    weight = weights(specification.reference, names)
    if weight is None:
        return Result(specification, reason="A region of this reference holds no usable row.")
    if isinstance(fit, UnusableInput):
        return Result(specification, reason=str(fit))
    used = weight != 0
    centre = fit.value(peak, "centre_mev")
    at_limit = fit.railed["centre_mev"][:, fit.index(peak)]
    railed = tuple(name for name, rails, counts in zip(names, at_limit, used) if rails and counts)
    missing = [name for name, c, counts in zip(names, centre, used) if counts and (np.isnan(c) or name in sums.absent)]
    chi2, described = float(fit.chi2[used].max()), bool(fit.described[used].all())
    reason = _why_not(peak, railed, missing, chi2, described or specification.mode == PUBLISHED)
    if reason:
        return Result(specification, chi2=chi2, railed=railed, described=described, reason=reason)
    covariance = fit.centre_covariance(peak)[np.ix_(used, used)]
    sigma = float(np.sqrt(weight[used] @ covariance @ weight[used]))
    return Result(specification, float(weight[used] @ centre[used]), sigma, chi2, railed, described)


def _why_not(peak: str, railed: Sequence[str], missing: Sequence[str], chi2: float, accepted: bool) -> str:
    """Why a fit gives no shift; empty where it does."""
    if not accepted:
        return f"The model does not describe the data (reduced chi-squared {chi2:.1f})."
    if missing:
        return f"No {peak} peak was found in {_words(missing)}."
    if railed:
        return f"The {peak} centre is at its limit in {_words(railed)}."
    return ""


def _words(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
