"""The small parts that the panel is put together from, and its measures."""

from __future__ import annotations

from typing import Any

from nion.ui import Declarative

WIDTH, MARGIN = 320, 8
CONTENT = 290
SCROLLED = 276  # beside a scroll bar
INDENT = 16
LARGE = "bold 15px"
MIDDLE = "vcenter"
TWO_LINES = 34  # a wrapping label that comes and goes has to be given its height
GREY = "#777777"

Description = Any


def heading(u: Declarative.DeclarativeUI, text: str, width: int = 66) -> Description:
    return u.create_label(text=text, font="bold", width=width, text_alignment_vertical=MIDDLE)


def text(u: Declarative.DeclarativeUI, text: str) -> Description:
    return u.create_label(text=text, text_alignment_vertical=MIDDLE)


def entry(u: Declarative.DeclarativeUI, name: str, width: int, tool_tip: str = "") -> Description:
    """A field to type in, which is locked while a run goes on."""
    return u.create_line_edit(
        text=f"@binding({name})",
        on_escape_pressed="revert",
        enabled="@binding(shown.plan_enabled)",
        width=width,
        tool_tip=tool_tip,
    )


def tick(
    u: Declarative.DeclarativeUI, text: str, name: str, width: int, tool_tip: str, enabled: str = "plan_enabled"
) -> Description:
    return u.create_check_box(
        text=text,
        checked=f"@binding({name})",
        enabled=f"@binding(shown.{enabled})",
        width=width,
        tool_tip=tool_tip,
    )


def note(u: Declarative.DeclarativeUI, name: str, *, comes_and_goes: bool = False) -> Description:
    visible = {"visible": f"@binding(shown.{name}_visible)"} if comes_and_goes else {}
    return u.create_row(
        u.create_spacing(INDENT),
        u.create_label(text=f"@binding(shown.{name})", word_wrap=True, color=GREY, width=SCROLLED - INDENT),
        u.create_stretch(),
        **visible,
    )


def button(
    u: Declarative.DeclarativeUI, text: str, clicked: str, enabled: str, tool_tip: str, width: int = 49
) -> Description:
    return u.create_push_button(
        text=text, on_clicked=clicked, enabled=f"@binding(shown.{enabled})", tool_tip=tool_tip, width=width
    )
