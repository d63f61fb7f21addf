"""The editable part of the panel: what the operator typed, and the plan that it means. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from eels_iontransport.acquire.plan import DEFAULT_EXPOSURES, SETTINGS, Exposure, Plan, Step
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Line, Point
from eels_iontransport.data.record import Role

ROW_LABELS: Mapping[Role, str] = {
    Role.ZLP: "Vacuum ZLP",
    Role.ALOOF: "Aloof",
    Role.POINTS: "Points",
    Role.VIBRATIONAL: "Vibrational",
    Role.VALENCE: "Valence",
    Role.CORE_LOSS: "Core loss",
}
POINTS_EXPOSURE = Exposure(0.1, 100)
MAXIMUM_PIXELS = 100_000
MINIMUM_FIELD_NM, MAXIMUM_FIELD_NM = 1.0, 1e5


@dataclass(frozen=True)
class StepRow:
    """One step as typed: chosen or not, exposure of a frame in s, number of frames."""

    chosen: bool
    exposure: str
    frames: str


@dataclass(frozen=True)
class Places:
    """The marked places, in nm in the frame of the scan; the line's ends only, its pixels are typed."""

    aloof: Point | None = None
    points: tuple[Point, ...] = ()
    line: tuple[Point, Point] | None = None


def _default_rows() -> dict[Role, StepRow]:
    exposures = {**DEFAULT_EXPOSURES, Role.POINTS: POINTS_EXPOSURE}
    return {
        role: StepRow(role is not Role.POINTS, f"{exposures[role].exposure_s:g}", str(exposures[role].frames))
        for role in ROW_LABELS
    }


@dataclass(frozen=True)
class Form:
    """Everything typed or ticked."""

    name: str = "GB1"
    material: str = "lco"
    pixels: str = "40"
    overview_nm: str = "300"
    detail_nm: str = "64"
    rows: Mapping[Role, StepRow] = field(default_factory=_default_rows)

    def with_row(self, role: Role, **changes: Any) -> Form:
        return replace(self, rows={**self.rows, role: replace(self.rows[role], **changes)})

    def plan(self, places: Places) -> tuple[Plan | None, tuple[str, ...]]:
        """The plan as typed, or None and one sentence for each entry that cannot be read."""
        problems: list[str] = []
        name = self.name.strip()
        if not name:
            problems.append("Name: give this place a name, such as GB1.")
        pixels = _count(self.pixels, "Line", "pixels", problems)
        steps = [self._step(role, row, problems) for role, row in self.rows.items() if row.chosen]
        if problems:
            return None, tuple(problems)
        line = Line(*places.line, pixels) if places.line and pixels else None
        chosen = tuple(step for step in steps if step is not None)
        return Plan(name, self.material, chosen, line=line, aloof=places.aloof, points=places.points), ()

    def _step(self, role: Role, row: StepRow, problems: list[str]) -> Step | None:
        exposure = _seconds(row.exposure, ROW_LABELS[role], problems)
        frames = _count(row.frames, ROW_LABELS[role], "frames", problems)
        return None if exposure is None or frames is None else Step(role, SETTINGS[role], exposure, frames)


def field_nm(text: str, what: str) -> float:
    """Width of a survey's field from what was typed. Raises UnusableInput."""
    try:
        width = float(text.strip().replace(",", "."))
    except ValueError:
        width = math.nan
    if not MINIMUM_FIELD_NM <= width <= MAXIMUM_FIELD_NM:
        raise UnusableInput(f"{what}: '{text}' is not a field of view in nm, such as 64.")
    return width


def count_or_none(text: str) -> int | None:
    """The number of pixels as typed; None where it cannot be read."""
    return _count(text, "", "", [])


def _seconds(text: str, what: str, problems: list[str]) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        problems.append(f"{what}: '{text}' is not an exposure in seconds, such as 0.1.")
        return None


def _count(text: str, what: str, unit: str, problems: list[str]) -> int | None:
    try:
        value = int(text.strip())
    except ValueError:
        problems.append(f"{what}: '{text}' is not a whole number of {unit}.")
        return None
    if not 1 <= value <= MAXIMUM_PIXELS:
        problems.append(f"{what}: {value} {unit} cannot be taken; give 1 to {MAXIMUM_PIXELS}.")
        return None
    return value
