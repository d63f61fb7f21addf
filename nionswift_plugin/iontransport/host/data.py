"""Rows into data items: one item for each step, filled while it is acquired, that says how far it got."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
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
        layout = _layout(record, energy, step_nm, self._describe())
        item = self._main_thread.call(lambda: self._make_item(record, layout, title))
        return ItemSink(self._document_model, self._main_thread, item, layout, record)

    def _make_item(self, record: Record, layout: DataAndMetadata.DataMetadata, title: str) -> DataItem.DataItem:
        item = DataItem.DataItem(large_format=int(np.prod(layout.data_shape)) > LARGE_VALUES)
        item.title = title
        self._document_model.append_data_item(item)
        item.reserve_data(
            data_shape=layout.data_shape, data_dtype=layout.data_dtype, data_descriptor=layout.data_descriptor
        )
        item.dimensional_calibrations = list(layout.dimensional_calibrations)
        item.intensity_calibration = layout.intensity_calibration
        item.metadata = {**layout.metadata, **record.to_metadata()}
        session = ApplicationData.get_session_metadata_dict()
        Acquisition.session_manager.update_session_metadata_dict(self._document_model, session)
        item.session_metadata = session
        self._show_as_plot(item, record)
        self.items[record.role] = item
        if self._on_item is not None:
            try:
                self._on_item(item, record)
            except Exception:
                _LOG.exception("What is to happen with a new item failed; the acquisition goes on.")
        return item

    def _show_as_plot(self, item: DataItem.DataItem, record: Record) -> None:
        """As a plot: a few rows of 2048 channels make a sliver of an image, on whose thumbnail the host fails."""
        display_item = self._document_model.get_display_item_for_data_item(item)
        if display_item is not None:
            display_item.display_type = "line_plot"
            if record.role in LOGARITHMIC_ROLES:
                display_item.set_display_property("y_style", "log")


class ItemSink:
    """One step's rows. All calls come from the run's thread; the item is live until `finish`."""

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
        self._rows: list[np.ndarray] = []
        self._updated = time.monotonic()
        item.increment_data_ref_count()
        self._transaction = document_model.item_transaction(item)
        document_model.begin_data_item_live(item)

    def write(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        if self._item._closed:
            raise RuntimeError("its item was deleted")
        self._rows.append(np.asarray(counts, dtype=np.float32))
        self._record = replace(self._record, rows_valid=index + 1)
        if time.monotonic() - self._updated >= UPDATE_PERIOD_S:
            self._update()

    def finish(self, record: Record) -> None:
        """Raises TimeoutError where Swift does not answer; whatever the host raises where it cannot store the item."""
        self._record = record
        if self._rows and not self._item._closed:
            self._update()
        self._main_thread.call(self._close)

    def _update(self) -> None:
        """Hand the rows over; the host puts them into the item on the main thread."""
        rows, self._rows = np.array(self._rows), []
        self._updated = time.monotonic()
        end = self._record.rows_valid
        layout = _with_metadata(self._layout, self._record)
        self._document_model.update_data_item_partial(
            self._item,
            layout,
            DataAndMetadata.new_data_and_metadata(rows, data_descriptor=layout.data_descriptor),
            (slice(0, len(rows)), slice(None)),
            (slice(end - len(rows), end), slice(None)),
        )

    def _close(self) -> None:
        item, record = self._item, self._record
        if item._closed:
            return
        self._document_model.perform_data_item_updates()
        try:
            item.metadata = {**item.metadata, **record.to_metadata()}
            item.caption = sentence(record)
            if record.status is not Status.COMPLETE:
                item.title = f"{item.title} ({record.rows_valid} of {record.rows_planned} rows)"
        finally:
            try:
                self._transaction.close()  # the host writes the item to disk here
            finally:
                self._document_model.end_data_item_live(item)
                item.decrement_data_ref_count()


def sentence(record: Record) -> str:
    """What an item's caption says of how it ended."""
    if record.status is Status.COMPLETE:
        return f"Complete: {record.rows_valid} rows."
    return f"{record.rows_valid} of {record.rows_planned} rows are data, the rest was never taken. {record.reason}"


def _layout(
    record: Record, energy: EnergyAxis, step_nm: float | None, metadata: dict[str, Any]
) -> DataAndMetadata.DataMetadata:
    along = Calibration.Calibration(0.0, step_nm, "nm") if step_nm else Calibration.Calibration()
    are_frames = record.role in FRAME_ROLES
    return DataAndMetadata.DataMetadata(
        data_shape=(record.rows_planned, energy.size),
        data_dtype=np.dtype(np.float32),
        data_descriptor=DataAndMetadata.DataDescriptor(are_frames, 0 if are_frames else 1, 1),
        dimensional_calibrations=[along, Calibration.Calibration(energy.offset_ev, energy.step_ev, "eV")],
        intensity_calibration=Calibration.Calibration(units="counts"),
        metadata=metadata,
    )


def _with_metadata(layout: DataAndMetadata.DataMetadata, record: Record) -> DataAndMetadata.DataMetadata:
    return DataAndMetadata.DataMetadata(
        data_shape=layout.data_shape,
        data_dtype=layout.data_dtype,
        data_descriptor=layout.data_descriptor,
        dimensional_calibrations=layout.dimensional_calibrations,
        intensity_calibration=layout.intensity_calibration,
        metadata={**layout.metadata, **record.to_metadata()},
    )
