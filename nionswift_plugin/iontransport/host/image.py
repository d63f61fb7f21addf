"""Items that hold spectrum images. Main thread, but for reading the counts."""

from __future__ import annotations

from collections.abc import Callable

from nion.swift.model import DataItem

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.image import SpectrumImage
from eels_iontransport.files.parts import image_from_parts

from ..results import Axis


def image_of(item: DataItem.DataItem) -> SpectrumImage:
    """The spectrum image in an item; its counts stay where the host has them. Raises UnusableInput."""
    xdata = item.xdata
    if xdata is None:
        raise UnusableInput(f"'{item.title}' holds no data.")
    if len(xdata.data_shape) == 3 and (xdata.is_sequence or xdata.datum_dimension_count != 1):
        raise UnusableInput(f"'{item.title}' is a sequence or a stack of images; select a spectrum image.")
    calibrations = [(axis.offset, axis.scale, axis.units) for axis in xdata.dimensional_calibrations]
    return image_from_parts(xdata.data, calibrations, item.metadata, item.title)


def map_axes(item: DataItem.DataItem) -> tuple[Axis, Axis]:
    """The axes (down, across) of maps of an image."""
    down, across = (Axis(axis.offset, axis.scale, axis.units) for axis in item.dimensional_calibrations[:2])
    return down, across


def hold(item: DataItem.DataItem) -> Callable[[], None]:
    """Keep an item's data at hand, wherever the host has them; returns what lets go of them."""
    item.increment_data_ref_count()

    def let_go() -> None:
        if not item._closed:
            item.decrement_data_ref_count()

    return let_go
