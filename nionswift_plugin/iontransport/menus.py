"""The submenu EELS > Ion Transport: analysing what is selected, and arranging its results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from nion.swift import DocumentController
from nion.swift.model import DataItem, DocumentModel

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Record, Role

from . import live, mapping, results, roles
from .evaluation import spectra_of
from .host import display, layout, menu, recovery, workspaces
from .panel.panel import find_panel
from .panel.surveys import DETAIL, OVERVIEW

TITLE = "Ion Transport"
SURVEY = "survey"
NOTHING_SELECTED = "Select a line scan or a spectrum, and with it the spectra that belong to it."

NOTHING_TO_RECOVER = "There is nothing to recover: all rows that were acquired are in items."

_LOG = logging.getLogger(__name__)

_COLUMNS = (
    (0.28, ((SURVEY, 0.5), (results.MAP, 0.5))),
    (0.40, ((results.REGIONS, 0.5), (results.FIT, 0.5))),
    (0.32, ((results.SHIFT, 0.34), (results.RATIO, 0.33), (results.THICKNESS, 0.33))),
)


def register() -> Callable[[], None]:
    """Add the submenu to every window; returns what takes it back from windows opened later."""
    return menu.register_sub_menu(TITLE, _entries)


def analyze(
    window: DocumentController.DocumentController, material: str, items: Sequence[DataItem.DataItem]
) -> dict[str, DataItem.DataItem]:
    """Attach a live session to items, their roles told by their records or energies; returns the result items.

    Items that were acquired on the same line are analysed together, as its passes.
    Raises UnusableInput.
    """
    spectra = [item for item in items if not live.is_result(window.document_model, item)]
    if not spectra:
        raise UnusableInput(NOTHING_SELECTED)
    spectra.sort(key=lambda item: item.created)  # so are passes in the order in which they were taken
    by_role = roles.assign({item: spectra_of(item) for item in spectra})
    return live.attach_session(window.document_model, by_role, material)


def show_results(
    window: DocumentController.DocumentController, item: DataItem.DataItem, survey: DataItem.DataItem | None = None
) -> None:
    """Arrange the results of the session that the item belongs to, and its survey, in the results workspace.

    Raises UnusableInput where the item belongs to none.
    """
    items = live.result_items(window.document_model, item)
    if not items:
        raise UnusableInput(f"'{item.title}' has no results yet; analyse it first.")
    survey = survey or _survey(
        window.document_model, live.spectra_items(window.document_model, item)[Role.VIBRATIONAL][0]
    )
    if survey is not None:
        items = {SURVEY: survey, **items}
    displays = {name: display.of(window.document_model, shown) for name, shown in items.items()}
    workspaces.arrange(window, "results", "Ion Transport Results", _COLUMNS, displays)


def _survey(document_model: DocumentModel.DocumentModel, line: DataItem.DataItem) -> DataItem.DataItem | None:
    """The newest survey image of a line's session, the detail before the overview."""
    record = Record.from_metadata(line.metadata)
    name = record.plan.get("name") if record is not None else None
    titles = [f"{name} {label.lower()}" for label in (DETAIL, OVERVIEW, SURVEY)] if name else []
    newest = {item.title: item for item in document_model.data_items}
    return next((newest[title] for title in titles if title in newest), None)


def _entries(window: DocumentController.DocumentController) -> list[menu.Entry]:
    """The entries of the submenu for a window: an analysis per recipe, the workspace, and the run."""

    def entry(title: str, action: Callable[..., None], *arguments: str, keys: str | None = None) -> menu.Entry:
        return menu.Entry(title, partial(_said, partial(action, window, *arguments)), keys)

    usable = [recipe for recipe in materials.available() if not recipe.fault]
    analyses = [entry(f"Analyze with {recipe.title}", _analyze_selected, recipe.name) for recipe in usable]
    maps = [entry(f"Map Peaks with {recipe.title}", _map_selected, recipe.name) for recipe in usable]
    return [
        *analyses,
        menu.SEPARATOR,
        *maps,
        menu.SEPARATOR,
        entry("Results Workspace", _show),
        menu.SEPARATOR,
        entry("Acquire or Resume", _acquire, keys="Ctrl-Shift-I"),
        entry("Pause", _pause, keys="Ctrl-Shift-U"),
        entry("Abort", _abort),
        entry("Recover Unfinished Acquisitions", _recover),
    ]


def _acquire(window: DocumentController.DocumentController) -> None:
    """As the button, or Resume where the run is paused; the panel, which says what stands in the way, is shown."""
    panel = find_panel(window)
    panel.show()
    panel.handler.acquire_key_pressed()


def _pause(window: DocumentController.DocumentController) -> None:
    find_panel(window).handler.pause_key_pressed()


def _abort(window: DocumentController.DocumentController) -> None:
    find_panel(window).handler.abort_clicked(None)


def _recover(window: DocumentController.DocumentController) -> None:
    """Items from all journals that a run has left open; one that cannot be read does not hold up the others."""
    said = []
    for journal in recovery.recoverable(window.document_model):
        try:
            said.append(f"'{recovery.recover(window.document_model, journal).title}'")
        except UnusableInput as error:
            menu.notify(TITLE, str(error))
    menu.notify(TITLE, f"Recovered: {', '.join(said)}." if said else NOTHING_TO_RECOVER)


def _analyze_selected(window: DocumentController.DocumentController, material: str) -> None:
    made = analyze(window, material, menu.selected_items(window))
    layout.show_in_empty_panel(window, made[results.FIT])


def _map_selected(window: DocumentController.DocumentController, material: str) -> None:
    run = mapping.map_image(window.document_model, material, menu.selected_items(window), partial(menu.notify, TITLE))
    layout.show_in_empty_panel(window, next(iter(run.items.values())))


def _show(window: DocumentController.DocumentController) -> None:
    """The results of what is selected; of the newest session where nothing is."""
    items = menu.selected_items(window) or [live.newest_line(window.document_model)]
    if items[0] is None:
        raise UnusableInput(NOTHING_SELECTED)
    show_results(window, items[0])


def _said(action: Callable[[], None]) -> None:
    """Run a menu entry; what stands in its way is said in a notification."""
    try:
        action()
    except UnusableInput as error:
        menu.notify(TITLE, str(error))
    except Exception as error:
        _LOG.exception("A menu entry failed")
        menu.notify(TITLE, f"This did not work ({type(error).__name__}: {error}).")
