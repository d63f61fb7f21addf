"""The simulated scan: dark-field images, and where the probe is at each pixel.

Images and probe positions come from one mapping of the field, so that a spectrum and the image agree also in a rotated
or shifted scan.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from nion.device_kit import ScanDevice
from nion.instrumentation import scan_base
from nion.utils import Geometry

from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.simulation.specimen import SURVEY_NM

from .instrument import INSTRUMENT_ID, Instrument

SCAN_DEVICE_ID = "iontransport_simulator_scan"
FLYBACK_PIXELS = 2
_OTHER_CHANNELS = {"MAADF": 0.7}
_EMPTY_CHANNEL = 0.0


class ScanBox(ScanDevice.ScanSimulatorLike):
    """Counts pixels, of a free scan by time and of a synchronized one by the clock pulses of the camera.

    The camera gives a pulse before each frame, also before those of the flyback, so that frame i of a line (flyback
    not counted) is taken at pixel i.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blanker = threading.Condition()
        self._pulses = 0
        self._pixel = 0
        self._exposed = -1  # the last pixel that the camera has begun, in a synchronized scan
        self.scan_shape_pixels = Geometry.IntSize(1, 1)
        self.pixel_size_nm = Geometry.FloatSize()
        self.external_clock = False

    @property
    def probe_position_pixels(self) -> Geometry.IntPoint:
        width = max(1, self.scan_shape_pixels.width)
        return Geometry.IntPoint(y=self._pixel // width, x=self._pixel % width)

    @property
    def blanker_signal_condition(self) -> threading.Condition:
        """Notified at the end of each line."""
        return self._blanker

    @property
    def current_pixel_flat(self) -> int:
        """The host takes the frame for complete when this is the last pixel: not before the camera has got to it."""
        return self._exposed if self.external_clock else self._pixel

    def reset_frame(self) -> None:
        with self._lock:
            self._pulses = self._pixel = 0
            self._exposed = -1

    def _advance_pixel(self, n: int) -> None:
        with self._lock:
            self._move(self._pixel + n)

    def advance_pixel(self) -> None:
        """A pulse of the camera's clock."""
        if not self.external_clock:
            return
        with self._lock:
            width = self.scan_shape_pixels.width
            line, place = divmod(self._pulses, width + FLYBACK_PIXELS)
            self._pulses += 1
            self._exposed = line * width + max(-1, place - FLYBACK_PIXELS)
            self._move(line * width + max(0, place - FLYBACK_PIXELS))

    def _move(self, pixel: int) -> None:
        width = max(1, self.scan_shape_pixels.width)
        next_line = pixel // width > self._pixel // width
        self._pixel = min(pixel, max(0, self.scan_shape_pixels.height * width - 1)) if self.external_clock else pixel
        if next_line:
            with self._blanker:
                self._blanker.notify_all()

    def generate_scan_data(self, instrument: Any, scan_frame_parameters: Any) -> np.ndarray:
        raise NotImplementedError("The device makes its own images.")


class Device(ScanDevice.Device):
    """The scan device."""

    def __init__(self, instrument: Instrument) -> None:
        self._box = ScanBox()
        self._microscope = instrument.microscope
        super().__init__(SCAN_DEVICE_ID, "HERMES Scan (simulated)", instrument, self._box)
        self.priority = 60

    def probe_point(self) -> Point:
        """Where the running scan has the probe."""
        parameters, pixel = self.current_frame_parameters, self._box.probe_position_pixels
        rows, columns = _places(_pixels(parameters))
        row, column = rows[min(pixel.y, rows.size - 1)], columns[min(pixel.x, columns.size - 1)]
        y, x = scan_positions(parameters, row, column)
        return Point(float(y), float(x))

    def get_scan_data(self, frame_parameters: scan_base.ScanFrameParameters, channel: Any) -> np.ndarray:
        """The image of a channel, (height, width) float32."""
        size = _pixels(frame_parameters)
        if channel.name not in ("HAADF", *_OTHER_CHANNELS):
            return np.full(tuple(size), _EMPTY_CHANNEL, np.float32)
        y, x = scan_positions(frame_parameters, *np.meshgrid(*_places(size), indexing="ij"))
        return self._microscope.image_at(y, x) * np.float32(_OTHER_CHANNELS.get(channel.name, 1.0))


class Module(scan_base.ScanModule):
    """What the host needs to make a scan controller of the device."""

    def __init__(self, instrument: Instrument) -> None:
        self.stem_controller_id = INSTRUMENT_ID
        self.device = Device(instrument)
        self.priority = 60
        modes = tuple(
            scan_base.ScanSettingsMode(
                name, name.lower(), ScanDevice.ScanFrameParameters(pixel_size=(n, n), pixel_time_us=1, fov_nm=SURVEY_NM)
            )
            for name, n in (("Fast", 256), ("Slow", 512), ("Record", 512))
        )
        self.settings = scan_base.ScanSettings(SCAN_DEVICE_ID, modes, ScanDevice.ScanFrameParameters, 0, 2)


def field_of(size_nm: Geometry.FloatSize, centre_nm: Any, rotation_rad: float) -> Field:
    """The host's field of view in this package's terms."""
    centre = Geometry.FloatPoint.make(centre_nm or (0.0, 0.0))
    return Field(size_nm.height, size_nm.width, Point(centre.y, centre.x), rotation_rad)


def scan_positions(parameters: Any, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(y, x) in nm of places given as fractions -0.5..0.5 of the scanned frame, which may be a part of the field."""
    size = parameters.fov_size_nm
    if parameters.subscan_fractional_size:
        part = Geometry.FloatSize.make(parameters.subscan_fractional_size)
        centre = Geometry.FloatPoint.make(parameters.subscan_fractional_center or (0.5, 0.5))
        turn = parameters.subscan_rotation or 0.0
        y_nm, x_nm = y * part.height * size.height, x * part.width * size.width
        c, s = np.cos(turn), np.sin(turn)
        y_nm, x_nm = c * y_nm - s * x_nm, c * x_nm + s * y_nm
        y = y_nm / size.height + centre.y - 0.5
        x = x_nm / size.width + centre.x - 0.5
    field = field_of(size, parameters.center_nm, parameters.rotation_rad or 0.0)
    y_nm, x_nm = y * field.height_nm, x * field.width_nm
    c, s = np.cos(field.rotation_rad), np.sin(field.rotation_rad)
    return field.centre.y_nm + c * y_nm - s * x_nm, field.centre.x_nm + c * x_nm + s * y_nm


def _places(size: Geometry.IntSize) -> tuple[np.ndarray, np.ndarray]:
    """Where the beam stands for each row and column, as fractions -0.5..0.5 of the frame.

    In the middle of a pixel; but the pixels of a line start where the line starts.
    """
    shift = 0.5 if size.height > 1 else 0.0
    return (np.arange(size.height) + 0.5) / size.height - 0.5, (np.arange(size.width) + shift) / size.width - 0.5


def _pixels(parameters: Any) -> Geometry.IntSize:
    return Geometry.IntSize.make(parameters.subscan_pixel_size or parameters.pixel_size)
