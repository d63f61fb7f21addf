"""The pinned lower part of the panel: buttons, how far the run is, and what it has found."""

from __future__ import annotations

from nion.ui import Declarative

from .widgets import CONTENT, GREY, LARGE, MIDDLE, TWO_LINES, Description, button


def run(u: Declarative.DeclarativeUI) -> Description:
    """The buttons of a run, what it asks, and how far it is."""
    return u.create_column(
        u.create_row(
            button(u, "Acquire", "acquire_clicked", "acquire_enabled", "Run the chosen steps, in order.", 64),
            u.create_push_button(
                text="@binding(shown.pause_text)",
                on_clicked="pause_clicked",
                enabled="@binding(shown.pause_enabled)",
                tool_tip="Stops after the row that is being taken, with the probe in the vacuum, until Resume.",
                width=62,
            ),
            button(u, "Abort", "abort_clicked", "abort_enabled", "Stops now. Rows already taken are kept.", 52),
            u.create_progress_bar(value="@binding(shown.percent)", width=92, height=18),
            u.create_stretch(),
            spacing=6,
        ),
        _question(u),
        _follow_ups(u),
        _line(u, "progress_text"),
        _line(u, "watch_text", color=GREY),
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


def _question(u: Declarative.DeclarativeUI) -> Description:
    """What the run asks of the operator, and the button that answers it."""
    return u.create_row(
        u.create_push_button(
            text="@binding(shown.proceed_text)",
            on_clicked="proceed_clicked",
            tool_tip="Go on with the run.",
            width=92,
        ),
        u.create_label(
            text="@binding(shown.question)",
            word_wrap=True,
            width=CONTENT - 98,
            height=TWO_LINES,
            text_alignment_vertical=MIDDLE,
        ),
        u.create_stretch(),
        visible="@binding(shown.proceed_text_visible)",
        spacing=6,
    )


def _follow_ups(u: Declarative.DeclarativeUI) -> Description:
    """What can follow a run that has ended."""
    return u.create_column(
        u.create_row(
            button(
                u, "+ Passes", "passes_clicked", "passes_enabled", "So many passes more of the vibrational line.", 68
            ),
            u.create_line_edit(text="@binding(more_passes)", enabled="@binding(shown.passes_enabled)", width=32),
            u.create_spacing(68),
            button(
                u,
                "Next boundary",
                "next_clicked",
                "follow_up_enabled",
                "Keep the plan, count the name on, and begin with a new survey.",
                106,
            ),
            u.create_stretch(),
            spacing=4,
        ),
        u.create_row(
            button(u, "Redo", "redo_clicked", "follow_up_enabled", "That step once more, in an item of its own.", 68),
            u.create_combo_box(
                items_ref="@binding(shown.steps)",
                current_index="@binding(redo_index)",
                enabled="@binding(shown.follow_up_enabled)",
                width=110,
            ),
            u.create_stretch(),
            spacing=4,
        ),
        visible="@binding(shown.follow_up_text_visible)",
        spacing=2,
    )


def _line(u: Declarative.DeclarativeUI, name: str, **style: str) -> Description:
    return u.create_label(
        text=f"@binding(shown.{name})", visible=f"@binding(shown.{name}_visible)", width=CONTENT, **style
    )


def readout(u: Declarative.DeclarativeUI) -> Description:
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
