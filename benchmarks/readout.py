"""The readout of simulated sessions against their truth, over seeds: does the uncertainty cover?"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import NAMES, Region, Regions
from eels_iontransport.materials import load
from eels_iontransport.session import analyze
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from eels_iontransport.simulation.specimen import Specimen, lco_boundary, twin

from .figure import Figure, spread

SEEDS = range(100, 140)  # none of them is used anywhere else
TWIN_SEEDS = range(100, 110)
SHIFT_SIGMA_MEV = 0.4
RATIO_SIGMA = 0.04
PULL_DEVIATION = (0.7, 1.5)
LINE_WITHOUT_DIFFERENCE = Regions(Region(0.0, 8.0), Region(9.5, 10.5), Region(12.0, 19.5))  # nothing there to find
SPECIMENS = {"boundary": lco_boundary, "twin": twin}


@dataclass(frozen=True)
class Result:
    """A number of the readout (nan where it is null) and its truth."""

    value: float
    sigma: float
    truth: float

    @property
    def pull(self) -> float:
        return (self.value - self.truth) / self.sigma


UNKNOWN = Result(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class SessionResult:
    shift_mev: Result = UNKNOWN
    ratio_change: Result = UNKNOWN


def session(specimen_name: str, seed: int) -> SessionResult:
    """One session on the simulated microscope, with regions found by the analysis and truth over those regions."""
    specimen: Specimen = SPECIMENS[specimen_name]()
    microscope = SimulatedMicroscope(specimen, seed)
    places = default_places(microscope)
    spectra = acquire_all(microscope, places)
    readout = analyze(
        load("lco"),
        vibrational=spectra[Role.VIBRATIONAL],
        aloof=spectra[Role.ALOOF],
        zlp=spectra[Role.ZLP],
        valence=spectra[Role.VALENCE],
        core_loss=spectra[Role.CORE_LOSS],
        regions=LINE_WITHOUT_DIFFERENCE if specimen_name == "twin" else None,
    )
    if readout["regions"] is None:
        return SessionResult()
    regions = Regions(*(Region(*(readout["regions"][name][end] for end in ("start_nm", "end_nm"))) for name in NAMES))
    truth = microscope.truth(places.line, regions)
    return SessionResult(
        result(readout["ldo_peak"]["blue_shift_mev"], truth["ldo_peak"]["blue_shift_mev"]),
        result(readout["li_to_co"]["relative_change"], truth["li_to_co"]["relative_change"])
        if "li_to_co" in readout
        else UNKNOWN,
    )


def result(quantity: dict, truth: float) -> Result:
    value, sigma = (math.nan if quantity[key] is None else quantity[key] for key in ("value", "sigma"))
    return Result(value, sigma, truth)


def sessions(specimen_name: str, seeds: Sequence[int]) -> list[SessionResult]:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(session, [specimen_name] * len(seeds), seeds))


def pulls(name: str, results: Sequence[Result]) -> list[Figure]:
    """Scatter of the pulls, their mean, and how many sessions had no number at all."""
    values = np.array([r.pull for r in results])
    given = values[np.isfinite(values)]
    deviation = float(given.std(ddof=1)) if given.size > 1 else math.nan
    mean = f"mean {given.mean():+.2f} +- {deviation / math.sqrt(given.size):.2f}" if given.size > 1 else ""
    low, high = PULL_DEVIATION
    return [
        Figure(f"{name}: deviation of {len(results)} pulls", "", deviation, low, high, mean),
        Figure(f"{name}: sessions without a number", "", float(len(results) - given.size), high=0.0),
    ]


def sigmas(name: str, results: Sequence[Result], goal: float, unit: str) -> Figure:
    values = [r.sigma for r in results if math.isfinite(r.sigma)] or [math.nan]
    return Figure(f"{name}: middle sigma", unit, float(np.median(values)), high=goal, spread=spread(values))


def zero(name: str, results: Sequence[Result]) -> Figure:
    """The specimen without a difference: the largest result in its sigmas, of which few may lie beyond 2."""
    values = [abs(r.value / r.sigma) for r in results]
    within = float(np.mean([value <= 2.0 for value in values]))
    return Figure(f"{name}: within 2 sigma of zero", "of seeds", within, low=0.9, spread=spread(values))


def measure() -> list[Figure]:
    boundary, without = sessions("boundary", SEEDS), sessions("twin", TWIN_SEEDS)
    shifts, ratios = [s.shift_mev for s in boundary], [s.ratio_change for s in boundary]
    return [
        *pulls("blue shift", shifts),
        sigmas("blue shift", shifts, SHIFT_SIGMA_MEV, "meV"),
        *pulls("Li:Co change", ratios),
        sigmas("Li:Co change", ratios, RATIO_SIGMA, ""),
        zero("twin, blue shift", [s.shift_mev for s in without]),
        zero("twin, Li:Co change", [s.ratio_change for s in without]),
    ]
