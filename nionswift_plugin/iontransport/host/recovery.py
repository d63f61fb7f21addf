"""Where a document's journals lie, and items made from those that a run has left open. Main thread only."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nion.data import DataAndMetadata
from nion.swift.model import ApplicationData, DataItem, DocumentModel

from eels_iontransport.acquire import recovery
from eels_iontransport.acquire.recovery import Journal
from eels_iontransport.data.errors import UnusableInput

from .data import end_item, layout_of, make_item

_LOG = logging.getLogger(__name__)

FOLDER = "eels-iontransport journal"
RECOVERED = "Recovered from the journal."


def journal_folder(document_model: DocumentModel.DocumentModel) -> Path:
    """Where the runs of a document are journaled: beside its project, or with the user's data where that cannot be."""
    folders = _folders(document_model)
    return next((folder for folder in folders[:-1] if _can_be_written(folder)), folders[-1])


def journal_place(document_model: DocumentModel.DocumentModel) -> Path:
    """The folder in which that of the journals lies or would lie; nothing is made."""
    return _folders(document_model)[0].parent


def description(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the journal of a step keeps for its item: metadata of the instrument, and of sample and site."""
    return {"metadata": dict(metadata), "session": ApplicationData.get_session_metadata_dict()}


def recoverable(document_model: DocumentModel.DocumentModel) -> list[Journal]:
    """What runs have left that is in no item, oldest first; `sentence` of each says what it is.

    Runs that are under way, in this program or another one, are not among them.
    """
    return [journal for folder in _folders(document_model) for journal in recovery.unfinished(folder)]


def recover(document_model: DocumentModel.DocumentModel, journal: Journal) -> DataItem.DataItem:
    """Make the item that a journal's run would have left, marked as partial where rows are missing.

    The journal is closed then, and its files stay. Raises UnusableInput where the journal cannot be read any more.
    """
    try:
        found = recovery.read(journal)
    except OSError as error:
        raise UnusableInput(f"The journal of {journal.title} in {journal.folder} cannot be read ({error}).") from None
    described = journal.description
    layout = layout_of(found.record, journal.energy, journal.step_nm, dict(described.get("metadata", {})))
    item = make_item(document_model, found.record, layout, journal.title, described.get("session"))
    data = np.zeros(layout.data_shape, np.float32)
    data.reshape(-1, journal.energy.size)[: len(found.rows)] = found.rows
    item.set_xdata(
        DataAndMetadata.new_data_and_metadata(
            data,
            intensity_calibration=layout.intensity_calibration,
            dimensional_calibrations=layout.dimensional_calibrations,
            metadata=item.metadata,
            data_descriptor=layout.data_descriptor,
        )
    )
    end_item(item, found.record)
    item.caption = f"{item.caption} {RECOVERED}"
    try:
        recovery.close(journal)
    except OSError as error:
        _LOG.warning("The journal in %s could not be closed (%s) and will be offered again", journal.folder, error)
    return item


def _folders(document_model: DocumentModel.DocumentModel) -> list[Path]:
    project = Path(document_model._project.storage_location_str)  # "memory" for a project without a file
    beside = [project.parent / FOLDER] if project.is_absolute() and project.exists() else []
    return [*beside, _user_data() / FOLDER]


def _user_data() -> Path:
    """The platform's folder for a user's data."""
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share"))


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
