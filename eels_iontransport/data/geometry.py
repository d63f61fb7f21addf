"""Places on the specimen, in nm in the frame of the scan: origin at its centre, x to the right, y down."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    y_nm: float
    x_nm: float


@dataclass(frozen=True)
class Line:
    """A line of `pixels` probe positions; pixel i lies at start + i step, with step = length / pixels."""

    start: Point
    end: Point
    pixels: int

    @property
    def length_nm(self) -> float:
        return math.hypot(self.end.y_nm - self.start.y_nm, self.end.x_nm - self.start.x_nm)

    @property
    def step_nm(self) -> float:
        return self.length_nm / self.pixels

    def points(self) -> tuple[Point, ...]:
        dy = (self.end.y_nm - self.start.y_nm) / self.pixels
        dx = (self.end.x_nm - self.start.x_nm) / self.pixels
        return tuple(Point(self.start.y_nm + i * dy, self.start.x_nm + i * dx) for i in range(self.pixels))


@dataclass(frozen=True)
class Field:
    """The scanned field of the survey image: what the probe can reach."""

    height_nm: float
    width_nm: float
    centre: Point = Point(0.0, 0.0)
    rotation_rad: float = 0.0

    def fraction(self, point: Point) -> tuple[float, float]:
        """(y, x) as fractions 0..1 of the field."""
        dy, dx = point.y_nm - self.centre.y_nm, point.x_nm - self.centre.x_nm
        c, s = math.cos(self.rotation_rad), math.sin(self.rotation_rad)
        y, x = c * dy + s * dx, c * dx - s * dy
        return y / self.height_nm + 0.5, x / self.width_nm + 0.5

    def point(self, fraction: tuple[float, float]) -> Point:
        """Inverse of `fraction`."""
        y, x = (fraction[0] - 0.5) * self.height_nm, (fraction[1] - 0.5) * self.width_nm
        c, s = math.cos(self.rotation_rad), math.sin(self.rotation_rad)
        return Point(self.centre.y_nm + c * y - s * x, self.centre.x_nm + c * x + s * y)

    def contains(self, point: Point) -> bool:
        y, x = self.fraction(point)
        return 0.0 <= y <= 1.0 and 0.0 <= x <= 1.0


@dataclass(frozen=True)
class Area:
    """A rectangle of `rows` x `columns` probe positions, each in the middle of its part of the field."""

    field: Field
    rows: int
    columns: int

    @property
    def step_nm(self) -> tuple[float, float]:
        """(y, x) distance of neighbouring positions, along the rectangle's own sides."""
        return self.field.height_nm / self.rows, self.field.width_nm / self.columns

    def points(self) -> tuple[Point, ...]:
        """All positions, row by row."""
        return tuple(point for row in range(self.rows) for point in self.line(row).points())

    def line(self, row: int) -> Line:
        """The positions of one row."""
        y, half = (row + 0.5) / self.rows, 0.5 / self.columns
        return Line(self.field.point((y, half)), self.field.point((y, 1.0 + half)), self.columns)
