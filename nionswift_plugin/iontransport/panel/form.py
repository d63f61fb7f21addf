"""The editable part of the panel: what the operator typed, and the plan that it means. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from eels_iontransport.acquire.plan import (
    DEFAULT_EXPOSURES,
    LINE_ROLES,
    Engine,
    Exposure,
    Plan,
    Step,
    Watching,
)
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.collection import Collection
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
DEFAULT_PASSES: Mapping[Role, int] = {Role.VIBRATIONAL: 4}  # among which the frames of the session are divided
MAXIMUM_PIXELS = 100_000
MAXIMUM_STRIP_NM = 1000.0
SLOW_MOVES = 0.1  # part of the exposure that moving a parked probe may cost before the scan runs along instead
MINIMUM_FIELD_NM, MAXIMUM_FIELD_NM = 1.0, 1e5


@dataclass(frozen=True)
class StepRow:
    """One step as typed: chosen or not, exposure of a frame in s, number of frames of a pass, number of passes."""

    chosen: bool
    exposure: str
    frames: str
    passes: str = "1"


@dataclass(frozen=True)
class Places:
    """The marked places, in nm in the frame of the scan; the line's ends only, its pixels are typed."""

    aloof: Point | None = None
    points: tuple[Point, ...] = ()
    line: tuple[Point, Point] | None = None


def _default_rows() -> dict[Role, StepRow]:
    exposures = {**DEFAULT_EXPOSURES, Role.POINTS: POINTS_EXPOSURE}
    rows = {}
    for role in ROW_LABELS:
        passes = DEFAULT_PASSES.get(role, 1)
        frames = exposures[role].frames // passes
        rows[role] = StepRow(role is not Role.POINTS, f"{exposures[role].exposure_s:g}", str(frames), str(passes))
    return rows


@dataclass(frozen=True)
class Form:
    """Everything typed or ticked.

    off_axis: what can be collected off the axis at the site is.
    """

    name: str = "GB1"
    material: str = "lco"
    pixels: str = "40"
    strip_nm: str = "0"
    overview_nm: str = "300"
    detail_nm: str = "64"
    rows: Mapping[Role, StepRow] = field(default_factory=_default_rows)
    drift_lock: bool = True
    check_zlp: bool = True
    blank_at_end: bool = False
    off_axis: bool = False

    def with_row(self, role: Role, **changes: Any) -> Form:
        return replace(self, rows={**self.rows, role: replace(self.rows[role], **changes)})

    def plan(self, places: Places, site: Site) -> tuple[Plan | None, tuple[str, ...]]:
        """The plan as typed, or None and one sentence for each entry that cannot be read."""
        problems: list[str] = []
        name = self.name.strip()
        if not name:
            problems.append("Name: give this place a name, such as GB1.")
        pixels = _count(self.pixels, "Line", "pixels", problems)
        strip_nm = _strip_nm(self.strip_nm, problems)
        steps = [self._step(role, row, site, problems) for role, row in self.rows.items() if row.chosen]
        if problems:
            return None, tuple(problems)
        plan = Plan(
            name,
            self.material,
            tuple(step for step in steps if step is not None),
            line=Line(*places.line, pixels) if places.line and pixels else None,
            aloof=places.aloof,
            points=places.points,
            strip_nm=strip_nm,
            drift=site.drift if self.drift_lock else None,
            watching=Watching(check_zlp=self.check_zlp, blank_at_end=self.blank_at_end),
        )
        return plan, ()

    def _step(self, role: Role, row: StepRow, site: Site, problems: list[str]) -> Step | None:
        exposure = _seconds(row.exposure, ROW_LABELS[role], problems)
        frames = _count(row.frames, ROW_LABELS[role], "frames", problems)
        passes = _count(row.passes, ROW_LABELS[role], "passes", problems) if role in LINE_ROLES else 1
        if exposure is None or frames is None or passes is None:
            return None
        settings = site.collections(role)
        on_axis = settings[Collection.ON_AXIS]
        setting = settings.get(Collection.OFF_AXIS, on_axis) if self.off_axis else on_axis
        return Step(role, setting, exposure, frames, passes, engine_for(role, exposure, frames, site))


def engine_for(role: Role, exposure_s: float, frames: int, site: Site) -> Engine:
    """The scan runs along with the camera where one short frame is asked for; else the probe is parked at each pixel.

    Short is a frame to which a parked probe would add more than a tenth. The scan takes one frame at each pixel.
    """
    move_s = site.overhead_s + site.probe_settle_s
    is_scanned = role in LINE_ROLES and frames == 1 and 0.0 < exposure_s and SLOW_MOVES * exposure_s < move_s
    return Engine.SYNCHRONIZED if is_scanned else Engine.PARKED


def can_collect_off_axis(site: Site) -> bool:
    """Whether a site has a setting for any of the steps that collects off the axis."""
    return any(Collection.OFF_AXIS in site.collections(role) for role in ROW_LABELS)


def scanned(plan: Plan) -> tuple[str, ...]:
    """Labels of the steps for which the scan runs along."""
    return tuple(ROW_LABELS[step.role] for step in plan.steps if step.engine is Engine.SYNCHRONIZED)


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


def _strip_nm(text: str, problems: list[str]) -> float:
    try:
        width = float(text.strip().replace(",", "."))
    except ValueError:
        width = math.nan
    if not 0.0 <= width <= MAXIMUM_STRIP_NM:
        problems.append(f"Line: '{text}' is not the width of a strip in nm, such as 3, or 0 for none.")
    return width


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
