"""A measured figure beside its goal, and the table of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HEADER = ("figure", "goal", "measured", "spread", "")


@dataclass(frozen=True)
class Figure:
    """What was measured: a value that should lie in [low, high], and how much it scattered (text, may be empty).

    Without low and high it is there for comparison, and no goal.
    """

    name: str
    unit: str
    measured: float
    low: float = -math.inf
    high: float = math.inf
    spread: str = ""

    @property
    def has_goal(self) -> bool:
        return math.isfinite(self.low) or math.isfinite(self.high)

    @property
    def met(self) -> bool:
        return not self.has_goal or self.low <= self.measured <= self.high  # False for nan with a goal

    @property
    def goal(self) -> str:
        if not self.has_goal:
            return ""
        if math.isinf(self.low):
            return f"<= {self.high:g} {self.unit}".rstrip()
        if math.isinf(self.high):
            return f">= {self.low:g} {self.unit}".rstrip()
        return f"{self.low:g} to {self.high:g} {self.unit}".rstrip()

    def row(self) -> tuple[str, ...]:
        measured = f"{self.measured:.3g} {self.unit}".rstrip()
        verdict = ("met" if self.met else "MISSED") if self.has_goal else ""
        return (self.name, self.goal, measured, self.spread, verdict)


def table(figures: Iterable[Figure]) -> str:
    """The figures as text in columns."""
    rows: Sequence[tuple[str, ...]] = [HEADER, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def spread(values: Sequence[float]) -> str:
    """Smallest, middle and largest of repeated measurements."""
    ordered = sorted(values)
    return f"{ordered[0]:.3g} / {ordered[len(ordered) // 2]:.3g} / {ordered[-1]:.3g} of {len(ordered)}"
