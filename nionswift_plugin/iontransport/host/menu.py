"""Menus of the host's windows, what is selected in them, and notifications. Main thread only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nion.swift import Application, DocumentController
from nion.swift.model import DataItem, Notification

_EELS_MENU = ("eels_menu", "EELS", "window_menu")  # the one that other EELS plug-ins use, too
_NOTIFICATION_ID = "eels_iontransport.notification"


@dataclass(frozen=True)
class Entry:
    """A line of a menu, or a separator where there is nothing to do. `keys` as the host writes them: "Ctrl-Shift-I"."""

    title: str
    action: Callable[[], None] | None = None
    keys: str | None = None


SEPARATOR = Entry("")


def register_sub_menu(
    title: str, entries: Callable[[DocumentController.DocumentController], Sequence[Entry]]
) -> Callable[[], None]:
    """Add a submenu to the EELS menu of every window; returns what takes it back from windows opened later."""

    def build(window: DocumentController.DocumentController) -> None:
        sub_menu = window.create_sub_menu(title)
        for entry in entries(window):
            if entry.action is None:
                sub_menu.add_separator()
            else:
                sub_menu.add_menu_item(entry.title, entry.action, key_sequence=entry.keys)
        window.get_or_create_menu(*_EELS_MENU).add_sub_menu(title, sub_menu)

    application = Application.app
    application.register_menu_handler(build)
    return lambda: application.unregister_menu_handler(build)


def selected_items(window: DocumentController.DocumentController) -> list[DataItem.DataItem]:
    """The data items selected in the data panel, or shown in the display that has the focus."""
    return list(window.selected_data_items)


def notify(title: str, sentence: str) -> None:
    """Say something without interrupting."""
    Notification.notify(Notification.Notification(_NOTIFICATION_ID, title, title, sentence))
