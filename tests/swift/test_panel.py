"""The panel in a document without a window: what an operator does by its buttons, and what can go wrong with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from nion.swift.model import Graphics
from nion.utils import Geometry

from eels_iontransport.acquire.journal import JournalRecorder
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.port import RowNote
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.simulation.mishaps import Mishaps
from eels_iontransport.simulation.specimen import SURVEY_NM
from nionswift_plugin.iontransport import results
from nionswift_plugin.iontransport.host import places, recovery, workspaces
from nionswift_plugin.iontransport.host import run as host_run
from nionswift_plugin.iontransport.panel.model import Presentation, present
from nionswift_plugin.iontransport.panel.panel import PANEL_ID, IonTransportPanel
from nionswift_plugin.iontransport.panel.situation import State

from .microscope_context import TIME_SCALE, Lab, lab, record_of

__all__ = ["lab"]  # a fixture

PIXELS = 12


class Desk:
    """An operator at the panel: clicks, and what the panel says afterwards."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.panel = IonTransportPanel(lab.window, PANEL_ID, {})
        self.panel.create_dock_widget("Ion Transport", ["left", "right"], "right")
        self.handler, self.controller = self.panel.handler, self.panel.controller
        self.is_open = True

    @property
    def shown(self) -> Presentation:
        self.panel.periodic()
        return present(self.controller.situation())

    def pump(self, done: Callable[[], bool] = lambda: True, timeout_s: float = 60.0) -> None:
        def tick() -> bool:
            self.panel.periodic()
            return done()

        self.lab.pump(tick, timeout_s)

    def idle(self) -> None:
        self.pump(lambda: not self.controller.is_busy)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.pump(lambda: time.monotonic() > end)

    def survey(self, width_nm: float = SURVEY_NM) -> None:
        self.handler.overview_nm = f"{width_nm:g}"
        self.handler.overview_clicked(None)
        self.idle()

    def place(self) -> None:
        """A1 where the panel offers it, L1 across the boundary."""
        self.handler.aloof_clicked(None)
        self.handler.line_clicked(None)
        line = self.lab.microscope.specimen.line(PIXELS, 6.0)
        self.controller.surveys.put_line(line.start, line.end)
        self.handler.pixels = str(PIXELS)

    def quick(self) -> None:
        """Short exposures, and nothing to wait for."""
        for role, frames in ((Role.ZLP, "4"), (Role.ALOOF, "4"), (Role.VIBRATIONAL, "2"), (Role.CORE_LOSS, "1")):
            getattr(self.handler.rows, role.value).frames = frames
        self.handler.rows.vibrational.passes = "1"
        self.handler.drift_lock = self.handler.check_zlp = False

    def ready(self) -> None:
        self.survey()
        self.place()
        self.quick()
        self.pump()

    def acquire(self) -> None:
        self.handler.acquire_clicked(None)

    def run_to_the_end(self) -> None:
        self.acquire()
        assert self.shown.state is State.RUNNING, self.shown.hint
        self.idle()

    def row(self, role: Role) -> int:
        """How many rows the step has, 0 while it is not its turn."""
        progress = self.controller.situation().progress
        return progress.rows_valid if progress is not None and progress.role is role else 0

    def items(self, role: Role) -> list:
        found = [(item, Record.from_metadata(item.metadata)) for item in self.lab.document_model.data_items]
        return [item for item, record in found if record is not None and record.role is role]

    def display(self):
        return self.lab.document_model.get_display_item_for_data_item(self.controller.surveys.item())

    def graphic(self, label: str) -> Graphics.Graphic | None:
        return places._find(self.display(), label)

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.panel.close()


@pytest.fixture
def desk(lab: Lab, caplog: pytest.LogCaptureFixture) -> Iterator[Desk]:
    desk = Desk(lab)
    yield desk
    desk.close()
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors


def test_a_night_begins_without_a_survey(desk):
    shown, items = desk.shown, list(desk.lab.document_model.data_items)
    assert shown.state is State.IDLE and "HERMES (simulated)" in shown.state_text and "60 kV" in shown.state_text
    assert not (shown.acquire_enabled or shown.abort_enabled or shown.place_enabled)
    assert shown.hint == "Take a survey image first: press Overview or Detail."
    desk.acquire()
    desk.handler.abort_clicked(None)
    desk.handler.aloof_clicked(None)
    assert desk.shown == shown and list(desk.lab.document_model.data_items) == items


def test_the_panel_leads_to_a_session_with_live_results(desk):
    before = desk.lab.state()["controls"]
    desk.survey()
    assert "There is no aloof point" in desk.shown.hint
    desk.place()
    desk.quick()
    desk.pump()
    shown = desk.shown
    assert shown.state is State.READY and shown.acquire_enabled and shown.hint == ""
    assert "off the edge" in shown.places_text and "6.0 nm · 12 px · step 0.50 nm" in shown.places_text
    desk.acquire()
    percents = []
    desk.pump(lambda: (percents.append(desk.shown.percent), not desk.controller.is_busy)[1])
    assert percents == sorted(percents) and len(set(percents)) > 4
    shown = desk.shown
    assert shown.state is State.DONE and shown.state_text.endswith("All 44 rows, 5 of 5 steps.")
    desk.pump(lambda: not desk.shown.provisional)
    assert desk.shown.readout.shift != "no data yet"
    assert desk.lab.state()["controls"] == before
    assert record_of(desk.items(Role.VIBRATIONAL)[0]).status is Status.COMPLETE


def test_abort_keeps_rows_and_the_next_run_works(desk):
    desk.ready()
    desk.handler.rows.vibrational.frames = "200"
    desk.acquire()
    desk.pump(lambda: desk.row(Role.VIBRATIONAL) > 0)
    assert desk.shown.abort_enabled and not desk.shown.acquire_enabled and not desk.shown.plan_enabled
    desk.handler.abort_clicked(None)
    desk.idle()
    assert desk.shown.state is State.ABORTED and "rows kept" in desk.shown.state_text
    record = record_of(desk.items(Role.VIBRATIONAL)[0])
    assert record.status is Status.ABORTED and 0 < record.rows_valid < PIXELS
    desk.handler.rows.vibrational.frames = "2"
    assert desk.shown.state is State.READY, "an edit makes the end of the last run old news"
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE


def test_pause_and_resume(desk):
    desk.ready()
    desk.handler.rows.vibrational.frames = "20"
    desk.acquire()
    desk.pump(lambda: desk.row(Role.VIBRATIONAL) > 2)
    assert desk.shown.pause_text == "Pause"
    desk.handler.pause_clicked(None)
    assert desk.shown.pause_text == "Resume"
    desk.pump(lambda: desk.shown.state is State.PAUSED)
    assert desk.shown.state_text == "Paused by you." and desk.shown.abort_enabled
    row = desk.row(Role.VIBRATIONAL)
    desk.wait(0.3)
    assert desk.row(Role.VIBRATIONAL) == row < PIXELS
    desk.controller.acquire_or_resume()
    desk.idle()
    assert desk.shown.state is State.DONE and len(desk.items(Role.VIBRATIONAL)) == 1
    assert record_of(desk.items(Role.VIBRATIONAL)[0]).status is Status.COMPLETE


def test_a_paused_run_can_be_aborted(desk):
    desk.ready()
    desk.handler.rows.vibrational.frames = "50"
    desk.acquire()
    desk.pump(lambda: desk.row(Role.VIBRATIONAL) > 1)
    desk.handler.pause_clicked(None)
    desk.pump(lambda: desk.shown.state is State.PAUSED)
    desk.handler.abort_clicked(None)
    desk.idle()
    assert desk.shown.state is State.ABORTED and desk.shown.pause_text == "Pause"
    assert record_of(desk.items(Role.VIBRATIONAL)[0]).rows_valid > 1


def test_the_zero_loss_is_shown_between_settings_until_the_operator_continues(desk):
    desk.ready()
    desk.handler.check_zlp = True
    desk.handler.rows.core_loss.chosen = False
    desk.acquire()
    desk.pump(lambda: desk.shown.state is State.CHECK_ZLP and "peak" in desk.shown.question)
    assert desk.shown.proceed_text == "Continue" and desk.shown.question.startswith("ZLP ")
    desk.wait(0.3)
    assert desk.shown.state is State.CHECK_ZLP and desk.row(Role.VALENCE) == 0
    desk.handler.proceed_clicked(None)
    desk.idle()
    assert desk.shown.state is State.DONE, desk.shown.state_text


def test_a_run_waits_for_the_drift_until_the_operator_starts_anyway(desk):
    desk.ready()
    nm_per_min = 4.0  # by the clock on the wall, which the run goes by
    hour_s = 3600.0 * TIME_SCALE
    desk.lab.microscope.suffer(Mishaps(drift_nm=((0.0, 0.0, 0.0), (hour_s, 0.0, 60.0 * nm_per_min))))
    desk.handler.drift_lock = True
    desk.handler.rows.core_loss.chosen = desk.handler.rows.valence.chosen = False
    desk.acquire()
    desk.pump(lambda: desk.shown.state is State.WAITING and "limit 0.5" in desk.shown.state_text)
    assert desk.shown.proceed_text == "Start anyway"
    desk.handler.proceed_clicked(None)
    desk.idle()
    shown = desk.shown
    assert shown.state is State.DONE, shown.state_text
    assert "Line moved" in shown.state_text and "±" in shown.state_text


def test_passes_of_a_line_come_in_one_item_with_results(desk):
    desk.ready()
    desk.handler.rows.vibrational.passes = "3"
    desk.handler.rows.valence.chosen = desk.handler.rows.core_loss.chosen = False
    desk.acquire()
    said = set()
    desk.pump(lambda: (said.add(desk.shown.progress_text.split(" · ")[0]), not desk.controller.is_busy)[1])
    assert "Vibrational pass 3/3" in said
    item = desk.items(Role.VIBRATIONAL)[0]
    assert item.data_shape[:2] == (3, PIXELS) and record_of(item).rows_valid == 3 * PIXELS
    desk.pump(lambda: desk.controller.last_run.readout() is not None and not desk.shown.provisional)
    assert desk.shown.readout.shift != "no data yet"


def test_short_frames_are_scanned(desk):
    desk.ready()
    for role in (Role.ZLP, Role.ALOOF, Role.VIBRATIONAL, Role.CORE_LOSS):
        getattr(desk.handler.rows, role.value).chosen = False
    desk.handler.rows.valence.frames, desk.handler.rows.valence.passes = "1", "4"
    assert desk.shown.scanned_text.startswith("Valence: scanned")
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE, desk.shown.state_text
    assert desk.items(Role.VALENCE)[0].data_shape[:2] == (4, PIXELS)


def test_a_line_off_the_axis(desk):
    desk.ready()
    assert desk.shown.off_axis_enabled and not desk.handler.off_axis
    desk.handler.off_axis = True
    for role in (Role.ZLP, Role.ALOOF, Role.CORE_LOSS):
        getattr(desk.handler.rows, role.value).chosen = False
    before = desk.lab.state()
    desk.handler.test_clicked(None)
    desk.idle()
    assert [line.split(":")[0] for line in desk.shown.advice_text.splitlines()] == ["Vibrational off axis", "Valence"]
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE and desk.lab.state() == before
    item = desk.items(Role.VIBRATIONAL)[0]
    assert item.title == "GB1 L1 vibrational off axis" and record_of(item).is_off_axis
    assert not record_of(desk.items(Role.VALENCE)[0]).is_off_axis


def analysed(desk) -> list[str]:
    """Names of the vibrational items that the settled readout is of."""
    desk.pump(lambda: desk.controller.last_run.readout() is not None and not desk.shown.provisional)
    inputs = desk.controller.last_run.readout()["provenance"]["inputs"]
    return [entry["name"] for entry in inputs if entry["role"] == "vibrational"]


def test_more_passes_and_a_step_again_join_the_session_of_the_line(desk):
    desk.ready()
    desk.handler.rows.valence.chosen = False
    desk.run_to_the_end()
    first = desk.controller.last_run
    shown = desk.shown
    assert shown.follow_up_enabled and shown.passes_enabled
    assert shown.steps == ["Vacuum ZLP", "Aloof", "Vibrational", "Core loss"] and desk.handler.redo_index == 3
    desk.handler.more_passes = "2"
    desk.handler.passes_clicked(None)
    desk.pump(lambda: desk.row(Role.VIBRATIONAL) > 0)
    assert desk.controller.situation().is_line_known
    desk.idle()
    assert desk.shown.state is State.DONE, desk.shown.hint
    line, more = desk.items(Role.VIBRATIONAL)
    assert more.title == "GB1 L1 vibrational (2)" and record_of(more).passes == 2
    others = {role: (item,) for role, item in first.items().items()}
    assert desk.controller.last_run.session_items() == {**others, Role.VIBRATIONAL: (line, more)}
    assert analysed(desk) == ["GB1 L1 vibrational", "GB1 L1 vibrational (2)"]
    desk.handler.redo_clicked(None)
    desk.idle()
    again = desk.items(Role.VIBRATIONAL)[2]
    assert again.title == "GB1 L1 vibrational (3)" and line.title == "GB1 L1 vibrational"
    assert desk.controller.last_run.session_items() == {**others, Role.VIBRATIONAL: (line, again)}
    assert analysed(desk) == ["GB1 L1 vibrational", "GB1 L1 vibrational (3)"]
    desk.handler.redo_index = 7
    desk.handler.redo_clicked(None)
    assert desk.shown.hint == "Redo: choose a step of the last run."
    desk.handler.more_passes = "many"
    desk.handler.passes_clicked(None)
    assert desk.shown.hint == "Passes: 'many' is not a whole number of passes, such as 4."


def test_a_run_that_follows_finds_the_line_of_the_first_again(desk, monkeypatch):
    given, start_run = [], host_run.start_run

    def noting(*args, reference=None, **named):
        given.append(reference)
        return start_run(*args, reference=reference, **named)

    monkeypatch.setattr(host_run, "start_run", noting)
    desk.ready()
    desk.handler.drift_lock = True
    desk.run_to_the_end()
    first = desk.controller.last_run.outcome.reference
    desk.handler.more_passes = "1"
    desk.handler.passes_clicked(None)
    desk.idle()
    assert "since the first run" in desk.shown.state_text and "+-" not in desk.shown.state_text
    last = desk.controller.last_run.outcome.reference
    desk.lab.microscope.displacement_nm = lambda: np.array([0.0, 40.0])
    desk.handler.redo_clicked(None)
    desk.idle()
    shown = desk.shown
    assert "was not found again" in shown.state_text and shown.steps == ["Vibrational"] and shown.follow_up_enabled
    del desk.lab.microscope.displacement_nm
    desk.handler.redo_clicked(None)
    desk.idle()
    assert desk.shown.state is State.DONE and len(desk.items(Role.VIBRATIONAL)) == 3
    desk.run_to_the_end()
    assert given == [None, first, last, last, None]
    desk.handler.next_clicked(None)
    desk.survey()
    desk.place()
    desk.run_to_the_end()
    assert given[-1] is None


def test_the_step_that_broke_off_is_offered_again(desk):
    desk.ready()
    desk.handler.rows.vibrational.frames = "100"
    desk.acquire()
    desk.pump(lambda: desk.row(Role.VIBRATIONAL) > 0)
    desk.handler.abort_clicked(None)
    desk.idle()
    assert desk.shown.steps[desk.handler.redo_index] == "Vibrational" and "Core loss" not in desk.shown.steps
    desk.handler.redo_clicked(None)
    desk.pump(lambda: desk.row(Role.VIBRATIONAL) > 0)
    desk.handler.abort_clicked(None)
    desk.idle()
    titles = [item.title for item in desk.items(Role.VIBRATIONAL)]
    assert titles[0].startswith("GB1 L1 vibrational (") and titles[1].startswith("GB1 L1 vibrational (2) (")
    assert desk.controller.last_run.session_items()[Role.VIBRATIONAL] == (desk.items(Role.VIBRATIONAL)[1],)


def test_the_next_boundary_keeps_the_plan_and_counts_on(desk):
    desk.ready()
    desk.handler.rows.core_loss.chosen = False
    desk.run_to_the_end()
    survey = desk.controller.surveys.item()
    marks = len(desk.display().graphics)
    desk.handler.next_clicked(None)
    shown = desk.shown
    assert shown.survey_text == "No survey image yet." and shown.hint.startswith("Take a survey image first")
    assert desk.handler.name == "GB2" and shown.places_text == "Nothing placed yet." and not shown.follow_up_text
    assert not desk.handler.rows.core_loss.chosen and desk.handler.rows.vibrational.frames == "2"
    desk.survey()
    desk.place()
    assert desk.controller.surveys.item().title == "GB2 overview" and survey.title == "GB1 overview"
    assert len(desk.lab.document_model.get_display_item_for_data_item(survey).graphics) == marks
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE and desk.items(Role.VIBRATIONAL)[1].title == "GB2 L1 vibrational"


def test_test_frames_of_every_setting_say_the_longest_exposure_and_leave_nothing(desk):
    desk.ready()
    before, items = desk.lab.state(), list(desk.lab.document_model.data_items)
    desk.handler.test_clicked(None)
    assert desk.shown.hint == "Taking test frames." and not desk.shown.acquire_enabled and desk.shown.abort_enabled
    desk.idle()
    shown = desk.shown
    lines = shown.advice_text.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Vibrational", "Valence", "Core loss"]
    assert all("peak" in line and "at most" in line for line in lines), lines
    assert shown.beam_text.startswith("ZLP ") and "peak" in shown.beam_text and shown.beam_text.endswith("20 pA")
    assert desk.lab.state() == before and list(desk.lab.document_model.data_items) == items
    assert shown.state is State.READY and shown.hint == ""
    desk.run_to_the_end()


def test_test_frames_can_be_aborted(desk):
    desk.ready()
    desk.handler.rows.vibrational.exposure = "20"
    before = desk.lab.state()
    desk.handler.test_clicked(None)
    desk.wait(0.1)
    desk.handler.abort_clicked(None)
    desk.idle()
    assert desk.shown.hint == "Aborted by the operator." and desk.lab.state() == before
    desk.handler.rows.vibrational.exposure = "0.1"
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE


def test_a_test_frame_without_a_survey_is_taken_in_the_present_setting(desk):
    desk.handler.test_clicked(None)
    desk.idle()
    assert desk.shown.advice_text.startswith("Vibrational: "), desk.shown.hint
    assert "\n" not in desk.shown.advice_text


def test_what_a_dead_program_has_left_is_offered_once(lab, monkeypatch):
    folder = recovery.journal_folder(lab.document_model)
    _leave_behind(folder, lab)
    desk = Desk(lab)
    shown = desk.shown
    assert shown.leftover.startswith("GB1 L1 vibrational of ") and "3 of 6 rows can be recovered." in shown.leftover
    desk.handler.recover_clicked(None)
    assert desk.shown.leftover == "" and record_of(desk.items(Role.VIBRATIONAL)[0]).rows_valid == 3
    desk.close()
    desk = Desk(lab)
    assert desk.shown.leftover == ""
    _leave_behind(folder, lab)
    desk.close()
    desk = Desk(lab)
    assert desk.shown.leftover
    desk.handler.dismiss_clicked(None)
    assert desk.shown.leftover == "" and len(desk.items(Role.VIBRATIONAL)) == 1
    assert recovery.recoverable(lab.document_model) == []
    desk.close()


def _leave_behind(folder, lab) -> None:
    """A journal as a killed program leaves it: three of six rows, and nobody who holds it."""
    plan = lab.line_plan()
    record = Record(
        role=Role.VIBRATIONAL, status=Status.RUNNING, rows_planned=6, rows_valid=0, exposure_s=0.1, frames=2,
        plan=plan.to_data(),
    )  # fmt: skip
    sink = JournalRecorder(folder, MemoryRecorder()).begin(
        record, EnergyAxis(-0.2, 4e-4, 2048), 1.0, "GB1 L1 vibrational"
    )
    for index in range(3):
        sink.write(index, np.full(2048, float(index)), RowNote("2026-11-28T22:14:00+00:00"))
    sink._journal._files.close()
    sink._journal._claim.release()


def test_the_operator_is_told_of_a_fault_once(lab):
    told = []
    desk = Desk(lab)
    desk.controller._on_news = told.append
    desk.ready()
    desk.lab.microscope.suffer(Mishaps(camera_fault_at=2))
    desk.acquire()
    desk.idle()
    desk.pump()
    assert desk.shown.state is State.FAULT and told == [desk.shown.state_text]
    desk.close()


def test_a_second_acquire_changes_nothing(desk):
    desk.ready()
    desk.acquire()
    run = desk.controller.last_run
    desk.acquire()
    desk.handler.overview_clicked(None)
    desk.handler.clear_clicked(None)
    assert desk.controller.last_run is run and not desk.controller.surveys.is_busy
    desk.idle()
    assert desk.shown.state is State.DONE and len(desk.items(Role.VIBRATIONAL)) == 1


def test_a_run_started_elsewhere_is_named(desk):
    desk.ready()
    other = desk.lab.start(desk.lab.line_plan(frames=500))
    desk.acquire()
    assert desk.shown.state is not State.RUNNING
    assert desk.shown.hint == "A run is under way already; wait for its end or abort it."
    other.abort()
    desk.pump(lambda: not other.is_running)
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE


def test_a_line_dragged_out_of_the_field_is_refused_until_it_is_back(desk):
    desk.ready()
    line = desk.graphic(places.LINE)
    inside = line.end
    line.end = Geometry.FloatPoint(y=0.5, x=1.2)
    desk.pump()
    assert not desk.shown.acquire_enabled and desk.shown.hint.startswith("The line reaches")
    desk.acquire()
    assert desk.shown.state is State.IDLE
    line.end = inside
    assert desk.shown.acquire_enabled


def test_the_name_of_the_line_follows_it(desk):
    desk.ready()
    line = desk.graphic(places.LINE)
    line.start = Geometry.FloatPoint(y=0.6, x=0.4)
    desk.panel._refreshed = 0.0
    desk.panel.periodic()
    assert desk.graphic(places.LINE_START).position == line.start
    desk.display().remove_graphic(line)
    desk.panel._refreshed = 0.0
    desk.panel.periodic()
    assert desk.graphic(places.LINE_START) is None
    assert "There is no line" in desk.shown.hint


def test_a_deleted_survey_takes_its_marks_along(desk):
    desk.ready()
    desk.lab.document_model.remove_data_item(desk.controller.surveys.item())
    shown = desk.shown
    assert shown.hint == "Take a survey image first: press Overview or Detail." and not shown.place_enabled
    desk.acquire()
    desk.handler.line_clicked(None)
    assert desk.shown.state is State.IDLE
    desk.ready()
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE


def test_a_survey_deleted_during_a_run_does_not_end_it(desk):
    desk.ready()
    desk.acquire()
    desk.lab.document_model.remove_data_item(desk.controller.surveys.item())
    desk.idle()
    assert desk.shown.state is State.DONE


def test_an_item_deleted_during_its_scan_is_said_and_the_next_run_works(desk):
    desk.ready()
    desk.handler.rows.vibrational.frames = "100"
    desk.acquire()
    desk.pump(lambda: bool(desk.items(Role.VIBRATIONAL)))
    desk.lab.document_model.remove_data_item(desk.items(Role.VIBRATIONAL)[0])
    desk.idle()
    assert desk.shown.state is State.FAULT and desk.shown.leftover.startswith("GB1 L1 vibrational of ")
    desk.handler.recover_clicked(None)
    assert record_of(desk.items(Role.VIBRATIONAL)[0]).status is Status.FAULT and not desk.shown.leftover
    desk.handler.rows.vibrational.frames = "2"
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE


def test_closing_the_panel_ends_its_run_and_keeps_the_rows(desk):
    desk.ready()
    desk.handler.rows.vibrational.frames = "200"
    desk.acquire()
    run = desk.controller.last_run
    desk.pump(lambda: desk.row(Role.VIBRATIONAL) > 0)
    desk.close()
    assert run.outcome is not None
    record = record_of(desk.items(Role.VIBRATIONAL)[0])
    assert record.status is Status.ABORTED and record.rows_valid > 0


def test_two_surveys_share_their_places(desk):
    desk.survey()
    desk.handler.aloof_clicked(None)
    desk.handler.detail_clicked(None)
    desk.idle()
    desk.handler.line_clicked(None)
    desk.quick()
    marks = desk.controller.surveys.places()
    assert marks.aloof.x_nm == pytest.approx(desk.lab.microscope.specimen.aloof_point().x_nm, abs=3.0)
    assert marks.line[1].x_nm - marks.line[0].x_nm == pytest.approx(20.0, abs=0.1)
    assert desk.shown.acquire_enabled, desk.shown.hint
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE


def test_a_wider_survey_keeps_marks_where_they_are_on_the_specimen(desk):
    desk.ready()
    before = desk.controller.surveys.places()
    desk.survey(2 * SURVEY_NM)
    after = desk.controller.surveys.places()
    assert after.aloof.x_nm == pytest.approx(before.aloof.x_nm, abs=0.01)
    assert after.line[0].x_nm == pytest.approx(before.line[0].x_nm, abs=0.01)
    desk.survey(0.25 * SURVEY_NM)
    assert desk.controller.surveys.places().aloof is None, "A1 lies outside the narrow field"


def test_a_scan_that_fails_is_said(desk, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no answer")

    desk.pump()
    with monkeypatch.context() as broken:
        broken.setattr(desk.lab.scan, "record_immediate", fail)
        desk.survey()
        assert desk.shown.hint == "The scan gave no survey image (no answer)."
    desk.survey()
    assert desk.shown.survey_text.startswith("Overview 400 nm")


def test_points_are_numbered_and_cleared(desk):
    desk.survey()
    for _ in range(3):
        desk.handler.point_clicked(None)
    desk.display().remove_graphic(desk.graphic("P2"))
    desk.handler.point_clicked(None)
    assert [line.split()[0] for line in desk.shown.places_text.splitlines()] == ["P1", "P2", "P3"]
    desk.handler.clear_clicked(None)
    assert desk.shown.places_text == "Nothing placed yet." and not desk.display().graphics


def test_no_camera_is_the_first_thing_said(desk, monkeypatch):
    desk.ready()
    monkeypatch.setattr(type(desk.lab.stem), "eels_camera", None)
    desk.acquire()
    assert desk.shown.hint.startswith("There is no EELS camera")


def test_a_live_view_goes_on_after_a_survey(desk):
    desk.lab.scan.start_playing(sync_timeout=10.0)
    desk.survey()
    assert desk.shown.survey_text.startswith("Overview 400 nm")
    desk.pump(lambda: desk.lab.scan.is_playing)
    desk.lab.scan.stop_playing(sync_timeout=10.0)


def test_another_material_has_readings_of_its_own(desk):
    names = [name for name, _ in desk.controller.materials]
    desk.ready()
    desk.handler.material_index = names.index("water_cnt")
    for role in (Role.ALOOF, Role.VALENCE, Role.CORE_LOSS):
        getattr(desk.handler.rows, role.value).chosen = False
    assert desk.shown.readout.shift_label == "Peaks" and desk.shown.readout.ratio_label == ""
    desk.run_to_the_end()
    assert desk.shown.state is State.DONE
    desk.pump(lambda: desk.controller.last_run.readout() is not None)
    assert desk.shown.readout.shift_label == "OH peak"
    assert desk.shown.readout.shift.startswith("not determined"), "the line ends long before the O-H stretch"


def test_a_refresh_costs_little(desk):
    """It runs ten times a second on the main thread."""
    desk.ready()
    desk.run_to_the_end()
    desk.pump(lambda: desk.controller.last_run.readout() is not None)
    started = time.perf_counter()
    for _ in range(20):
        desk.controller.poll()
        desk.handler.refresh()
    assert (time.perf_counter() - started) / 20 < 0.02


def test_results_come_to_their_empty_places_and_to_no_other(desk):
    columns = [(1.0, [(results.MAP, 0.4), (results.RATIO, 0.3), ("other", 0.3)])]
    workspaces.arrange(desk.lab.window, "results", "Results", columns, {})
    places_shown = {
        panel.display_panel_id.split("_", 2)[-1]: panel for panel in desk.lab.window.workspace_controller.display_panels
    }
    desk.survey()
    survey = desk.lab.document_model.get_display_item_for_data_item(desk.controller.surveys.item())
    places_shown[results.MAP].set_display_panel_display_item(survey)
    desk.ready()
    desk.run_to_the_end()
    desk.pump(lambda: places_shown[results.RATIO].display_item is not None)
    assert places_shown[results.MAP].display_item is survey, "an occupied display is never replaced"
    ratio = desk.controller.last_run.results()[results.RATIO]
    assert places_shown[results.RATIO].display_item is desk.lab.document_model.get_display_item_for_data_item(ratio)
    assert places_shown["other"].display_item is None


def test_closing_during_a_survey_waits_for_it(desk):
    desk.handler.overview_nm = "400"
    desk.handler.overview_clicked(None)
    thread = desk.controller.surveys._shot.thread
    desk.close()
    assert not thread.is_alive()
