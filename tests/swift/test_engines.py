"""Whole runs through Swift with the synchronized engine, several passes, and drift that is followed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from eels_iontransport.acquire.drift_settings import DriftSettings
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.step import Engine
from eels_iontransport.data.record import Role, Status
from eels_iontransport.simulation.stability import Stability

from .microscope_context import lab, record_of

__all__ = ["lab"]  # a fixture

PIXELS, PASSES = 12, 3


def plan_of(lab, engine: Engine, passes: int = PASSES, **changes):
    step = replace(lab.plan().steps[2], frames=1, passes=passes, engine=engine)
    return replace(lab.plan(PIXELS), steps=(step,), **changes)


@pytest.mark.parametrize("engine", Engine)
def test_passes_are_an_item_that_keeps_them_apart(lab, engine):
    before = lab.state()
    outcome, run = lab.run(plan_of(lab, engine))
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    item = run.items()[Role.VIBRATIONAL]
    assert item.data_shape == (PASSES, PIXELS, 2048) and item.xdata.is_sequence
    record = record_of(item)
    assert record.status is Status.COMPLETE and record.rows_valid == PASSES * PIXELS
    first, *others = item.data.sum(axis=2)
    for other in others:  # the same places in the same order; the line has two grains of different thickness
        assert other == pytest.approx(first, rel=0.03)
    assert lab.state() == before


@pytest.mark.parametrize("engine", Engine)
def test_an_abort_within_a_pass_keeps_its_rows(lab, engine):
    lab.microscope.clock.time_scale = 2.0
    runs = []

    def abort(progress) -> None:
        if progress.rows_valid > PIXELS + 2:
            runs[0].abort()

    runs.append(lab.start(plan_of(lab, engine), on_progress=abort))
    lab.pump(lambda: not runs[0].is_running)
    outcome = runs[0].outcome
    rows = outcome.steps[0].rows_valid
    assert outcome.ending is Ending.ABORTED and PIXELS + 2 < rows < PASSES * PIXELS
    taken = runs[0].items()[Role.VIBRATIONAL].data.any(axis=2).ravel()
    assert taken[:rows].all() and not taken[rows:].any()
    lab.microscope.clock.time_scale = 100.0
    assert lab.run(plan_of(lab, engine))[0].ending is Ending.COMPLETE


def test_a_scanned_line_follows_the_specimen(lab):
    lab.microscope.clock.time_scale = 1.0
    lab.microscope.reset(stability=Stability(spatial_drift_nm_per_min=(40.0, 0.0)))
    frame, across = lab.microscope.frame, []

    def watched(position, exposure_s: float) -> np.ndarray:
        across.append(position.y_nm - lab.microscope.displacement_nm()[0])
        return frame(position, exposure_s)

    lab.microscope.frame = watched
    settings = DriftSettings(every_rows=3, every_s=1.0, rate_limit_nm_per_min=1e3, limit_nm=50.0)
    outcome, _ = lab.run(plan_of(lab, Engine.SYNCHRONIZED, 1, drift=settings))
    assert outcome.ending is Ending.COMPLETE, outcome.sentence()
    assert np.ptp(across) < 0.6 and outcome.drift.moved_nm > 1.0
