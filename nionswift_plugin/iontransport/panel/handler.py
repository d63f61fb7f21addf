"""Between the view's names and the controller: what is bound, and what a click does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nion.ui import Declarative
from nion.utils import Observable

from eels_iontransport.data.record import Role

from . import view
from .bindings import values
from .controller import Controller
from .form import ROW_LABELS
from .model import Presentation, present


class Shown(Observable.Observable):
    """The presentation as bindable properties; only what changed is announced."""

    def __init__(self, presentation: Presentation) -> None:
        super().__init__()
        self._values = values(presentation)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def show(self, presentation: Presentation) -> None:
        before, self._values = self._values, values(presentation)
        for name, value in self._values.items():
            if before[name] != value:
                self.notify_property_changed(name)


class Row(Observable.Observable):
    """One step of the plan as bindable properties."""

    def __init__(self, controller: Controller, role: Role) -> None:
        super().__init__()
        self._controller = controller
        self._role = role

    chosen = property(lambda self: self._get("chosen"), lambda self, value: self._set(chosen=bool(value)))
    exposure = property(lambda self: self._get("exposure"), lambda self, value: self._set(exposure=value or ""))
    frames = property(lambda self: self._get("frames"), lambda self, value: self._set(frames=value or ""))

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
            for name in ("chosen", "exposure", "frames"):
                row.notify_property_changed(name)


class PanelHandler(Declarative.Handler):
    """Handler of the panel's description."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.shown = Shown(present(controller.situation()))
        self.rows = Rows(controller)
        self.transport_expanded = False
        self.ui_view = view.describe([title for _, title in controller.materials])

    def refresh(self) -> None:
        """Show the situation as it is now. Main thread."""
        self.shown.show(present(self.controller.situation()))

    def announce(self) -> None:
        """The form was changed by something else than typing: show it."""
        for name in ("material_index", "name", "pixels", "overview_nm", "detail_nm"):
            self.notify_property_changed(name)
        self.rows.announce()
        self.refresh()

    def revert(self, widget: Any) -> bool:
        """Esc in a field brings back what it held; it never ends a run."""
        self.announce()
        return True

    # -- what is typed

    @property
    def material_index(self) -> int:
        names = [name for name, _ in self.controller.materials]
        return names.index(self.controller.form.material)

    @material_index.setter
    def material_index(self, index: int) -> None:
        if 0 <= index < len(self.controller.materials):
            self._edit("material_index", material=self.controller.materials[index][0])

    @property
    def name(self) -> str:
        return self.controller.form.name

    @name.setter
    def name(self, text: str | None) -> None:
        self._edit("name", name=text or "")

    @property
    def pixels(self) -> str:
        return self.controller.form.pixels

    @pixels.setter
    def pixels(self, text: str | None) -> None:
        self._edit("pixels", pixels=text or "")

    @property
    def overview_nm(self) -> str:
        return self.controller.form.overview_nm

    @overview_nm.setter
    def overview_nm(self, text: str | None) -> None:
        self._edit("overview_nm", overview_nm=text or "")

    @property
    def detail_nm(self) -> str:
        return self.controller.form.detail_nm

    @detail_nm.setter
    def detail_nm(self, text: str | None) -> None:
        self._edit("detail_nm", detail_nm=text or "")

    def _edit(self, announced: str, **changes: Any) -> None:
        self.controller.edit(replace(self.controller.form, **changes))
        self.notify_property_changed(announced)
        self.refresh()

    # -- clicks

    def overview_clicked(self, widget: Any) -> None:
        self._do(self.controller.overview)

    def detail_clicked(self, widget: Any) -> None:
        self._do(self.controller.detail)

    def aloof_clicked(self, widget: Any) -> None:
        self._do(self.controller.place_aloof)

    def point_clicked(self, widget: Any) -> None:
        self._do(self.controller.place_point)

    def line_clicked(self, widget: Any) -> None:
        self._do(self.controller.place_line)

    def clear_clicked(self, widget: Any) -> None:
        self._do(self.controller.clear)

    def acquire_clicked(self, widget: Any) -> None:
        self._do(self.controller.acquire)

    def abort_clicked(self, widget: Any) -> None:
        self._do(self.controller.abort)

    def _do(self, action: Any) -> None:
        action()
        self.refresh()

    @property
    def transport_arrow(self) -> str:
        return (
            "\N{BLACK DOWN-POINTING SMALL TRIANGLE}"
            if self.transport_expanded
            else "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"
        )

    def transport_clicked(self, widget: Any) -> None:
        self.transport_expanded = not self.transport_expanded
        self.notify_property_changed("transport_expanded")
        self.notify_property_changed("transport_arrow")
