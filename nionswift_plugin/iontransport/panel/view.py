"""How the panel looks: a description for the host's Declarative, bound to the handler's names.

State on top and Acquire, progress and readout at the bottom are pinned; what is set up before a run scrolls between
them. Content is at most CONTENT wide, in a panel of at least 320.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nion.ui import Declarative

from eels_iontransport.data.record import Role

from .form import ROW_LABELS

WIDTH, MARGIN = 320, 8
CONTENT = 290
SCROLLED = 276  # beside a scroll bar
INDENT = 16
LARGE = "bold 15px"
MIDDLE = "vcenter"
TWO_LINES = 34  # a wrapping label that comes and goes has to be given its height
GREY = "#777777"

Description = Any


def describe(materials: Sequence[str]) -> Description:
    """The whole panel."""
    u = Declarative.DeclarativeUI()
    return u.create_column(
        _state(u),
        u.create_scroll_area(
            u.create_column(
                _head(u, materials), _survey(u), _place(u), _plan(u), u.create_stretch(), spacing=6, margin_top=2
            ),
            min_height=72,
            horizontal_scroll_bar_policy="off",
        ),
        _run(u),
        _readout(u),
        spacing=4,
        margin=MARGIN,
        min_width=WIDTH - 2 * MARGIN,
    )


def _state(u: Declarative.DeclarativeUI) -> Description:
    return u.create_column(
        u.create_row(
            u.create_label(text="\N{BLACK CIRCLE}", color="@binding(shown.state_colour)", width=12),
            u.create_label(text="@binding(shown.state_text)", word_wrap=True, width=CONTENT - 18, font="bold"),
            u.create_stretch(),
            spacing=4,
        ),
        u.create_label(
            text="@binding(shown.beam_text)", visible="@binding(shown.beam_text_visible)", width=CONTENT, color=GREY
        ),
        spacing=2,
    )


def _head(u: Declarative.DeclarativeUI, materials: Sequence[str]) -> Description:
    return u.create_row(
        _text(u, "Material"),
        u.create_combo_box(
            items=list(materials),
            current_index="@binding(material_index)",
            enabled="@binding(shown.plan_enabled)",
            width=96,
            tool_tip="The recipe that the spectra are analysed with.",
        ),
        _text(u, "Name"),
        u.create_line_edit(
            text="@binding(name)",
            on_escape_pressed="revert",
            enabled="@binding(shown.plan_enabled)",
            width=72,
            tool_tip="Name of this place on the specimen; it begins the title of every item.",
        ),
        u.create_stretch(),
        spacing=6,
    )


def _survey(u: Declarative.DeclarativeUI) -> Description:
    return u.create_column(
        u.create_row(
            _heading(u, "1  Survey", 66),
            _button(u, "Overview", "overview_clicked", "survey_enabled", "A wide image, for the aloof point.", 64),
            u.create_line_edit(
                on_escape_pressed="revert",
                text="@binding(overview_nm)",
                enabled="@binding(shown.survey_enabled)",
                width=36,
            ),
            _button(u, "Detail", "detail_clicked", "survey_enabled", "A close image, for the line.", 48),
            u.create_line_edit(
                on_escape_pressed="revert",
                text="@binding(detail_nm)",
                enabled="@binding(shown.survey_enabled)",
                width=32,
            ),
            _text(u, "nm"),
            u.create_stretch(),
            spacing=3,
        ),
        _note(u, "survey_text"),
        spacing=2,
    )


def _place(u: Declarative.DeclarativeUI) -> Description:
    return u.create_column(
        u.create_row(
            _heading(u, "2  Place", 62),
            _button(
                u, "Aloof", "aloof_clicked", "place_enabled", "Mark A1 in the vacuum, 65 nm from the edge if it fits."
            ),
            _button(
                u, "Point", "point_clicked", "place_enabled", "Mark a point on the specimen; drag it where it belongs."
            ),
            _button(u, "Line", "line_clicked", "place_enabled", "Mark L1, 20 nm long; drag it across the boundary."),
            u.create_stretch(),
            _button(u, "Clear", "clear_clicked", "clear_enabled", "Remove all marks of this panel."),
            spacing=4,
        ),
        u.create_row(
            u.create_spacing(INDENT),
            _text(u, "Pixels on the line"),
            u.create_line_edit(
                on_escape_pressed="revert", text="@binding(pixels)", enabled="@binding(shown.plan_enabled)", width=48
            ),
            u.create_stretch(),
            spacing=4,
        ),
        _note(u, "places_text"),
        spacing=2,
    )


def _plan(u: Declarative.DeclarativeUI) -> Description:
    return u.create_column(
        u.create_row(
            _heading(u, "3  Plan", 132),
            u.create_label(text="frame (s)", width=56, color=GREY),
            u.create_label(text="frames", width=56, color=GREY),
            u.create_stretch(),
            spacing=4,
        ),
        *(_plan_row(u, role) for role in ROW_LABELS),
        _note(u, "estimate_text"),
        spacing=2,
    )


def _plan_row(u: Declarative.DeclarativeUI, role: Role) -> Description:
    row, enabled = f"rows.{role.value}", "@binding(shown.plan_enabled)"
    return u.create_row(
        u.create_spacing(INDENT),
        u.create_check_box(text=ROW_LABELS[role], checked=f"@binding({row}.chosen)", enabled=enabled, width=112),
        u.create_line_edit(on_escape_pressed="revert", text=f"@binding({row}.exposure)", enabled=enabled, width=56),
        _text(u, "\N{MULTIPLICATION SIGN}"),
        u.create_line_edit(on_escape_pressed="revert", text=f"@binding({row}.frames)", enabled=enabled, width=56),
        u.create_stretch(),
        spacing=4,
    )


def _run(u: Declarative.DeclarativeUI) -> Description:
    return u.create_column(
        u.create_row(
            _button(u, "Acquire", "acquire_clicked", "acquire_enabled", "Run the chosen steps, in order.", 78),
            _button(u, "Abort", "abort_clicked", "abort_enabled", "Stops now. Rows already taken are kept.", 62),
            u.create_progress_bar(value="@binding(shown.percent)", width=132, height=18),
            u.create_stretch(),
            spacing=6,
        ),
        u.create_label(
            text="@binding(shown.progress_text)", visible="@binding(shown.progress_text_visible)", width=CONTENT
        ),
        u.create_label(
            text="@binding(shown.hint)",
            tool_tip="@binding(shown.hint_tooltip)",
            visible="@binding(shown.hint_visible)",
            word_wrap=True,
            color=GREY,
            width=CONTENT,
            height=TWO_LINES,
            text_alignment_vertical="top",
        ),
        spacing=4,
    )


def _readout(u: Declarative.DeclarativeUI) -> Description:
    return u.create_column(
        _quantity(u, "shift"),
        u.create_label(
            text="@binding(shown.shift_detail)",
            visible="@binding(shown.shift_detail_visible)",
            tool_tip="Centre of the peak in grain 1, at the boundary and in grain 2.",
            width=CONTENT,
            color=GREY,
        ),
        u.create_label(
            text="@binding(shown.outlook)",
            tool_tip="@binding(shown.outlook_tooltip)",
            visible="@binding(shown.outlook_visible)",
            word_wrap=True,
            width=CONTENT,
            color=GREY,
        ),
        _quantity(u, "ratio"),
        u.create_column(
            u.create_row(
                u.create_push_button(
                    text="@binding(transport_arrow)", on_clicked="transport_clicked", width=24, style="minimal"
                ),
                u.create_label(text="Transport estimate (model)", color=GREY, text_alignment_vertical=MIDDLE),
                u.create_stretch(),
                spacing=4,
            ),
            u.create_label(
                text="@binding(shown.transport)", visible="@binding(transport_expanded)", word_wrap=True, width=CONTENT
            ),
            visible="@binding(shown.transport_visible)",
            spacing=2,
        ),
        u.create_label(
            text="@binding(shown.flags)",
            tool_tip="@binding(shown.flags_tooltip)",
            visible="@binding(shown.flags_visible)",
            word_wrap=True,
            color="#B84A00",
            width=CONTENT,
            height=TWO_LINES,
            text_alignment_vertical="top",
        ),
        spacing=3,
    )


def _quantity(u: Declarative.DeclarativeUI, name: str) -> Description:
    return u.create_column(
        u.create_label(text=f"@binding(shown.{name}_label)", width=CONTENT, color=GREY),
        u.create_label(
            text=f"@binding(shown.{name}_number)",
            visible=f"@binding(shown.{name}_number_visible)",
            font=LARGE,
            height=22,
        ),
        u.create_label(
            text=f"@binding(shown.{name}_sentence)",
            tool_tip=f"@binding(shown.{name})",
            visible=f"@binding(shown.{name}_sentence_visible)",
            word_wrap=True,
            width=CONTENT,
            height=TWO_LINES,
            text_alignment_vertical="top",
        ),
        visible=f"@binding(shown.{name}_visible)",
    )


def _heading(u: Declarative.DeclarativeUI, text: str, width: int = 66) -> Description:
    return u.create_label(text=text, font="bold", width=width, text_alignment_vertical=MIDDLE)


def _text(u: Declarative.DeclarativeUI, text: str) -> Description:
    return u.create_label(text=text, text_alignment_vertical=MIDDLE)


def _note(u: Declarative.DeclarativeUI, name: str) -> Description:
    return u.create_row(
        u.create_spacing(INDENT),
        u.create_label(text=f"@binding(shown.{name})", word_wrap=True, color=GREY, width=SCROLLED - INDENT),
        u.create_stretch(),
    )


def _button(
    u: Declarative.DeclarativeUI, text: str, clicked: str, enabled: str, tool_tip: str, width: int = 49
) -> Description:
    return u.create_push_button(
        text=text, on_clicked=clicked, enabled=f"@binding(shown.{enabled})", tool_tip=tool_tip, width=width
    )
