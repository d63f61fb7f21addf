"""The submenu EELS > Ion Transport."""

from __future__ import annotations

from nion.swift import DocumentController
from nion.swift.model import DataItem

from . import live, results
from .host import display, workspaces

SURVEY = "survey"
_COLUMNS = (
    (0.28, ((SURVEY, 0.5), (results.MAP, 0.5))),
    (0.40, ((results.REGIONS, 0.5), (results.FIT, 0.5))),
    (0.32, ((results.SHIFT, 0.34), (results.RATIO, 0.33), (results.THICKNESS, 0.33))),
)


def show_results(
    window: DocumentController.DocumentController, item: DataItem.DataItem, survey: DataItem.DataItem | None = None
) -> None:
    """Arrange the results of the session that the item belongs to in the results workspace."""
    items = live.result_items(window.document_model, item)
    if survey is not None:
        items = {SURVEY: survey, **items}
    displays = {name: display.of(window.document_model, shown) for name, shown in items.items()}
    workspaces.arrange(window, "results", "Ion Transport Results", _COLUMNS, displays)
