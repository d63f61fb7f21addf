"""How the microscope moves: the energy zero between frames and over minutes, the specimen under the beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stability:
    """jitter_mev: independent from frame to frame. wander_mev: a random walk that is held back, with its memory in s.

    energy_drift_mev_per_min: steady. zero_mev: where the zero-loss peak starts. All of the energy axis; standard
    deviations for the first two. spatial_drift_nm_per_min: (y, x) of the specimen.
    """

    jitter_mev: float = 0.3
    wander_mev: float = 2.0
    wander_memory_s: float = 30.0
    energy_drift_mev_per_min: float = 0.2
    zero_mev: float = 1.3
    spatial_drift_nm_per_min: tuple[float, float] = (0.0, 0.0)


STILL = Stability(0.0, 0.0, 30.0, 0.0, 0.0)


class EnergyWander:
    """The energy of the zero-loss peak at increasing times."""

    def __init__(self, stability: Stability, start_s: float, rng: np.random.Generator) -> None:
        self._stability = stability
        self._rng = rng
        self._start_s = self._last_s = start_s
        self._state = float(rng.standard_normal())

    def shift_ev(self, now_s: float) -> float:
        """Energy of the zero-loss peak on the nominal axis for a frame taken now."""
        stability = self._stability
        memory = np.exp(-max(0.0, now_s - self._last_s) / stability.wander_memory_s)
        self._state = memory * self._state + np.sqrt(1.0 - memory**2) * float(self._rng.standard_normal())
        self._last_s = now_s
        drift = stability.energy_drift_mev_per_min * (now_s - self._start_s) / 60.0
        jitter = stability.jitter_mev * float(self._rng.standard_normal())
        return 1e-3 * (stability.zero_mev + stability.wander_mev * self._state + drift + jitter)
