"""Marks on survey images: A1 (aloof), P1, P2, ... (points) and L1 (the line) as Swift graphics.

A graphic belongs to the plug-in by its `graphic_id`; its label is only what the operator sees. The line carries no
label, because Swift draws it over the line's middle, where the boundary is: a mark at the line's start names it.
"""

from __future__ import annotations

from dataclasses import dataclass

from nion.swift.model import DisplayItem, Graphics
from nion.utils import Geometry

from eels_iontransport.data.geometry import Field, Point

PREFIX = "eels_iontransport."
ALOOF, LINE, LINE_START = "A1", "L1", "L1 start"
COLOURS = {"A": "#56B4E9", "P": "#F0E442", "L": "#E69F00"}


@dataclass(frozen=True)
class Mark:
    """A point, or a line where `end` is given, in nm in the frame of the scan; `fraction` of it in its image."""

    label: str
    point: Point
    end: Point | None
    fraction: tuple[float, float]


def read(display_item: DisplayItem.DisplayItem, field: Field) -> list[Mark]:
    """The plug-in's marks on a survey, in the order of their labels."""
    marks = []
    for graphic in display_item.graphics:
        label = _label(graphic)
        if label is None or label == LINE_START:
            continue
        if isinstance(graphic, Graphics.LineTypeGraphic):
            start, end = tuple(graphic.start), tuple(graphic.end)
            marks.append(Mark(label, field.point(start), field.point(end), start))
        elif isinstance(graphic, Graphics.PointGraphic):
            position = tuple(graphic.position)
            marks.append(Mark(label, field.point(position), None, position))
    return sorted(marks, key=lambda mark: (mark.label[0], len(mark.label), mark.label))


def put_point(display_item: DisplayItem.DisplayItem, label: str, fraction: tuple[float, float]) -> None:
    """Mark a point, in place of one of the same label."""
    remove(display_item, label)
    graphic = Graphics.PointGraphic()
    graphic.position = Geometry.FloatPoint(*fraction)
    graphic.label = label
    _add(display_item, graphic, label)


def put_line(
    display_item: DisplayItem.DisplayItem, start: tuple[float, float], end: tuple[float, float], label: str = LINE
) -> None:
    """Mark the line, in place of the one before."""
    remove(display_item, label)
    graphic = Graphics.LineGraphic()
    graphic.start, graphic.end = Geometry.FloatPoint(*start), Geometry.FloatPoint(*end)
    graphic.end_arrow_enabled = True
    _add(display_item, graphic, label)
    follow(display_item)


def follow(display_item: DisplayItem.DisplayItem) -> None:
    """Keep the name of the line at its start, however the line was dragged or deleted."""
    line, name = _find(display_item, LINE), _find(display_item, LINE_START)
    if line is None:
        if name is not None:
            display_item.remove_graphic(name)
    elif name is None:
        graphic = Graphics.PointGraphic()
        graphic.position = line.start
        graphic.label = LINE
        graphic.is_position_locked = True
        _add(display_item, graphic, LINE_START)
    elif name.position != line.start:
        name.position = line.start


def remove(display_item: DisplayItem.DisplayItem, label: str | None = None) -> None:
    """Remove the marks of that label, or all of the plug-in's marks."""
    for graphic in list(display_item.graphics):
        known = _label(graphic)
        if known is not None and label in (None, known):
            display_item.remove_graphic(graphic)


def _add(display_item: DisplayItem.DisplayItem, graphic: Graphics.Graphic, label: str) -> None:
    graphic.graphic_id = PREFIX + label
    graphic.stroke_color = COLOURS[label[0]]
    graphic.stroke_width = 2
    display_item.add_graphic(graphic)


def _find(display_item: DisplayItem.DisplayItem, label: str) -> Graphics.Graphic | None:
    return next((graphic for graphic in display_item.graphics if _label(graphic) == label), None)


def _label(graphic: Graphics.Graphic) -> str | None:
    identifier = graphic.graphic_id or ""
    return identifier[len(PREFIX) :] if identifier.startswith(PREFIX) else None
