"""What is to be acquired, as data: where, at which spectrometer setting, with which exposures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..data.collection import Collection, collecting
from ..data.errors import UnusableInput
from ..data.geometry import Area, Field, Line, Point
from ..data.record import Role
from . import plan_check, plan_json
from .drift_settings import DriftSettings
from .places import beyond, middle, reference_area, strip_offsets_nm
from .plan_check import MAXIMUM_EXPOSURE_S, MAXIMUM_PIXELS
from .site import Site
from .step import DEFAULT_EXPOSURES, FRAME_ROLES, LABELS, LINE_ROLES, SETTINGS, Engine, Exposure, Step
from .watching import Watching

__all__ = [
    "DEFAULT_EXPOSURES", "FRAME_ROLES", "LINE_ROLES", "MAXIMUM_EXPOSURE_S", "MAXIMUM_PIXELS", "SETTINGS", "Engine",
    "Exposure", "Plan", "Step", "Watching", "session_plan", "vacuum_point",
]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they run, and the places they share. All line steps run on the same line.

    strip_nm: width of the strip about the line, along the boundary, over which the frames are spread; 0 for none.
    drift: how drift is followed; None where it is not. reference: the area on which it is measured; None for one
    about the line.
    """

    name: str
    material: str
    steps: tuple[Step, ...]
    line: Line | None = None
    aloof: Point | None = None
    points: tuple[Point, ...] = ()
    vacuum: Point | None = None  # None: as far from the specimen as the field allows
    area: Area | None = None
    strip_nm: float = 0.0
    drift: DriftSettings | None = None
    reference: Field | None = None
    watching: Watching = Watching()

    def title(self, step: Step) -> str:
        """Title of a step's item: "GB1 L1 vibrational", "GB1 L1 vibrational off axis", taken again with " (2)"."""
        side = f" {Collection.OFF_AXIS.value}" if step.is_off_axis else ""
        title = f"{self.name} {LABELS[step.role]}{side}".strip()
        return title if step.take == 1 else f"{title} ({step.take})"

    def places(self, step: Step, field: Field) -> tuple[Point, ...]:
        """Probe positions of one pass of a step. Raises UnusableInput where a place that it needs is not given."""
        if step.role is Role.ZLP:
            place = vacuum_point(self, field)
            places: tuple[Point, ...] = () if place is None else (place,)
        elif step.role is Role.ALOOF:
            places = () if self.aloof is None else (self.aloof,)
        elif step.role is Role.POINTS:
            places = self.points
        elif step.role is Role.IMAGE:
            places = self.area.points() if self.area else ()
        else:
            places = self.line.points() if self.line else ()
        if not places:
            raise UnusableInput(plan_check.missing_place(step.role))
        return places

    def lines(self, step: Step) -> tuple[Line, ...]:
        """The lines that one pass of a line or spectrum image consists of; none for other steps."""
        if step.role is Role.IMAGE and self.area:
            return tuple(map(self.area.line, range(self.area.rows)))
        return (self.line,) if step.role in LINE_ROLES and self.line else ()

    def strip_offsets_nm(self, step: Step, which: int) -> tuple[float, ...]:
        """How far from the line the frames of a row lie in one pass; one 0 where all lie at the same place."""
        if step.role not in LINE_ROLES or self.strip_nm == 0.0:
            return (0.0,)
        return strip_offsets_nm(self.strip_nm, step.frames, step.passes, which)

    def positions(self, step: Step) -> int:
        """How often one pass of a step moves the parked probe."""
        if step.rows_are_frames:
            return 1
        return self.pixels(step) * len(self.strip_offsets_nm(step, 0))

    def pixels(self, step: Step) -> int:
        """Rows of one pass of a step; 0 where its places are not given."""
        if step.rows_are_frames:
            return step.frames
        if step.role is Role.POINTS:
            return len(self.points)
        if step.role is Role.IMAGE:
            return self.area.rows * self.area.columns if self.area else 0
        return self.line.pixels if self.line else 0

    def rows(self, step: Step) -> int:
        """Rows of a step's item, all passes together; 0 where its places are not given."""
        return step.passes * self.pixels(step)

    def reference_area(self, field: Field) -> Field:
        """What drift is measured on."""
        side_nm = self.drift.area_nm if self.drift else 0.0
        return self.reference or reference_area(plan_check.on_specimen(self), field, side_nm)

    def step_nm(self, step: Step) -> float | None:
        """Distance between neighbouring pixels of a line, or of one line of an image; None for other steps."""
        lines = self.lines(step)
        return lines[0].step_nm if lines else None

    def check(self, field: Field | None, site: Site) -> list[str]:
        """One sentence for each thing that stands in the way of running; empty when the plan can run."""
        return plan_check.check(self, field, site)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready content; `from_data` is its inverse."""
        return plan_json.to_data(self)

    @staticmethod
    def from_data(content: Any) -> Plan:
        """Strict: unknown or missing keys and wrong types raise UnusableInput naming the place."""
        return Plan(**plan_json.fields_from_data(content))

    def to_json(self) -> str:
        return json.dumps(self.to_data(), indent=2, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Plan:
        """Raises UnusableInput."""
        try:
            return Plan.from_data(json.loads(text))
        except json.JSONDecodeError as error:
            raise UnusableInput(f"The plan is not valid JSON ({error}).") from None


def session_plan(
    *,
    name: str,
    material: str,
    line: Line | None,
    aloof: Point | None,
    vacuum: Point | None = None,
    roles: Iterable[Role] = tuple(DEFAULT_EXPOSURES),
    exposures: Mapping[Role, Exposure] | None = None,
    off_axis: Iterable[Role] = (),
) -> Plan:
    """The correlated session: vacuum ZLP, aloof, then vibrational, valence and core loss on the same line.

    Steps run in the order of `DEFAULT_EXPOSURES` whatever the order of `roles`: core loss, which takes the largest
    dose and so removes most lithium, comes last. off_axis: roles that are collected off the axis, where the site can
    (`Site.collections`).
    """
    chosen, aside = set(roles), set(off_axis)
    given = {**DEFAULT_EXPOSURES, **(exposures or {})}
    steps = tuple(
        Step(
            role,
            collecting(SETTINGS[role], Collection.OFF_AXIS if role in aside else Collection.ON_AXIS),
            given[role].exposure_s,
            given[role].frames,
        )
        for role in DEFAULT_EXPOSURES
        if role in chosen
    )
    return Plan(name, material, steps, line=line, aloof=aloof, vacuum=vacuum)


def vacuum_point(plan: Plan, field: Field) -> Point | None:
    """Where the vacuum ZLP is taken: the plan's own point, else the far end of the field in the aloof direction.

    The direction is that from the line's middle (the field's centre without a line) through the aloof point. None
    without an aloof point, or where it lies on the line's middle.
    """
    if plan.vacuum is not None or plan.aloof is None:
        return plan.vacuum
    return beyond(field, middle(plan.line) if plan.line else field.centre, plan.aloof)
