"""Others who use the microscope during a run: a live view that somebody starts, another acquisition."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

from .drivers import stop_view
from .eels_camera import EELSCamera

_LOG = logging.getLogger(__name__)

AGAIN_AND_AGAIN = "Somebody else uses the camera or the scan, again and again; stop live views and other acquisitions."


class Others:
    """Notices when camera or scan are used by others than the run.

    The run takes its frames as sequences, of which the host makes no task: a task of the camera is somebody else's. So
    are settings of the camera that are not the run's, and a scan, but for those begun while
    it is `scanning`.
    """

    def __init__(self, stem: Any, camera: EELSCamera) -> None:
        self._camera = camera
        self._sources = (stem.scan_controller, camera.source)
        self._seen = threading.Event()
        self._own_scan = False
        self._listeners = [
            camera.source.acquisition_state_changed_event.listen(self._camera_changed),
            camera.source.current_frame_parameters_changed_event.listen(self._settings_changed),
            stem.probe_state_changed_event.listen(self._probe_changed),
        ]

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    @contextlib.contextmanager
    def scanning(self) -> Iterator[None]:
        """The scans begun meanwhile are the run's own."""
        self._own_scan = True
        try:
            yield
        finally:
            self._own_scan = False

    def were_there(self) -> bool:
        """Whether others have used camera or scan since `send_away`."""
        return self._seen.is_set() or any(source.is_playing for source in self._sources)

    def send_away(self) -> None:
        """Stop live views that others have started, and watch from now on. Raises MicroscopeFault."""
        if self._seen.is_set():
            _LOG.info("The camera or the scan was used by somebody else during the run.")
            self._camera.forget()
        for source in self._sources:
            if source.is_playing:
                stop_view(source)
        self._seen.clear()

    def _camera_changed(self, acquiring: bool) -> None:
        if acquiring:
            self._seen.set()

    def _settings_changed(self, parameters: Any) -> None:
        if not self._camera.uses(parameters):
            self._seen.set()

    def _probe_changed(self, state: str, position: Any) -> None:
        if state == "scanning" and not self._own_scan:
            self._seen.set()
