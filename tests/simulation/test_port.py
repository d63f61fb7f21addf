"""The simulated microscope behind the acquisition port."""

from __future__ import annotations

import threading
import time

import pytest

from eels_iontransport.acquire.port import Microscope, MicroscopeFault
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.port import SimulatedPort


@pytest.fixture
def port() -> SimulatedPort:
    microscope = SimulatedMicroscope(seed=1)
    microscope.survey(Field(400.0, 400.0))
    return SimulatedPort(microscope)


def test_it_offers_everything_the_port_asks_for(port):
    asked = [name for name in vars(Microscope) if not name.startswith("_")]
    assert asked and all(callable(getattr(port, name)) for name in asked)


def test_frames_carry_axis_gain_and_saturation(port):
    port.begin()
    port.set_control("EELS_eVPerChannel", 0.05)
    port.set_control("ZLPoffset", -10.0)
    port.set_probe(Point(0.0, 10.0))
    frames = port.acquire_frames(0.01, 3)
    assert frames.counts.shape == (3, 2048)
    assert (frames.energy.step_ev, frames.energy.offset_ev) == (0.05, -10.0)
    assert frames.electrons_per_count == pytest.approx(0.4)
    assert frames.saturation_level > frames.counts.max()
    assert port.get_probe() == Point(0.0, 10.0) and port.get_control("ZLPoffset") == -10.0


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda port: port.get_control("Nothing"), "no control 'Nothing'"),
        (lambda port: port.set_control("Nothing", 1.0), "no control 'Nothing'"),
        (lambda port: port.set_control("EELS_eVPerChannel", -1.0), "EELS_eVPerChannel"),
        (lambda port: port.set_probe(Point(0.0, 500.0)), "outside the survey's field"),
        (lambda port: port.acquire_frames(0.1, 1), "not parked"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(port, action, message):
    with pytest.raises(MicroscopeFault, match=message):
        action(port)


def test_a_cancel_returns_the_frames_taken_and_holds_until_the_next_run():
    microscope = SimulatedMicroscope(seed=1, time_scale=10.0)
    port = SimulatedPort(microscope)
    port.begin()
    port.set_probe(Point(0.0, 10.0))
    threading.Timer(0.3, port.cancel).start()
    started = time.perf_counter()
    frames = port.acquire_frames(0.5, 1000)
    assert time.perf_counter() - started < 5.0
    assert 0 < len(frames.counts) < 1000
    assert port.acquire_frames(0.5, 3).counts.shape == (0, 2048)
    port.begin()
    assert len(port.acquire_frames(0.01, 3).counts) == 3


def test_without_a_survey_there_is_no_field():
    assert SimulatedPort(SimulatedMicroscope()).field() is None
