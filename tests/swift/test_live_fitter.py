"""The thread that fits, the spacing of runs, and what a live session makes of faults. No host."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

pytest.importorskip("nion.swift")

import eels_iontransport.session
from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from nionswift_plugin.iontransport.evaluation import LiveSession, Request, Throttle
from nionswift_plugin.iontransport.fitter import Fitter, Task

LCO = materials.load("lco")


class SlowSession:
    """Evaluates when it is let; its evaluation is the number of valid rows."""

    started: list[int] = []
    gate = threading.Semaphore(0)
    fault: Exception | None = None

    def __init__(self, recipe, *, mode):
        self.regions = None

    def update(self, **inputs):
        self.line = inputs["vibrational"]

    def evaluate(self, *, should_stop, fits):
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
    monkeypatch.setattr(SlowSession, "gate", threading.Semaphore(0))
    monkeypatch.setattr(SlowSession, "fault", None)
    monkeypatch.setattr(eels_iontransport.session, "Session", SlowSession)
    return SlowSession


def task(rows: int, *, mode: str = "shared", regions: Regions | None = None) -> Task:
    line = make_spectra(np.ones((9, 64)), EnergyAxis(-0.01, 0.001, 64), valid=np.arange(9) < rows)
    return Task(LCO, mode, {Role.VIBRATIONAL: line}, regions)


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
    request = Request({Role.VIBRATIONAL: Item()}, material, "shared", {}, {}, [])
    assert LiveSession().run(request, lambda: None).sentence.startswith(sentence)
