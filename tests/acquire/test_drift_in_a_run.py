"""A whole run on a drifting specimen: where the probe was on the specimen, against where the plan has it."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.drift_settings import DriftSettings
from eels_iontransport.acquire.follow_ups import more_passes
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Plan, Step
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.data.record import Role
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.port import SimulatedPort
from eels_iontransport.simulation.stability import Stability

FAST, SLOW = (14.4, 19.2), (0.4, -0.3)  # nm/min: 0.4 nm/s and 0.5 nm/min
BETWEEN = (0.18, -0.24)  # 3 nm in ten minutes


class Watched(SimulatedPort):
    """Notes where on the specimen the probe was when frames began and ended, and how many they were."""

    def __init__(self, microscope: SimulatedMicroscope) -> None:
        super().__init__(microscope)
        self.places: list[tuple[np.ndarray, np.ndarray]] = []
        self.frames: list[int] = []

    def acquire_frames(self, exposure_s, frames):
        begun = self._on_specimen()
        taken = super().acquire_frames(exposure_s, frames)
        self.places.append((begun, self._on_specimen()))
        self.frames.append(len(taken.counts))
        return taken

    def _on_specimen(self) -> np.ndarray:
        return np.array([self.microscope.probe.y_nm, self.microscope.probe.x_nm]) - self.microscope.displacement_nm()


@pytest.mark.parametrize("rate", [FAST, SLOW], ids=["0.4 nm/s", "0.5 nm/min"])
@pytest.mark.parametrize("frames", [1, 20])
@pytest.mark.parametrize("seed", [6000, 6001])
def test_the_line_stays_on_the_specimen(rate, frames, seed):
    microscope = SimulatedMicroscope(seed=seed, stability=Stability(spatial_drift_nm_per_min=rate))
    microscope.survey()
    microscope.probe = microscope.specimen.aloof_point()
    port, line = Watched(microscope), microscope.specimen.line(40, 20.0)
    # The drift is above the limit at which a run starts by itself, so that limit is raised.
    drift = DriftSettings(limit_nm=60.0, rate_limit_nm_per_min=1000.0)
    plan = Plan("GB1", "lco", (Step(Role.VIBRATIONAL, "vibrational", 0.1, frames),), line=line, drift=drift)
    outcome = Runner(port, MemoryRecorder(), sites.load("simulator"), clock=microscope.clock).run(plan)
    assert outcome.ending is Ending.COMPLETE
    rows = (np.cumsum(port.frames) - 1) // frames
    planned = np.array([(point.y_nm, point.x_nm) for point in line.points()])[rows]
    off = np.hypot(*(np.array(port.places) - planned[:, None]).transpose(2, 0, 1))
    assert off.max() <= 0.3


def still_line(frames: int = 2, **drift) -> tuple[SimulatedMicroscope, Watched, Plan, Runner]:
    """A run that lasts for seconds, on a specimen that drifts by 0.3 nm/min: the rest of its way is between runs."""
    microscope = SimulatedMicroscope(seed=drift.pop("seed"), stability=Stability(spatial_drift_nm_per_min=BETWEEN))
    microscope.survey()
    microscope.probe = microscope.specimen.aloof_point()
    line = microscope.specimen.line(20, 20.0)
    step = Step(Role.VIBRATIONAL, "vibrational", 0.1, frames)
    plan = Plan("GB1", "lco", (step,), line=line, drift=DriftSettings(**drift))
    port = Watched(microscope)
    return microscope, port, plan, Runner(port, MemoryRecorder(), sites.load("simulator"), clock=microscope.clock)


def off_nm(port: Watched, plan: Plan) -> np.ndarray:
    """Distance on the specimen of each sequence of frames from where its row belongs."""
    rows = (np.cumsum(port.frames) - 1) // plan.steps[0].frames
    planned = np.array([(point.y_nm, point.x_nm) for point in plan.line.points()])[rows]
    return np.hypot(*(np.array(port.places) - planned[:, None]).transpose(2, 0, 1))


@pytest.mark.parametrize("seed", [6010, 6011])
def test_a_second_run_finds_the_line_of_the_first_again(seed):
    microscope, port, plan, runner = still_line(seed=seed)
    first = runner.run(plan)
    assert first.ending is Ending.COMPLETE and off_nm(port, plan).max() <= 0.3
    reference, moved_nm = first.reference, 0.0
    for passes in range(2):  # a chain stays on the line of the first run
        microscope.clock.wait(600.0)
        port.places, port.frames = [], []
        again = runner.run(more_passes(plan, 1), reference=reference)
        assert again.ending is Ending.COMPLETE and off_nm(port, plan).max() <= 0.3
        reference, moved_nm = again.reference, np.hypot(*microscope.displacement_nm())
        assert moved_nm > 3.0 * (passes + 1) and again.drift.moved_nm == pytest.approx(moved_nm, abs=0.3)
        assert (
            f"Line moved {again.drift.moved_nm:.1f} +- " in again.sentence()
            and "since the first run" in again.sentence()
        )
        assert np.hypot(*reference.moved_nm) == pytest.approx(moved_nm, abs=0.3)
    port.places, port.frames = [], []
    assert runner.run(plan).ending is Ending.COMPLETE
    assert off_nm(port, plan).min() > 5.5  # as the marks know nothing of the drift


def test_a_line_that_has_moved_beyond_the_limit_is_not_taken():
    microscope, port, plan, runner = still_line(seed=6012, limit_nm=3.0)
    first = runner.run(plan)
    microscope.clock.wait(700.0)
    port.places = []
    again = runner.run(plan, reference=first.reference)
    assert again.ending is Ending.FAULT and not port.places and again.drift is None
    assert again.reason.startswith(
        "The place of the first run was not found again: the specimen has moved 3.5 nm, more "
    )
    assert again.reason.endswith("the limit of 3.0 nm; take a new survey and place the line anew.")
    assert np.array_equal(again.reference.image, first.reference.image)  # it may yet come back
