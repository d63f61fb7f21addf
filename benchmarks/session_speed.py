"""Time of the readout of a line in the default mode, at once and row by row as it comes in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from eels_iontransport.data.record import Role
from eels_iontransport.data.spectrum import Spectra
from eels_iontransport.materials import load
from eels_iontransport.session import Session
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places

from .figure import Figure, spread

SEED = 4000
PIXELS = 100
RUNS = 5
VIBRATIONAL = (Role.VIBRATIONAL, Role.ALOOF, Role.ZLP)
READOUT_GOAL_S = 0.15
LIVE_ROWS = range(60, PIXELS)  # of the line, one after the other
LIVE_GOAL_MS = 10.0

Inputs = Mapping[str, Spectra]


def measure() -> list[Figure]:
    microscope = SimulatedMicroscope(seed=SEED)
    everything = {r.value: s for r, s in acquire_all(microscope, default_places(microscope, PIXELS)).items()}
    vibrational = {role.value: everything[role.value] for role in VIBRATIONAL}
    _readout_s(everything)  # compiled, and its files read
    return [
        _readout(f"shared readout of {PIXELS} rows", vibrational, READOUT_GOAL_S),
        _readout(f"shared readout of {PIXELS} rows, with core loss and thickness", everything, np.inf),
        _live(vibrational),
    ]


def _readout(name: str, inputs: Inputs, goal_s: float) -> Figure:
    seconds = [_readout_s(inputs) for _ in range(RUNS)]
    return Figure(name, "s", float(np.median(seconds)), high=goal_s, spread=spread(seconds))


def _readout_s(inputs: Inputs) -> float:
    session = Session(load("lco"))
    session.update(**inputs)
    started = time.perf_counter()
    session.evaluate()
    return time.perf_counter() - started


def _live(inputs: Inputs) -> Figure:
    """Each new row of a line that fills, seen by one session."""
    session = Session(load("lco"))
    session.update(**inputs)
    milliseconds = []
    for rows in (LIVE_ROWS.start, *LIVE_ROWS):
        session.update(vibrational=_first_rows(inputs[Role.VIBRATIONAL.value], rows))
        started = time.perf_counter()
        session.evaluate()
        milliseconds.append(1e3 * (time.perf_counter() - started))
    name = f"new row into a live line of {PIXELS}"
    return Figure(name, "ms", float(np.median(milliseconds[1:])), high=LIVE_GOAL_MS, spread=spread(milliseconds[1:]))


def _first_rows(line: Spectra, rows: int) -> Spectra:
    """The line as it is when only so many rows have come in."""
    return replace(line, valid=line.valid & (np.arange(len(line.valid)) < rows))
