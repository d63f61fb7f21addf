"""Showing an item without taking another's place. Main thread only."""

from __future__ import annotations

from nion.swift import DocumentController
from nion.swift.model import DataItem


def show_in_empty_panel(controller: DocumentController.DocumentController, item: DataItem.DataItem) -> bool:
    """Show an item where nothing is shown; an occupied display is never replaced. False where all are occupied."""
    workspace = controller.workspace_controller
    display_item = controller.document_model.get_display_item_for_data_item(item)
    if workspace is None or display_item is None:
        return False
    for panel in workspace.display_panels:
        if panel.display_item is None:
            panel.set_display_panel_display_item(display_item)
            return True
    return False
