"""What goes wrong on order: when it begins, what is seen of it, and that it ends."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.simulation.camera import Camera
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.mishaps import BeamChange, CameraFault, Mishaps, flicker
from eels_iontransport.simulation.port import SimulatedPort
from eels_iontransport.simulation.stability import STILL

GRAIN = Point(0.0, 10.0)
VACUUM = Point(0.0, -190.0)
QUIET = Camera(read_noise_counts=0.0, point_spread_channels=0.0)


def _microscope(mishaps: Mishaps | None = None, **options) -> SimulatedMicroscope:
    return SimulatedMicroscope(seed=3, camera=QUIET, stability=STILL, mishaps=mishaps, **options)


@pytest.mark.parametrize(
    ("changes", "start", "end", "factor"),
    [
        ((), 0.0, 9.0, 1.0),
        ((BeamChange(5.0),), 4.999, None, 1.0),
        ((BeamChange(5.0),), 5.0, None, 0.0),
        ((BeamChange(5.0, 6.0),), 6.0, None, 1.0),
        ((BeamChange(5.0, 6.0),), 4.0, 8.0, 0.75),
        ((BeamChange(5.0, 6.0, 0.5), BeamChange(0.0, factor=3.0)), 5.0, 7.0, 2.25),
        (flicker(0.0, 10.0, 2.0), 0.0, 10.0, 0.5),
        (flicker(1.0, 4.0, 2.0, 0.25), 3.6, None, 1.0),
        (flicker(1.0, 4.0, 2.0, 0.25), 3.4, None, 0.0),
    ],
)
def test_the_beam_by_its_schedule(changes, start, end, factor):
    assert Mishaps(beam=changes).beam_factor(start, end) == pytest.approx(factor)


def test_a_lost_beam_is_read_and_seen_and_comes_back():
    microscope = _microscope(beam_current_a=1e-12)
    microscope.clock.wait(100.0)
    microscope.suffer(Mishaps(beam=(BeamChange(10.0, 20.0),)))
    full = microscope.frames(1.0, 1, GRAIN).sum()
    microscope.clock.wait(8.5)
    half = microscope.frames(1.0, 1, GRAIN).sum()
    assert half == pytest.approx(0.5 * full, rel=0.01)
    assert microscope.get("BeamCurrent") == 0.0 and microscope.frames(1.0, 1, GRAIN).sum() == 0.0
    assert abs(microscope.image(Field(20.0, 20.0), (64, 64)).mean()) < 2.0
    microscope.clock.wait(9.0)
    assert microscope.get("BeamCurrent") == pytest.approx(1e-12)
    assert microscope.frames(1.0, 1, GRAIN).sum() == pytest.approx(full, rel=0.01)


def test_a_beam_that_is_too_bright_fills_the_camera():
    microscope = _microscope(Mishaps(beam=(BeamChange(0.0, factor=20.0),)))
    level = microscope.camera.saturation_level_counts
    assert (microscope.frames(0.1, 1, VACUUM) >= level).any()
    microscope.suffer(None)
    assert not (microscope.frames(0.1, 1, VACUUM) >= level).any()


def test_the_camera_fails_at_a_frame_and_until_it_is_repaired():
    microscope = _microscope(Mishaps(camera_fault_at=3))
    port = SimulatedPort(microscope)
    port.set_probe(GRAIN)
    assert len(port.acquire_frames(0.01, 3).counts) == 3
    for _ in range(2):
        with pytest.raises(MicroscopeFault, match="stopped giving frames"):
            port.acquire_frames(0.01, 1)
    microscope.suffer(None)
    assert len(port.acquire_frames(0.01, 3).counts) == 3


@pytest.mark.parametrize(("silent_s", "fault"), [(2.0, False), (60.0, True)])
def test_a_silent_camera_is_waited_for_so_long(silent_s, fault):
    microscope = _microscope(Mishaps(camera_stall_at=1, camera_stall_s=silent_s))
    before = microscope.clock.now_s
    if fault:
        with pytest.raises(CameraFault, match="did not answer for 5 s"):
            microscope.frames(0.5, 3, GRAIN)
    else:
        assert len(microscope.frames(0.5, 3, GRAIN)) == 3
    assert microscope.clock.now_s - before == pytest.approx(0.5 + 5.0 if fault else 1.5 + 2.0)
    assert len(microscope.frames(0.5, 3, GRAIN)) == 3  # it is silent once


def test_a_silent_camera_can_be_cancelled():
    microscope = _microscope(Mishaps(camera_stall_at=1, camera_stall_s=60.0), time_scale=1.0)
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    started = time.perf_counter()
    assert len(microscope.frames(0.01, 3, GRAIN, cancelled)) == 1
    assert time.perf_counter() - started < 3.0


def test_controls_refuse_keep_their_value_or_lag():
    microscope = _microscope(
        Mishaps(refused={"ZLPoffset": 1}, stuck={"EELS_eVPerChannel": 0}, lag_s={"CSH.x": 3.0, "ZLPoffset": 1.0})
    )
    microscope.set("ZLPoffset", -0.1)
    assert microscope.get("ZLPoffset") == -0.2
    microscope.clock.wait(1.0)
    assert microscope.get("ZLPoffset") == -0.1
    with pytest.raises(ValueError, match="'ZLPoffset' refuses"):
        microscope.set("ZLPoffset", -0.2)
    microscope.set("EELS_eVPerChannel", 0.1)
    assert microscope.get("EELS_eVPerChannel") == 0.0004
    microscope.set("CSH.x", 1e-9)
    microscope.clock.wait(2.0)
    assert microscope.get("CSH.x") == 0.0
    microscope.clock.wait(1.5)
    assert microscope.get("CSH.x") == 1e-9
    microscope.suffer(None)
    microscope.set("ZLPoffset", -0.3)
    assert microscope.get("ZLPoffset") == -0.3


def test_drift_that_is_not_steady():
    microscope = _microscope(Mishaps(drift_nm=((0.0, 0.0, 0.0), (10.0, 4.0, -2.0), (20.0, 4.0, 0.0))))
    places = []
    for _ in range(4):
        places.append(microscope.displacement_nm())
        microscope.clock.wait(7.5)
    assert np.allclose(places, [(0, 0), (3.0, -1.5), (4.0, -1.0), (4.0, 0.0)])


def test_the_zero_loss_goes_where_it_is_sent():
    microscope = _microscope(Mishaps(energy_mev=((0.0, 0.0), (10.0, 40.0))))
    first = microscope.frames(0.01, 1, VACUUM)[0].argmax()
    microscope.clock.wait(20.0)
    assert 0.4 * (microscope.frames(0.01, 1, VACUUM)[0].argmax() - first) == pytest.approx(40.0, abs=1.0)


def test_frames_count_from_the_order():
    microscope = _microscope()
    microscope.frames(0.01, 5, GRAIN)
    microscope.suffer(Mishaps(camera_fault_at=2))
    assert len(microscope.frames(0.01, 2, GRAIN)) == 2
    with pytest.raises(CameraFault):
        microscope.frames(0.01, 1, GRAIN)
