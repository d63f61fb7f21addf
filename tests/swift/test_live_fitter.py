"""The thread that fits, the spacing of runs, and what a live session makes of faults. No host."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("nion.swift")

import eels_iontransport.session
from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from nionswift_plugin.iontransport import fitter as fitter_module
from nionswift_plugin.iontransport.evaluation import LiveSession, Request, Throttle
from nionswift_plugin.iontransport.fitter import Fitter, Task

LCO = materials.load("lco")


class SlowSession:
    """Evaluates when it is let; its evaluation is the number of valid rows."""

    started: list[int] = []
    settled: list[bool] = []
    gate = threading.Semaphore(0)
    fault: Exception | None = None

    def __init__(self, recipe, *, mode):
        self.regions = None

    def update(self, **inputs):
        self.line = inputs["vibrational"]

    def evaluate(self, *, should_stop, fits, settled):
        self.settled.append(settled)
        self.started.append(int(self.line.valid.sum()))
        while not self.gate.acquire(timeout=0.01):
            if should_stop():
                raise RuntimeError("stopped")
        if self.fault is not None:
            raise self.fault
        return int(self.line.valid.sum())


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(SlowSession, "started", [])
    monkeypatch.setattr(SlowSession, "settled", [])
    monkeypatch.setattr(SlowSession, "gate", threading.Semaphore(0))
    monkeypatch.setattr(SlowSession, "fault", None)
    monkeypatch.setattr(eels_iontransport.session, "Session", SlowSession)
    return SlowSession


def task(rows: int, *, mode: str = "shared", regions: Regions | None = None, is_filling: bool = False) -> Task:
    line = make_spectra(np.ones((9, 64)), EnergyAxis(-0.01, 0.001, 64), valid=np.arange(9) < rows)
    return Task(LCO, mode, {Role.VIBRATIONAL: line}, regions, is_filling)


def wait(done, timeout_s: float = 5.0) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def test_only_the_newest_waiting_task_is_done(slow):
    fitter, told = Fitter(), []
    for rows in (1, 2, 3, 4):
        fitter.submit(task(rows), lambda: told.append(fitter.done.evaluation))
        wait(lambda: slow.started)
    slow.gate.release(2)
    wait(lambda: told == [1, 4])
    assert slow.started == [1, 4]


def test_a_task_is_not_done_twice(slow):
    fitter, told = Fitter(), []
    first = task(1)
    for _ in range(3):
        fitter.submit(first, lambda: told.append(1))
    slow.gate.release(5)
    wait(lambda: told == [1])
    fitter.submit(first, lambda: told.append(2))
    time.sleep(0.05)
    assert told == [1] and slow.started == [1]


def test_a_line_that_is_whole_is_settled_at_once(slow):
    fitter, told = Fitter(), []
    slow.gate.release(5)
    fitter.submit(task(9), lambda: told.append(1))
    wait(lambda: told == [1])
    time.sleep(0.05)
    assert slow.settled == [True] and fitter.done.is_settled


def test_what_fills_is_settled_when_nothing_has_come_for_a_while(slow, monkeypatch):
    monkeypatch.setattr(fitter_module, "QUIET_S", 0.5)
    fitter, told = Fitter(), []
    slow.gate.release(20)
    for rows in (1, 2, 3):
        fitter.submit(
            task(rows, is_filling=True), lambda: told.append((fitter.done.evaluation, fitter.done.is_settled))
        )
        wait(lambda rows=rows: told and told[-1] == (rows, False))
    wait(lambda: told[-1] == (3, True))
    assert slow.settled == [False, False, False, True]
    fitter.submit(replace(fitter.done.task), lambda: told.append(0))
    time.sleep(0.8)
    assert len(told) == 4  # and then there is peace
    fitter.submit(task(4, is_filling=True), lambda: told.append(4))
    wait(lambda: told[-1] == 4)
    fitter.stop()
    assert slow.settled[-1] is False


def test_a_line_that_is_completed_without_a_further_row_is_settled_without_delay(slow):
    fitter, told = Fitter(), []
    slow.gate.release(5)
    filling = task(9, is_filling=True)
    fitter.submit(filling, lambda: told.append(1))
    wait(lambda: told == [1])
    start = time.monotonic()
    fitter.submit(replace(filling, is_filling=False), lambda: told.append(2))
    wait(lambda: told == [1, 2])
    assert time.monotonic() - start < 0.5 * fitter_module.QUIET_S
    assert slow.settled == [False, True] and fitter.done.is_settled


def test_a_line_that_is_completed_while_it_is_evaluated_is_settled(slow):
    fitter, told = Fitter(), []
    filling = task(9, is_filling=True)
    fitter.submit(filling, lambda: told.append(1))
    wait(lambda: slow.started)
    fitter.submit(replace(filling, is_filling=False), lambda: told.append(2))
    slow.gate.release(5)
    wait(lambda: told == [1, 2])
    assert slow.settled == [False, True]


def test_nothing_is_settled_after_the_end(slow, monkeypatch):
    monkeypatch.setattr(fitter_module, "QUIET_S", 0.5)
    fitter, told = Fitter(), []
    slow.gate.release(5)
    fitter.submit(task(3, is_filling=True), lambda: told.append(1))
    wait(lambda: told == [1])
    fitter.stop()
    time.sleep(0.8)
    assert slow.settled == [False]


def test_the_last_values_of_a_line_are_settled_ones(monkeypatch):
    """With the real session: rows arrive, the line stops short, and what is shown is what a fresh session says."""
    monkeypatch.setattr(fitter_module, "QUIET_S", 0.3)
    microscope = SimulatedMicroscope(seed=60)
    spectra = acquire_all(microscope, default_places(microscope, 24), roles=(Role.VIBRATIONAL, Role.ALOOF, Role.ZLP))
    line, fitter, told = spectra[Role.VIBRATIONAL], Fitter(), []
    for rows in (18, 20, 21, 22):
        part = {**spectra, Role.VIBRATIONAL: line.with_valid(np.arange(24) < rows)}
        given = Task(LCO, "shared", part, None, is_filling=True)
        fitter.submit(given, lambda: told.append(fitter.done))
        wait(lambda given=given: told and told[-1].task is given, 60.0)
    wait(lambda: told[-1].is_settled, 60.0)
    fresh = eels_iontransport.session.Session(LCO)
    fresh.update(**{role.value: s for role, s in part.items()})
    assert told[-1].evaluation.readout == fresh.evaluate().readout
    assert [done.is_settled for done in told] == [False] * 4 + [True]


def test_stopping_gives_up_what_runs_and_tells_nobody(slow):
    fitter, told = Fitter(), []
    fitter.submit(task(1), lambda: told.append(1))
    wait(lambda: slow.started)
    fitter.stop()
    wait(lambda: fitter.done is not None)
    fitter.submit(task(2), lambda: told.append(2))
    time.sleep(0.05)
    assert not told and slow.started == [1]


def test_a_session_that_is_dropped_stops_its_fits(slow):
    session = LiveSession()
    fitter = session._fitter
    fitter.submit(task(1), lambda: None)
    wait(lambda: slow.started)
    del session
    wait(lambda: fitter.done is not None)
    assert fitter.done.evaluation is None


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [(UnusableInput("No peaks."), "No peaks."), (KeyError("x"), "The analysis failed (KeyError: 'x').")],
)
def test_a_fault_becomes_a_sentence(slow, fault, sentence):
    fitter, told = Fitter(), []
    slow.fault = fault
    fitter.submit(task(1), lambda: told.append(1))
    slow.gate.release()
    wait(lambda: told)
    assert fitter.done.evaluation is None and fitter.done.sentence == sentence


def test_tasks_differ_by_what_changes_results():
    regions = Regions(Region(0.0, 1.0), Region(1.0, 2.0), Region(2.0, 3.0))
    one = task(3)
    assert one.same_as(Task(one.recipe, one.mode, dict(one.spectra), None))
    assert not one.same_as(Task(one.recipe, one.mode, one.spectra, regions))
    assert not one.same_as(Task(one.recipe, "wide", one.spectra, None))
    assert not one.same_as(task(3))  # other spectra, though equal: the live session keeps those that are equal
    assert not one.same_as(None)


def test_runs_are_spaced_over_all_callers():
    throttle, starts, begin = Throttle(0.05, 1.0), [], time.monotonic()

    def caller() -> None:
        for _ in range(3):
            throttle.wait()
            starts.append(time.monotonic())

    threads = [threading.Thread(target=caller) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run, start in enumerate(sorted(starts)):
        assert start - begin >= 0.05 * run - 0.005
    assert max(starts) - begin < 5.0


def test_long_runs_are_spaced_further():
    throttle = Throttle(0.001, 0.25)
    throttle.wait()
    throttle.spent(0.05)
    start = time.monotonic()
    throttle.wait()
    assert 0.1 < time.monotonic() - start < 2.0


class Item:
    title, metadata, xdata = "an item", {}, None


@pytest.mark.parametrize(
    ("material", "sentence"),
    [("lco", "'an item' holds no data."), ("unobtainium", "There is no material 'unobtainium'")],
)
def test_what_cannot_be_read_is_said(material, sentence):
    request = Request({Role.VIBRATIONAL: [Item()]}, material, "shared", {}, {}, [])
    assert LiveSession().run(request, lambda: None).sentence.startswith(sentence)
