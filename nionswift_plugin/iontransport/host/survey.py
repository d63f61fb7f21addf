"""Survey images: one HAADF frame of a given field, kept as an item of its own that remembers its field."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from nion.data import Calibration, DataAndMetadata
from nion.swift.model import ApplicationData, DataItem, DocumentModel
from nion.utils import Geometry, Registry

from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.data.record import METADATA_KEY

from . import dark_field

SURVEY_KEY = "survey"
PIXELS = 512
TIMEOUT_S = 60.0


def take(width_nm: float, pixels: int = PIXELS) -> tuple[np.ndarray, Field]:
    """One frame (pixels, pixels) of a square field, with the scan's own centre, rotation and pixel time.

    Any thread but the main one; blocks until the frame is there. The scan keeps the field, so that the probe is
    parked in it. A live view is stopped for the frame and resumes in the new field. Raises MicroscopeFault.
    """
    scan = _scan()
    parameters = copy.copy(scan.get_current_frame_parameters())
    parameters.fov_nm = width_nm
    parameters.pixel_size = Geometry.IntSize(pixels, pixels)
    parameters.subscan_pixel_size = None
    playing = scan.is_playing
    try:
        if playing:
            scan.abort_playing(sync_timeout=TIMEOUT_S)
        scan.set_current_frame_parameters(parameters)
        image = dark_field.record(scan, parameters, TIMEOUT_S)
    except MicroscopeFault:
        raise
    except Exception as error:
        raise MicroscopeFault(f"The scan gave no survey image ({error or type(error).__name__}).") from error
    finally:
        if playing:
            scan.start_playing()
    return image, Field(
        width_nm, width_nm, Point(parameters.center_nm.y, parameters.center_nm.x), parameters.rotation_rad
    )


def store(
    document_model: DocumentModel.DocumentModel,
    item: DataItem.DataItem | None,
    image: np.ndarray,
    field: Field,
    title: str,
    taken: str,
) -> DataItem.DataItem:
    """Put a survey into its item, or into a new one. Main thread."""
    scale = field.width_nm / image.shape[1]
    survey = {
        "width_nm": field.width_nm,
        "height_nm": field.height_nm,
        "centre": {"y_nm": field.centre.y_nm, "x_nm": field.centre.x_nm},
        "rotation_rad": field.rotation_rad,
        "taken": taken,
    }
    xdata = DataAndMetadata.new_data_and_metadata(
        image.astype(np.float32),
        dimensional_calibrations=[Calibration.Calibration(0.0, scale, "nm")] * 2,
        intensity_calibration=Calibration.Calibration(units="counts"),
        metadata={METADATA_KEY: {SURVEY_KEY: survey}},
    )
    if item is None:
        item = DataItem.DataItem(large_format=False)
        item.title = title
        item.set_xdata(xdata)
        item.session_metadata = ApplicationData.get_session_metadata_dict()
        document_model.append_data_item(item)
    else:
        item.set_xdata(xdata)
    return item


def field_of(item: DataItem.DataItem) -> Field | None:
    """The field that a survey item remembers; None for any other item."""
    survey = item.metadata.get(METADATA_KEY, {}).get(SURVEY_KEY)
    if not survey:
        return None
    centre = Point(survey["centre"]["y_nm"], survey["centre"]["x_nm"])
    return Field(survey["height_nm"], survey["width_nm"], centre, survey["rotation_rad"])


def _scan() -> Any:
    stem = Registry.get_component("stem_controller")
    scan = getattr(stem, "scan_controller", None)
    if scan is None:
        raise MicroscopeFault("There is no scan controller to take a survey image with.")
    return scan
