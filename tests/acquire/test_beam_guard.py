"""A beam that is away within a row is seen in the row's frames."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.acquire.beam_guard import ATTEMPTS, BeamGuard, is_uneven
from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.acquire.site import Beam
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.simulation.clock import Clock

from .fake import FakeMicroscope

AXIS = EnergyAxis(-0.05, 0.0005, 400)
BEAM = Beam("current", 1e12, "blank")


def frames(brightness: list[float], electrons: float = 1e4, zero_loss: float = 1.0) -> Frames:
    """A zero-loss peak of so many electrons times the brightness of each frame, and read noise."""
    rng = np.random.default_rng(3)
    energy = AXIS.offset_ev + AXIS.step_ev * np.arange(AXIS.size)
    peak = np.exp(-0.5 * (energy / 0.004) ** 2)
    expected = electrons * zero_loss * np.outer(brightness, peak / peak.sum())
    return Frames(rng.poisson(expected) + rng.normal(0.0, 2.0, expected.shape), AXIS)


# brightness of the frames, whether one is missing
CASES = {
    "steady": (frames([1.0] * 5), False),
    "one frame": (frames([1.0]), False),
    "a frame without beam": (frames([1.0, 1.0, 0.0, 1.0]), True),
    "a frame with a third of the beam": (frames([1.0, 0.33]), True),
    "a beam that wanders": (frames([1.0, 0.9, 0.8, 0.7]), False),
    "few electrons": (frames([1.0, 0.6], electrons=300.0), False),
    "no zero-loss peak": (frames([1.0, 0.0], zero_loss=0.0), False),
}


@pytest.mark.parametrize("case", CASES)
def test_frames_without_beam_among_others(case):
    given, uneven = CASES[case]
    assert is_uneven(given, lost_below=0.5) is uneven


def test_a_beam_that_was_away_has_to_settle_and_a_flickering_one_ends_the_run():
    guard = BeamGuard(FakeMicroscope(), BEAM, Clock(), watched=True)
    assert guard.look() and guard.was_steady([frames([1.0, 1.0])])
    assert not guard.was_steady([frames([1.0, 1.0]), frames([1.0, 0.0])])
    assert not guard.look() and guard.sentence().startswith("Beam back, settling")
    assert guard.was_steady([frames([1.0, 1.0])])
    for _ in range(ATTEMPTS - 1):
        assert not guard.was_steady([frames([1.0, 0.0])])
    with pytest.raises(MicroscopeFault, match="flickers"):
        guard.was_steady([frames([1.0, 0.0])])


def test_a_beam_that_is_not_watched_may_flicker():
    guard = BeamGuard(FakeMicroscope(), BEAM, Clock(), watched=False)
    assert guard.was_steady([frames([1.0, 0.0])])
