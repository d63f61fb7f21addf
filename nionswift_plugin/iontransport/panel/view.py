"""How the panel looks: a description for the host's Declarative, bound to the handler's names.

State on top and Acquire, progress and readout at the bottom are pinned; what is set up before a run scrolls between
them. Content is at most CONTENT wide, in a panel of at least 320.
"""

from __future__ import annotations

from collections.abc import Sequence

from nion.ui import Declarative

from eels_iontransport.acquire.plan import LINE_ROLES
from eels_iontransport.data.record import Role

from . import view_run
from .form import ROW_LABELS
from .widgets import (
    CONTENT,
    GREY,
    INDENT,
    MARGIN,
    TWO_LINES,
    WIDTH,
    Description,
    button,
    entry,
    heading,
    note,
    text,
    tick,
)

ALOOF = "Mark A1 in the vacuum, 65 nm from the edge if it fits."
POINT = "Mark a point on the specimen; drag it where it belongs."
LINE = "Mark L1, 20 nm long; drag it across the boundary."
TEST = (
    "Frames in each spectrometer setting of the plan, for the longest safe exposure: with the zero-loss peak in the "
    "vacuum, of the core loss and off the axis just before the line. Without a survey and marks, in the present "
    "setting as it is."
)
OFF_AXIS = (
    "Collect the vibrational line and points beside the beam (dark field), where the site file has a setting for it; "
    "the rest is collected on the axis."
)
TIMES = "\N{MULTIPLICATION SIGN}"
FRAMES = "Frames at each pixel in one pass. With one short frame, the scan runs along with the camera."
PASSES = "How often the line is taken; passes are kept apart, and so show what the dose does."


def describe(materials: Sequence[str]) -> Description:
    """The whole panel."""
    u = Declarative.DeclarativeUI()
    return u.create_column(
        _state(u),
        _leftover(u),
        u.create_scroll_area(
            u.create_column(
                _head(u, materials), _survey(u), _place(u), _plan(u), u.create_stretch(), spacing=6, margin_top=2
            ),
            min_height=72,
            horizontal_scroll_bar_policy="off",
        ),
        view_run.run(u),
        view_run.readout(u),
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
        u.create_label(text="@binding(shown.beam_text)", width=CONTENT, color=GREY),
        spacing=2,
    )


def _leftover(u: Declarative.DeclarativeUI) -> Description:
    """What an earlier run has left that ended with its program."""
    return u.create_column(
        u.create_label(
            text="@binding(shown.leftover)",
            word_wrap=True,
            width=CONTENT,
            height=TWO_LINES,
            text_alignment_vertical="top",
        ),
        u.create_row(
            button(u, "Recover", "recover_clicked", "plan_enabled", "Make items of the rows in the journal.", 66),
            button(u, "Dismiss", "dismiss_clicked", "plan_enabled", "Do not ask again; the journal's files stay.", 66),
            u.create_stretch(),
            spacing=6,
        ),
        visible="@binding(shown.leftover_visible)",
        spacing=2,
    )


def _head(u: Declarative.DeclarativeUI, materials: Sequence[str]) -> Description:
    return u.create_row(
        text(u, "Material"),
        u.create_combo_box(
            items=list(materials),
            current_index="@binding(material_index)",
            enabled="@binding(shown.plan_enabled)",
            width=96,
            tool_tip="The recipe that the spectra are analysed with.",
        ),
        text(u, "Name"),
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
            heading(u, "1  Survey", 66),
            button(u, "Overview", "overview_clicked", "survey_enabled", "A wide image, for the aloof point.", 64),
            u.create_line_edit(
                on_escape_pressed="revert",
                text="@binding(overview_nm)",
                enabled="@binding(shown.survey_enabled)",
                width=36,
            ),
            button(u, "Detail", "detail_clicked", "survey_enabled", "A close image, for the line.", 48),
            u.create_line_edit(
                on_escape_pressed="revert",
                text="@binding(detail_nm)",
                enabled="@binding(shown.survey_enabled)",
                width=32,
            ),
            text(u, "nm"),
            u.create_stretch(),
            spacing=3,
        ),
        note(u, "survey_text"),
        spacing=2,
    )


def _place(u: Declarative.DeclarativeUI) -> Description:
    return u.create_column(
        u.create_row(
            heading(u, "2  Place", 60),
            button(u, "Aloof", "aloof_clicked", "place_enabled", ALOOF, 46),
            button(u, "Point", "point_clicked", "place_enabled", POINT, 46),
            button(u, "Line", "line_clicked", "place_enabled", LINE, 46),
            u.create_spacing(6),
            button(u, "Clear", "clear_clicked", "clear_enabled", "Remove all marks of this panel.", 46),
            u.create_stretch(),
            spacing=4,
        ),
        u.create_row(
            u.create_spacing(INDENT - 4),
            text(u, "Line"),
            entry(u, "pixels", 44, "Pixels on the line."),
            text(u, "px, strip"),
            entry(
                u,
                "strip_nm",
                36,
                "Width along the boundary over which frames are spread, for less dose.",
            ),
            text(u, "nm"),
            u.create_stretch(),
            spacing=4,
        ),
        note(u, "places_text"),
        spacing=2,
    )


def _plan(u: Declarative.DeclarativeUI) -> Description:
    return u.create_column(
        u.create_row(
            heading(u, "3  Plan", 112),
            u.create_label(text="frame s", width=58, color=GREY),
            u.create_label(text="frames", width=51, color=GREY),
            u.create_label(text="passes", width=44, color=GREY),
            u.create_stretch(),
            spacing=4,
        ),
        *(_plan_row(u, role) for role in ROW_LABELS),
        u.create_row(
            u.create_spacing(INDENT - 4),
            tick(u, "Drift lock", "drift_lock", 84, "Wait until the drift is low, then follow it by images."),
            tick(u, "Check ZLP", "check_zlp", 90, "Stop between two spectrometer settings until you press Continue."),
            tick(u, "Off axis", "off_axis", 72, OFF_AXIS, "off_axis_enabled"),
            u.create_stretch(),
            spacing=4,
        ),
        u.create_row(
            u.create_spacing(INDENT - 4),
            tick(u, "Blank beam at end", "blank_at_end", 178, "When the run is complete or has failed."),
            button(u, "Test frame", "test_clicked", "test_enabled", TEST, 78),
            u.create_stretch(),
            spacing=4,
        ),
        note(u, "estimate_text"),
        note(u, "advice_text", comes_and_goes=True),
        note(u, "scanned_text", comes_and_goes=True),
        spacing=2,
    )


def _plan_row(u: Declarative.DeclarativeUI, role: Role) -> Description:
    row = f"rows.{role.value}"
    passes = [text(u, TIMES), entry(u, f"{row}.passes", 36, PASSES)] if role in LINE_ROLES else []
    return u.create_row(
        u.create_spacing(INDENT - 4),
        tick(u, ROW_LABELS[role], f"{row}.chosen", 96, ""),
        entry(u, f"{row}.exposure", 44, "Exposure of one frame in s."),
        text(u, TIMES),
        entry(u, f"{row}.frames", 40, FRAMES if role in LINE_ROLES else ""),
        *passes,
        u.create_stretch(),
        spacing=4,
    )
