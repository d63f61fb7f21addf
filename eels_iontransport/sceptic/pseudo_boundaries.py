"""How often does a stretch of a grain look as shifted as the boundary? Windows are slid through the grains' interior.

Their shifts scatter by all that makes centres scatter, whether or not the uncertainty knows of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..decomposition.engine import Stop, never
from ..decomposition.result import Decomposition
from ..progress import Progress, silent
from .case import Case, Estimate, number_or_null, of_each
from .windows import NO_ROOM, Window, overlapping, posing, slid_windows

LEVEL = 0.05  # a shift beyond two sigma that windows reach more often is doubted
BEYOND = 2.0  # sigma
FEWEST = math.ceil(1.0 / LEVEL) - 1  # windows, without which no p-value gets down to LEVEL


@dataclass(frozen=True)
class PseudoBoundaries:
    """Shifts of windows against the rest of their grain, unknown where a fit gave none, and the shift of the boundary.

    starts: first pixel of each window. independent: whether a window is one of those that share no pixel.
    """

    pixels: int
    grains: tuple[str, ...]
    starts: tuple[int, ...]
    shifts_mev: tuple[Estimate, ...]
    independent: tuple[bool, ...]
    observed_mev: Estimate

    @property
    def p_value(self) -> float:
        """(1 + windows as far from zero as the boundary) / (1 + windows), over windows that overlap."""
        return empirical_p(self.shifts_mev, self.observed_mev)

    @property
    def independent_p_value(self) -> float:
        """The same over windows that share no pixel: fewer, so coarser, and none of them counted twice."""
        return empirical_p([s for s, own in zip(self.shifts_mev, self.independent) if own], self.observed_mev)

    @property
    def scatter_mev(self) -> float:
        """Root mean square of the known shifts."""
        known_shifts = [shift.value for shift in self.shifts_mev if shift.is_known]
        return float(np.sqrt(np.mean(np.square(known_shifts)))) if len(known_shifts) > 1 else math.nan

    def to_dict(self) -> dict[str, Any]:
        return {
            "pixels": self.pixels,
            "windows": [
                {"grain": grain, "first_pixel": first, "independent": own, "shift_mev": shift.to_dict("meV")}
                for grain, first, own, shift in zip(self.grains, self.starts, self.independent, self.shifts_mev)
            ],
            "count": len(self.shifts_mev),
            "independent_count": sum(self.independent),
            "observed_mev": self.observed_mev.to_dict("meV"),
            "scatter_mev": number_or_null(self.scatter_mev),
            "p_value": number_or_null(self.p_value),
            "independent_p_value": number_or_null(self.independent_p_value),
        }

    @property
    def flags(self) -> tuple[Flag, ...]:
        count, observed = len(self.shifts_mev), self.observed_mev
        flags = []
        if count < FEWEST:
            message = (
                f"The grains hold only {count} stretches as long as the boundary, so that no p-value comes below "
                f"{1 / (1 + count):.2f}; scan longer grains."
            )
            flags.append(Flag("PSEUDO_BOUNDARIES_FEW", message))
        claimed = observed.is_known and abs(observed.value) > BEYOND * observed.sigma
        if claimed and self.p_value > LEVEL:
            message = (
                f"Stretches of the grains' interior look as shifted as the boundary in {100 * self.p_value:.0f} % of "
                "cases; the shift may be no more than what the grains vary by."
            )
            flags.append(Flag("SHIFT_LIKE_GRAINS", message))
        return tuple(flags)


def empirical_p(shifts: Sequence[Estimate], observed: Estimate) -> float:
    """(1 + #|shift| >= |observed|) / (1 + n); a window without a centre may lie anywhere and counts as beyond."""
    if not observed.is_known or not shifts:
        return math.nan
    beyond = sum(not abs(shift.value) < abs(observed.value) for shift in shifts)
    return (1 + beyond) / (1 + len(shifts))


def slide(case: Case, should_stop: Stop = never, progress: Progress = silent) -> PseudoBoundaries:
    """Windows of the boundary's width slid through each grain, each fitted with the rest of that grain.

    Raises UnusableInput where no grain has room for one.
    """
    groups = overlapping(slid_windows(case))
    if not groups:
        raise UnusableInput(NO_ROOM)
    fits = of_each(lambda group: _shifts(case, group, should_stop), groups, "Pseudo-boundaries", should_stop, progress)
    windows = [window for group in groups for window in group]
    return PseudoBoundaries(
        int(windows[0].mask.sum()),
        tuple(window.grain for window in windows),
        tuple(window.first for window in windows),
        tuple(shift for shifts in fits for shift in shifts),
        tuple(window is group[0] for group in groups for window in group),
        case.shift_mev,
    )


def _shifts(case: Case, group: Sequence[Window], should_stop: Stop) -> list[Estimate]:
    """Of windows that overlap with the first; that is fitted from all starts, the others from where it ended."""
    start: Decomposition | None = None
    found = []
    for window in group:
        posed, shift = posing(case, window), Estimate()
        if posed is not None:
            with suppress(UnusableInput):
                fit = case.fit(posed[0], should_stop, start)
                start, shift = start or fit, case.combined(fit, posed[1])
        found.append(shift)
    return found
