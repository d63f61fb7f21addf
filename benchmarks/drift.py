"""How far the probe is from its place on a specimen that drifts, by the truth of the simulator, with both engines."""

from __future__ import annotations

import numpy as np

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.drift_settings import DriftSettings
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Engine, Plan, Step
from eels_iontransport.acquire.port import Frames
from eels_iontransport.acquire.runner import Runner
from eels_iontransport.data.record import Role
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.port import SimulatedPort
from eels_iontransport.simulation.stability import Stability

from .figure import Figure, spread

SEEDS = range(5000, 5010)
SPEEDS = {"0.4 nm/s": 24.0, "0.5 nm/min": 0.5}  # nm/min
STEPS = {
    "parked, 20 frames of 0.1 s": Step(Role.VIBRATIONAL, "vibrational", 0.1, 20),
    "parked, 1 frame of 0.1 s": Step(Role.VIBRATIONAL, "vibrational", 0.1, 1, 5),
    "synchronized, 0.1 s, 10 passes": Step(Role.VIBRATIONAL, "vibrational", 0.1, 1, 10, Engine.SYNCHRONIZED),
}
PIXELS, LENGTH_NM = 40, 20.0
GOAL_NM = 0.3
# At the higher speed a line moves further than the usual limit, and drifts faster than the usual start allows.
DRIFT = DriftSettings(limit_nm=60.0, rate_limit_nm_per_min=1000.0)


class Watched(SimulatedPort):
    """Notes where on the specimen the probe was in the middle of each exposure, and for how many frames."""

    def __init__(self, microscope: SimulatedMicroscope) -> None:
        super().__init__(microscope)
        self.places: list[np.ndarray] = []

    def acquire_frames(self, exposure_s: float, frames: int) -> Frames:
        begun = self._on_specimen()
        taken = super().acquire_frames(exposure_s, frames)
        ended = self._on_specimen()
        shares = (np.arange(len(taken.counts)) + 0.5) / frames
        self.places += list(begun + shares[:, None] * (ended - begun))
        return taken

    def _on_specimen(self) -> np.ndarray:
        probe = self.microscope.probe
        assert probe is not None
        return np.array([probe.y_nm, probe.x_nm]) - np.array(self.microscope.displacement_nm())


def off_nm(step: Step, speed_nm_per_min: float, seed: int, drift: DriftSettings | None = DRIFT) -> np.ndarray:
    """Distance of each frame from its place on the specimen; the drift has a direction of its own for each seed."""
    angle = np.random.default_rng([seed, 1]).uniform(0.0, 2 * np.pi)
    rates = (speed_nm_per_min * np.sin(angle), speed_nm_per_min * np.cos(angle))
    microscope = SimulatedMicroscope(seed=seed, stability=Stability(spatial_drift_nm_per_min=rates))
    microscope.survey()
    microscope.probe = microscope.specimen.aloof_point()
    port, line = Watched(microscope), microscope.specimen.line(PIXELS, LENGTH_NM)
    plan = Plan("GB1", "lco", (step,), line=line, drift=drift)
    outcome = Runner(port, MemoryRecorder(), sites.load("simulator"), clock=microscope.clock).run(plan)
    if outcome.ending is not Ending.COMPLETE or outcome.retaken:
        raise RuntimeError(f"{step}, seed {seed}: {outcome.sentence()}")
    planned = np.array([(point.y_nm, point.x_nm) for point in line.points()])
    planned = np.tile(np.repeat(planned, step.frames, axis=0), (step.passes, 1))
    return np.hypot(*(np.array(port.places) - planned).T)


def measure() -> list[Figure]:
    figures = []
    for speed, nm_per_min in SPEEDS.items():
        for name, step in STEPS.items():
            off = [off_nm(step, nm_per_min, seed) for seed in SEEDS]
            worst = [float(frames.max()) for frames in off]
            typical = f"rms {np.sqrt(np.mean(np.square(off))):.2f}; worst of a run {spread(worst)}"
            figures.append(Figure(f"drift {speed}, {name}: off by", "nm", max(worst), high=GOAL_NM, spread=typical))
        unfollowed = float(off_nm(STEPS["parked, 20 frames of 0.1 s"], nm_per_min, SEEDS[0], None).max())
        figures.append(Figure("  not followed, parked, 20 frames", "nm", unfollowed))
    return figures
