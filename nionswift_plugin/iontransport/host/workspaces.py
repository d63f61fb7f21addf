"""Arranging displays in a workspace of the plug-in's own. Main thread only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nion.swift import DocumentController
from nion.swift.model import DisplayItem

_PREFIX = "eels_iontransport_"


def arrange(
    window: DocumentController.DocumentController,
    workspace_id: str,
    title: str,
    columns: Sequence[tuple[float, Sequence[tuple[str, float]]]],
    displays: Mapping[str, DisplayItem.DisplayItem],
) -> None:
    """Switch to a workspace, making it if it is not there, and show the displays in it.

    columns: (width, places) from left to right; places: (name, height) from top to bottom; widths and heights are
    parts of the whole. The operator may rearrange the workspace: it is found again as it was left.
    """
    workspace = window.workspace_controller
    if workspace is None:
        return
    workspace.ensure_workspace(title, _layout(columns), _PREFIX + workspace_id)
    for name, display in displays.items():
        workspace.display_display_item_in_display_panel(display, _PREFIX + name)


def fill(window: DocumentController.DocumentController, displays: Mapping[str, DisplayItem.DisplayItem]) -> None:
    """Show displays in their places where the workspace on the screen has them and they are empty."""
    workspace = window.workspace_controller
    for panel in workspace.display_panels if workspace is not None else []:
        display = displays.get((panel.display_panel_id or "").removeprefix(_PREFIX))
        if display is not None and panel.display_item is None:
            panel.set_display_panel_display_item(display)


def _layout(columns: Sequence[tuple[float, Sequence[tuple[str, float]]]]) -> dict[str, Any]:
    children = [_split("horizontal", [(_panel(name), height) for name, height in places]) for _, places in columns]
    return _split("vertical", list(zip(children, (width for width, _ in columns), strict=True)))


def _split(orientation: str, parts: Sequence[tuple[dict[str, Any], float]]) -> dict[str, Any]:
    if len(parts) == 1:
        return parts[0][0]
    sizes, children = [size for _, size in parts], [child for child, _ in parts]
    return {"type": "splitter", "orientation": orientation, "splits": sizes, "children": children}


def _panel(name: str) -> dict[str, Any]:
    return {"type": "image", "display_panel_id": _PREFIX + name}
