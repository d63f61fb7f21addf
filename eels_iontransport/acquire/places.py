"""Where the probe goes: the strip along the boundary, the vacuum, and what drift is measured on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..data.geometry import Field, Line, Point

VACUUM_MARGIN = 0.02  # fraction of the field kept between the vacuum point and the field's edge
REFERENCE_LEAST_NM = 16.0  # side of the area that drift is measured on, which also shows what surrounds the line


def moved(point: Point, by_nm: tuple[float, float]) -> Point:
    """The point moved by (y, x) nm."""
    return Point(point.y_nm + by_nm[0], point.x_nm + by_nm[1])


def moved_line(line: Line, by_nm: tuple[float, float]) -> Line:
    return Line(moved(line.start, by_nm), moved(line.end, by_nm), line.pixels)


def rest_of(line: Line, first: int) -> Line:
    """The line from pixel `first` on, with the same step."""
    return line if first == 0 else Line(line.points()[first], line.end, line.pixels - first)


def middle(line: Line) -> Point:
    return Point(0.5 * (line.start.y_nm + line.end.y_nm), 0.5 * (line.start.x_nm + line.end.x_nm))


def strip_offsets_nm(strip_nm: float, frames: int, passes: int = 1, which: int = 0) -> tuple[float, ...]:
    """Distances from the line at which the frames of one pass are taken, (frames,); zeros without a strip.

    The strip is divided into `frames` parts of equal width; every pass takes one frame in each, at another place of
    it, so that all frames of all passes lie evenly, strip / (frames passes) apart, and symmetric about the line. The
    passes go from the middle of the parts outwards, so that the first few of them are nearly symmetric too.
    """
    order = sorted(range(passes), key=lambda index: (abs(index - 0.5 * (passes - 1)), index))
    within = (order[which] + 0.5) / passes
    return tuple(strip_nm * ((frame + within) / frames - 0.5) for frame in range(frames))


def across(line: Line, distance_nm: float) -> tuple[float, float]:
    """(y, x) of a displacement at right angles to the line, to the left of its direction as an image shows it."""
    length = line.length_nm
    if distance_nm == 0.0 or length == 0.0:
        return 0.0, 0.0
    dy, dx = (line.end.y_nm - line.start.y_nm) / length, (line.end.x_nm - line.start.x_nm) / length
    return -dx * distance_nm, dy * distance_nm


def strip_corners(line: Line, strip_nm: float) -> tuple[Point, ...]:
    """The line's ends, or the corners of the strip about it."""
    ends = (line.start, line.end)
    if strip_nm == 0.0:
        return ends
    return tuple(moved(end, across(line, side * strip_nm / 2)) for side in (-1, 1) for end in ends)


def beyond(field: Field, start: Point, through: Point) -> Point | None:
    """Where the way from one point through another leaves the field, less a margin; None where the two coincide."""
    start_y, start_x = field.fraction(start)
    through_y, through_x = field.fraction(through)
    towards = (through_y - start_y, through_x - start_x)
    reaches = [
        ((1.0 - VACUUM_MARGIN if step > 0 else VACUUM_MARGIN) - begin) / step
        for begin, step in zip((start_y, start_x), towards)
        if abs(step) > 1e-9
    ]
    if not reaches:
        return None
    reach = max(1.0, min(reaches))
    return field.point((start_y + reach * towards[0], start_x + reach * towards[1]))


def reference_area(points: Sequence[Point], field: Field, side_nm: float = 0.0) -> Field:
    """The square about points, turned as the field is, that drift is measured on; it lies within the field.

    side_nm: 0 for half as much again as the points span, at least REFERENCE_LEAST_NM.
    """
    fractions = [field.fraction(point) for point in points] or [(0.5, 0.5)]
    spans, centres = [], []
    for values, length in zip(zip(*fractions), (field.height_nm, field.width_nm)):
        spans.append((max(values) - min(values)) * length)
        centres.append(0.5 * (max(values) + min(values)))
    side = min(side_nm or max(1.5 * max(spans), REFERENCE_LEAST_NM), field.height_nm, field.width_nm)
    centre = []
    for value, length in zip(centres, (field.height_nm, field.width_nm)):
        half = 0.5 * side / length
        centre.append(min(max(value, half), 1.0 - half) if math.isfinite(value) else 0.5)
    return Field(side, side, field.point((centre[0], centre[1])), field.rotation_rad)
