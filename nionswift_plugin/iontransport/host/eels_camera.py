"""Sequences of EELS frames through the host's camera, and its settings brought back."""

from __future__ import annotations

import copy
import math
import threading
from typing import Any

import numpy as np
from nion.instrumentation import camera_base

from eels_iontransport.acquire import site
from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.data.units import ev_per_unit

from .drivers import NoAnswer, Worker, ask

WHO = "EELS camera"
EXPOSURE_TOLERANCE = 0.01
SLOWEST, ANSWER_S = 2.0, 10.0  # a camera may take so many times its exposure, and this much longer
ABORT_ANSWER_S = 5.0  # and this long to stop


class EELSCamera:
    """A camera's hardware source for the length of a run.

    cancelled: set when frames are wanted no more.
    """

    def __init__(self, source: Any, properties: site.Camera, cancelled: threading.Event) -> None:
        self._source = source
        self._properties = properties
        self._cancelled = cancelled
        self._worker = Worker(WHO)
        self._before = ask(WHO, source.get_current_frame_parameters)
        self._parameters: Any = None  # of the sequence taken last

    def close(self) -> None:
        """Bring back the settings that the camera had."""
        self._worker.close()
        self._source.set_current_frame_parameters(self._before)

    def cancel(self) -> None:
        self._source.acquire_sequence_cancel()

    def take(self, exposure_s: float, frames: int) -> np.ndarray:
        """Counts (frames, channels); fewer rows when cancelled. Raises MicroscopeFault."""
        parameters = self.use(exposure_s)
        try:
            return ask(
                WHO,
                lambda: self._worker.call(
                    lambda: self._take(parameters, frames),
                    timeout_s=SLOWEST * frames * exposure_s + ANSWER_S,
                    hurry=self._cancelled,
                    hurried_timeout_s=ABORT_ANSWER_S,
                ),
            )
        except NoAnswer:
            self._worker = Worker(WHO)
            self.cancel()
            if self._cancelled.is_set():
                return np.empty((0, self._properties.channels), np.float32)
            raise MicroscopeFault(
                f"The EELS camera did not answer for {ANSWER_S:g} s beyond its exposure; check the camera."
            ) from None

    @property
    def source(self) -> Any:
        """The host's camera itself."""
        return self._source

    def frames(self, counts: np.ndarray) -> Frames:
        """Counts (frames, channels) of the sequence taken last with what is known of them. Raises MicroscopeFault."""
        energy = self.energy(counts.shape[-1])
        return Frames(counts, energy, self._properties.saturation_counts, self.electrons_per_count())

    def energy(self, channels: int) -> EnergyAxis:
        """The axis of the sequence taken last, as the camera is calibrated now. Raises MicroscopeFault."""
        calibrations = ask(WHO, lambda: self._source.get_camera_calibrations(self._parameters))
        calibration = calibrations[-1] if calibrations else None
        unit = ev_per_unit(calibration.units or "") if calibration is not None else None
        if calibration is None or unit is None:
            given = f"in '{calibration.units}'" if calibration is not None and calibration.units else "without a unit"
            raise MicroscopeFault(f"The EELS camera's axis is calibrated {given}, not in eV; correct its calibration.")
        return EnergyAxis(calibration.offset * unit, calibration.scale * unit, channels)

    def electrons_per_count(self) -> float | None:
        """As the site says, else as the camera is calibrated; None where neither does."""
        if self._properties.electrons_per_count is not None:
            return self._properties.electrons_per_count
        counts_per_electron = self._source.get_counts_per_electron()
        return 1.0 / counts_per_electron if counts_per_electron and counts_per_electron > 0 else None

    def metadata(self) -> dict[str, Any]:
        """What Swift itself writes about instrument and camera into an item, for the sequence taken last."""
        data = camera_base.AcquisitionData()
        if self._parameters is not None:
            self._source.update_camera_properties(data, self._parameters)
        return copy.deepcopy(dict(data.metadata))

    def use(self, exposure_s: float) -> Any:
        """The camera's own parameters with this exposure, one spectrum for each frame, made its current ones."""
        known = self._parameters
        if known is not None and math.isclose(known.exposure_ms, 1000.0 * exposure_s, rel_tol=1e-9):
            return known
        wanted = copy.deepcopy(self._before)
        wanted.exposure_ms = 1000.0 * exposure_s
        wanted.processing = "sum_project"
        wanted.integration_count = 1
        wanted.binning = self._properties.binning
        parameters = ask(WHO, lambda: self._source.validate_frame_parameters(wanted))
        if not math.isclose(parameters.exposure_ms, wanted.exposure_ms, rel_tol=EXPOSURE_TOLERANCE):
            raise MicroscopeFault(
                f"The EELS camera exposes {parameters.exposure_ms / 1000:g} s instead of {exposure_s:g} s; ask for an "
                "exposure that it can do."
            )
        self._parameters = parameters
        ask(WHO, lambda: self._source.set_current_frame_parameters(parameters))
        return parameters

    def uses(self, parameters: Any) -> bool:
        """Whether these parameters take the frames that the run wants."""
        known = self._parameters
        return known is None or all(
            getattr(parameters, name) == getattr(known, name) for name in ("exposure_ms", "binning", "processing")
        )

    def forget(self) -> None:
        """Give the camera its parameters again before the next frames: somebody has changed them."""
        self._parameters = None

    def _take(self, parameters: Any, frames: int) -> np.ndarray:
        """Of what a camera hands over after a cancel nothing is kept: some repeat the frame before, some fail."""
        source = self._source
        source.acquire_sequence_prepare(frames)
        partial, valid = source.acquire_sequence_begin(parameters, frames), 0
        try:
            if self._cancelled.is_set():  # the camera forgets at `begin` that it was cancelled
                source.acquire_sequence_cancel()
            while not (partial.is_complete or partial.is_canceled):
                partial = source.acquire_sequence_continue()
                if not self._cancelled.is_set():
                    valid = partial.valid_rows if partial.valid_count is None else partial.valid_count
        except Exception:
            if not self._cancelled.is_set():
                raise
        finally:
            source.acquire_sequence_end()
        counts = np.array(partial.xdata.data[: valid or 0], dtype=np.float32)
        return counts.sum(axis=1) if counts.ndim == 3 else counts
