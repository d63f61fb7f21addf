"""Small images taken between rows, to see how the specimen has moved."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.geometry import Field

from . import dark_field
from .drivers import NoAnswer, Worker, ask, stop_view
from .subscan import over

WHO = "scan"
DWELL_US = 2.0
VARIANT = "drift"  # the host keeps such images in an item of their own, apart from the live view's
TIMEOUT_S = 10.0


def record_image(scan: Any, field: Field, area: Field, pixels: tuple[int, int]) -> np.ndarray:
    """One frame (rows, columns) of an area of the survey's field, which the scan keeps. Raises MicroscopeFault."""
    if scan.is_playing:  # a view started during the run
        stop_view(scan)
    parameters = ask(WHO, lambda: over(scan, field, area, pixels))
    parameters.pixel_time_us = DWELL_US
    parameters.channel_variant = VARIANT
    worker = Worker("reference image")
    try:
        return ask(
            WHO,
            lambda: worker.call(
                lambda: dark_field.record(scan, parameters, TIMEOUT_S), TIMEOUT_S, threading.Event(), TIMEOUT_S
            ),
        )
    except NoAnswer:
        raise MicroscopeFault(f"The scan gave no reference image within {TIMEOUT_S:g} s; check the scan.") from None
    finally:
        worker.close()
