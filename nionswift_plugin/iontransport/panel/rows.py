"""The steps of the plan as properties that the view binds to."""

from __future__ import annotations

from typing import Any

from nion.utils import Observable

from eels_iontransport.data.record import Role

from .controller import Controller
from .form import ROW_LABELS

NAMES = ("chosen", "exposure", "frames", "passes")


class Row(Observable.Observable):
    """One step of the plan as bindable properties."""

    def __init__(self, controller: Controller, role: Role) -> None:
        super().__init__()
        self._controller = controller
        self._role = role

    chosen = property(lambda self: self._get("chosen"), lambda self, value: self._set(chosen=bool(value)))
    exposure = property(lambda self: self._get("exposure"), lambda self, value: self._set(exposure=value or ""))
    frames = property(lambda self: self._get("frames"), lambda self, value: self._set(frames=value or ""))
    passes = property(lambda self: self._get("passes"), lambda self, value: self._set(passes=value or ""))

    def _get(self, name: str) -> Any:
        return getattr(self._controller.form.rows[self._role], name)

    def _set(self, **changes: Any) -> None:
        self._controller.edit(self._controller.form.with_row(self._role, **changes))
        for name in changes:
            self.notify_property_changed(name)


class Rows:
    """The rows by the name of their role, as the view spells them."""

    def __init__(self, controller: Controller) -> None:
        self._rows = {role.value: Row(controller, role) for role in ROW_LABELS}

    def __getattr__(self, name: str) -> Row:
        try:
            return self.__dict__["_rows"][name]
        except KeyError:
            raise AttributeError(name) from None

    def announce(self) -> None:
        for row in self._rows.values():
            for name in NAMES:
                row.notify_property_changed(name)
