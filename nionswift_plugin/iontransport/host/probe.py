"""The parked probe in the field of a survey."""

from __future__ import annotations

import copy
import logging
import threading
from typing import Any

from nion.utils import Geometry, Registry

from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.geometry import Field, Point

from .drivers import ask, stem_controller, stop_view
from .main_thread import MainThread

_LOG = logging.getLogger(__name__)

WHO = "scan"
ATTEMPTS = 5
FOLLOW_TIMEOUT_S = 5.0


def scan_field() -> Field | None:
    """The field that the scan has now, in which the probe is parked; None without a scan."""
    stem = Registry.get_component("stem_controller")
    context = getattr(stem, "scan_context", None)
    size = context.fov_size_nm if context is not None else None
    if context is None or size is None or stem.scan_controller is None:
        return None
    centre = context.center_nm or Geometry.FloatPoint()
    return Field(size.height, size.width, Point(centre.y, centre.x), context.rotation_rad or 0.0)


class Probe:
    """Moves the probe to places in a field.

    Swift parks the probe at fractions of the scan's field, so the scan is given this field for the run.

    Swift's marker of the probe follows every move on the main thread, and sets the probe to where it drew itself. A
    move that falls within this is undone without a word. So a move waits until the marker has followed the last one,
    and `is_parked` tells after an exposure whether the probe has stayed.
    """

    def __init__(self, field: Field | None, main_thread: MainThread) -> None:
        self._field = field
        self._main_thread = main_thread
        self._followed = threading.Event()  # the marker has followed the last move
        self._followed.set()
        self._asked: Geometry.FloatPoint | None = None
        self._scan: Any = None
        self._scan_parameters: Any = None

    def use_field(self, scan: Any) -> None:
        """Give the scan the field, for `return_field` to bring back its own. Raises MicroscopeFault."""
        self._scan_parameters = None
        field = self._field
        if field is None or _same(scan_field(), field):
            return
        parameters = ask(WHO, scan.get_current_frame_parameters)
        self._scan, self._scan_parameters = scan, copy.deepcopy(parameters)
        parameters.fov_nm = max(field.height_nm, field.width_nm)
        parameters.center_nm = Geometry.FloatPoint(field.centre.y_nm, field.centre.x_nm)
        parameters.rotation_rad = field.rotation_rad
        ask(WHO, lambda: scan.set_current_frame_parameters(parameters))

    def return_field(self) -> None:
        if self._scan_parameters is not None:
            self._scan.set_current_frame_parameters(self._scan_parameters)
            self._scan_parameters = None

    def get(self) -> Point | None:
        position, field = stem_controller().probe_position, self._field
        return None if position is None or field is None else field.point((position.y, position.x))

    def set(self, point: Point | None) -> None:
        """Park the probe, or release it with None. Raises MicroscopeFault."""
        stem = stem_controller()
        if point is None:
            self._asked = None
            self._move(stem)
            return
        if stem.scan_controller.is_playing:  # a view started during the run moves the probe away
            stop_view(stem.scan_controller)
        field = self._field
        if field is None or not _same(scan_field(), field):
            raise MicroscopeFault(
                "The scan's field is not that of the survey any more; leave the scan alone meanwhile."
            )
        self._asked = Geometry.FloatPoint(*field.fraction(point))
        self.park()

    def park(self) -> None:
        """Go to where the probe was set, again. Raises MicroscopeFault."""
        stem = stem_controller()
        for _ in range(ATTEMPTS):
            self._move(stem)
            if self.is_parked():
                return
        raise MicroscopeFault("The probe does not stay where it is parked; check the scan, and leave its marker alone.")

    def returned(self) -> None:
        """A scan has ended, after which Swift parks the probe where it was and draws its marker anew."""
        self._followed = self._main_thread.mark()

    def is_parked(self) -> bool:
        """Whether the probe is where it was set."""
        at, asked = stem_controller().probe_position, self._asked
        return at is not None and asked is not None and max(abs(at.y - asked.y), abs(at.x - asked.x)) < 1e-6

    def _move(self, stem: Any) -> None:
        if not self._followed.wait(FOLLOW_TIMEOUT_S):
            _LOG.info("The window is slow to follow the probe.")
        ask(WHO, lambda: stem.set_probe_position(self._asked))
        self._followed = self._main_thread.mark()


def _same(one: Field | None, other: Field) -> bool:
    if one is None:
        return False
    lengths = (
        one.height_nm - other.height_nm,
        one.width_nm - other.width_nm,
        one.centre.y_nm - other.centre.y_nm,
        one.centre.x_nm - other.centre.x_nm,
    )
    size = max(other.height_nm, other.width_nm)
    return max(map(abs, lengths)) < 1e-6 * size and abs(one.rotation_rad - other.rotation_rad) < 1e-9
