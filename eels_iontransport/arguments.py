"""What an operator gives on the command line, as what the analysis takes: windows, regions, assumptions, maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .data.errors import UnusableInput
from .data.regions import BOUNDARY, GRAIN_1, GRAIN_2, Region, Regions, parse_region
from .data.spectrum import Spectra
from .decomposition.result import QUANTITIES
from .materials import Recipe
from .materials.recipe import Interval
from .measure.transport import Assumptions

ASSUMPTIONS = tuple(field.name for field in dataclasses.fields(Assumptions))


def parse_windows(text: str) -> tuple[Interval, Interval]:
    """Two energy windows in meV from "A:B,C:D". Raises UnusableInput."""
    try:
        first, second = ((float(low), float(high)) for low, high in (part.split(":") for part in text.split(",")))
    except ValueError:
        raise UnusableInput(f"The background windows '{text}' are not of the form A:B,C:D in meV.") from None
    ends = (*first, *second)
    if not np.isfinite(ends).all() or not 0 < ends[0] < ends[1] <= ends[2] < ends[3]:
        raise UnusableInput(f"The background windows {text} must rise from above 0 meV and must not overlap.")
    return first, second


def choose_regions(boundary: str | None, grain_1: str | None, grain_2: str | None, line: Spectra) -> Regions | None:
    """Regions from what was given as A:B in nm; None where nothing was. Raises UnusableInput.

    Grains that are not given are the pixels of the line before and after the boundary; a boundary that is not given
    is what lies between both grains.
    """
    given = {
        name: parse_region(text, name.replace("_", " "))
        for name, text in ((BOUNDARY, boundary), (GRAIN_1, grain_1), (GRAIN_2, grain_2))
        if text is not None
    }
    if not given:
        return None
    if not line.is_line:
        raise UnusableInput(f"'{line.name}' is a single spectrum and has no regions; leave them out.")
    if BOUNDARY not in given:
        if len(given) < 2:
            raise UnusableInput(
                "Give the boundary, or both grains: one grain alone does not say where the boundary is."
            )
        given[BOUNDARY] = _between(given[GRAIN_1], given[GRAIN_2], line)
    middle, position = given[BOUNDARY], line.position_nm
    if GRAIN_1 not in given:
        given[GRAIN_1] = _covering(position[position < middle.start_nm], "before", line)
    if GRAIN_2 not in given:
        given[GRAIN_2] = _covering(position[position > middle.end_nm], "after", line)
    for name, region in given.items():
        if not region.mask(position).any():
            words = name.replace("_", " ")
            raise UnusableInput(
                f"The {words} {region.start_nm:g}:{region.end_nm:g} nm holds no pixel of '{line.name}', "
                f"which runs from 0 to {position[-1]:g} nm."
            )
    return Regions(given[GRAIN_1], given[BOUNDARY], given[GRAIN_2])


def choose_assumptions(texts: Sequence[str], recipe: Recipe) -> Assumptions | None:
    """The recipe's assumptions with those given as NAME=VALUE in their place; None where none is given.

    Raises UnusableInput.
    """
    if not texts:
        return None
    if recipe.transport is None:
        raise UnusableInput(f"The recipe {recipe.name} has no transport estimate; leave --assume out.")
    chosen = {name: getattr(recipe.transport, name) for name in ASSUMPTIONS}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in chosen or not value:
            raise UnusableInput(f"'{text}' is not of the form NAME=VALUE with a name of {', '.join(ASSUMPTIONS)}.")
        chosen[name] = _assumed(name, value)
    return Assumptions(**chosen)


def choose_quantities(texts: Sequence[str] | None, recipe: Recipe) -> list[tuple[str, str]]:
    """Peaks and quantities from "PEAK:QUANTITY"; the centre of the shift peak, else of every peak, where none is given.

    Raises UnusableInput.
    """
    if not texts:
        peaks = [recipe.shift_peak] if recipe.shift_peak is not None else [peak.name for peak in recipe.peaks]
        return [(peak, "centre_mev") for peak in peaks]
    chosen = []
    for text in texts:
        peak, _, quantity = text.rpartition(":")
        if quantity not in QUANTITIES:
            raise UnusableInput(
                f"'{text}' is not of the form PEAK:QUANTITY with a quantity of {', '.join(QUANTITIES)}."
            )
        chosen.append((recipe.peak(peak).name, quantity))
    return list(dict.fromkeys(chosen))


def _assumed(name: str, text: str) -> str | bool | float | None:
    """A value of the kind that the assumption has."""
    kind = Assumptions.__annotations__[name]
    words: dict[str, bool | None] = {"true": True, "false": False} if kind == "bool" else {"none": None}
    if kind == "str":
        return text
    if text.lower() in words and (kind == "bool" or "None" in kind):
        return words[text.lower()]
    try:
        if kind != "bool":
            return float(text)
    except ValueError:
        pass
    raise UnusableInput(
        f"The assumption {name} cannot be '{text}'; give {'true or false' if kind == 'bool' else 'a number'}."
    )


def _between(one: Region, other: Region, line: Spectra) -> Region:
    first, second = sorted((one, other), key=lambda region: region.start_nm)
    position = line.position_nm
    inside = position[(position > first.end_nm) & (position < second.start_nm)]
    if not inside.size:
        raise UnusableInput(f"No pixel of '{line.name}' lies between the two grains; give the boundary.")
    return Region(float(inside[0]), float(inside[-1]))


def _covering(position: np.ndarray, side: str, line: Spectra) -> Region:
    if not position.size:
        raise UnusableInput(f"No pixel of '{line.name}' lies {side} the boundary; give the boundary inside the line.")
    return Region(float(position[0]), float(position[-1]))
