"""The simulated cameras: EELS spectra of the place where the probe is, and a plain Ronchigram."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from nion.data import Calibration, DataAndMetadata
from nion.device_kit import CameraDevice
from nion.instrumentation import camera_base
from nion.utils import Geometry

from eels_iontransport.data.geometry import Point
from eels_iontransport.simulation.microscope import DISPERSION, ENERGY_OFFSET, SimulatedMicroscope

from .instrument import COUNTS_PER_ELECTRON, INSTRUMENT_ID, Instrument
from .scan import Device, field_of

EELS, RONCHIGRAM = "eels", "ronchigram"
EELS_CAMERA_ID, RONCHIGRAM_CAMERA_ID = "iontransport_simulator_eels", "iontransport_simulator_ronchigram"
# A power of two, so that the rows of a frame add up to its counts without rounding; with fewer than 28 the thumbnail
# of the live view fails in the host.
_EELS_ROWS = 64
_RONCHIGRAM_PIXELS = 128
_SHORTEST_WALL_MS = 0.5  # the host divides by the exposure
_SHORTEST_LIVE_WALL_MS = 10.0  # a live view faster than this only keeps the processor busy


def sensor(camera_type: str, microscope: SimulatedMicroscope) -> tuple[int, int]:
    """(rows, columns) of a camera."""
    if camera_type == EELS:
        return _EELS_ROWS, microscope.camera.channels
    return _RONCHIGRAM_PIXELS, _RONCHIGRAM_PIXELS


class EELSFrames(CameraDevice.CameraSimulatorLike):
    """Frames of the EELS camera; its rows hold equal shares of the spectrum."""

    def __init__(self, instrument: Instrument, scan: Device) -> None:
        self._instrument = instrument
        self._scan = scan
        self.exposure_s = 0.1  # of simulated time
        self.synchronized = False
        self.cancelled = threading.Event()

    def close(self) -> None:
        """Nothing is held."""

    def get_dimensional_calibrations(self, readout_area: Any, binning_shape: Any) -> Sequence[Calibration.Calibration]:
        energy = self._instrument.microscope.energy
        return [Calibration.Calibration(), Calibration.Calibration(energy.offset_ev, energy.step_ev, "eV")]

    def get_frame_data(
        self,
        readout_area: Geometry.IntRect,
        binning_shape: Geometry.IntSize,
        exposure_s: float,
        scan_context: Any,
        probe_position: Geometry.FloatPoint | None,
    ) -> DataAndMetadata.DataAndMetadata:
        """A frame at the probe. `exposure_s` is that of the wall clock, which the device waits; see `EELSCamera`.

        Raises CameraFault where that is ordered.
        """
        microscope = self._instrument.microscope
        microscope.wait_for_camera(self.cancelled)
        counts = microscope.frame(self._probe(scan_context, probe_position), self.exposure_s)
        if microscope.clock.time_scale is None:
            microscope.clock.wait(self.exposure_s)
        frame = np.broadcast_to(counts / np.float32(_EELS_ROWS), (_EELS_ROWS, counts.size))
        return DataAndMetadata.new_data_and_metadata(_binned(frame, binning_shape))

    def _probe(self, scan_context: Any, parked: Geometry.FloatPoint | None) -> Point:
        if self.synchronized or self._instrument.probe_state == "scanning":
            return self._scan.probe_point()
        size = scan_context.fov_size_nm
        if size is None:
            return Point(0.0, 0.0)
        field = field_of(size, scan_context.center_nm, scan_context.rotation_rad or 0.0)
        return field.point((parked.y, parked.x) if parked is not None else (0.5, 0.5))


class RonchigramFrames(CameraDevice.CameraSimulatorLike):
    """A bright disk; nothing is measured with it."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._random = np.random.default_rng(0)

    def close(self) -> None:
        """Nothing is held."""

    def get_dimensional_calibrations(self, readout_area: Any, binning_shape: Any) -> Sequence[Calibration.Calibration]:
        return [Calibration.Calibration(units="rad")] * 2

    def get_frame_data(
        self, readout_area: Any, binning_shape: Geometry.IntSize, exposure_s: float, scan_context: Any, probe: Any
    ) -> DataAndMetadata.DataAndMetadata:
        place = np.linspace(-1.0, 1.0, _RONCHIGRAM_PIXELS)
        disk = np.hypot(place[:, None], place[None, :]) < 0.7
        beam = 0.0 if self._instrument.GetVal("C_Blank") else 200.0
        image = self._random.poisson(beam * disk + 1.0).astype(np.float32)
        return DataAndMetadata.new_data_and_metadata(_binned(image, binning_shape))


class EELSCamera(CameraDevice.Camera):
    """The EELS camera. Exposures are simulated time: the device waits them on the microscope's clock."""

    def __init__(self, instrument: Instrument, scan: Device) -> None:
        self._microscope = instrument.microscope
        self._frames = EELSFrames(instrument, scan)
        super().__init__(EELS_CAMERA_ID, EELS, "HERMES EELS (simulated)", self._frames, instrument)
        self.camera_panel_type = EELS

    @property
    def binning_values(self) -> list[int]:
        return [1, 2]

    @property
    def calibration_controls(self) -> dict[str, str | int | float]:
        return {
            "x_scale_control": DISPERSION,
            "x_offset_control": ENERGY_OFFSET,
            "x_units_value": "eV",
            "y_units_value": "",
            "intensity_units_value": "counts",
            "counts_per_electron_control": COUNTS_PER_ELECTRON,
        }

    def set_frame_parameters(self, frame_parameters: camera_base.CameraFrameParameters) -> None:
        super().set_frame_parameters(self._on_the_wall(frame_parameters, _SHORTEST_LIVE_WALL_MS))

    def acquire_sequence_cancel(self) -> None:
        self._frames.cancelled.set()
        super().acquire_sequence_cancel()

    def acquire_sequence_begin(self, camera_frame_parameters: Any, count: int, **kwargs: Any) -> Any:
        self._frames.cancelled.clear()
        return super().acquire_sequence_begin(self._on_the_wall(camera_frame_parameters), count, **kwargs)

    def acquire_synchronized_begin(self, camera_frame_parameters: Any, collection_shape: Any, **kwargs: Any) -> Any:
        self._frames.synchronized = True
        self._frames.cancelled.clear()
        parameters = self._on_the_wall(camera_frame_parameters)
        return super().acquire_synchronized_begin(parameters, collection_shape, **kwargs)

    def acquire_synchronized_end(self, **kwargs: Any) -> None:
        self._frames.synchronized = False
        super().acquire_synchronized_end(**kwargs)

    def _on_the_wall(self, parameters: Any, shortest_ms: float = _SHORTEST_WALL_MS) -> Any:
        """The parameters with the exposure that the wall clock shows; the simulated exposure is kept."""
        self._frames.exposure_s = parameters.exposure_ms / 1000.0
        scaled = camera_base.CameraFrameParameters(parameters.as_dict())
        scaled.exposure_ms = max(shortest_ms, 1000.0 * self._microscope.clock.wall_seconds(self._frames.exposure_s))
        return scaled


class RonchigramCamera(CameraDevice.Camera):
    """The Ronchigram camera."""

    def __init__(self, instrument: Instrument) -> None:
        frames = RonchigramFrames(instrument)
        super().__init__(RONCHIGRAM_CAMERA_ID, RONCHIGRAM, "HERMES Ronchigram (simulated)", frames, instrument)
        self.camera_panel_type = RONCHIGRAM


def module(camera: CameraDevice.Camera) -> CameraDevice.CameraModule:
    """What the host needs to make a hardware source of the camera; all channels are read one by one."""
    settings = CameraDevice.CameraSettings(camera.camera_id)
    for index in range(len(settings.modes)):
        parameters = settings.get_frame_parameters(index)
        parameters.binning = 1
        settings.set_frame_parameters(index, parameters)
    result = CameraDevice.CameraModule(INSTRUMENT_ID, camera, settings)
    result.priority = 60
    return result


def _binned(frame: np.ndarray, binning: Geometry.IntSize) -> np.ndarray:
    rows, columns = (min(b, n) for b, n in zip((binning.height, binning.width), frame.shape))
    if rows == columns == 1:
        return np.array(frame, np.float32)
    shape = (frame.shape[0] // rows, rows, frame.shape[1] // columns, columns)
    return frame[: shape[0] * rows, : shape[2] * columns].reshape(shape).sum(axis=(1, 3), dtype=np.float32)
