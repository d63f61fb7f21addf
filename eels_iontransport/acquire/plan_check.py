"""What stands in the way of a plan, judged by the plan, the field of the survey and the site."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..data.errors import UnusableInput
from ..data.geometry import Area, Field, Line, Point
from ..data.record import Role
from .places import strip_corners
from .site import Site
from .step import FRAME_ROLES, LINE_ROLES, OFF_AXIS_ROLES, Engine, Step

if TYPE_CHECKING:
    from .plan import Plan

MAXIMUM_EXPOSURE_S = 60.0  # the host gives a camera up that shows no progress for 60 s
MAXIMUM_PIXELS = 100_000
MAXIMUM_ROWS = 1_000_000  # of one item, all passes together
_SCANNED_ROLES = (*LINE_ROLES, Role.IMAGE)


def check(plan: Plan, field: Field | None, site: Site) -> list[str]:
    """One sentence for each thing that stands in the way of running; empty when the plan can run."""
    return list(dict.fromkeys([*_check_steps(plan, site), *_check_places(plan, field), *_check_watching(plan, site)]))


def missing_place(role: Role) -> str:
    """What the operator reads where a step's place is not given."""
    if role in FRAME_ROLES:
        return "There is no aloof point; place one in the vacuum beside the specimen on the survey image."
    if role is Role.POINTS:
        return "There are no points; place at least one on the survey image."
    if role is Role.IMAGE:
        return "There is no area for the spectrum image; draw a rectangle on the survey image."
    return "There is no line; place one across the boundary on the survey image."


def on_specimen(plan: Plan) -> tuple[Point, ...]:
    """The outermost places on the specimen that the steps of a plan need; all that it has where they need none."""
    line = strip_corners(plan.line, plan.strip_nm) if plan.line else ()
    area = _corners(plan.area) if plan.area else ()
    roles = {step.role for step in plan.steps}
    needed = [
        *(line if roles & set(LINE_ROLES) else ()),
        *(area if Role.IMAGE in roles else ()),
        *(plan.points if Role.POINTS in roles else ()),
    ]
    return tuple(needed or [*line, *area, *plan.points] or ([plan.aloof] if plan.aloof else []))


def _corners(area: Area) -> list[Point]:
    return [point for row in (0, area.rows - 1) for point in area.line(row).points()[:: max(1, area.columns - 1)]]


def _check_steps(plan: Plan, site: Site) -> Iterable[str]:
    if not plan.steps:
        yield "Nothing is selected to acquire; choose at least one step."
    for step in plan.steps:
        yield from _check_step(plan, step, site)


def _check_step(plan: Plan, step: Step, site: Site) -> Iterable[str]:
    what = plan.title(step)
    if step.setting not in site.settings:
        known = ", ".join(site.settings)
        yield f"{what}: the site file of {site.name} has no setting '{step.setting}'; it has {known}."
    else:
        yield from filter(None, (site.out_of_range(c.control, c.value) for c in site.settings[step.setting].controls))
    if step.is_off_axis and step.role not in OFF_AXIS_ROLES:
        yield f"{what}: only vibrational spectra of the specimen are collected off the axis; collect this one on it."
    if not (math.isfinite(step.exposure_s) and step.exposure_s > 0):
        yield f"{what}: the exposure is {step.exposure_s:g} s; give a positive number of seconds."
    elif step.exposure_s > MAXIMUM_EXPOSURE_S:
        yield (
            f"{what}: a single frame of {step.exposure_s:g} s is longer than the {MAXIMUM_EXPOSURE_S:g} s after "
            "which the camera counts as stuck; use more frames of a shorter exposure."
        )
    if step.frames < 1:
        yield f"{what}: {step.frames} frames are asked for; take at least one."
    if step.passes < 1:
        yield f"{what}: {step.passes} passes are asked for; take at least one."
    elif step.passes > 1 and step.role not in _SCANNED_ROLES:
        yield f"{what}: only a line or an image has passes; ask for more frames instead."
    elif plan.rows(step) > MAXIMUM_ROWS:
        yield f"{what}: {plan.rows(step)} rows are more than the {MAXIMUM_ROWS} of one item; take fewer passes."
    if step.engine is Engine.SYNCHRONIZED and step.role not in _SCANNED_ROLES:
        yield f"{what}: the probe does not move, so the scan cannot run along; use the parked probe."
    elif step.engine is Engine.SYNCHRONIZED and step.frames != 1:
        yield f"{what}: a scan takes one frame at each pixel, not {step.frames}; ask for more passes instead."


def _check_places(plan: Plan, field: Field | None) -> Iterable[str]:
    if field is None:
        yield "There is no survey image; take one, so that places on the specimen are known."
        return
    if not (math.isfinite(plan.strip_nm) and plan.strip_nm >= 0):
        yield f"The strip along the boundary is {plan.strip_nm} nm wide; give 0 or a positive width."
        return
    for step in plan.steps:
        try:
            yield from _check_place(plan, step, field)
        except UnusableInput as error:
            yield str(error)


def _check_place(plan: Plan, step: Step, field: Field) -> Iterable[str]:
    if step.role in LINE_ROLES and plan.line is not None:
        yield from _check_line(plan, plan.line, field)
    elif step.role is Role.IMAGE and plan.area is not None:
        yield from _check_area(plan, plan.area, field)
    elif step.role is Role.POINTS:
        yield from _check_inside(plan.places(step, field), field, "point", _reserve_nm(plan))
    else:
        label = "vacuum ZLP point" if step.role is Role.ZLP else "aloof point"
        yield from _check_inside(plan.places(step, field), field, label)


def _check_line(plan: Plan, line: Line, field: Field) -> Iterable[str]:
    if not 1 <= line.pixels <= MAXIMUM_PIXELS:
        yield f"The line has {line.pixels} pixels; give between 1 and {MAXIMUM_PIXELS}."
    elif not math.isfinite(line.length_nm) or line.length_nm <= 0:
        yield "The line has no length; drag its ends apart."
    else:
        what = f"line with its strip of {plan.strip_nm:g} nm" if plan.strip_nm else "line"
        yield from _check_inside(strip_corners(line, plan.strip_nm), field, what, _reserve_nm(plan))


def _check_area(plan: Plan, area: Area, field: Field) -> Iterable[str]:
    if area.rows < 1 or area.columns < 1 or area.rows * area.columns > MAXIMUM_PIXELS:
        yield (
            f"The spectrum image has {area.rows} x {area.columns} pixels; give at least one and at most "
            f"{MAXIMUM_PIXELS}."
        )
    elif not (math.isfinite(sum(area.step_nm)) and min(area.step_nm) > 0):
        yield "The area of the spectrum image is empty; draw it larger."
    else:
        yield from _check_inside(_corners(area), field, "spectrum image", _reserve_nm(plan))


def _reserve_nm(plan: Plan) -> float:
    """Room to the edge of the field that following the drift may need."""
    return plan.drift.limit_nm if plan.drift else 0.0


def _check_inside(points: Iterable[Point], field: Field, what: str, reserve_nm: float = 0.0) -> Iterable[str]:
    inner = Field(
        max(field.height_nm - 2 * reserve_nm, 1e-9),
        max(field.width_nm - 2 * reserve_nm, 1e-9),
        field.centre,
        field.rotation_rad,
    )
    for point in points:
        if not field.contains(point):
            yield (
                f"The {what} reaches (x {point.x_nm:.1f}, y {point.y_nm:.1f}) nm, outside the survey's field of "
                f"{field.width_nm:.0f} x {field.height_nm:.0f} nm; move it inside or take a wider survey."
            )
            return
        if not inner.contains(point):
            yield (
                f"The {what} reaches (x {point.x_nm:.1f}, y {point.y_nm:.1f}) nm, nearer to the edge of the survey's "
                f"field than the {reserve_nm:.1f} nm that following the drift may need; move it or take a wider survey."
            )
            return


def _check_watching(plan: Plan, site: Site) -> Iterable[str]:
    if plan.watching.blank_at_end and not site.beam.blanker_control:
        yield "The site names no blanker, so the beam cannot be blanked at the end; switch that off."
