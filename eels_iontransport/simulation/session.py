"""A whole session without a runner: spectra of every role, for tests and benchmarks of the analysis."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..data.geometry import Line, Point
from ..data.noise import given
from ..data.record import Role
from ..data.spectrum import Spectra, sum_of_passes
from .microscope import SimulatedMicroscope

LINE_SETTINGS = {Role.VIBRATIONAL: "vibrational", Role.VALENCE: "valence", Role.CORE_LOSS: "core_loss"}

# Exposure of a frame in s, and frames: of a pixel for lines, in all for the others.
DEFAULT_EXPOSURES: Mapping[Role, tuple[float, int]] = {
    Role.ZLP: (0.1, 100),
    Role.ALOOF: (0.1, 300),
    Role.VIBRATIONAL: (0.1, 20),
    Role.VALENCE: (0.02, 5),
    Role.CORE_LOSS: (0.5, 4),
}


@dataclass(frozen=True)
class Places:
    """Where a session is taken."""

    line: Line
    aloof: Point
    vacuum: Point


def default_places(microscope: SimulatedMicroscope, pixels: int = 40, length_nm: float = 20.0) -> Places:
    specimen = microscope.specimen
    return Places(specimen.line(pixels, length_nm), specimen.aloof_point(), specimen.vacuum_point())


def acquire_all(
    microscope: SimulatedMicroscope,
    places: Places | None = None,
    *,
    exposures: Mapping[Role, tuple[float, int]] | None = None,
    roles: Iterable[Role] = tuple(DEFAULT_EXPOSURES),
    gain_known: bool = True,
    passes: int = 1,
    off_axis: Collection[Role] = (),
) -> dict[Role, Spectra]:
    """Spectra of each role: frames as rows for the ZLP and aloof, a row per pixel (frames summed) for the lines.

    gain_known: whether the spectra carry the noise model of the camera's gain, or leave it to be estimated.
    passes: how often the vibrational line is traversed, with as many frames in all; more than one are kept. Raises
    ValueError where the frames of a pixel cannot be divided among them.
    off_axis: roles that are collected off the axis.
    """
    places = places or default_places(microscope)
    taken = {**DEFAULT_EXPOSURES, **(exposures or {})}
    result = {}
    for role in roles:
        microscope.use(LINE_SETTINGS.get(role, "vibrational"), off_axis=role in off_axis)
        if role in LINE_SETTINGS:
            counts = _traversed(microscope, places.line, taken[role], passes if role is Role.VIBRATIONAL else 1)
            result[role] = _spectra(microscope, role, counts, taken[role], places.line.step_nm, gain_known)
        else:
            counts = microscope.frames(*taken[role], position=places.vacuum if role is Role.ZLP else places.aloof)
            result[role] = _spectra(microscope, role, counts[None], (taken[role][0], 1), None, gain_known)
    return result


def _traversed(microscope: SimulatedMicroscope, line: Line, exposure: tuple[float, int], passes: int) -> np.ndarray:
    """Counts (passes, n, channels) of a line that is traversed so often, with as many frames of a pixel in all."""
    exposure_s, frames = exposure
    if passes < 1 or frames % passes:
        raise ValueError(f"{frames} frames of a pixel cannot be divided among {passes} passes.")
    return np.array(
        [
            [microscope.frames(exposure_s, frames // passes, position=p).sum(0, dtype=float) for p in line.points()]
            for _ in range(passes)
        ]
    )


def _spectra(
    microscope: SimulatedMicroscope,
    role: Role,
    counts: np.ndarray,
    exposure: tuple[float, int],
    step_nm: float | None,
    gain_known: bool,
) -> Spectra:
    camera = microscope.camera
    return sum_of_passes(
        counts,
        microscope.energy,
        step_nm=step_nm,
        saturation_level=camera.saturation_level_counts * exposure[1],
        exposure_s=exposure[0],
        frames=exposure[1],
        noise=given(1.0 / camera.counts_per_electron) if gain_known else None,
        name=role.value,
    )
