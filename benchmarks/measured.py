"""Measured spectra with known answers, where the folder that EELS_IONTRANSPORT_DATA names is there."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import eels_iontransport as eit

from .figure import Figure

EMPTY, FILLED = (Path("hermes_cnt") / name for name in ("EmptyCNT_RT.ndata1", "FilledCNT_1pt4nm_RT.ndata1"))
OH_MEV = (452.0, 458.0)
ROOM_K, ROOM_PART = 298.0, 0.15


def measure() -> list[Figure]:
    folder = os.environ.get("EELS_IONTRANSPORT_DATA")
    if not folder:
        return [Figure("measured spectra: EELS_IONTRANSPORT_DATA names no folder", "", math.nan)]
    recipe, spectra = eit.material("water_cnt"), [eit.load(Path(folder) / name) for name in (EMPTY, FILLED)]
    empty, filled = (eit.analyze(recipe, vibrational=spectrum) for spectrum in spectra)
    return [
        Figure("empty nanotube: O-H peaks", "", float(_centre(empty)["value"] is not None), high=0.0),
        _quantity("nanotube with water: O-H peak", "meV", _centre(filled), OH_MEV),
        _quantity(
            "empty nanotube on SiN at room temperature",
            "K",
            empty["temperature"]["temperature_k"],
            (ROOM_K * (1 - ROOM_PART), ROOM_K * (1 + ROOM_PART)),
        ),
    ]


def _centre(readout: dict[str, Any]) -> dict[str, Any]:
    return readout["peaks"][0]["centre_mev"]


def _quantity(name: str, unit: str, found: dict[str, Any], goal: tuple[float, float]) -> Figure:
    if found["value"] is None:
        return Figure(name, unit, math.nan, *goal)
    return Figure(name, unit, found["value"], *goal, f"+- {found['sigma']:.2g}")
