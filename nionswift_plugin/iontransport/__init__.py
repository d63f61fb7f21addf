"""Vibrational and core-loss EELS of interfaces in Nion Swift: the panel, live results, menu entries."""

from __future__ import annotations

from typing import Any

from . import live, menus
from .host.mending import mend_data_panel
from .panel import panel
from .warming import Warming

live.register()  # before a project that holds its computations is opened


class IonTransportExtension:
    """Registers what the plug-in adds to the host, and takes it back."""

    extension_id = "nion.eels.iontransport"

    def __init__(self, api_broker: Any) -> None:
        mend_data_panel()
        panel.register()
        self._unregister_menus = menus.register()
        self._warming = Warming()
        self._warming.start()

    def close(self) -> None:
        self._warming.stop()
        self._unregister_menus()
        panel.unregister()
