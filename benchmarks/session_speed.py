"""Time of the readout of a line in the default mode, at once and row by row as it comes in, and of an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from eels_iontransport.data.image import SpectrumImage
from eels_iontransport.data.noise import given
from eels_iontransport.data.record import Role
from eels_iontransport.data.spectrum import Spectra
from eels_iontransport.image import decompose_image
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
BOOTSTRAPS, BOOTSTRAP_GOAL_S = 200, 3.0
LIVE_ROWS = range(60, PIXELS)  # of the line, one after the other
LIVE_GOAL_MS = 10.0
IMAGE = 64  # pixels along the line, and across it
FRAME_S, FRAMES = 0.1, 4  # of a pixel of the image
IMAGE_GOAL_S = 1.5

Inputs = Mapping[str, Spectra]


def measure() -> list[Figure]:
    microscope = SimulatedMicroscope(seed=SEED)
    everything = {r.value: s for r, s in acquire_all(microscope, default_places(microscope, PIXELS)).items()}
    vibrational = {role.value: everything[role.value] for role in VIBRATIONAL}
    image = _image(microscope)
    _readout(vibrational, BOOTSTRAPS)  # compiled, and its files read
    name, pixels = f"shared readout of {PIXELS} rows", f"{IMAGE} x {IMAGE} pixels"
    return [
        _timed(name, lambda: _readout(vibrational), READOUT_GOAL_S),
        _timed(f"{name}, with core loss and thickness", lambda: _readout(everything), np.inf),
        _timed(f"{name}, with {BOOTSTRAPS} bootstraps", lambda: _readout(vibrational, BOOTSTRAPS), BOOTSTRAP_GOAL_S),
        _live(vibrational),
        _timed(f"maps of {pixels}, published", lambda: _maps(image, vibrational, "published"), IMAGE_GOAL_S),
        _timed(f"maps of {pixels}, shared", lambda: _maps(image, vibrational, "shared"), np.inf),
    ]


def _timed(name: str, call: Callable[[], object], goal_s: float) -> Figure:
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return Figure(name, "s", float(np.median(seconds)), high=goal_s, spread=spread(seconds))


def _readout(inputs: Inputs, bootstraps: int = 0) -> None:
    session = Session(load("lco"))
    session.update(**inputs)
    session.evaluate()
    if bootstraps:
        session.bootstrap(bootstraps)


def _maps(image: SpectrumImage, inputs: Inputs, mode: str) -> None:
    decompose_image(image, load("lco"), aloof=inputs[Role.ALOOF.value], zlp=inputs[Role.ZLP.value], mode=mode)


def _image(microscope: SimulatedMicroscope) -> SpectrumImage:
    """A line across the boundary, taken again and again."""
    microscope.use("vibrational")
    places = default_places(microscope, IMAGE).line.points()
    frames = [microscope.frames(FRAME_S, IMAGE * FRAMES, position=place) for place in places]
    counts = np.array([f.reshape(IMAGE, FRAMES, -1).sum(axis=1) for f in frames])
    camera = microscope.camera
    return SpectrumImage(
        counts.swapaxes(0, 1),
        microscope.energy,
        saturation_level=camera.saturation_level_counts * FRAMES,
        exposure_s=FRAME_S,
        noise=given(1.0 / camera.counts_per_electron),
    )


def _live(inputs: Inputs) -> Figure:
    """Each new row of a line that fills, seen by one session."""
    session = Session(load("lco"))
    session.update(**inputs)
    milliseconds = []
    for rows in (LIVE_ROWS.start, *LIVE_ROWS):
        session.update(vibrational=_first_rows(inputs[Role.VIBRATIONAL.value], rows))
        started = time.perf_counter()
        session.evaluate(settled=False)
        milliseconds.append(1e3 * (time.perf_counter() - started))
    name = f"new row into a live line of {PIXELS}"
    return Figure(name, "ms", float(np.median(milliseconds[1:])), high=LIVE_GOAL_MS, spread=spread(milliseconds[1:]))


def _first_rows(line: Spectra, rows: int) -> Spectra:
    """The line as it is when only so many rows have come in."""
    return replace(line, valid=line.valid & (np.arange(len(line.valid)) < rows))
