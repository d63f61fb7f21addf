"""Rows of a scan that runs along with the camera: one frame at each pixel, one traversal for each pass."""

from __future__ import annotations

from dataclasses import replace

from ..data.geometry import Field, Line
from .boundary import Boundary
from .orders import Orders
from .parked import out_of_field
from .places import across, moved, moved_line, rest_of
from .plan import Plan, Step
from .port import Frames, Microscope, MicroscopeFault
from .reporter import Reporter
from .writer import StepWriter


class _Interrupted(Exception):
    """The scan has to stop here for what happens between rows; the rest of the line is scanned afterwards."""


class SynchronizedRows:
    """Takes one step's rows, pass by pass; of a spectrum image line by line."""

    def __init__(
        self,
        microscope: Microscope,
        plan: Plan,
        step: Step,
        field: Field,
        writer: StepWriter,
        boundary: Boundary,
        orders: Orders,
        reporter: Reporter,
    ) -> None:
        self._microscope = microscope
        self._plan = plan
        self._step = step
        self._field = field
        self._writer = writer
        self._boundary = boundary
        self._orders = orders
        self._reporter = reporter

    def take_pass(self, which: int) -> None:
        """All rows of one pass. Raises Aborted, MicroscopeFault, StorageFault."""
        (offset,) = self._plan.strip_offsets_nm(self._step, which)
        for line in self._plan.lines(self._step):
            taken = 0
            while taken < line.pixels:
                self._boundary.before_row()
                taken += self._scan(rest_of(line, taken), offset)

    def _scan(self, line: Line, offset_nm: float) -> int:
        """Scan a line of the plan where it is now; the number of pixels that were stored.

        The scanned line is turned and stretched a little, so that its pixels move along with the specimen.
        """
        exposure_s = self._step.exposure_s
        drift = self._boundary.correction_nm()
        motion = self._boundary.motion_nm(exposure_s)
        now = moved_line(moved_line(line, drift), across(line, offset_nm))
        for end in (now.start, now.points()[-1]):
            if not self._field.contains(end):
                raise MicroscopeFault(out_of_field(end))
        now = replace(now, end=moved(now.end, (motion[0] * line.pixels, motion[1] * line.pixels)))
        places = line.points()
        taken = 0

        def on_rows(first: int, frames: Frames) -> None:
            nonlocal taken
            if first != taken or taken + len(frames.counts) > line.pixels:
                raise MicroscopeFault(
                    f"The scan gave pixels {first} to {first + len(frames.counts) - 1} where {taken} of {line.pixels} "
                    "came before; check its synchronization."
                )
            kept = self._boundary.accept([frames])
            if kept is None:
                raise _Interrupted
            count = len(frames.counts)
            for index in range(count):
                followed = (drift[0] + taken * motion[0], drift[1] + taken * motion[1])
                note = self._boundary.note(places[taken], followed, (count - 1 - index) * exposure_s)
                self._writer.add(replace(kept[0], counts=kept[0].counts[index : index + 1]), note)
                taken += 1
            self._reporter.report()
            if taken < line.pixels and self._boundary.is_wanted():
                raise _Interrupted

        try:
            self._microscope.scan_line(now, exposure_s, on_rows)
        except _Interrupted:
            return taken
        if taken < line.pixels and not self._orders.is_aborted:
            raise MicroscopeFault(f"The scan gave {taken} of {line.pixels} pixels; check its synchronization.")
        return taken
