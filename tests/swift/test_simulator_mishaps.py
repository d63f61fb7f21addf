"""What goes wrong with the simulated microscope, as Swift sees it."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.simulation.microscope import BEAM_CURRENT
from eels_iontransport.simulation.mishaps import BeamChange, Mishaps

from .microscope_context import lab
from .test_line_scan import LINE, begin

__all__ = ["begin", "lab"]  # fixtures

AREA = Field(40.0, 40.0, Point(0.0, 20.0))


def test_drift_moves_what_the_scan_shows(lab, begin):
    begun = begin()
    lab.microscope.suffer(Mishaps(drift_nm=((0.0, 0.0, 3.75),)))
    moved = begun.call(begun.microscope.image, AREA, (64, 64))
    lab.microscope.suffer(None)
    shifts = range(-10, 11)
    there = lab.microscope.image(AREA, (64, 64))
    misfits = [np.mean((np.roll(there, shift, 1)[:, 10:-10] - moved[:, 10:-10]) ** 2) for shift in shifts]
    assert shifts[int(np.argmin(misfits))] == 6  # pixels of 0.625 nm


def test_a_lost_beam_is_read_and_seen(lab, begin):
    begun = begin()
    lab.microscope.suffer(Mishaps(beam=(BeamChange(0.0),)))
    assert lab.stem.GetVal(BEAM_CURRENT) == 0.0
    rows: list[np.ndarray] = []
    begun.scan_line(LINE, 0.1, lambda first, frames: rows.extend(frames.counts))
    dark = np.sum(rows)
    lab.microscope.suffer(None)
    rows.clear()
    begun.scan_line(LINE, 0.1, lambda first, frames: rows.extend(frames.counts))
    assert lab.stem.GetVal(BEAM_CURRENT) == pytest.approx(20e-12) and abs(dark) < 0.01 * np.sum(rows)


FAULTS = {
    "fault": (Mishaps(camera_fault_at=5), "stopped giving frames"),
    "stall": (Mishaps(camera_stall_at=5), "did not answer for 5 s"),
    "control refused": (Mishaps(refused={"EELS_eVPerChannel": 0}), "refused 0.0004 for the control"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_mishap_ends_the_run_with_a_sentence_and_the_next_one_works(lab, case):
    mishaps, words = FAULTS[case]
    before = lab.state()
    lab.microscope.suffer(mishaps)
    outcome, _ = lab.run(lab.line_plan())
    assert outcome.ending is Ending.FAULT and words in outcome.reason
    lab.microscope.suffer(None)
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE and lab.state() == before


def test_a_short_stall_only_takes_its_time(lab):
    lab.microscope.suffer(Mishaps(camera_stall_at=5, camera_stall_s=2.0))
    outcome, _ = lab.run(lab.line_plan())
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()


def test_an_abort_does_not_wait_for_a_camera_that_is_silent(lab):
    lab.microscope.clock.time_scale = 1.0
    lab.microscope.suffer(Mishaps(camera_stall_at=3))
    progress: list = []
    run = lab.start(lab.line_plan(), on_progress=progress.append)
    lab.pump(lambda: bool(progress) and progress[-1].rows_valid == 1)
    end = time.monotonic() + 0.5
    lab.pump(lambda: time.monotonic() > end)
    asked = time.monotonic()
    run.abort()
    lab.pump(lambda: not run.is_running)
    assert time.monotonic() - asked < 1.0 and run.outcome.ending is Ending.ABORTED
