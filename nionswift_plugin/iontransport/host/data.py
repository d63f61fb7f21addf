"""Rows into data items: one item for each step, filled while it is acquired, that says how far it got."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from nion.data import Calibration, DataAndMetadata
from nion.instrumentation import Acquisition
from nion.swift.model import ApplicationData, DataItem, DocumentModel

from eels_iontransport.acquire.port import RowNote
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis

from .main_thread import MainThread

_LOG = logging.getLogger(__name__)

UPDATE_PERIOD_S = 0.2  # an update costs the window 30 to 80 ms
LARGE_VALUES = 10 * 2048**2  # from here on the host keeps an item in HDF5
FRAME_ROLES = (Role.ZLP, Role.ALOOF)
LOGARITHMIC_ROLES = (*FRAME_ROLES, Role.POINTS, Role.VIBRATIONAL, Role.VALENCE)  # with the zero-loss peak

DELETED = "its item was deleted"

OnItem = Callable[[DataItem.DataItem, Record], None]


class ItemRecorder:
    """Makes a data item for each step. `items` and the callback `on_item` are for the main thread."""

    def __init__(
        self,
        document_model: DocumentModel.DocumentModel,
        main_thread: MainThread,
        describe: Callable[[], dict[str, Any]] = dict,
        on_item: OnItem | None = None,
    ) -> None:
        self._document_model = document_model
        self._main_thread = main_thread
        self._describe = describe
        self._on_item = on_item
        self.items: dict[Role, DataItem.DataItem] = {}

    def begin(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> ItemSink:
        layout = layout_of(record, energy, step_nm, self._describe())
        item = self._main_thread.call(lambda: self._make_item(record, layout, title))
        return ItemSink(self._document_model, self._main_thread, item, layout, record)

    def _make_item(self, record: Record, layout: DataAndMetadata.DataMetadata, title: str) -> DataItem.DataItem:
        item = make_item(self._document_model, record, layout, title)
        self.items[record.role] = item
        if self._on_item is not None:
            try:
                self._on_item(item, record)
            except Exception:
                _LOG.exception("What is to happen with a new item failed; the acquisition goes on.")
        return item


class ItemSink:
    """One step's rows. All calls come from the run's thread; the item is live until `finish`.

    Rows are shown within 0.3 s, in at most five updates a second.
    """

    def __init__(
        self,
        document_model: DocumentModel.DocumentModel,
        main_thread: MainThread,
        item: DataItem.DataItem,
        layout: DataAndMetadata.DataMetadata,
        record: Record,
    ) -> None:
        self._document_model = document_model
        self._main_thread = main_thread
        self._item = item
        self._layout = layout
        self._record = record
        self._lock = threading.Lock()  # rows wait here for the run's thread or the main one to show them
        self._rows: list[np.ndarray] = []
        self._updated_s = time.monotonic()
        self._is_asked = False
        self._problem: Exception | None = None  # of the main thread, for the run's thread to tell
        item.increment_data_ref_count()
        self._transaction = document_model.item_transaction(item)
        document_model.begin_data_item_live(item)

    def write(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        """Raises RuntimeError where the item was deleted, or does not take the rows."""
        if self._item._closed:
            raise RuntimeError(DELETED)
        if self._problem is not None:
            raise RuntimeError("its item does not take rows any more") from self._problem
        with self._lock:
            self._rows.append(np.asarray(counts, dtype=np.float32))
            self._record = replace(self._record, rows_valid=index + 1)
            wait_s = self._updated_s + UPDATE_PERIOD_S - time.monotonic()
            if wait_s <= 0.0:
                self._update()
            elif not self._is_asked:  # the next row may be long in coming
                self._is_asked = True
                self._main_thread.later(wait_s, self._show)

    def finish(self, record: Record) -> None:
        """Raises RuntimeError where the item was deleted, TimeoutError where Swift does not answer, and whatever the
        host raises where it cannot store the item."""
        with self._lock:
            self._record = replace(record, rows_valid=self._record.rows_valid)
            if not self._item._closed:
                self._update()
            self._record = record
        self._main_thread.call(self._close)

    def _show(self) -> None:
        with self._lock:
            self._is_asked = False
            try:
                if not self._item._closed:
                    self._update()
            except Exception as error:
                _LOG.exception("Rows could not be shown in an item")
                self._problem = error

    def _update(self) -> None:
        """Hand the rows over; the host puts them into the item on the main thread, all at once."""
        rows, self._rows = self._rows, []
        self._updated_s = time.monotonic()
        first = self._record.rows_valid - len(rows)
        for place, count in _runs(first, len(rows), self._layout.data_shape[:-1]):
            start, first = len(rows) - (self._record.rows_valid - first), first + count
            layout = _with_metadata(self._layout, replace(self._record, rows_valid=first))
            block = np.array(rows[start : start + count]).reshape(*(1,) * (len(place) - 1), count, -1)
            self._document_model.update_data_item_partial(
                self._item,
                layout,
                DataAndMetadata.new_data_and_metadata(block, data_descriptor=layout.data_descriptor),
                tuple(slice(0, length) for length in block.shape),
                (*place, slice(None)),
            )

    def _close(self) -> None:
        item, record = self._item, self._record
        if item._closed:
            raise RuntimeError(DELETED)
        self._document_model.perform_data_item_updates()
        try:
            end_item(item, record)
        finally:
            try:
                self._transaction.close()  # the host writes the item to disk here
            finally:
                self._document_model.end_data_item_live(item)
                item.decrement_data_ref_count()


def make_item(
    document_model: DocumentModel.DocumentModel,
    record: Record,
    layout: DataAndMetadata.DataMetadata,
    title: str,
    session: dict[str, Any] | None = None,
) -> DataItem.DataItem:
    """An item of zeros for the rows of a step. session: what Swift knew of sample and site, if not what it knows now.

    Main thread.
    """
    item = DataItem.DataItem(large_format=int(np.prod(layout.data_shape)) > LARGE_VALUES)
    item.title = title
    document_model.append_data_item(item)
    item.reserve_data(
        data_shape=layout.data_shape, data_dtype=layout.data_dtype, data_descriptor=layout.data_descriptor
    )
    item.dimensional_calibrations = list(layout.dimensional_calibrations)
    item.intensity_calibration = layout.intensity_calibration
    item.metadata = {**layout.metadata, **record.to_metadata()}
    session = ApplicationData.get_session_metadata_dict() if session is None else dict(session)
    Acquisition.session_manager.update_session_metadata_dict(document_model, session)
    item.session_metadata = session
    _show_as_plot(document_model, item, record)
    return item


def end_item(item: DataItem.DataItem, record: Record) -> None:
    """Have an item say how it ended. Main thread."""
    item.metadata = {**item.metadata, **record.to_metadata()}
    item.caption = sentence(record)
    if record.status is not Status.COMPLETE:
        item.title = f"{item.title} ({record.rows_valid} of {record.rows_planned} rows)"


def sentence(record: Record) -> str:
    """What an item's caption says of how it ended."""
    if record.status is Status.COMPLETE:
        return f"Complete: {record.rows_valid} rows."
    return f"{record.rows_valid} of {record.rows_planned} rows are data, the rest was never taken. {record.reason}"


def layout_of(
    record: Record, energy: EnergyAxis, step_nm: float | None, metadata: dict[str, Any]
) -> DataAndMetadata.DataMetadata:
    """Shape, axes and metadata of a step's item: frames are a sequence, and so are the passes of a line."""
    shape = record.shape
    are_frames, have_passes = record.role in FRAME_ROLES, record.passes > 1
    along = _distance(step_nm) if not are_frames else Calibration.Calibration()
    lines = [_distance(record.line_step_nm)] if record.columns is not None else []
    passes = [Calibration.Calibration()] if have_passes else []
    return DataAndMetadata.DataMetadata(
        data_shape=(*shape, energy.size),
        data_dtype=np.dtype(np.float32),
        data_descriptor=DataAndMetadata.DataDescriptor(
            are_frames or have_passes, len(shape) - int(are_frames or have_passes), 1
        ),
        dimensional_calibrations=[
            *passes, *lines, along, Calibration.Calibration(energy.offset_ev, energy.step_ev, "eV"),
        ],
        intensity_calibration=Calibration.Calibration(units="counts"),
        metadata=metadata,
    )  # fmt: skip


def _distance(step_nm: float | None) -> Calibration.Calibration:
    return Calibration.Calibration(0.0, step_nm, "nm") if step_nm else Calibration.Calibration()


def _runs(first: int, count: int, shape: tuple[int, ...]) -> Iterator[tuple[tuple[slice, ...], int]]:
    """Where rows first.. lie in an item of that shape before the energy: a slice for each of its axes, and how many
    rows these are; one run for each line of the item that the rows touch."""
    length = shape[-1]
    while count:
        *lines, start = (int(i) for i in np.unravel_index(first, shape))
        run = min(count, length - start)
        yield (*(slice(i, i + 1) for i in lines), slice(start, start + run)), run
        first, count = first + run, count - run


def _with_metadata(layout: DataAndMetadata.DataMetadata, record: Record) -> DataAndMetadata.DataMetadata:
    return DataAndMetadata.DataMetadata(
        data_shape=layout.data_shape,
        data_dtype=layout.data_dtype,
        data_descriptor=layout.data_descriptor,
        dimensional_calibrations=layout.dimensional_calibrations,
        intensity_calibration=layout.intensity_calibration,
        metadata={**layout.metadata, **record.to_metadata()},
    )


def _show_as_plot(document_model: DocumentModel.DocumentModel, item: DataItem.DataItem, record: Record) -> None:
    """As a plot: a few rows of 2048 channels make a sliver of an image, on whose thumbnail the host fails.

    A spectrum image is shown as the host does.
    """
    display_item = document_model.get_display_item_for_data_item(item)
    if display_item is not None and record.columns is None:
        display_item.display_type = "line_plot"
        if record.role in LOGARITHMIC_ROLES:
            display_item.set_display_property("y_style", "log")
