"""The microscope as Swift knows it, behind the acquisition port.

The instrument's parts are looked up at each use: they may be registered late, replaced or gone.
"""

from __future__ import annotations

import copy
import logging
import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from nion.instrumentation import camera_base
from nion.utils import Geometry, Registry

from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.data.units import ev_per_unit

from .main_thread import MainThread

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

STOP_TIMEOUT_S = 20.0  # a live view with long exposures takes as long to stop
EXPOSURE_TOLERANCE = 0.01
PARK_ATTEMPTS = 5
FOLLOW_TIMEOUT_S = 5.0


def missing() -> list[str]:
    """One sentence for each part of the instrument that acquiring needs and that is not there."""
    stem = Registry.get_component("stem_controller")
    if stem is None:
        return ["There is no microscope; existing data can be analysed: EELS > Ion Transport."]
    found = []
    if stem.scan_controller is None:
        found.append("There is no scan controller to park the probe with; connect the scan unit and restart Swift.")
    if stem.eels_camera is None:
        found.append("There is no EELS camera; connect it, or assign it to the microscope, and restart Swift.")
    return found


def scan_field() -> Field | None:
    """The field that the scan has now, in which the probe is parked; None without a scan."""
    stem = Registry.get_component("stem_controller")
    context = getattr(stem, "scan_context", None)
    size = context.fov_size_nm if context is not None else None
    if context is None or size is None or stem.scan_controller is None:
        return None
    centre = context.center_nm or Geometry.FloatPoint()
    return Field(size.height, size.width, Point(centre.y, centre.x), context.rotation_rad or 0.0)


class SwiftMicroscope:
    """Implements `acquire.port.Microscope` on the registered STEM controller and its scan and EELS camera.

    field: that of the survey on which places were marked, None without one. The scan is given this field for the run,
    because Swift parks the probe at fractions of the scan's field.

    Swift's marker of the probe follows every move on the main thread, and sets the probe to where it drew itself. A
    move that falls within this is undone without a word. So a move waits until the marker has followed the last one,
    and every exposure is followed by a look at where the probe is.
    """

    def __init__(self, site: Site, field: Field | None, main_thread: MainThread) -> None:
        self._site = site
        self._field = field
        self._main_thread = main_thread
        self._followed = threading.Event()  # the marker has followed the last move
        self._followed.set()
        self._cancelled = threading.Event()
        self._camera: Any = None  # of the run, so that `end` and `cancel` reach the one that was used
        self._scan: Any = None
        self._camera_parameters: Any = None
        self._scan_parameters: Any = None
        self._playing: list[Any] = []
        self._sequence: Any = None
        self._parked: Geometry.FloatPoint | None = None

    def missing(self) -> list[str]:
        return missing()

    def field(self) -> Field | None:
        return self._field

    def begin(self) -> None:
        self._cancelled.clear()
        stem = _stem()
        self._camera, self._scan = stem.eels_camera, stem.scan_controller
        self._camera_parameters = self._scan_parameters = self._sequence = None
        self._playing = []
        for source in (self._scan, self._camera):
            if source.is_playing:
                self._playing.append(source)
                _stop(source)
        self._camera_parameters = _ask("EELS camera", self._camera.get_current_frame_parameters)
        self._use_field()

    def end(self) -> None:
        problems = []
        for what, action in (
            ("scan's field", self._return_scan_parameters),
            ("camera's settings", self._return_camera_parameters),
            *((source.display_name, source.start_playing) for source in self._playing),
        ):
            try:
                action()
            except Exception as error:
                _LOG.warning("Could not bring back the %s", what, exc_info=True)
                problems.append(f"the {what} ({error})")
        self._playing = []
        if problems:
            raise MicroscopeFault(f"These did not come back: {', '.join(problems)}.")

    def get_control(self, name: str) -> float:
        known, value = _ask("microscope", lambda: _stem().TryGetVal(name))
        if not known or value is None:
            raise MicroscopeFault(f"The microscope has no control '{name}'; correct the site file.")
        return float(value)

    def set_control(self, name: str, value: float) -> None:
        if not _ask("microscope", lambda: _stem().SetVal(name, value)):
            raise MicroscopeFault(f"The microscope refused {value:g} for the control '{name}'; check the site file.")

    def get_probe(self) -> Point | None:
        position, field = _stem().probe_position, self._field
        return None if position is None or field is None else field.point((position.y, position.x))

    def set_probe(self, point: Point | None) -> None:
        stem = _stem()
        if point is None:
            self._parked = None
            self._move(stem)
            return
        if stem.scan_controller.is_playing:  # a view started during the run moves the probe away
            _stop(stem.scan_controller)
        field = self._field
        if field is None or not _same_field(scan_field(), field):
            raise MicroscopeFault(
                "The scan's field is not that of the survey any more; leave the scan alone meanwhile."
            )
        self._parked = Geometry.FloatPoint(*field.fraction(point))
        self._park()

    def acquire_frames(self, exposure_s: float, frames: int) -> Frames:
        camera = self._camera
        if camera is None:
            raise MicroscopeFault("The EELS camera was asked for frames before the run had begun.")
        if camera.is_playing:
            _stop(camera)
        parameters = self._sequence_parameters(camera, exposure_s)
        counts = self._take_parked(camera, parameters, frames)
        energy = _energy(_ask("EELS camera", lambda: camera.get_camera_calibrations(parameters)), counts.shape[-1])
        return Frames(counts, energy, self._site.camera.saturation_counts, self._electrons_per_count(camera))

    def cancel(self) -> None:
        self._cancelled.set()
        camera = self._camera
        if camera is not None:
            camera.acquire_sequence_cancel()

    def metadata(self) -> dict[str, Any]:
        """What Swift itself writes about instrument and camera into an item, for the sequence taken last."""
        data = camera_base.AcquisitionData()
        if self._camera is not None and self._sequence is not None:
            self._camera.update_camera_properties(data, self._sequence)
        return copy.deepcopy(dict(data.metadata))

    def _park(self) -> None:
        stem = _stem()
        for _ in range(PARK_ATTEMPTS):
            self._move(stem)
            if self._is_parked(stem):
                return
        raise MicroscopeFault("The probe does not stay where it is parked; check the scan, and leave its marker alone.")

    def _move(self, stem: Any) -> None:
        if not self._followed.wait(FOLLOW_TIMEOUT_S):
            _LOG.info("The window is slow to follow the probe.")
        _ask("scan", lambda: stem.set_probe_position(self._parked))
        self._followed = self._main_thread.mark()

    def _is_parked(self, stem: Any) -> bool:
        at, asked = stem.probe_position, self._parked
        return at is not None and asked is not None and max(abs(at.y - asked.y), abs(at.x - asked.x)) < 1e-6

    def _take_parked(self, camera: Any, parameters: Any, frames: int) -> np.ndarray:
        """Counts (frames, channels) during all of which the probe was parked; taken again where it was not."""
        stem = _stem()
        for _ in range(PARK_ATTEMPTS):
            counts = _ask("EELS camera", lambda: self._take(camera, parameters, frames))
            if self._is_parked(stem):
                return counts
            _LOG.info("The probe was moved during an exposure, which is taken again.")
            self._park()
        raise MicroscopeFault("The probe was moved during the exposure, again and again; leave its marker alone.")

    def _use_field(self) -> None:
        if self._field is None or _same_field(scan_field(), self._field):
            return
        parameters = _ask("scan", self._scan.get_current_frame_parameters)
        self._scan_parameters = copy.deepcopy(parameters)
        parameters.fov_nm = max(self._field.height_nm, self._field.width_nm)
        parameters.center_nm = Geometry.FloatPoint(self._field.centre.y_nm, self._field.centre.x_nm)
        parameters.rotation_rad = self._field.rotation_rad
        _ask("scan", lambda: self._scan.set_current_frame_parameters(parameters))

    def _return_scan_parameters(self) -> None:
        if self._scan_parameters is not None:
            self._scan.set_current_frame_parameters(self._scan_parameters)
            self._scan_parameters = None

    def _return_camera_parameters(self) -> None:
        if self._camera_parameters is not None:
            self._camera.set_current_frame_parameters(self._camera_parameters)
            self._camera_parameters = None

    def _sequence_parameters(self, camera: Any, exposure_s: float) -> Any:
        """The camera's own parameters with this exposure, one spectrum for each frame."""
        known = self._sequence
        if known is not None and math.isclose(known.exposure_ms, 1000.0 * exposure_s, rel_tol=EXPOSURE_TOLERANCE):
            return known
        wanted = copy.deepcopy(self._camera_parameters)
        wanted.exposure_ms = 1000.0 * exposure_s
        wanted.processing = "sum_project"
        wanted.integration_count = 1
        wanted.binning = self._site.camera.binning
        parameters = _ask("EELS camera", lambda: camera.validate_frame_parameters(wanted))
        if not math.isclose(parameters.exposure_ms, wanted.exposure_ms, rel_tol=EXPOSURE_TOLERANCE):
            raise MicroscopeFault(
                f"The EELS camera exposes {parameters.exposure_ms / 1000:g} s instead of {exposure_s:g} s; ask for an "
                "exposure that it can do."
            )
        _ask("EELS camera", lambda: camera.set_current_frame_parameters(parameters))
        self._sequence = parameters
        return parameters

    def _take(self, camera: Any, parameters: Any, frames: int) -> np.ndarray:
        """Counts (frames, channels); fewer rows when cancelled.

        Of what a camera hands over after it was cancelled nothing is kept: some repeat the frame before, some fail.
        """
        camera.acquire_sequence_prepare(frames)
        partial, valid = camera.acquire_sequence_begin(parameters, frames), 0
        try:
            if self._cancelled.is_set():  # the camera forgets at `begin` that it was cancelled
                camera.acquire_sequence_cancel()
            while not (partial.is_complete or partial.is_canceled):
                partial = camera.acquire_sequence_continue()
                if not self._cancelled.is_set():
                    valid = _valid_frames(partial)
        except Exception:
            if not self._cancelled.is_set():
                raise
        finally:
            camera.acquire_sequence_end()
        counts = np.array(partial.xdata.data[:valid], dtype=np.float32)
        return counts.sum(axis=1) if counts.ndim == 3 else counts

    def _electrons_per_count(self, camera: Any) -> float | None:
        given = self._site.camera.electrons_per_count
        if given is not None:
            return given
        counts_per_electron = camera.get_counts_per_electron()
        return 1.0 / counts_per_electron if counts_per_electron and counts_per_electron > 0 else None


def _stem() -> Any:
    stem = Registry.get_component("stem_controller")
    if stem is None:
        raise MicroscopeFault("The microscope is gone; restart its software, then Swift.")
    return stem


def _ask(who: str, action: Callable[[], _T]) -> _T:
    """The action's result; what goes wrong in the host or a driver becomes a sentence."""
    try:
        return action()
    except (MicroscopeFault, UnusableInput):
        raise
    except Exception as error:
        _LOG.warning("The %s failed", who, exc_info=True)
        raise MicroscopeFault(
            f"The {who} failed ({str(error) or type(error).__name__}); check it and try again."
        ) from error


def _valid_frames(partial: Any) -> int:
    return int(partial.valid_rows or 0) if partial.valid_count is None else int(partial.valid_count)


def _stop(source: Any) -> None:
    try:
        source.abort_playing(sync_timeout=STOP_TIMEOUT_S)
    except AssertionError:  # how the host reports the timeout
        raise MicroscopeFault(f"The live view of {source.display_name} did not stop; stop it by hand.") from None


def _same_field(one: Field | None, other: Field) -> bool:
    if one is None:
        return False
    size = max(other.height_nm, other.width_nm)
    lengths = (
        one.height_nm - other.height_nm,
        one.width_nm - other.width_nm,
        one.centre.y_nm - other.centre.y_nm,
        one.centre.x_nm - other.centre.x_nm,
    )
    return max(map(abs, lengths)) < 1e-6 * size and abs(one.rotation_rad - other.rotation_rad) < 1e-9


def _energy(calibrations: Any, channels: int) -> EnergyAxis:
    calibration = calibrations[-1] if calibrations else None
    unit = ev_per_unit(calibration.units or "") if calibration is not None else None
    if calibration is None or unit is None:
        given = f"in '{calibration.units}'" if calibration is not None and calibration.units else "without a unit"
        raise MicroscopeFault(f"The EELS camera's axis is calibrated {given}, not in eV; correct its calibration.")
    return EnergyAxis(calibration.offset * unit, calibration.scale * unit, channels)
