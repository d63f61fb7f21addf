"""Rows at a parked probe: it rests at each place for as many frames as a row has."""

from __future__ import annotations

from dataclasses import replace

from ..data.geometry import Field, Point
from .boundary import Boundary
from .clock import Clock
from .orders import Aborted, Orders
from .places import across, moved
from .plan import Plan, Step
from .port import Frames, Microscope, MicroscopeFault
from .reporter import Reporter
from .site import Site
from .writer import StepWriter

FRAME_CHUNK_S = 0.5  # exposure between two looks at the frames of a vacuum ZLP or aloof spectrum
SUM_CHUNK_S = 20.0  # longest sequence asked of the camera at once; the host gives one up after 60 s


class ParkedRows:
    """Takes one step's rows."""

    def __init__(
        self,
        microscope: Microscope,
        plan: Plan,
        step: Step,
        field: Field,
        site: Site,
        writer: StepWriter,
        boundary: Boundary,
        orders: Orders,
        reporter: Reporter,
        clock: Clock,
    ) -> None:
        self._microscope = microscope
        self._plan = plan
        self._step = step
        self._places = plan.places(step, field)
        self._field = field
        self._settle_s = site.probe_settle_s
        self._writer = writer
        self._boundary = boundary
        self._orders = orders
        self._reporter = reporter
        self._clock = clock

    def take_pass(self, which: int) -> None:
        """All rows of one pass. Raises Aborted, MicroscopeFault, StorageFault."""
        if self._step.rows_are_frames:
            self._take_frames(self._places[0])
            return
        offsets = self._plan.strip_offsets_nm(self._step, which)
        for place in self._places:
            self._take_row(place, offsets)

    def _take_frames(self, place: Point) -> None:
        """Rows that are frames, a few at a time; of those that an abort cuts short, the whole ones are kept."""
        missing = self._step.frames
        while missing:
            asked = min(_chunk(FRAME_CHUNK_S, self._step.exposure_s), missing)
            taken, drift = self._taken(place, (0.0,), asked)
            given = 0
            for part in taken:
                count = len(part.counts)
                for index in range(count):
                    age_s = (count - 1 - index) * self._step.exposure_s
                    self._writer.add(_one(part, index), self._boundary.note(place, drift, age_s))
                given += count
            self._reporter.report()
            missing -= given

    def _take_row(self, place: Point, offsets: tuple[float, ...]) -> None:
        frames = self._step.frames // len(offsets)
        taken, drift = self._taken(place, offsets, frames)
        if sum(len(part.counts) for part in taken) < self._step.frames:
            raise Aborted
        note = self._boundary.note(place, drift)
        for part in taken:
            self._writer.add(part, note)
        self._reporter.report()

    def _taken(self, place: Point, offsets: tuple[float, ...], frames: int) -> tuple[list[Frames], tuple[float, float]]:
        """Frames at each of the offsets from a place, and the drift that was followed at the first of them.

        They are taken again until they can be used; fewer where an abort cuts them short.
        """
        while True:
            self._boundary.before_row()
            drift = self._boundary.correction_nm()
            taken: list[Frames] = []
            for offset in offsets:
                taken += self._expose(place, offset, frames)
                if self._orders.is_aborted:
                    break
            if not taken:
                raise Aborted
            kept = self._boundary.accept(taken, one_place=True)
            if kept is not None:
                return kept, drift

    def _go(self, place: Point, offset_nm: float, exposure_s: float) -> None:
        """To a place of the plan where it will be in the middle of an exposure.

        Raises MicroscopeFault where that has left the field.
        """
        now = moved(place, self._boundary.correction_nm(self._settle_s + 0.5 * exposure_s))
        if offset_nm and self._plan.line is not None:
            now = moved(now, across(self._plan.line, offset_nm))
        if not self._field.contains(now) and self._field.contains(place):
            raise MicroscopeFault(out_of_field(now))
        self._microscope.set_probe(now)
        self._orders.wait(self._clock, self._settle_s)

    def _expose(self, place: Point, offset_nm: float, count: int) -> list[Frames]:
        """So many frames at an offset from a place, in parts that the host survives and in which the specimen stays
        in place; fewer when aborted."""
        chunk = _chunk(min(SUM_CHUNK_S, self._boundary.still_s), self._step.exposure_s)
        parts: list[Frames] = []
        missing = count
        while missing and not self._orders.is_aborted:
            asked = min(chunk, missing)
            self._go(place, offset_nm, asked * self._step.exposure_s)
            frames = self._microscope.acquire_frames(self._step.exposure_s, asked)
            given = len(frames.counts)
            if given > asked or (given < asked and not self._orders.is_aborted):
                raise MicroscopeFault(f"The camera gave {given} of {asked} frames; check the camera.")
            if given:
                parts.append(frames)
            missing -= given
            if missing:
                self._reporter.report()
        return parts


def out_of_field(place: Point) -> str:
    return (
        f"The specimen has drifted so far that (x {place.x_nm:.1f}, y {place.y_nm:.1f}) nm would have to be reached, "
        "outside the survey's field; take a new survey and place the line anew."
    )


def _chunk(longest_s: float, exposure_s: float) -> int:
    return max(1, int(longest_s / exposure_s))


def _one(frames: Frames, index: int) -> Frames:
    return replace(frames, counts=frames.counts[index : index + 1])
