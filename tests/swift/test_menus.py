"""EELS > Ion Transport: its entries, and the same numbers as from the files themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("nion.swift")

import numpy as np
from nion.data import DataAndMetadata
from nion.swift import Application

from eels_iontransport import files, materials, session
from eels_iontransport.acquire.journal import JournalRecorder
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.port import RowNote
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis
from nionswift_plugin.iontransport import live, menus, results
from nionswift_plugin.iontransport.host import menu, recovery

from .live_support import ROWS, ScriptedSession, document, line_data


@pytest.fixture
def doc():
    live.register()
    with document() as opened:
        yield opened


@pytest.fixture
def entries(doc):
    """The submenu's entries by title, as they stand in a window's menu bar."""
    unregister = menus.register()
    Application.app.menu_handlers[-1](doc.window)
    (sub_menu,) = [item.sub_menu for item in doc.window._eels_menu.items if item.sub_menu]
    assert sub_menu.title == "Ion Transport"
    yield {action.title: action for action in sub_menu.get_menu_actions()}
    unregister()


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(menu, "notify", lambda title, sentence: sentences.append(sentence))
    return sentences


def select(doc, monkeypatch, *items) -> None:
    monkeypatch.setattr(menu, "selected_items", lambda window: list(items))


def test_every_recipe_has_an_entry(entries):
    recipes = [recipe.title for recipe in materials.available()]
    titles = [f"{action} with {title}" for action in ("Analyze", "Map Peaks") for title in recipes]
    assert list(entries) == [
        *titles, "Results Workspace", "Acquire or Resume", "Pause", "Abort", "Recover Unfinished Acquisitions",
    ]  # fmt: skip


def test_acquiring_without_the_panel_is_said(entries, said):
    entries["Acquire or Resume"].callback()
    entries["Abort"].callback()
    assert len(said) == 2 and all(sentence.startswith("The panel is not there") for sentence in said)


def test_what_a_run_has_left_is_recovered(doc, entries, said):
    record = Record(Role.VIBRATIONAL, Status.RUNNING, 3, 0)
    recorder = JournalRecorder(recovery.journal_folder(doc.model), MemoryRecorder())
    recorder.begin(record, EnergyAxis(0.0, 0.001, 16), 0.5, "GB1 L1 vibrational").write(0, np.ones(16), RowNote("now"))
    for _ in range(2):
        entries["Recover Unfinished Acquisitions"].callback()
    assert said == ["Recovered: 'GB1 L1 vibrational (1 of 3 rows)'.", menus.NOTHING_TO_RECOVER]
    (item,) = doc.model.data_items
    assert item.data.shape == (3, 16) and item.data.sum() == 16.0


def test_nothing_selected_is_said(doc, entries, said, monkeypatch):
    select(doc, monkeypatch)
    entries["Results Workspace"].callback()
    next(iter(entries.values())).callback()
    assert said == [menus.NOTHING_SELECTED] * 2


def test_unusable_items_are_refused_in_a_sentence(doc, entries, said, monkeypatch):
    data = line_data(ROWS, Status.COMPLETE)
    item = doc.add("pixels", data)
    item.set_dimensional_calibration(1, type(item.dimensional_calibrations[1])(0.0, 1.0, "nm"))
    select(doc, monkeypatch, item)
    next(iter(entries.values())).callback()
    assert len(said) == 1 and said[0].startswith("The last axis of 'pixels' is in 'nm'")
    assert len(doc.model.data_items) == 1


def test_results_are_not_analysed_again(doc, monkeypatch):
    monkeypatch.setattr(session, "Session", ScriptedSession)
    ScriptedSession.hold.set()
    item = doc.add("GB1 L1 vibrational", line_data(ROWS, Status.COMPLETE))
    outputs = menus.analyze(doc.window, "lco", [item])
    assert menus.analyze(doc.window, "lco", [item, *outputs.values()]) == outputs
    with pytest.raises(UnusableInput):
        menus.analyze(doc.window, "lco", list(outputs.values()))


def test_results_workspace_shows_the_results(doc, monkeypatch):
    monkeypatch.setattr(session, "Session", ScriptedSession)
    ScriptedSession.hold.set()
    item = doc.add("GB1 L1 vibrational", line_data(ROWS, Status.COMPLETE))
    outputs = menus.analyze(doc.window, "lco", [item])
    before = len(doc.model._project.workspaces)
    menus.show_results(doc.window, outputs[results.FIT])
    shown = {
        panel.display_item.data_item for panel in doc.window.workspace_controller.display_panels if panel.display_item
    }
    assert shown == set(outputs.values())
    menus.show_results(doc.window, item)
    assert len(doc.model._project.workspaces) == before + 1


def test_results_workspace_shows_the_newest_session_unasked(doc, entries, said, monkeypatch):
    monkeypatch.setattr(session, "Session", ScriptedSession)
    ScriptedSession.hold.set()
    for name in ("GB1", "GB2"):
        item = doc.add(f"{name} L1 vibrational", line_data(ROWS, Status.COMPLETE))
        outputs = menus.analyze(doc.window, "lco", [item])
    select(doc, monkeypatch)
    entries["Results Workspace"].callback()
    panels = doc.window.workspace_controller.display_panels
    assert not said
    assert {panel.display_item.data_item for panel in panels if panel.display_item} == set(outputs.values())


@pytest.mark.parametrize(
    ("titles", "shown"),
    [
        (["GB1 overview", "GB1 detail", "GB2 detail"], "GB1 detail"),
        (["GB1 overview", "GB2 detail"], "GB1 overview"),
        (["GB2 overview"], None),
    ],
)
def test_results_workspace_shows_the_survey_of_the_line(doc, monkeypatch, titles, shown):
    monkeypatch.setattr(session, "Session", ScriptedSession)
    ScriptedSession.hold.set()
    item = doc.add("GB1 L1 vibrational", line_data(ROWS, Status.COMPLETE))
    record = replace(Record.from_metadata(item.metadata), plan={"name": "GB1"})
    item.metadata = record.to_metadata()
    for title in titles:
        doc.add(title, DataAndMetadata.new_data_and_metadata(np.zeros((8, 8))))
    menus.analyze(doc.window, "lco", [item])
    menus.show_results(doc.window, item)
    panels = {panel.display_panel_id: panel for panel in doc.window.workspace_controller.display_panels}
    survey = panels["eels_iontransport_survey"].display_item
    assert (survey.data_item.title if survey else None) == shown


def test_an_item_without_results_is_refused(doc):
    item = doc.add("GB1 L1 vibrational", line_data(ROWS, Status.COMPLETE))
    with pytest.raises(UnusableInput, match="'GB1 L1 vibrational' has no results yet"):
        menus.show_results(doc.window, item)


@pytest.mark.parametrize(
    ("file", "material"),
    [
        ("hermes_cnt/FilledCNT_1pt4nm_RT.ndata1", "water_cnt"),
        ("hermes_cnt/EmptyCNT_RT.ndata1", "water_cnt"),
        ("lixcoo2/P2_lowloss_20C.ndata1", "lco"),
    ],
)
def test_imported_spectra_give_the_numbers_of_their_files(doc, measured, file, material):
    doc.window.receive_files([str(measured / file)])
    item = doc.model.data_items[-1]
    outputs = menus.analyze(doc.window, material, [item])
    assert list(outputs) == [results.FIT]
    doc.pump(lambda: live.is_settled(doc.model, item), 60.0)
    shown = live.readout(doc.model, item)
    expected = session.analyze(materials.load(material), vibrational=files.load(measured / file))
    for part in expected.keys() - {"provenance"}:
        assert shown[part] == expected[part], part


def test_the_water_stretch_is_in_the_title(doc, measured):
    doc.window.receive_files([str(measured / "hermes_cnt/FilledCNT_1pt4nm_RT.ndata1")])
    item = doc.model.data_items[-1]
    fit = menus.analyze(doc.window, "water_cnt", [item])[results.FIT]
    doc.pump(lambda: live.is_settled(doc.model, item), 60.0)
    doc.idle()
    value, plus_minus, *_ = fit.title.split(": ")[1].split(" ")
    assert plus_minus == "±" and float(value) == pytest.approx(455.0, abs=3.0)
