"""Specifications: the reasonable ways to get at the shift, as data, and what each of them made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from .materials import Recipe
from .materials.recipe import Interval
from .quantity import quantity
from .shift import REFERENCES

PUBLISHED = "published"
POLYNOMIAL, TAIL = "polynomial", "vacuum tail"  # backgrounds inside the fit
INSIDE = ("shared", "wide")  # modes with the background inside the fit
LOW_STEPS = (0.0, 0.025, 0.05)  # parts of the fit window; nearer to the zero-loss peak no background is smooth enough
HIGH_STEPS = (0.0, -0.05, 0.05)
ORDER_STEPS = (0, -1, 1)
WINDOW_STEPS = (0.0, -0.4, 0.4)  # parts of a window of the published background, by which its outer end moves


@dataclass(frozen=True)
class Specification:
    """One way to get at the shift.

    window_mev: outer ends of what is fitted: of the fit window, in mode published of the two background windows.
    background_order: of the polynomial inside the fit; None for the vacuum tail, and in mode published.
    response, offset_prior: None where the mode or the input leaves no choice.
    """

    mode: str
    reference: str
    window_mev: Interval
    background_order: int | None = None
    response: str | None = None
    offset_prior: bool | None = None

    @property
    def fit(self) -> Specification:
        """What is fitted, whatever the result is then referred to."""
        return replace(self, reference="")

    @property
    def aloof(self) -> Specification:
        """What the fit of the aloof spectrum depends on."""
        return replace(self.fit, mode=PUBLISHED if self.mode == PUBLISHED else "", offset_prior=None)


@dataclass(frozen=True)
class Choices:
    """What each choice runs over; all combinations are specifications."""

    modes: tuple[str, ...]
    low_mev: tuple[float, ...]
    high_mev: tuple[float, ...]
    background_orders: tuple[int | None, ...] = (None,)
    responses: tuple[str | None, ...] = (None,)
    offset_priors: tuple[bool | None, ...] = (None,)
    references: tuple[str, ...] = tuple(REFERENCES)

    def __iter__(self) -> Iterator[Specification]:
        """Those that share most stand side by side."""
        for low, high, order, response, mode, prior, reference in product(
            self.low_mev, self.high_mev, self.background_orders, self.responses,
            self.modes, self.offset_priors, self.references,
        ):  # fmt: skip
            yield Specification(mode, reference, (low, high), order, response, prior)


@dataclass(frozen=True)
class Result:
    """The shift under one specification; nan, with the reason, where it is not determined.

    chi2: the largest reduced chi-squared of the regions involved. railed: the regions whose centre is at a limit.
    described: whether the model describes the data, without which only mode published has a shift.
    """

    specification: Specification
    shift_mev: float = np.nan
    sigma_mev: float = np.nan
    chi2: float = np.nan
    railed: tuple[str, ...] = ()
    described: bool = False
    reason: str = ""


def default_choices(
    recipe: Recipe,
    responses: Sequence[str],
    has_aloof: bool,
    windows_mev: tuple[Interval, Interval] | None = None,
    has_tail: bool = False,
) -> tuple[Choices, ...]:
    """The choices around those of a recipe, or around windows in place of its own; first of each: the recipe's.

    responses: the sources that there are, the best first. has_tail: whether a vacuum ZLP shows its tail.
    """
    low, high = recipe.wide_window_mev if windows_mev is None else (windows_mev[0][0], windows_mev[1][1])
    inside = Choices(
        INSIDE,
        _moved(low, high - low, LOW_STEPS),
        _moved(high, high - low, HIGH_STEPS),
        (*_orders(recipe), None) if has_tail else _orders(recipe),
        tuple(responses),
        (True, False) if has_aloof else (None,),
    )
    before, after = windows_mev or recipe.background_windows_mev
    published = Choices(
        (PUBLISHED,),
        _moved(before[0], before[1] - before[0], WINDOW_STEPS),
        _moved(after[1], after[1] - after[0], WINDOW_STEPS),
    )
    return inside, published


def other_windows(main: Specification) -> list[Specification]:
    """What differs from a specification in one end of its window alone."""
    low, high = main.window_mev
    windows = [(low, end) for end in _moved(high, high - low, HIGH_STEPS[1:])]
    return [*later_starts(main), *(replace(main, window_mev=window) for window in windows)]


def later_starts(main: Specification) -> list[Specification]:
    """What differs from a specification in the low end of its window alone, the longest window first."""
    low, high = main.window_mev
    return [replace(main, window_mev=(end, high)) for end in _moved(low, high - low, LOW_STEPS[1:])]


def other_backgrounds(recipe: Recipe, main: Specification, has_tail: bool) -> list[Specification]:
    """What differs from a specification in its background alone."""
    orders = [*_orders(recipe), None] if has_tail else _orders(recipe)
    return [replace(main, background_order=order) for order in orders if order != main.background_order]


def _orders(recipe: Recipe) -> tuple[int, ...]:
    return tuple(recipe.background_order + step for step in ORDER_STEPS if recipe.background_order + step >= 0)


def _moved(end: float, width: float, steps: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(end + step * width, 3) for step in steps)


def background_name(specification: Specification) -> str:
    if specification.mode == PUBLISHED:
        return "power law in two windows"
    return TAIL if specification.background_order is None else POLYNOMIAL


def by_shift(results: Iterable[Result]) -> list[Result]:
    """From the smallest shift to the largest, then those without one: the curve."""
    return sorted(results, key=lambda result: (np.isnan(result.shift_mev), result.shift_mev))


def entry(result: Result, is_main: bool) -> dict[str, Any]:
    """A result as the readout holds it. is_main: whether it is what the readout itself reports."""
    specification = result.specification
    return {
        "mode": specification.mode,
        "reference": specification.reference,
        "window_mev": list(specification.window_mev),
        "background": background_name(specification),
        "background_order": specification.background_order,
        "response": specification.response,
        "offset_prior": specification.offset_prior,
        "main": is_main,
        "shift_mev": quantity(result.shift_mev, result.sigma_mev, "meV"),
        "chi2": float(result.chi2) if np.isfinite(result.chi2) else None,
        "railed": list(result.railed),
        "described": result.described,
        "reason": result.reason or None,
    }
