"""Mends the host where it would stop a run."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from nion.swift import Application, DataPanel


def mend_data_panel() -> None:
    """Have the thumbnails in the data panel redrawn by the main thread alone.

    A thumbnail that is ready holds its cell and asks for the panel; an item that is added meanwhile holds the panel
    and asks for its cells: from then on both wait, and the whole window with them.
    """
    cell = getattr(DataPanel, "DataPanelItemBaseCanvasItem", None)
    if cell is not None:
        update_on_main_thread(cell, _event_loop)


def _event_loop() -> asyncio.AbstractEventLoop | None:
    """The loop of the main thread; None before the application has one, and when it has closed."""
    try:
        return Application.app.event_loop
    except (AttributeError, AssertionError):  # the host asserts that there is one
        return None


def update_on_main_thread(kind: type[Any], event_loop: Callable[[], asyncio.AbstractEventLoop | None]) -> None:
    """Have `update` of a class, wherever it is called, be done by the main thread; at once where that calls it."""
    if "update" in vars(kind):
        return
    update = kind.update

    def update_there(self: Any) -> None:
        loop = None if threading.current_thread() is threading.main_thread() else event_loop()
        if loop is None:
            update(self)
            return
        with contextlib.suppress(RuntimeError):  # the application is closing: there is nothing left to draw
            loop.call_soon_threadsafe(update, self)

    kind.update = update_there
