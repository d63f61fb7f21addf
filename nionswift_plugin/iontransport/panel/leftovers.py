"""What runs have left in their journals that ended with their program. Main thread only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from nion.swift.model import DataItem, DocumentModel

from eels_iontransport.acquire import recovery as journals
from eels_iontransport.acquire.recovery import Journal
from eels_iontransport.data.errors import UnusableInput

from ..host import recovery

_LOG = logging.getLogger(__name__)


class Leftovers:
    """The journals that are open, as they were when the panel looked last."""

    def __init__(
        self, document_model: DocumentModel.DocumentModel, on_new_item: Callable[[DataItem.DataItem], object]
    ) -> None:
        self._document_model = document_model
        self._on_new_item = on_new_item
        self._journals: list[Journal] | None = None

    @property
    def text(self) -> str:
        """One sentence; empty where there is nothing to recover."""
        if self._journals is None:
            self._journals = self._look()
        return leftover_text(self._journals)

    def look_again(self) -> None:
        """A run has failed, and may have left rows that came into no item."""
        self._journals = None

    def recover(self) -> str:
        """Make an item of each; returns a sentence where one could not be made, else an empty one."""
        problem = ""
        for journal in self._journals or []:
            try:
                self._on_new_item(recovery.recover(self._document_model, journal))
            except UnusableInput as error:
                problem = str(error)
        self._journals = []
        return problem

    def dismiss(self) -> str:
        """Do not offer them again; the files stay."""
        problem = ""
        for journal in self._journals or []:
            try:
                journals.close(journal)
            except OSError as error:
                problem = f"The journal of {journal.title} could not be closed ({error}) and will be offered again."
        self._journals = []
        return problem

    def _look(self) -> list[Journal]:
        try:
            return recovery.recoverable(self._document_model)
        except Exception:
            _LOG.exception("The journals could not be looked through")
            return []


def leftover_text(found: Sequence[Journal]) -> str:
    """ "GB1 L1 vibrational of 22:14 ended with the program: 26 of 40 rows can be recovered."."""
    if not found:
        return ""
    rows, planned = sum(j.rows for j in found), sum(j.record.rows_planned for j in found)
    first = found[0]
    what = first.title if len(found) == 1 else f"{len(found)} steps, the first"
    return f"{what} of {first.begun[:16].replace('T', ' ')}, ended early: {rows} of {planned} rows can be recovered."
