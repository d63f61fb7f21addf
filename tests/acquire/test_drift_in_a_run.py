"""A whole run on a drifting specimen: where the probe was on the specimen, against where the plan has it."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.drift_settings import DriftSettings
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Plan, Step
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.data.record import Role
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.port import SimulatedPort
from eels_iontransport.simulation.stability import Stability

FAST, SLOW = (14.4, 19.2), (0.4, -0.3)  # nm/min: 0.4 nm/s and 0.5 nm/min


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
