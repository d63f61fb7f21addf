"""The panel in the window: in the Window menu, closed by default."""

from __future__ import annotations

import logging
import time
from typing import Any

from nion.swift import DocumentController, Panel, Workspace
from nion.ui import Declarative

from eels_iontransport.data.errors import UnusableInput

from ..host import layout, menu, workspaces
from . import view
from .controller import Controller
from .handler import PanelHandler

_LOG = logging.getLogger(__name__)

PANEL_ID, TITLE = "iontransport-panel", "Ion Transport"
REFRESH_S = 0.1


class IonTransportPanel(Panel.Panel):
    """Made by the host for every window."""

    def __init__(
        self, document_controller: DocumentController.DocumentController, panel_id: str, properties: dict[str, Any]
    ) -> None:
        super().__init__(document_controller, panel_id, TITLE)
        self.controller = Controller(
            document_controller.document_model,
            on_new_item=lambda item: layout.show_in_empty_panel(self.document_controller, item),
            on_news=lambda sentence: menu.notify(TITLE, sentence),
        )
        self.handler = PanelHandler(self.controller)
        self.widget = Declarative.DeclarativeWidget(
            document_controller.ui, document_controller.event_loop, self.handler
        )
        self._filled: set[str] = set()
        self._refreshed = 0.0
        self._failed = False
        self._end_run_before_closing(document_controller)

    def _end_run_before_closing(self, window: DocumentController.DocumentController) -> None:
        """A run ends while the window is still whole: its items change, and half a window cannot follow that."""
        before = window.on_close

        def closing() -> None:
            self.controller.close()
            if before is not None:
                before()

        window.on_close = closing

    def periodic(self) -> None:
        """Called by the host many times a second, also while the panel is hidden."""
        super().periodic()
        now = time.monotonic()
        if now - self._refreshed < REFRESH_S:
            return
        self._refreshed = now
        try:
            self.controller.poll()
            self.handler.refresh()
            self._fill_places()
            self._failed = False
        except Exception:
            if not self._failed:  # once, not ten times a second
                _LOG.exception("The ion transport panel could not be refreshed")
            self._failed = True

    def _fill_places(self) -> None:
        """Show results that have just come where the results workspace keeps a place for them."""
        run = self.controller.last_run
        items = run.results() if run is not None else {}
        if items.keys() != self._filled:
            self._filled = set(items)
            model = self.document_controller.document_model
            displays = {name: model.get_display_item_for_data_item(item) for name, item in items.items()}
            workspaces.fill(self.document_controller, displays)

    def close(self) -> None:
        self.controller.close()
        super().close()


def find_panel(window: DocumentController.DocumentController) -> IonTransportPanel:
    """The plug-in's panel in a window. Raises UnusableInput where the plug-in did not load."""
    workspace = window.workspace_controller
    for panel in workspace.dock_panels if workspace is not None else []:
        if panel.panel_id == PANEL_ID and isinstance(panel, IonTransportPanel):
            return panel
    raise UnusableInput("The panel is not there: the plug-in was not loaded, see Swift's output for the reason.")


def register() -> None:
    """Put the panel into the Window menu of every window opened from now on."""
    Workspace.WorkspaceManager().register_panel(
        IonTransportPanel, PANEL_ID, TITLE, ["left", "right"], "right", {"min-width": view.WIDTH}
    )


def unregister() -> None:
    Workspace.WorkspaceManager().unregister_panel(PANEL_ID)
