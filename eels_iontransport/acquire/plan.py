"""What is to be acquired, as data: where, at which spectrometer setting, with which exposures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from ..data.errors import UnusableInput
from ..data.geometry import Field, Line, Point
from ..data.record import Role
from .site import Site
from .strict import Table

SCHEMA = "eels_iontransport/plan/1"
MAXIMUM_EXPOSURE_S = 60.0  # the host gives a camera up that shows no progress for 60 s
MAXIMUM_PIXELS = 100_000
VACUUM_MARGIN = 0.02  # fraction of the field kept between the vacuum point and the field's edge

LINE_ROLES = (Role.VIBRATIONAL, Role.VALENCE, Role.CORE_LOSS)
FRAME_ROLES = (Role.ZLP, Role.ALOOF)
SETTINGS = {
    Role.ZLP: "vibrational",
    Role.ALOOF: "vibrational",
    Role.POINTS: "vibrational",
    Role.VIBRATIONAL: "vibrational",
    Role.VALENCE: "valence",
    Role.CORE_LOSS: "core_loss",
    Role.IMAGE: "vibrational",
}
_LABELS = {
    Role.ZLP: "vacuum ZLP",
    Role.ALOOF: "A1 aloof",
    Role.POINTS: "points",
    Role.VIBRATIONAL: "L1 vibrational",
    Role.VALENCE: "L1 valence",
    Role.CORE_LOSS: "L1 core loss",
    Role.IMAGE: "spectrum image",
}


class Engine(str, Enum):
    """PARKED: the probe rests at each place for long exposures. SYNCHRONIZED: the scan runs along with the camera."""

    PARKED = "parked"
    SYNCHRONIZED = "synchronized"


@dataclass(frozen=True)
class Step:
    """One item to acquire. A vacuum ZLP or aloof spectrum has one row for each frame; points and lines have one row
    for each probe position, its frames summed."""

    role: Role
    setting: str
    exposure_s: float
    frames: int = 1
    passes: int = 1
    engine: Engine = Engine.PARKED

    @property
    def rows_are_frames(self) -> bool:
        return self.role in FRAME_ROLES


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they run, and the places they share. All line steps run on the same line."""

    name: str
    material: str
    steps: tuple[Step, ...]
    line: Line | None = None
    aloof: Point | None = None
    points: tuple[Point, ...] = ()
    vacuum: Point | None = None  # None: as far from the specimen as the field allows

    def title(self, step: Step) -> str:
        """Title of a step's item, such as "GB1 L1 vibrational"."""
        return f"{self.name} {_LABELS[step.role]}".strip()

    def places(self, step: Step, field: Field) -> tuple[Point, ...]:
        """Probe positions of a step. Raises UnusableInput where a place that it needs is not given."""
        if step.role is Role.ZLP:
            place = vacuum_point(self, field)
        elif step.role is Role.ALOOF:
            place = self.aloof
        else:
            places = self.points if step.role is Role.POINTS else self.line.points() if self.line else ()
            if not places:
                raise UnusableInput(_missing_place(step.role))
            return places
        if place is None:
            raise UnusableInput(_missing_place(step.role))
        return (place,)

    def rows(self, step: Step) -> int:
        """Rows of a step's item; 0 where its places are not given."""
        if step.rows_are_frames:
            return step.frames
        if step.role is Role.POINTS:
            return len(self.points)
        return self.line.pixels if self.line else 0

    def check(self, field: Field | None, site: Site) -> list[str]:
        """One sentence for each thing that stands in the way of running; empty when the plan can run."""
        return list(dict.fromkeys([*_check_steps(self, site), *_check_places(self, field)]))

    def to_data(self) -> dict[str, Any]:
        """JSON-ready content; `from_data` is its inverse."""
        content = {"schema": SCHEMA, **asdict(self)}
        content["steps"] = [
            {**asdict(step), "role": step.role.value, "engine": step.engine.value} for step in self.steps
        ]
        content["points"] = [asdict(point) for point in self.points]
        return content

    @staticmethod
    def from_data(content: Any) -> Plan:
        """Strict: unknown or missing keys and wrong types raise UnusableInput naming the place."""
        with Table(content, "plan") as table:
            if table.text("schema") != SCHEMA:
                raise table.refuse("schema", f"must be '{SCHEMA}'")
            return Plan(
                name=table.text("name"),
                material=table.text("material"),
                steps=tuple(_read_step(entry) for entry in table.tables("steps")),
                line=_read_line(table.optional_table("line")),
                aloof=_read_point(table.optional_table("aloof")),
                points=tuple(map(_point, table.tables("points", ()))),
                vacuum=_read_point(table.optional_table("vacuum")),
            )

    def to_json(self) -> str:
        return json.dumps(self.to_data(), indent=2, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Plan:
        """Raises UnusableInput."""
        try:
            return Plan.from_data(json.loads(text))
        except json.JSONDecodeError as error:
            raise UnusableInput(f"The plan is not valid JSON ({error}).") from None


@dataclass(frozen=True)
class Exposure:
    """Exposure of one frame and the number of frames for each row (or each item, where rows are frames)."""

    exposure_s: float
    frames: int


DEFAULT_EXPOSURES: Mapping[Role, Exposure] = {
    Role.ZLP: Exposure(0.1, 100),
    Role.ALOOF: Exposure(0.1, 300),
    Role.VIBRATIONAL: Exposure(0.1, 20),
    Role.VALENCE: Exposure(0.02, 5),
    Role.CORE_LOSS: Exposure(0.5, 4),
}


def session_plan(
    *,
    name: str,
    material: str,
    line: Line | None,
    aloof: Point | None,
    vacuum: Point | None = None,
    roles: Iterable[Role] = tuple(DEFAULT_EXPOSURES),
    exposures: Mapping[Role, Exposure] | None = None,
) -> Plan:
    """The correlated session: vacuum ZLP, aloof, then vibrational, valence and core loss on the same line.

    Steps run in the order of `DEFAULT_EXPOSURES` whatever the order of `roles`: core loss, which takes the largest
    dose and so removes most lithium, comes last.
    """
    chosen = set(roles)
    given = {**DEFAULT_EXPOSURES, **(exposures or {})}
    steps = tuple(
        Step(role, SETTINGS[role], given[role].exposure_s, given[role].frames)
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
    start_y, start_x = field.fraction(_middle(plan.line) if plan.line else field.centre)
    aloof_y, aloof_x = field.fraction(plan.aloof)
    towards = (aloof_y - start_y, aloof_x - start_x)
    reaches = [
        ((1.0 - VACUUM_MARGIN if step > 0 else VACUUM_MARGIN) - start) / step
        for start, step in zip((start_y, start_x), towards)
        if abs(step) > 1e-9
    ]
    if not reaches:
        return None
    reach = max(1.0, min(reaches))
    return field.point((start_y + reach * towards[0], start_x + reach * towards[1]))


def _middle(line: Line) -> Point:
    return Point(0.5 * (line.start.y_nm + line.end.y_nm), 0.5 * (line.start.x_nm + line.end.x_nm))


def _missing_place(role: Role) -> str:
    if role in FRAME_ROLES:
        return "There is no aloof point; place one in the vacuum beside the specimen on the survey image."
    if role is Role.POINTS:
        return "There are no points; place at least one on the survey image."
    return "There is no line; place one across the boundary on the survey image."


def _check_steps(plan: Plan, site: Site) -> Iterable[str]:
    if not plan.steps:
        yield "Nothing is selected to acquire; choose at least one step."
    for step in plan.steps:
        what = plan.title(step)
        if step.setting not in site.settings:
            known = ", ".join(site.settings)
            yield f"{what}: the site file of {site.name} has no setting '{step.setting}'; it has {known}."
        if not (math.isfinite(step.exposure_s) and step.exposure_s > 0):
            yield f"{what}: the exposure is {step.exposure_s:g} s; give a positive number of seconds."
        elif step.exposure_s > MAXIMUM_EXPOSURE_S:
            yield (
                f"{what}: a single frame of {step.exposure_s:g} s is longer than the {MAXIMUM_EXPOSURE_S:g} s after "
                "which the camera counts as stuck; use more frames of a shorter exposure."
            )
        if step.frames < 1:
            yield f"{what}: {step.frames} frames are asked for; take at least one."


def _check_places(plan: Plan, field: Field | None) -> Iterable[str]:
    if field is None:
        yield "There is no survey image; take one, so that places on the specimen are known."
        return
    for step in plan.steps:
        try:
            if step.role in LINE_ROLES and plan.line is not None:
                yield from _check_line(plan.line, field)
            else:
                label = {Role.ZLP: "vacuum ZLP point", Role.ALOOF: "aloof point"}.get(step.role, "point")
                yield from _check_inside(plan.places(step, field), field, label)
        except UnusableInput as error:
            yield str(error)


def _check_line(line: Line, field: Field) -> Iterable[str]:
    if not 1 <= line.pixels <= MAXIMUM_PIXELS:
        yield f"The line has {line.pixels} pixels; give between 1 and {MAXIMUM_PIXELS}."
    elif not math.isfinite(line.length_nm) or line.length_nm <= 0:
        yield "The line has no length; drag its ends apart."
    else:
        yield from _check_inside((line.start, line.end), field, "line")


def _check_inside(points: Iterable[Point], field: Field, what: str) -> Iterable[str]:
    for point in points:
        if not field.contains(point):
            yield (
                f"The {what} reaches (x {point.x_nm:.1f}, y {point.y_nm:.1f}) nm, outside the survey's field of "
                f"{field.width_nm:.0f} x {field.height_nm:.0f} nm; move it inside or take a wider survey."
            )
            return


def _read_step(table: Table) -> Step:
    with table:
        role = table.text("role")
        if role not in {known.value for known in Role}:
            raise table.refuse("role", f"must be one of {', '.join(known.value for known in Role)}, not '{role}'")
        engine = table.text("engine", Engine.PARKED.value)
        if engine not in {known.value for known in Engine}:
            raise table.refuse("engine", f"must be one of {', '.join(known.value for known in Engine)}, not '{engine}'")
        return Step(
            Role(role),
            table.text("setting"),
            table.number("exposure_s"),
            table.integer("frames"),
            table.integer("passes", 1),
            Engine(engine),
        )


def _read_point(table: Table | None) -> Point | None:
    return None if table is None else _point(table)


def _point(table: Table) -> Point:
    with table:
        return Point(table.number("y_nm"), table.number("x_nm"))


def _read_line(table: Table | None) -> Line | None:
    if table is None:
        return None
    with table:
        return Line(_point(table.table("start")), _point(table.table("end")), table.integer("pixels"))
