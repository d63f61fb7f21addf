"""One dark-field frame from the host's scan."""

from __future__ import annotations

from typing import Any

import numpy as np

from eels_iontransport.acquire.port import MicroscopeFault

CHANNEL = "HAADF"


def record(scan: Any, parameters: Any, timeout_s: float) -> np.ndarray:
    """A frame (rows, columns) of the HAADF channel, else of the first that gives an image.

    Any thread but the main one; the scan must not be playing. Raises MicroscopeFault where no channel gives an image,
    and whatever the scan raises.
    """
    images = scan.record_immediate(parameters, sync_timeout=timeout_s)
    frames = [image for image in images if image is not None and image.data.ndim == 2]
    if not frames:
        raise MicroscopeFault(f"The scan gave no image; enable its {CHANNEL} channel.")
    named = [f for f in frames if CHANNEL in str(f.metadata.get("hardware_source", {}).get("channel_name", ""))]
    return np.array((named or frames)[0].data, float)
