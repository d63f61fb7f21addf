"""How results are shown in the host: line plots of layers, images, and the graphics on them. Main thread only."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from nion.data import Calibration, DataAndMetadata
from nion.swift.model import DataItem, DisplayItem, DocumentModel, Graphics

from ..results import Axis, Layer, Output

TICK, COVER = "iontransport.tick", "iontransport.not_taken"
COVER_COLOUR = "#B0B0B0"
TICK_COLOUR, TICK_LENGTH = "#FFFFFF", 0.16  # of the width: a little longer than the label, which sits on its middle

# Pixels that were not taken are nan; the host draws them black and says so at every repaint.
for _module in (r"nion\.data\.Image", r"nion\.swift\.HistogramPanel"):
    warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning, _module)


def quiet_regions(names: Sequence[str]) -> None:
    """Let region graphics show their numbers only when selected, as hosts before 16.18 do for all intervals.

    Since 16.18 an interval prints its ends and width at all times, which at a narrow boundary covers labels and data;
    there is no property to choose otherwise. Only graphics whose id is one of the names are concerned.
    """
    original = getattr(Graphics.IntervalGraphic, "used_text_visibility_map", None)
    if not isinstance(original, property) or getattr(original.fget, "is_quiet", False):
        return

    def visibility(graphic: Graphics.IntervalGraphic) -> dict[str, str]:
        if graphic.graphic_id in names:
            return {"default": "selection", "label_text": "always"}
        return original.fget(graphic)  # type: ignore[misc,no-any-return]

    visibility.is_quiet = True  # type: ignore[attr-defined]
    Graphics.IntervalGraphic.used_text_visibility_map = property(visibility)


def new_item(
    document_model: DocumentModel.DocumentModel, title: str, data: np.ndarray, layers: Sequence[Layer] | None
) -> DataItem.DataItem:
    """A new item shown as a line plot of these layers, one per row of data, or as an image in the map's colours."""
    item = DataItem.new_data_item(DataAndMetadata.new_data_and_metadata(data))
    item.title = title
    document_model.append_data_item(item)
    with document_model.item_transaction(item):  # the host would write the whole project at each change otherwise
        _dress(of(document_model, item), layers)
    return item


def _dress(display: DisplayItem.DisplayItem, layers: Sequence[Layer] | None) -> None:
    if layers is None:
        display.display_type = "image"
        display.display_data_channels[0].color_map_id = "magma"
        display.display_data_channels[0].display_limits = (0.0, 1.0)
        return
    display.display_type = "line_plot"
    while len(display.display_layers) > len(layers):
        display.remove_display_layer(len(display.display_layers) - 1).close()
    for index, layer in enumerate(layers):
        display._set_display_layer_properties(
            index,
            data_row=index,
            label=layer.label,
            stroke_color=layer.stroke,
            fill_color=layer.fill,
            stroke_width=layer.width,
        )
    display.set_display_property("legend_position", "top-right" if any(layer.label for layer in layers) else None)
    set_range(display, (0.0, 1.0))


def of(document_model: DocumentModel.DocumentModel, item: DataItem.DataItem) -> DisplayItem.DisplayItem:
    """The display of an item."""
    display = document_model.get_display_item_for_data_item(item)
    assert display is not None
    return display


def xdata(output: Output, metadata: Mapping[str, object]) -> DataAndMetadata.DataAndMetadata:
    """Data of an output with its axes; the first axis of a plot counts the layers."""
    axes = output.axes if len(output.axes) == output.data.ndim else (Axis(0.0, 1.0, ""), *output.axes)
    return DataAndMetadata.new_data_and_metadata(
        output.data,
        Calibration.Calibration(units=output.value_units),
        [Calibration.Calibration(axis.offset, axis.scale, axis.units) for axis in axes],
        metadata=dict(metadata),
    )


def get_range(display: DisplayItem.DisplayItem) -> tuple[float, float] | None:
    """The y range of a plot or the display limits of an image; None where it is automatic."""
    if display.used_display_type == "image":
        limits = display.display_data_channels[0].display_limits
    else:
        limits = (display.get_display_property("y_min"), display.get_display_property("y_max"))
    return None if limits is None or None in limits else (float(limits[0]), float(limits[1]))


def set_range(display: DisplayItem.DisplayItem, value_range: tuple[float, float]) -> None:
    """Set what `get_range` tells; ranges are never automatic because rows that are nan upset the automatic ones."""
    if get_range(display) == value_range:
        return
    if display.used_display_type == "image":
        display.display_data_channels[0].display_limits = value_range
    else:
        display.set_display_property("y_min", value_range[0])
        display.set_display_property("y_max", value_range[1])


def set_view(display: DisplayItem.DisplayItem, view: tuple[int, int]) -> None:
    """First and last channel that a plot shows."""
    display.set_display_property("left_channel", view[0])
    display.set_display_property("right_channel", view[1])


def add_ticks(display: DisplayItem.DisplayItem, ticks: Sequence[tuple[str, float]]) -> None:
    """Short labelled strokes at the left edge of an image, at places 0..1 from its bottom."""
    for label, place in ticks:
        graphic = Graphics.LineGraphic()
        graphic.start, graphic.end = (1.0 - place, 0.0), (1.0 - place, TICK_LENGTH)
        graphic.stroke_color = TICK_COLOUR
        graphic.label = label
        graphic.graphic_id = TICK
        graphic.is_position_locked = graphic.is_shape_locked = True
        display.add_graphic(graphic)


def cover(display: DisplayItem.DisplayItem, first: float) -> None:
    """Cover an image from this fraction of its width on, where no rows have been taken."""
    covers = [graphic for graphic in display.graphics if graphic.graphic_id == COVER]
    if first >= 1.0:
        for graphic in covers:
            display.remove_graphic(graphic).close()
        return
    bounds = ((0.0, first), (1.0, 1.0 - first))
    if covers:
        covers[0].bounds = bounds
        return
    graphic = Graphics.RectangleGraphic()
    graphic.bounds = bounds
    graphic.fill_color = graphic.stroke_color = COVER_COLOUR
    graphic.graphic_id = COVER
    graphic.is_position_locked = graphic.is_shape_locked = True
    display.add_graphic(graphic)


def add_intervals(
    display: DisplayItem.DisplayItem,
    intervals: Mapping[str, tuple[float, float]],
    labels: Mapping[str, str],
    colours: Mapping[str, str],
) -> list[Graphics.IntervalGraphic]:
    """Interval graphics on a plot, which the operator can drag; the name is kept as the graphic's id."""
    graphics = []
    for name, interval in intervals.items():
        graphic = Graphics.IntervalGraphic()
        graphic.interval = interval
        graphic.label = labels[name]
        graphic.stroke_color = colours[name]
        graphic.graphic_id = name
        display.add_graphic(graphic)
        graphics.append(graphic)
    return graphics


def intervals(graphics: Sequence[Graphics.Graphic]) -> dict[str, tuple[float, float]]:
    """Ends 0..1 of interval graphics by name. From any thread."""
    return {
        graphic.graphic_id: graphic.interval
        for graphic in graphics
        if isinstance(graphic, Graphics.IntervalGraphic) and graphic.graphic_id
    }


def set_intervals(graphics: Sequence[Graphics.Graphic], places: Mapping[str, tuple[float, float]]) -> None:
    """Move interval graphics."""
    for graphic in graphics:
        if isinstance(graphic, Graphics.IntervalGraphic) and graphic.graphic_id in places:
            graphic.interval = places[graphic.graphic_id]
