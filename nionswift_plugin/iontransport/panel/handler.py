"""Between the view's names and the controller: what is bound, and what a click does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nion.ui import Declarative
from nion.utils import Observable

from . import view
from .bindings import values
from .controller import Controller
from .model import Presentation, present
from .rows import Rows


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


def typed(name: str) -> property:
    """A text of the form as a property that the view binds to."""
    return property(
        lambda self: getattr(self.controller.form, name), lambda self, text: self._edit(name, **{name: text or ""})
    )


def ticked(name: str) -> property:
    """A choice of the form as a property that the view binds to."""
    return property(
        lambda self: getattr(self.controller.form, name), lambda self, value: self._edit(name, **{name: bool(value)})
    )


FORM = ("material_index", "name", "pixels", "strip_nm", "overview_nm", "detail_nm", "drift_lock", "check_zlp",
        "off_axis", "blank_at_end")  # fmt: skip


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
        steps = self.shown.steps
        presentation = present(self.controller.situation())
        self.shown.show(presentation)
        self.controller.tell(presentation)
        if self.shown.steps != steps:
            self.notify_property_changed("redo_index")

    def announce(self) -> None:
        """The form was changed by something else than typing: show it."""
        for name in (*FORM, "more_passes"):
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

    name = typed("name")
    pixels = typed("pixels")
    strip_nm = typed("strip_nm")
    overview_nm = typed("overview_nm")
    detail_nm = typed("detail_nm")
    drift_lock = ticked("drift_lock")
    check_zlp = ticked("check_zlp")
    off_axis = ticked("off_axis")
    blank_at_end = ticked("blank_at_end")

    def _edit(self, announced: str, **changes: Any) -> None:
        self.controller.edit(replace(self.controller.form, **changes))
        self.notify_property_changed(announced)
        self.refresh()

    @property
    def more_passes(self) -> str:
        return self.controller.more_passes

    @more_passes.setter
    def more_passes(self, text: str | None) -> None:
        self.controller.more_passes = text or ""
        self.notify_property_changed("more_passes")

    @property
    def redo_index(self) -> int:
        return self.controller.runs.redo_index

    @redo_index.setter
    def redo_index(self, index: int | None) -> None:
        if index is not None and index >= 0:
            self.controller.runs.redo_index = index

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

    def pause_clicked(self, widget: Any) -> None:
        self._do(self.controller.pause_or_resume)

    def proceed_clicked(self, widget: Any) -> None:
        self._do(self.controller.proceed)

    def test_clicked(self, widget: Any) -> None:
        self._do(self.controller.test_frame)

    def passes_clicked(self, widget: Any) -> None:
        self._do(self.controller.take_more_passes)

    def redo_clicked(self, widget: Any) -> None:
        self._do(self.controller.redo)

    def next_clicked(self, widget: Any) -> None:
        self.controller.next_boundary()
        self.announce()

    def recover_clicked(self, widget: Any) -> None:
        self._do(self.controller.recover)

    def dismiss_clicked(self, widget: Any) -> None:
        self._do(self.controller.dismiss)

    def abort_clicked(self, widget: Any) -> None:
        self._do(self.controller.abort)

    # -- keys

    def acquire_key_pressed(self) -> None:
        self._do(self.controller.acquire_or_resume)

    def pause_key_pressed(self) -> None:
        self._do(self.controller.pause)

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
