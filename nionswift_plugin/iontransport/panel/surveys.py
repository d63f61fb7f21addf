"""The two survey images of a place on the specimen, and what is marked on them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from nion.swift.model import DataItem, DisplayItem, DocumentModel

from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.geometry import Field, Line, Point
from eels_iontransport.measure.specimen_edge import Edge, find_edge
from eels_iontransport.wording import DOT, PLUS_MINUS, number

from ..host import places, survey
from ..host.places import Mark
from .form import Places
from .situation import Placed, Survey

_LOG = logging.getLogger(__name__)

OVERVIEW, DETAIL = "Overview", "Detail"
ALOOF_NM = 65.0  # distance from the edge at which the published aloof spectra were taken
LINE_NM = 20.0
CLOSE_WAIT_S = 5.0


@dataclass
class _Slot:
    """One kind of survey: its item, once taken, and the edge seen in it."""

    label: str
    item: DataItem.DataItem | None = None
    field: Field | None = None
    taken: str = ""
    edge: Edge | None = None


@dataclass
class _Shot:
    """A survey image being taken on its own thread."""

    label: str
    title: str
    thread: threading.Thread | None = None
    image: np.ndarray | None = None
    field: Field | None = None
    edge: Edge | None = None
    problem: str = ""


def _no_images() -> dict[str, _Slot]:
    return {label: _Slot(label) for label in (OVERVIEW, DETAIL)}


@dataclass
class Surveys:
    """Takes survey images and keeps the marks on them. Main thread, but for taking the image itself."""

    document_model: DocumentModel.DocumentModel
    on_new_item: Callable[[DataItem.DataItem], object] = lambda item: None
    _slots: dict[str, _Slot] = field(default_factory=_no_images)
    _shot: _Shot | None = None

    # -- images

    @property
    def is_busy(self) -> bool:
        return self._shot is not None

    def start(self, label: str, width_nm: float, name: str) -> None:
        """Begin a survey image; `poll` stores it when it is there."""
        if self._shot is not None:
            return
        shot = _Shot(label, f"{name} {label.lower()}")
        shot.thread = threading.Thread(target=_take, args=(shot, width_nm), name="ion transport survey", daemon=True)
        self._shot = shot
        shot.thread.start()

    def close(self) -> None:
        """Wait for an image being taken: the scan must not find its document gone."""
        if self._shot is not None and self._shot.thread is not None:
            self._shot.thread.join(CLOSE_WAIT_S)
            self._shot = None

    def poll(self) -> str | None:
        """Store a finished image. Returns a sentence where one failed, "" where one was stored, else None."""
        shot = self._shot
        if shot is None or shot.thread is None or shot.thread.is_alive():
            return None
        self._shot = None
        if shot.image is None or shot.field is None:
            return shot.problem
        slot = self._slots[shot.label]
        before = self._item(slot)
        slot.taken = datetime.now().strftime("%H:%M")
        item = survey.store(self.document_model, before, shot.image, shot.field, shot.title, slot.taken)
        if before is not None and slot.field != shot.field:
            self._move_marks(slot, shot.field)
        slot.item, slot.field, slot.edge = item, shot.field, shot.edge
        if before is None:
            self.on_new_item(item)
        return ""

    def surveys(self) -> tuple[Survey, ...]:
        """The images taken so far, also those whose item has been deleted since."""
        return tuple(
            Survey(slot.label, slot.field.width_nm, slot.taken, exists=self._item(slot) is not None)
            for slot in self._slots.values()
            if slot.field is not None
        )

    def run_field(self, wanted: Places) -> Field | None:
        """The smallest surveyed field with every wanted place inside; else the widest; None without a survey."""
        fields = sorted((slot.field for slot in self._taken() if slot.field), key=lambda field: field.width_nm)
        points = [*wanted.points, *(wanted.line or ()), *([wanted.aloof] if wanted.aloof else [])]
        return next((f for f in fields if all(f.contains(p) for p in points)), fields[-1] if fields else None)

    # -- marks

    def place_aloof(self) -> None:
        """Mark A1 in the vacuum of the widest survey: 65 nm off the edge, or as far as there is room."""
        slot = self._first(OVERVIEW, DETAIL)
        if slot is None or slot.field is None:
            return
        self._remove(places.ALOOF)
        item = self._display(slot)
        offered = slot.edge.offer(ALOOF_NM, self._nm_per_pixel(slot)) if slot.edge else None
        places.put_point(item, places.ALOOF, offered or (0.5, 0.08))

    def place_point(self) -> None:
        """Mark the next point in the middle of the closest survey."""
        slot = self._first(DETAIL, OVERVIEW)
        if slot is None:
            return
        taken = {mark.label for _, mark in self._marks()}
        index = next(i for i in range(1, len(taken) + 2) if f"P{i}" not in taken)
        places.put_point(self._display(slot), f"P{index}", (0.5, 0.5 + 0.03 * (index - 1)))

    def place_line(self) -> None:
        """Mark L1 across the middle of the closest survey."""
        slot = self._first(DETAIL, OVERVIEW)
        if slot is None or slot.field is None:
            return
        half = min(0.5 * LINE_NM / slot.field.width_nm, 0.45)
        self.put_line(slot.field.point((0.5, 0.5 - half)), slot.field.point((0.5, 0.5 + half)))

    def put_line(self, start: Point, end: Point) -> None:
        """Mark L1 between two places of the closest survey."""
        slot = self._first(DETAIL, OVERVIEW)
        if slot is None or slot.field is None:
            return
        self._remove(places.LINE)
        places.put_line(self._display(slot), slot.field.fraction(start), slot.field.fraction(end))

    def clear(self) -> None:
        for slot in self._taken():
            places.remove(self._display(slot))

    def start_anew(self) -> None:
        """For another place: the images so far stay as they are, with their marks, and new ones make new items."""
        self._slots = _no_images()

    def follow(self) -> None:
        """Keep the line's name at its start."""
        for slot in self._taken():
            places.follow(self._display(slot))

    def places(self) -> Places:
        """Where the marks are now."""
        aloof, line, points = None, None, []
        for _, mark in self._marks():
            if mark.label == places.ALOOF:
                aloof = mark.point
            elif mark.end is not None:
                line = (mark.point, mark.end)
            else:
                points.append(mark.point)
        return Places(aloof, tuple(points), line)

    def notes(self, pixels: int | None) -> tuple[Placed, ...]:
        """What is worth knowing of each mark."""
        return tuple(Placed(mark.label, self._note(slot, mark, pixels)) for slot, mark in self._marks())

    def _note(self, slot: _Slot, mark: Mark, pixels: int | None) -> str:
        if mark.end is not None:
            line = Line(mark.point, mark.end, pixels or 1)
            parts = [f"{number(line.length_nm, 1)} nm"]
            if pixels:
                parts += [f"{pixels} px", f"step {number(line.step_nm, 2)} nm"]
            return f" {DOT} ".join(parts)
        if slot.edge is None:
            return "no edge seen" if mark.label == places.ALOOF else ""
        distance, error = slot.edge.distance(mark.fraction, self._nm_per_pixel(slot))
        if distance == 0.0:
            return "on the specimen, not in the vacuum" if mark.label == places.ALOOF else "on the specimen"
        return f"{number(distance, 0)} {PLUS_MINUS} {number(error, 0)} nm off the edge"

    def _move_marks(self, slot: _Slot, to: Field) -> None:
        """The field of a survey has changed: its marks stay where they are on the specimen."""
        if slot.field is None:
            return
        item = self._display(slot)
        for mark in places.read(item, slot.field):
            if not to.contains(mark.point) or (mark.end is not None and not to.contains(mark.end)):
                places.remove(item, mark.label)
            elif mark.end is not None:
                places.put_line(item, to.fraction(mark.point), to.fraction(mark.end), mark.label)
            else:
                places.put_point(item, mark.label, to.fraction(mark.point))
        places.follow(item)

    def _marks(self) -> list[tuple[_Slot, Mark]]:
        found = [(s, m) for s in self._taken() if s.field for m in places.read(self._display(s), s.field)]
        return sorted(found, key=lambda pair: "APL".index(pair[1].label[0]))

    def _remove(self, label: str) -> None:
        for slot in self._taken():
            places.remove(self._display(slot), label)
            places.follow(self._display(slot))

    # -- items

    def item(self) -> DataItem.DataItem | None:
        """The survey on which the line is placed: the detail, else the overview."""
        slot = self._first(DETAIL, OVERVIEW)
        return self._item(slot) if slot is not None else None

    def _taken(self) -> list[_Slot]:
        return [slot for slot in self._slots.values() if self._item(slot) is not None]

    def _first(self, *labels: str) -> _Slot | None:
        return next((self._slots[label] for label in labels if self._item(self._slots[label]) is not None), None)

    def _item(self, slot: _Slot) -> DataItem.DataItem | None:
        """The slot's item; None before it was taken and after it was deleted."""
        return slot.item if slot.item is not None and slot.item in self.document_model.data_items else None

    def _display(self, slot: _Slot) -> DisplayItem.DisplayItem:
        return self.document_model.get_display_item_for_data_item(self._item(slot))

    def _nm_per_pixel(self, slot: _Slot) -> float:
        assert slot.field is not None and slot.edge is not None
        return slot.field.width_nm / slot.edge.distance_px[1].shape[1]


def _take(shot: _Shot, width_nm: float) -> None:
    try:
        image, shot.field = survey.take(width_nm)
        shot.edge = find_edge(image)
        shot.image = image
    except MicroscopeFault as error:
        shot.problem = str(error)
    except Exception as error:
        _LOG.exception("The survey failed")
        shot.problem = f"The survey failed ({type(error).__name__}: {error}); the log has the details."
