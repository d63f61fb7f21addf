"""The microscope as Swift knows it, behind the acquisition port.

The instrument's parts are looked up when a run begins: they may be registered late, replaced or gone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from nion.utils import Registry

from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.geometry import Field, Line, Point

from .drivers import ask, stem_controller, stop_view
from .eels_camera import EELSCamera
from .line_scan import scan_line
from .main_thread import MainThread
from .others import AGAIN_AND_AGAIN, Others
from .probe import ATTEMPTS, Probe
from .reference_image import record_image

_LOG = logging.getLogger(__name__)

WHO = "microscope"


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


class SwiftMicroscope:
    """Implements `acquire.port.Microscope` on the registered STEM controller and its scan and EELS camera.

    field: that of the survey on which places were marked, None without one.
    """

    def __init__(self, site: Site, field: Field | None, main_thread: MainThread) -> None:
        self._site = site
        self._field = field
        self._probe = Probe(field, main_thread)
        self._cancelled = threading.Event()
        self._camera: EELSCamera | None = None
        self._others: Others | None = None
        self._playing: list[Any] = []

    def missing(self) -> list[str]:
        return missing()

    def field(self) -> Field | None:
        return self._field

    def begin(self) -> None:
        self._cancelled.clear()
        self._camera, self._others, self._playing = None, None, []
        stem = stem_controller()
        for source in (stem.scan_controller, stem.eels_camera):
            if source.is_playing:
                self._playing.append(source)
                stop_view(source)
        self._camera = EELSCamera(stem.eels_camera, self._site.camera, self._cancelled)
        self._probe.use_field(stem.scan_controller)
        self._others = Others(stem, self._camera)

    def end(self) -> None:
        problems = []
        for what, action in (
            *((("watch for others", self._others.close),) if self._others is not None else ()),
            ("scan's field", self._probe.return_field),
            *((("camera's settings", self._camera.close),) if self._camera is not None else ()),
            *((source.display_name, source.start_playing) for source in self._playing),
        ):
            try:
                action()
            except Exception as error:
                _LOG.warning("Could not bring back the %s", what, exc_info=True)
                problems.append(f"the {what} ({error})")
        self._camera, self._others, self._playing = None, None, []
        if problems:
            raise MicroscopeFault(f"These did not come back: {', '.join(problems)}.")

    def get_control(self, name: str) -> float:
        known, value = ask(WHO, lambda: stem_controller().TryGetVal(name))
        if not known or value is None:
            raise MicroscopeFault(f"The microscope has no control '{name}'; correct the site file.")
        return float(value)

    def set_control(self, name: str, value: float) -> None:
        if not ask(WHO, lambda: stem_controller().SetVal(name, value)):
            raise MicroscopeFault(f"The microscope refused {value:g} for the control '{name}'; check the site file.")

    def get_probe(self) -> Point | None:
        return self._probe.get()

    def set_probe(self, point: Point | None) -> None:
        self._probe.set(point)

    def acquire_frames(self, exposure_s: float, frames: int) -> Frames:
        camera, others = self._begun()
        if others.were_there():
            others.send_away()
            self._probe.park()
        spoilt = "The probe was moved during the exposure, again and again; leave its marker alone."
        for _ in range(ATTEMPTS):
            counts = self._take(camera, others, exposure_s, frames)
            if counts is not None and self._probe.is_parked():
                return camera.frames(counts)
            if self._cancelled.is_set():
                return camera.frames(np.empty((0, self._site.camera.channels), np.float32))
            _LOG.info("An exposure was disturbed and is taken again.")
            if counts is None:
                spoilt = AGAIN_AND_AGAIN
                others.send_away()
            self._probe.park()
        raise MicroscopeFault(spoilt)

    def image(self, area: Field, pixels: tuple[int, int]) -> np.ndarray:
        _, others = self._begun()
        with others.scanning():
            image = record_image(stem_controller().scan_controller, self._surveyed(), area, pixels)
        self._probe.returned()
        return image

    def scan_line(self, line: Line, exposure_s: float, on_rows: Callable[[int, Frames], None]) -> None:
        camera, others = self._begun()
        scan = stem_controller().scan_controller
        scan_line(scan, camera, others, self._surveyed(), line, exposure_s, on_rows, self._cancelled)
        self._probe.returned()

    def cancel(self) -> None:
        self._cancelled.set()
        camera = self._camera
        if camera is not None:
            camera.cancel()

    def metadata(self) -> dict[str, Any]:
        """What Swift itself writes about instrument and camera into an item, for the sequence taken last."""
        return self._camera.metadata() if self._camera is not None else {}

    def _take(self, camera: EELSCamera, others: Others, exposure_s: float, frames: int) -> np.ndarray | None:
        """Counts (frames, channels); None where others used camera or scan meanwhile. Raises MicroscopeFault."""
        try:
            counts = camera.take(exposure_s, frames)
        except MicroscopeFault:
            if not others.were_there():
                raise
            return None
        return None if others.were_there() else counts

    def _begun(self) -> tuple[EELSCamera, Others]:
        if self._camera is None or self._others is None:
            raise MicroscopeFault("The microscope was asked for data before the run had begun.")
        return self._camera, self._others

    def _surveyed(self) -> Field:
        if self._field is None:
            raise MicroscopeFault("There is no survey image; take one, so that places on the specimen are known.")
        return self._field
