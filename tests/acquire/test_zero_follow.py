"""Following the zero-loss peak: where it is, when it must be brought back, by how much."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from eels_iontransport.acquire.zero_follow import ZeroFollower, ZeroState, zero_position
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.mishaps import Mishaps
from eels_iontransport.simulation.stability import STILL

AXIS = EnergyAxis(-0.2, 0.0004, 2048)
WINDOW = (-0.05, 0.05)


def spectrum(zero_ev: float, height: float = 1e5, seed: int = 0) -> np.ndarray:
    """A Gaussian of 8 meV FWHM, integrated over channels, on a tail and with counting noise."""
    sigma = 0.008 / 2.3548
    edges = AXIS.offset_ev + AXIS.step_ev * (np.arange(AXIS.size + 1) - 0.5)
    peak = np.diff(ndtr((edges - zero_ev) / sigma)) * height * sigma * 2.5066 / AXIS.step_ev
    loss = np.maximum(AXIS.energies_ev - zero_ev, 0.02)
    tail = np.where(AXIS.energies_ev > zero_ev + 0.02, 1e-2 * height * (0.02 / loss) ** 2, 0.0)
    return np.random.default_rng(seed).poisson(peak + tail).astype(float)


@pytest.mark.parametrize("zero_ev", [0.0, 0.0131, -0.0444, 0.06])
@pytest.mark.parametrize(("height", "within_ev"), [(1e5, 5e-5), (300.0, 5e-4)])
def test_where_the_peak_is(zero_ev, height, within_ev):
    found = [zero_position(spectrum(zero_ev, height, seed), AXIS) for seed in range(5000, 5010)]
    assert found == pytest.approx([zero_ev] * 10, abs=within_ev)


@pytest.mark.parametrize(
    ("zero_ev", "state"),
    [
        (0.0, ZeroState.INSIDE),
        (0.034, ZeroState.INSIDE),
        (-0.034, ZeroState.INSIDE),
        (0.036, ZeroState.LEAVING),
        (-0.036, ZeroState.LEAVING),
        (0.051, ZeroState.OUTSIDE),
        (-0.15, ZeroState.OUTSIDE),
    ],
)
def test_what_is_to_be_done(zero_ev, state):
    place = ZeroFollower(WINDOW).look(spectrum(zero_ev), AXIS)
    assert place.state is state
    assert place.change_ev == (0.0 if state is ZeroState.INSIDE else pytest.approx(zero_ev, abs=1e-4))
    assert bool(place.sentence) is (state is not ZeroState.INSIDE)


def test_a_target_that_is_not_in_the_middle():
    follower = ZeroFollower((-0.1, 0.3), target_ev=0.0)
    assert follower.look(spectrum(-0.08), AXIS).change_ev == pytest.approx(-0.08, abs=1e-4)
    assert follower.look(spectrum(0.2), AXIS).state is ZeroState.INSIDE


NOTHING = {
    "no counts": np.zeros(2048),
    "noise about zero": np.random.default_rng(5000).normal(0.0, 6.0, 2048),
    "no numbers": np.full(2048, np.nan),
    "cut off at the first channel": spectrum(-0.2),
    "a falling tail": 1e5 * np.exp(-np.arange(2048) / 300.0),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_there_is_no_peak(case):
    place = ZeroFollower(WINDOW).look(NOTHING[case], AXIS)
    assert place.state is ZeroState.NOT_FOUND
    assert math.isnan(place.position_ev) and math.isnan(place.change_ev)


def test_frames_are_summed_and_lost_channels_do_not_matter():
    frames = np.array([spectrum(0.01, 100.0, seed) for seed in range(5000, 5020)])
    frames[3, 40] = np.nan
    assert ZeroFollower(WINDOW).look(frames, AXIS).position_ev == pytest.approx(0.01, abs=2e-4)


def test_a_window_without_its_target():
    with pytest.raises(ValueError, match="not inside"):
        ZeroFollower((0.1, 0.3), target_ev=0.0)


def test_the_change_brings_the_peak_back_on_the_microscope():
    """The change is added to the offset control; on the axis of the start the peak is back at its target."""
    microscope = SimulatedMicroscope(seed=5000, stability=STILL, mishaps=Mishaps(energy_mev=((0.0, 42.0),)))
    place_of_vacuum = microscope.specimen.vacuum_point()
    start = microscope.energy
    follower = ZeroFollower(WINDOW)
    before = follower.look(microscope.frames(0.05, 2, place_of_vacuum), start)
    assert before.state is ZeroState.LEAVING
    microscope.set("ZLPoffset", microscope.get("ZLPoffset") + before.change_ev)
    after = follower.look(microscope.frames(0.05, 2, place_of_vacuum), start)
    assert after.state is ZeroState.INSIDE and after.position_ev == pytest.approx(0.0, abs=5e-4)
