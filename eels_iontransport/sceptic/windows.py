"""Stretches of the grains that pose as boundaries: as many pixels, but nothing there that could shift a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.regions import BOUNDARY
from ..measure.alignment import Aligned
from .case import Case

NO_ROOM = "No grain is long enough to hold stretches as long as the boundary; scan a longer line."
LEAST_REST = 2  # a grain has to hold so many windows besides the one that poses as the boundary


@dataclass(frozen=True, eq=False)
class Window:
    """A stretch of a grain: its rows (n,), the rest of the grain's interior (n,), and its first pixel."""

    grain: str
    mask: np.ndarray
    rest: np.ndarray
    first: int


def slid_windows(case: Case) -> list[Window]:
    """Windows of as many pixels as the boundary, in steps of one pixel, through the interior of each grain.

    Only neighbouring usable pixels make a window.
    """
    width = int(case.masks[BOUNDARY].sum())
    found = []
    for grain in case.grains:
        inside = interior(case, grain)
        for first in np.flatnonzero(inside).tolist():
            mask = np.zeros_like(inside)
            mask[first : first + width] = True
            if (mask & inside).sum() == width and (inside & ~mask).sum() >= LEAST_REST * width:
                found.append(Window(grain, mask, inside & ~mask, first))
    return found


def overlapping(windows: Sequence[Window]) -> list[list[Window]]:
    """The windows in groups that overlap with their first, whose firsts share no pixel."""
    groups: list[list[Window]] = []
    for window in windows:
        if groups and (groups[-1][0].mask & window.mask).any():
            groups[-1].append(window)
        else:
            groups.append([window])
    return groups


def interior(case: Case, grain: str) -> np.ndarray:
    """Rows (n,) of a grain without those nearer to the boundary than half its width, which may be in transition.

    Regions that were found leave out the pixels in transition already; regions that were given need not.
    """
    boundary = np.flatnonzero(case.masks[BOUNDARY])
    reach = -(-boundary.size // 2)
    place = np.arange(len(case.line.usable))
    near = (place >= boundary[0] - reach) & (place <= boundary[-1] + reach)
    return case.masks[grain] & ~near


def posing(case: Case, window: Window) -> tuple[list[Aligned], np.ndarray] | None:
    """The spectra to fit with a window in the place of the boundary, and the weights of its shift against its grain.

    The window, the rest of its grain, and the other grains, whose widths are common; None where one has no sum.
    """
    others = [case.masks[name] for name in case.masks if name not in (BOUNDARY, window.grain)]
    sums = [case.line.total(mask & case.line.usable) for mask in (window.mask, window.rest, *others)]
    spectra = [total for total in sums if total is not None]
    if len(spectra) < len(sums):
        return None
    return spectra, np.array([1.0, -1.0, *(0.0 for _ in others)])
