"""Is the shift in both halves of the data? Odd and even passes, or pixels, fitted together and compared.

All spectra of both halves are fitted at once, with common line shapes: what these are uncertain by moves both halves
alike and cancels in their difference, whose uncertainty is that of the noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..decomposition.engine import Stop, never
from ..decomposition.result import Decomposition
from ..measure.alignment import Aligned
from ..prepared import Prepared, prepare
from .case import SIGNIFICANT, Case, Estimate, number_or_null


@dataclass(frozen=True)
class Halves:
    """The shift from two parts of the data, and the second less the first. by: "passes", or "pixels" without them."""

    by: str
    odd_mev: Estimate
    even_mev: Estimate
    difference_mev: Estimate

    def to_dict(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "odd_mev": self.odd_mev.to_dict("meV"),
            "even_mev": self.even_mev.to_dict("meV"),
            "difference_mev": self.difference_mev.to_dict("meV"),
            "p_value": number_or_null(self.difference_mev.p_value),
        }

    @property
    def flags(self) -> tuple[Flag, ...]:
        if not self.difference_mev.p_value < SIGNIFICANT:
            return ()
        message = (
            f"The shift is {self.odd_mev.value:+.2f} meV in odd and {self.even_mev.value:+.2f} meV in even {self.by}, "
            "further apart than noise makes it; look for spectra that do not belong."
        )
        return (Flag("HALVES_DISAGREE", message),)


def split_halves(case: Case, by_pass: Prepared | None, should_stop: Stop = never) -> Halves:
    """The shift from odd and from even passes; without passes, from odd and even pixels of each region.

    by_pass: as `passes_apart` gives it. Raises UnusableInput where one half has no spectrum of a region, or no fit.
    """
    number = counted_pixels(case) if by_pass is None else counted_passes(case, by_pass)
    source, by = (case.line, "pixels") if by_pass is None else (by_pass, "passes")
    copies = len(source.usable) // len(case.line.usable)
    masks = {name: np.tile(mask, copies) for name, mask in case.masks.items()}
    parts = [{name: mask & (number % 2 == half) for name, mask in masks.items()} for half in (0, 1)]
    found = compare(case, source, parts[0], parts[1], f"half of the {by}", should_stop)
    return Halves(by, found.first_mev, found.second_mev, found.difference_mev)


@dataclass(frozen=True, eq=False)
class Comparison:
    """The shift in two sets of rows, the second less the first, and the fit of the regions of the first, then of the
    second, to their spectra."""

    first_mev: Estimate
    second_mev: Estimate
    difference_mev: Estimate
    spectra: list[Aligned]
    fit: Decomposition


def compare(
    case: Case,
    source: Prepared,
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    words: str,
    should_stop: Stop = never,
) -> Comparison:
    """The shift in two sets of rows.

    first, second: rows of the source by region. words: what each set is, for whom it has no spectrum of a region.
    Raises UnusableInput.
    """
    sums: list[Aligned] = []
    for name, mask in (*first.items(), *second.items()):
        total = source.total(mask & source.usable) if (mask & source.usable).any() else None
        if total is None:
            raise UnusableInput(f"One {words} holds no spectrum of the {name.replace('_', ' ')}.")
        sums.append(total)
    fit = case.fit(sums, should_stop)
    none = np.zeros_like(case.weights)
    vectors = (
        np.concatenate([case.weights, none]),
        np.concatenate([none, case.weights]),
        np.concatenate([-case.weights, case.weights]),
    )
    one, other, difference = (case.combined(fit, vector) for vector in vectors)
    return Comparison(one, other, difference, sums, fit)


def passes_apart(line: Prepared) -> Prepared | None:
    """Every row of every pass as a row of its own, (P n, channels), first all of the first pass; None without passes.

    Each has the energy zero of its own zero-loss peak, and the noise of the line.
    """
    spectra = line.spectra
    if spectra.passes is None:
        return None
    passes, n, channels = spectra.passes.shape
    taken = (np.nan_to_num(spectra.passes) != 0).any(axis=-1)
    level = spectra.saturation_level
    apart = replace(
        spectra,
        counts=spectra.passes.reshape(passes * n, channels),
        valid=(taken & line.usable).ravel(),
        saturation_level=level / passes if level is not None else None,
        passes=None,
    )
    return prepare(apart, replace(line.noise, floor=line.noise.floor / passes))


def counted_passes(case: Case, by_pass: Prepared) -> np.ndarray:
    """Which pass each row of all passes belongs to, (P n,)."""
    n = len(case.line.usable)
    return np.repeat(np.arange(len(by_pass.usable) // n), n)


def counted_pixels(case: Case) -> np.ndarray:
    """The number of each row in its region, (n,)."""
    number = np.zeros(len(case.line.usable), int)
    for mask in case.masks.values():
        number[mask] = np.arange(mask.sum())
    return number
