"""A line in one traversal: the camera paces the host's synchronized scan, and rows come while it goes on."""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from nion.data import DataAndMetadata
from nion.instrumentation import Acquisition, scan_base

from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.data.geometry import Field, Line

from .drivers import Call, Worker, ask
from .eels_camera import ABORT_ANSWER_S, ANSWER_S, SLOWEST, EELSCamera
from .others import AGAIN_AND_AGAIN, Others
from .probe import ATTEMPTS
from .subscan import along

OnRows = Callable[[int, Frames], None]

WHO = "synchronized scan"
UPDATE_S = 0.1  # between two deliveries of rows; the host's own second is too long to see a line grow
_POLL_S = 0.02


def scan_line(
    scan: Any,
    camera: EELSCamera,
    others: Others,
    field: Field,
    line: Line,
    exposure_s: float,
    on_rows: OnRows,
    cancelled: threading.Event,
) -> None:
    """Take one frame at each pixel of the line, all in one traversal.

    field: that of the survey, which the scan has. on_rows: is called in this thread with the first pixel and its frames
    and those after it, as they come; what it raises ends the scan and is raised again. Where others use camera or scan
    meanwhile, the rest of the line is scanned again. Returns early when cancelled. Raises MicroscopeFault.
    """
    first = 0
    for _ in range(ATTEMPTS):
        others.send_away()
        rest = Line(line.points()[first], line.end, line.pixels - first)
        with others.scanning():
            first += _traverse(scan, camera, others, field, rest, exposure_s, _shifted(on_rows, first), cancelled)
        if first == line.pixels or cancelled.is_set():
            return
    raise MicroscopeFault(AGAIN_AND_AGAIN)


def _shifted(on_rows: OnRows, by: int) -> OnRows:
    return lambda first, frames: on_rows(by + first, frames)


def _traverse(
    scan: Any,
    camera: EELSCamera,
    others: Others,
    field: Field,
    line: Line,
    exposure_s: float,
    on_rows: OnRows,
    cancelled: threading.Event,
) -> int:
    """The number of pixels taken: all, or fewer when cancelled or disturbed by others. Raises MicroscopeFault."""
    rows: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
    traversal = ask(WHO, lambda: _Traversal(scan, camera, along(scan, field, line), exposure_s, rows))
    worker = Worker(WHO)
    call = worker.start(traversal.run)
    first = 0
    try:
        while first < line.pixels and not cancelled.is_set():
            counts = _next(rows, call, cancelled, max(exposure_s, UPDATE_S))
            if counts is None or others.were_there():
                break
            on_rows(first, camera.frames(counts))
            first += len(counts)
    except MicroscopeFault:
        if not others.were_there():
            raise
    finally:
        _end(traversal, call, cancelled.is_set() or first < line.pixels)
        worker.close()
    if cancelled.is_set() or others.were_there():
        return first
    if call.done.is_set():
        ask(WHO, call.result)  # what went wrong at the end
    if first < line.pixels:
        raise MicroscopeFault(f"The scan ended after {first} of {line.pixels} pixels; check its synchronization.")
    return first


def _next(
    rows: queue.SimpleQueue[np.ndarray], call: Call[None], cancelled: threading.Event, expected_s: float
) -> np.ndarray | None:
    """The rows that came next, (pixels, channels); None at the scan's end or when cancelled. Raises MicroscopeFault."""
    deadline = time.monotonic() + SLOWEST * expected_s + ANSWER_S
    while not cancelled.is_set():
        ended = call.done.is_set()  # asked first: what was delivered before the end is not lost
        try:
            return rows.get(timeout=0.0 if ended else _POLL_S)
        except queue.Empty:
            if ended:
                ask(WHO, call.result)
                return None
        if time.monotonic() >= deadline:
            raise MicroscopeFault(
                f"The synchronized scan gave nothing for {ANSWER_S:g} s beyond its exposure; check scan and camera."
            )
    return None


def _end(traversal: _Traversal, call: Call[None], early: bool) -> None:
    """Wait until scan and camera are at rest; a scan that does not stop is given up."""
    deadline = time.monotonic() + ABORT_ANSWER_S
    while not call.done.wait(0.0 if early else _POLL_S) and time.monotonic() < deadline:
        if early:
            traversal.abort()  # again and again: a camera forgets at its begin that it was stopped
            call.done.wait(_POLL_S)


class _Traversal:
    """One pass of the scan along a line, as the host makes it."""

    def __init__(
        self,
        scan: Any,
        camera: EELSCamera,
        scan_parameters: Any,
        exposure_s: float,
        rows: queue.SimpleQueue[np.ndarray],
    ) -> None:
        self._stream = scan_base.make_synchronized_scan_data_stream(
            scan_hardware_source=_Undrifted(scan),
            scan_frame_parameters=scan_parameters,
            camera_hardware_source=_Prompt(camera.source),
            camera_frame_parameters=copy.deepcopy(camera.use(exposure_s)),  # the host changes it
        )
        self._handler = Acquisition.FramedDataHandler(
            Acquisition.Framer(_Rows(camera.source.hardware_source_id, rows))
        )  # the stream holds it by a weak reference
        self._stream.attach_root_data_handler(self._handler)

    def run(self) -> None:
        errors: list[Exception] = []
        Acquisition.acquire(self._stream, error_handler=errors.append)
        if errors:
            raise errors[0]

    def abort(self) -> None:
        self._stream.abort_stream()


class _Rows(Acquisition.DataChannel):
    """Puts the camera's spectra into a queue as they come, and drops the scan's image.

    Pixels come in their order, each once.
    """

    def __init__(self, camera_id: str, rows: queue.SimpleQueue[np.ndarray]) -> None:
        super().__init__()
        self._camera_id = camera_id
        self._rows = rows

    def update_data(
        self, channel: Any, source_data: np.ndarray, source_slice: Any, dest_slice: slice, data_metadata: Any
    ) -> None:
        if channel.segments[0] == self._camera_id:
            channels = data_metadata.data_shape[-1]
            self._rows.put(np.array(source_data[source_slice], np.float32).reshape(-1, channels))

    def get_data(self, channel: Any) -> Any:
        """The host asks for the whole at the end; nobody takes it from there."""
        return DataAndMetadata.new_data_and_metadata(np.zeros(1, np.float32))


class _Other:
    """A hardware source, but for what a subclass says of it."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _Prompt(_Other):
    """A camera that tells of its frames more often than the host asks it to."""

    def acquire_synchronized_continue(self, *, update_period: float = UPDATE_S, **kwargs: Any) -> Any:
        return self._source.acquire_synchronized_continue(update_period=min(update_period, UPDATE_S), **kwargs)


class _Undrifted(_Other):
    """A scan that the host does not move by drift of its own measuring; where a line lies is the plan's affair."""

    drift_tracker = None
