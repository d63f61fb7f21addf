"""Plans as JSON, read strictly. Keys that a later version added may be absent."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..data.geometry import Area, Field, Line, Point
from ..data.record import Role
from .drift_settings import read_drift
from .step import Engine, Step
from .strict import Table
from .watching import Watching

if TYPE_CHECKING:
    from .plan import Plan

SCHEMA = "eels_iontransport/plan/1"


def to_data(plan: Plan) -> dict[str, Any]:
    content = {"schema": SCHEMA, **asdict(plan)}
    content["steps"] = [_step_data(step) for step in plan.steps]
    content["points"] = [asdict(point) for point in plan.points]
    return content


def fields_from_data(content: Any) -> dict[str, Any]:
    """The fields of a Plan. Raises UnusableInput naming the place."""
    with Table(content, "plan") as table:
        if table.text("schema") != SCHEMA:
            raise table.refuse("schema", f"must be '{SCHEMA}'")
        return {
            "name": table.text("name"),
            "material": table.text("material"),
            "steps": tuple(map(_step, table.tables("steps"))),
            "line": table.optional("line", _line),
            "aloof": table.optional("aloof", _point),
            "points": tuple(map(_point, table.tables("points", ()))),
            "vacuum": table.optional("vacuum", _point),
            "area": table.optional("area", _area),
            "strip_nm": table.number("strip_nm", 0.0),
            "drift": table.optional("drift", read_drift),
            "reference": table.optional("reference", _field),
            "watching": table.optional("watching", lambda entry: entry.fill(Watching)) or Watching(),
        }


def _step_data(step: Step) -> dict[str, Any]:
    return {**asdict(step), "role": step.role.value, "engine": step.engine.value}


def _step(table: Table) -> Step:
    with table:
        return Step(
            Role(table.choice("role", [role.value for role in Role])),
            table.text("setting"),
            table.number("exposure_s"),
            table.integer("frames"),
            table.integer("passes", 1),
            Engine(table.choice("engine", [engine.value for engine in Engine], Engine.PARKED.value)),
            table.integer("take", 1),
        )


def _point(table: Table) -> Point:
    with table:
        return Point(table.number("y_nm"), table.number("x_nm"))


def _line(table: Table) -> Line:
    with table:
        return Line(_point(table.table("start")), _point(table.table("end")), table.integer("pixels"))


def _field(table: Table) -> Field:
    with table:
        return Field(
            table.number("height_nm"),
            table.number("width_nm"),
            _point(table.table("centre")),
            table.number("rotation_rad"),
        )


def _area(table: Table) -> Area:
    with table:
        return Area(_field(table.table("field")), table.integer("rows"), table.integer("columns"))
