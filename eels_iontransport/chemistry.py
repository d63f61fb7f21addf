"""Thickness, lithium content and the regions of a line, from its valence and core-loss scans."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

import numpy as np

from .data.flags import Flag
from .data.regions import Regions
from .data.spectrum import EnergyAxis, Spectra
from .materials import Recipe
from .measure import noise as noises
from .measure.thickness import Thickness, t_over_lambda
from .vibrational import Prepared


@dataclass(frozen=True, eq=False)
class Chemistry:
    """What the valence and core-loss scans gave; parts without input are None or empty."""

    regions: Regions | None
    thickness: Thickness | None = None
    thickness_position_nm: np.ndarray = field(default_factory=lambda: np.empty(0))
    map: np.ndarray | None = None
    map_axis: EnergyAxis | None = None
    flags: tuple[Flag, ...] = ()


def measure_chemistry(
    recipe: Recipe, line: Prepared, valence: Spectra | None, core_loss: Spectra | None, regions: Regions | None
) -> Chemistry:
    """Everything that needs no vibrational fit. regions: given ones, else they are looked for."""
    thickness = t_over_lambda(valence, noises.for_spectra(valence)) if valence is not None else None
    position = valence.position_nm if valence is not None else np.empty(0)
    return Chemistry(regions, thickness, position, flags=thickness.flags if thickness else ())
