"""Scan parameters for a part of the survey's field: a line, or an area.

A part is scanned as the host's "subscan" of the field, so that the field itself stays, and with it the meaning of the
place where the probe is parked.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from nion.utils import Geometry

from eels_iontransport.data.geometry import Field, Line


def along(scan: Any, field: Field, line: Line) -> Any:
    """The parameters of a line of single pixels, pixel i at start + i step."""
    parameters, square = _of_field(scan, field)
    start, end = (Geometry.FloatPoint(*square.fraction(point)) for point in (line.start, line.end))
    parameters.subscan_pixel_size = Geometry.IntSize(1, line.pixels)
    parameters.subscan_fractional_size = Geometry.FloatSize(
        1.0 / parameters.pixel_size.height, Geometry.distance(start, end)
    )
    parameters.subscan_fractional_center = Geometry.midpoint(start, end)
    parameters.subscan_rotation = -math.atan2(end.y - start.y, end.x - start.x)
    return parameters


def over(scan: Any, field: Field, area: Field, pixels: tuple[int, int]) -> Any:
    """The parameters of an image (rows, columns) of an area."""
    parameters, square = _of_field(scan, field)
    parameters.subscan_pixel_size = Geometry.IntSize(*pixels)
    parameters.subscan_fractional_size = Geometry.FloatSize(
        area.height_nm / square.height_nm, area.width_nm / square.width_nm
    )
    parameters.subscan_fractional_center = Geometry.FloatPoint(*square.fraction(area.centre))
    parameters.subscan_rotation = area.rotation_rad - field.rotation_rad
    return parameters


def _of_field(scan: Any, field: Field) -> tuple[Any, Field]:
    """The scan's current parameters on the smallest square around the field, and that square.

    Square, because versions of the host differ in what the field of view of another shape is.
    """
    parameters = copy.deepcopy(scan.get_current_frame_parameters())
    width_nm = max(field.height_nm, field.width_nm)
    pixels = max(parameters.pixel_size)
    parameters.pixel_size = Geometry.IntSize(pixels, pixels)
    parameters.fov_nm = width_nm
    parameters.center_nm = Geometry.FloatPoint(field.centre.y_nm, field.centre.x_nm)
    parameters.rotation_rad = field.rotation_rad
    return parameters, Field(width_nm, width_nm, field.centre, field.rotation_rad)
