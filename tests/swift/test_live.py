"""The live session inside the host: rows arriving, regions dragged, items deleted, faults, a project opened again."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("nion.swift")

from nion.data import Calibration

import eels_iontransport.session
from eels_iontransport.data.record import Role, Status
from eels_iontransport.data.regions import Region, Regions
from nionswift_plugin.iontransport import live, results
from nionswift_plugin.iontransport.host import display

from .live_support import FOUND, ROWS, STEP_NM, ScriptedSession, document, line_data, unusable

MATERIAL = "lco"


@pytest.fixture
def script(monkeypatch):
    """The analysis plays a script; fits are let through at once unless `hold` is cleared."""
    monkeypatch.setattr(ScriptedSession, "asked", [])
    monkeypatch.setattr(ScriptedSession, "error", None)
    ScriptedSession.hold.set()
    monkeypatch.setattr(eels_iontransport.session, "Session", ScriptedSession)
    live.register()
    yield ScriptedSession
    ScriptedSession.hold.set()


@pytest.fixture
def doc():
    with document() as opened:
        yield opened


@pytest.fixture
def whole(doc, script):
    """A whole line, analysed."""
    item = doc.add("GB1 L1 vibrational", line_data(ROWS, Status.COMPLETE))
    outputs = live.attach_session(doc.model, {"vibrational": item}, MATERIAL)
    doc.pump(lambda: live.is_settled(doc.model, item))
    doc.idle()
    return item, outputs


def profile(item) -> np.ndarray:
    return item.data[2]


def taken(item) -> int:
    """Rows that a map shows."""
    return round(ROWS * float(np.isfinite(item.data[0]).mean()))


def regions_of(doc, outputs) -> dict[str, tuple[float, float]]:
    return display.intervals(doc.display(outputs[results.SHIFT]).graphics)


def test_rows_are_shown_while_they_arrive(doc, script):
    item = doc.add("GB1 L1 vibrational", line_data(0, Status.RUNNING))
    outputs = live.attach_session(doc.model, {"vibrational": item}, MATERIAL)
    doc.pump(lambda: "no rows yet" in outputs[results.FIT].title)
    for rows in (1, 5, 18):
        item.set_xdata(line_data(rows, Status.RUNNING))
        doc.pump(lambda rows=rows: np.isfinite(profile(outputs[results.SHIFT])).sum() == rows)
        assert np.array_equal(profile(outputs[results.SHIFT])[:rows], np.arange(1.0, rows + 1))
        assert outputs[results.MAP].title == "GB1 L1 normalised map: provisional"
        assert not live.is_settled(doc.model, item)
    item.set_xdata(line_data(ROWS, Status.COMPLETE))
    doc.pump(lambda: live.is_settled(doc.model, item))
    doc.idle()
    assert outputs[results.SHIFT].title == "GB1 L1 LDO centre: +1.8 ± 0.3 meV"
    assert outputs[results.MAP].title == "GB1 L1 normalised map"
    assert live.readout(doc.model, item)["rows"] == ROWS


def test_a_line_into_which_nothing_comes_any_more_is_settled(doc, script):
    item = doc.add("GB1 L1 vibrational", line_data(18, Status.RUNNING))
    outputs = live.attach_session(doc.model, {"vibrational": item}, MATERIAL)
    doc.pump(lambda: any(asked.fits and asked.settled for asked in script.asked))
    assert [asked.settled for asked in script.asked if asked.fits] == [False, True]
    doc.idle()
    assert np.isfinite(profile(outputs[results.SHIFT])).sum() == 18
    assert not live.is_settled(doc.model, item)  # there may be more to come
    fitted = sum(asked.fits for asked in script.asked)
    item.set_xdata(line_data(18, Status.ABORTED))
    doc.pump(lambda: live.is_settled(doc.model, item))
    assert sum(asked.fits for asked in script.asked) - fitted <= 1


def test_maps_do_not_wait_for_fits(doc, script):
    script.hold.clear()
    item = doc.add("GB1 L1 vibrational", line_data(10, Status.RUNNING))
    outputs = live.attach_session(doc.model, {"vibrational": item}, MATERIAL)
    doc.pump(lambda: taken(outputs[results.MAP]) == 10)
    assert outputs[results.FIT].title == "GB1 L1 fit: provisional"
    item.set_xdata(line_data(20, Status.RUNNING))
    doc.pump(lambda: taken(outputs[results.MAP]) == 20)
    assert sum(asked.fits for asked in script.asked) == 1
    script.hold.set()
    doc.pump(lambda: np.isfinite(profile(outputs[results.SHIFT])).sum() == 20)


def test_runs_are_spaced(doc, script):
    item = doc.add("GB1 L1 vibrational", line_data(1, Status.RUNNING))
    live.attach_session(doc.model, {"vibrational": item}, MATERIAL)
    start = time.monotonic()
    rows = 1
    while time.monotonic() - start < 3.0:
        rows = min(rows + 1, ROWS - 1)
        item.set_xdata(line_data(rows, Status.RUNNING))
        doc.idle(0.05)
    previews = [asked for asked in script.asked if not asked.fits]
    assert 3 <= len(previews) <= 3.0 * 3 + 2


def test_at_most_six_items_are_added(doc, script):
    items = {role: doc.add(role.value, line_data(ROWS, Status.COMPLETE, role)) for role in live.INPUTS}
    before = len(doc.model.data_items)
    outputs = live.attach_session(doc.model, items, MATERIAL)
    assert len(doc.model.data_items) - before == len(outputs) == 6


def test_items_that_come_later_join_the_session(doc, script, whole):
    item, outputs = whole
    core_loss = doc.add("GB1 L1 core loss", line_data(ROWS, Status.COMPLETE, Role.CORE_LOSS))
    more = live.attach_session(doc.model, {"vibrational": item, "core_loss": core_loss}, MATERIAL)
    assert set(more) == {*outputs, results.RATIO} and len(doc.model.computations) == 1
    doc.pump(lambda: np.isfinite(more[results.RATIO].data).all())
    assert more[results.RATIO].data[:, 0].tolist() == pytest.approx([0.6, -0.4, 0.1])
    doc.model.remove_data_item(core_loss)
    doc.idle()
    assert outputs[results.MAP] in doc.model.data_items
    assert script.asked[-1].roles == {"vibrational"}


def test_more_passes_of_the_line_are_analysed_with_it(doc, script, whole):
    """The level of a row tells how many passes are in it."""
    line, outputs = whole
    more = doc.add("GB1 L1 vibrational (2)", line_data(0, Status.RUNNING))
    assert live.attach_session(doc.model, {"vibrational": [line, more]}, MATERIAL) == outputs
    assert len(doc.model.computations) == 1
    doc.idle()
    assert np.array_equal(profile(outputs[results.SHIFT]), np.arange(1.0, ROWS + 1))
    assert not live.is_settled(doc.model, line)
    more.set_xdata(line_data(10, Status.ABORTED))
    doc.pump(lambda: live.is_settled(doc.model, more))
    found = profile(outputs[results.SHIFT])
    assert found.tolist() == [2.0 * row if row <= 10 else row for row in range(1, ROWS + 1)]
    assert outputs[results.SHIFT].title == "GB1 L1 LDO centre: +1.8 ± 0.3 meV (50 of 80 rows)"
    assert live.readout(doc.model, more) == live.readout(doc.model, line)
    assert live.spectra_items(doc.model, more) == {Role.VIBRATIONAL: (line, more)}
    again = doc.add("GB1 L1 vibrational (3)", line_data(ROWS, Status.COMPLETE))
    live.attach_session(doc.model, {"vibrational": [line, again]}, MATERIAL)  # in place of the one that broke off
    doc.pump(lambda: profile(outputs[results.SHIFT])[-1] == 2.0 * ROWS)
    doc.pump(lambda: live.is_settled(doc.model, line))
    assert outputs[results.SHIFT].title == "GB1 L1 LDO centre: +1.8 ± 0.3 meV"
    doc.model.remove_data_item(again)
    doc.pump(lambda: profile(outputs[results.SHIFT])[-1] == ROWS)
    assert live.spectra_items(doc.model, line) == {Role.VIBRATIONAL: (line,)}


def test_an_item_of_another_line_is_named_and_the_results_come_back_without_it(doc, script, whole):
    line, outputs = whole
    other = doc.add("other", line_data(ROWS, Status.COMPLETE))
    other.set_dimensional_calibration(0, Calibration.Calibration(0.0, 2 * STEP_NM, "nm"))
    live.attach_session(doc.model, {"vibrational": [line, other]}, MATERIAL)
    doc.pump(lambda: "'other' has another step along the line" in live.sentence(doc.model, line))
    live.attach_session(doc.model, {"vibrational": line}, MATERIAL)
    doc.pump(lambda: live.is_settled(doc.model, line) and not live.sentence(doc.model, line))
    assert np.array_equal(profile(outputs[results.SHIFT]), np.arange(1.0, ROWS + 1))


def test_deleting_the_line_deletes_its_results(doc, whole):
    doc.model.remove_data_item(whole[0])
    assert not doc.model.data_items and not doc.model.computations


def test_found_regions_are_drawn_and_dragging_one_fits_again(doc, script, whole):
    item, outputs = whole
    graphics = {graphic.graphic_id: graphic for graphic in doc.display(outputs[results.SHIFT]).graphics}
    assert [graphics[name].label for name in graphics] == ["grain 1", "boundary", "grain 2"]
    assert graphics["boundary"].stroke_color == "#B84A00"
    # Row i spans (i - 0.5) to (i + 0.5) steps of 0.5 nm, so that 9 to 11 nm are 18.5 to 22.5 of 40 rows.
    assert graphics["boundary"].interval == pytest.approx((18.5 / 40, 22.5 / 40))
    assert all(asked.regions is None for asked in script.asked)
    graphics["boundary"].interval = (0.5, 0.6)
    doc.pump(lambda: any(asked.fits and asked.regions is not None for asked in script.asked))
    doc.idle()
    dragged = script.asked[-1].regions
    assert (dragged.boundary.start_nm, dragged.boundary.end_nm) == pytest.approx((9.75, 11.75))
    assert (dragged.grain_1.start_nm, dragged.grain_1.end_nm) == pytest.approx((0.0, 7.0))
    assert graphics["boundary"].interval == (0.5, 0.6)


def test_without_a_boundary_there_are_regions_to_drag(doc, script, monkeypatch):
    monkeypatch.setattr("swift.live_support.FOUND", None)
    item = doc.add("line", line_data(ROWS, Status.COMPLETE))
    outputs = live.attach_session(doc.model, {"vibrational": item}, MATERIAL)
    doc.pump(lambda: len(regions_of(doc, outputs)) == 3)
    doc.idle()
    assert all(asked.regions is None for asked in script.asked)
    graphics = doc.display(outputs[results.SHIFT]).graphics
    next(graphic for graphic in graphics if graphic.graphic_id == "boundary").interval = (0.5, 0.55)
    doc.pump(lambda: script.asked[-1].regions is not None)


def test_an_unchanged_document_is_not_analysed_again(doc, script, whole):
    asked = len(script.asked)
    doc.idle(1.0)
    assert len(script.asked) == asked


def test_given_regions_are_used_from_the_start(doc, script):
    given = Regions(Region(1.0, 5.0), Region(6.0, 7.0), Region(8.0, 12.0))
    item = doc.add("line", line_data(ROWS, Status.COMPLETE))
    outputs = live.attach_session(doc.model, {"vibrational": item}, MATERIAL, regions=given)
    doc.pump(lambda: live.is_settled(doc.model, item))
    asked = script.asked[-1].regions
    assert [(region.start_nm, region.end_nm) for _, region in asked] == [
        pytest.approx((region.start_nm, region.end_nm)) for _, region in given
    ]
    assert len(regions_of(doc, outputs)) == 3


def test_a_deleted_region_leaves_the_results(doc, script, whole):
    _, outputs = whole
    shown = doc.display(outputs[results.SHIFT])
    shown.remove_graphic(shown.graphics[0]).close()
    doc.idle()
    assert len(doc.model.computations) == 1 and outputs[results.SHIFT] in doc.model.data_items


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (unusable("The energy axis is in apples."), "The energy axis is in apples."),
        (ValueError("boom"), "The analysis failed (ValueError: boom)."),
    ],
)
def test_a_fault_is_one_sentence_and_the_next_run_works(doc, script, whole, error, expected):
    item, outputs = whole
    script.error = error
    item.set_xdata(line_data(ROWS - 1, Status.ABORTED))
    doc.pump(lambda: expected in outputs[results.FIT].title)
    assert live.sentence(doc.model, item) == expected
    assert np.isnan(outputs[results.SHIFT].data).all()  # no stale numbers
    script.error = None
    item.set_xdata(line_data(ROWS, Status.COMPLETE))
    doc.pump(lambda: live.is_settled(doc.model, item))
    assert live.sentence(doc.model, item) == ""
    assert all(computation.error_text is None for computation in doc.model.computations)


def test_ranges_come_from_the_rows_that_are_there(doc, script):
    item = doc.add("line", line_data(10, Status.ABORTED))
    outputs = live.attach_session(doc.model, {"vibrational": item}, MATERIAL)
    doc.pump(lambda: live.is_settled(doc.model, item))
    doc.idle()
    low, high = display.get_range(doc.display(outputs[results.SHIFT]))
    assert low < 0.0 and 11.0 < high < ROWS  # 1 - 1 to 10 + 1, with room for the labels
    low, high = display.get_range(doc.display(outputs[results.MAP]))
    assert 1.0 <= low < high <= 10.0
    cover = [graphic for graphic in doc.display(outputs[results.MAP]).graphics if graphic.graphic_id == display.COVER]
    assert cover[0].bounds.left == pytest.approx(10 / ROWS)


def test_zoom_and_title_of_the_operator_stay(doc, script, whole):
    item, outputs = whole
    display.set_range(doc.display(outputs[results.SHIFT]), (20.0, 30.0))
    outputs[results.SHIFT].title = "My profile"
    item.set_xdata(line_data(ROWS - 2, Status.ABORTED))
    doc.pump(lambda: np.isnan(profile(outputs[results.SHIFT])).sum() == 2)
    doc.idle()
    assert display.get_range(doc.display(outputs[results.SHIFT])) == (20.0, 30.0)
    assert outputs[results.SHIFT].title == "My profile"


def test_a_single_spectrum_has_one_result(doc, script):
    data = line_data(ROWS, Status.COMPLETE)
    item = doc.add("spot", data[3])
    item.metadata = {}
    outputs = live.attach_session(doc.model, {"vibrational": item}, "water_cnt")
    assert list(outputs) == [results.FIT]
    doc.pump(lambda: live.is_settled(doc.model, item))
    assert live.readout(doc.model, outputs[results.FIT])["rows"] == 1


def test_layers_are_drawn_in_their_colours(doc, whole):
    _, outputs = whole
    fit = doc.display(outputs[results.FIT])
    drawn = [(layer.label, layer.stroke_color, layer.fill_color, layer.data_row) for layer in fit.display_layers]
    assert drawn[:5] == [
        ("data", "#777777", None, 0),
        ("fit", "#000000", None, 1),
        ("polaritonic", None, "rgba(0,114,178,0.35)", 2),
        ("phononic", None, "rgba(230,159,0,0.55)", 3),
        ("residual", "#882255", None, 4),
    ]
    assert fit.get_display_property("legend_position") == "top-right"
    band = doc.display(outputs[results.SHIFT])
    assert [(layer.stroke_color, layer.fill_color) for layer in band.display_layers] == [
        (None, "#BBD7EA"),
        (None, "#FFFFFF"),
        ("#000000", None),
    ]
    assert band.get_display_property("legend_position") is None
    assert doc.display(outputs[results.MAP]).display_data_channels[0].color_map_id == "magma"


def test_regions_are_found_again_where_they_were_not_dragged(doc, script, whole):
    item, outputs = whole
    shifted = Regions(*(Region(region.start_nm + 1.0, region.end_nm + 1.0) for _, region in FOUND))
    before = regions_of(doc, outputs)
    original = ScriptedSession._evaluation

    def moved(self, line, regions, fits):
        return original(self, line, shifted if self.regions is None else regions, fits)

    ScriptedSession._evaluation = moved
    try:
        item.set_xdata(line_data(ROWS - 1, Status.ABORTED))
        doc.pump(lambda: regions_of(doc, outputs) != before)
        doc.idle(1.0)
        assert script.asked[-1].regions is None
    finally:
        ScriptedSession._evaluation = original


def test_regions_show_numbers_only_when_selected(doc, whole):
    """Hosts since 16.18 print three numbers at every interval, which hides a narrow boundary; older ones never do."""
    _, outputs = whole
    region = doc.display(outputs[results.SHIFT]).graphics[0]
    if not hasattr(region, "used_text_visibility_map"):
        pytest.skip("this host prints the numbers of an interval only when it is selected")
    assert region.used_text_visibility_map == {"default": "selection", "label_text": "always"}
    other = type(region)()
    assert other.used_text_visibility_map == {"default": "always"}
    other.close()
