"""Time of one spectrum of the simulated microscope at a place where the probe has not been before."""

from __future__ import annotations

import time

from eels_iontransport.data.geometry import Point
from eels_iontransport.simulation.microscope import SETTINGS, SimulatedMicroscope

from .figure import Figure, spread

SPECTRA = 200
REPEATS = 5
GOAL_MS = 3.0


def milliseconds(setting: str, seed: int) -> float:
    """Mean time per spectrum along a line across specimen and boundary; the model of the setting is made before."""
    microscope = SimulatedMicroscope(seed=seed)
    microscope.use(setting)
    line = microscope.specimen.line(SPECTRA, 20.0)
    exposure_s = 0.1
    microscope.frame(Point(line.start.y_nm, line.start.x_nm - 1.0), exposure_s)
    started = time.perf_counter()
    for position in line.points():
        microscope.frame(position, exposure_s)
    return 1e3 * (time.perf_counter() - started) / SPECTRA


def measure() -> list[Figure]:
    figures = []
    for setting in SETTINGS:
        times = [milliseconds(setting, seed) for seed in range(REPEATS)]
        name = f"simulator, 2048 channels, {setting.replace('_', ' ')}"
        figures.append(Figure(name, "ms", max(times), high=GOAL_MS, spread=spread(times)))
    return figures
