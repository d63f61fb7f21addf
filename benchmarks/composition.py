"""The Li:Co change against its truth: bias, and how often the interval covers, over seeds and shifts of the edges."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from eels_iontransport.data.noise import given
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import GRAIN_1, Regions
from eels_iontransport.data.spectrum import EnergyAxis, Spectra, make_spectra
from eels_iontransport.materials import load
from eels_iontransport.measure import composition, coreloss
from eels_iontransport.measure import noise as noises
from eels_iontransport.measure.plural import plural_scattering
from eels_iontransport.measure.values import UNKNOWN, Value
from eels_iontransport.measure.windows import RESIDUAL_FLAG, RESIDUAL_SIGNIFICANCE
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import DEFAULT_EXPOSURES, acquire_all, default_places
from eels_iontransport.simulation.specimen import lco_boundary
from eels_iontransport.simulation.truth import own_regions, truth

from . import random_edges
from .figure import Figure

SEEDS = range(5200, 5400)  # none of them is used anywhere else
SHIFTS_EV = (0.0, 0.2, -0.2)
OTHER_DOSES = (0.1, 10.0)
BIAS, COVERAGE = 0.02, (0.63, 0.75)
FINE_STRUCTURE = 0.3  # see `random_edges.line`
POWER_LAWS = 1000
HUMP = 0.03  # part of the counts at 51 eV


@dataclass(frozen=True)
class Outcome:
    """What one line gave, and the true change."""

    truth: float
    relative_change: Value = UNKNOWN
    published_windows: Value = UNKNOWN
    alternative_windows: Value = UNKNOWN
    against_grain_1: Value = UNKNOWN
    shapes_differ: bool = False


def simulated(seed: int, shift_ev: float, dose: float) -> Outcome:
    """The simulated boundary with a valence scan; its regions are the specimen's own."""
    specimen = lco_boundary()
    grain_1, boundary, grain_2 = specimen.phases
    specimen = replace(specimen, phases=(grain_1, replace(boundary, edge_shift_ev=shift_ev), grain_2))
    microscope = SimulatedMicroscope(specimen, seed)
    places = default_places(microscope)
    exposure_s, frames = DEFAULT_EXPOSURES[Role.CORE_LOSS]
    spectra = acquire_all(
        microscope,
        places,
        roles=(Role.VALENCE, Role.CORE_LOSS),
        exposures={Role.CORE_LOSS: (dose * exposure_s, frames)},
    )
    regions = own_regions(specimen, places.line)
    assert regions is not None
    true = truth(specimen, places.line, regions)["li_to_co"]["relative_change"]
    return _outcome(true, spectra[Role.CORE_LOSS], regions, spectra[Role.VALENCE])


def drawn(seed: int, shift_ev: float, fine_structure: float = 0.0) -> Outcome:
    """A line with edges of its own, without a valence scan."""
    spectra = random_edges.line(seed, shift_ev, fine_structure=fine_structure)
    return _outcome(random_edges.CHANGE, spectra, random_edges.REGIONS)


def _outcome(true: float, core_loss: Spectra, regions: Regions, valence: Spectra | None = None) -> Outcome:
    recipe = load("lco")
    assert recipe.ratio is not None
    plural = plural_scattering(core_loss, valence) if valence is not None else None
    noise = noises.for_spectra(core_loss)
    found = composition.change(core_loss, recipe.edges, recipe.ratio, regions, noise, plural=plural)
    alternative = found.backgrounds.alternative
    return Outcome(
        true,
        found.relative_change,
        found.windows.unmixed_change,
        alternative.unmixed_change if alternative is not None else UNKNOWN,
        found.grains.against[GRAIN_1] if found.grains is not None else UNKNOWN,
        found.grains.differ if found.grains is not None else False,
    )


def outcomes(line: Callable[[int], Outcome], seeds: Sequence[int] = SEEDS) -> list[Outcome]:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(line, seeds, chunksize=10))


def figures(
    name: str, results: Sequence[Outcome], quantity: str = "relative_change", goals: bool = True
) -> list[Figure]:
    """Bias, and share of the intervals that hold the truth, of the lines that gave a number."""
    found = np.array([getattr(result, quantity) for result in results])
    error = found[:, 0] - np.array([result.truth for result in results])
    given_one = np.isfinite(error)
    if given_one.sum() < 2:
        return [Figure(f"{name}: lines with a number", "", float(given_one.sum()))]
    error, sigma = error[given_one], found[given_one, 1]
    pull = error / sigma
    mean_error = error.std(ddof=1) / math.sqrt(error.size)
    bias_spread = f"+- {mean_error:.4f}; scatter {error.std(ddof=1):.4f}, median sigma {np.median(sigma):.4f}"
    spread = f"pulls {pull.mean():+.2f} +- {pull.std(ddof=1):.2f}, {error.size} of {len(results)} lines"
    low, high = COVERAGE if goals else (-math.inf, math.inf)
    bound = BIAS if goals else math.inf
    return [
        Figure(f"{name}: bias", "", float(error.mean()), -bound, bound, bias_spread),
        Figure(f"{name}: covered by the 68 % interval", "", float(np.mean(np.abs(pull) < 1)), low, high, spread),
    ]


def residual_rate(hump: float) -> float:
    """How often a power law with a hump near 51 eV, as a double plasmon makes, is told from one without."""
    axis = EnergyAxis(30.0, 0.1, 400)
    energy, edge = axis.energies_ev, load("lco").edges[0]
    assert edge.residual_window_ev is not None
    expected = 1e6 * (energy / 43) ** -3.2 * (1 + hump * np.exp(-0.5 * ((energy - 51) / 2.5) ** 2))
    rows = np.random.default_rng(SEEDS[0]).poisson(expected, (POWER_LAWS, axis.size)).astype(float)
    spectra = make_spectra(rows, axis, noise=given(1.0))
    left, sigma = coreloss.pre_edge_residual(spectra, edge.background_window_ev, edge.residual_window_ev)
    return float(np.mean((np.abs(left) > RESIDUAL_FLAG) & (np.abs(left) > RESIDUAL_SIGNIFICANCE * sigma)))


def measure() -> list[Figure]:
    result = []
    for shift_ev in SHIFTS_EV:
        found, name = outcomes(partial(simulated, shift_ev=shift_ev, dose=1.0)), f"Li:Co, edges {shift_ev:+.1f} eV"
        result += figures(name, found)
        for quantity in ("published_windows", "alternative_windows"):
            result += figures(f"{name}, {quantity.replace('_', ' ')}", found, quantity, goals=False)
        for dose in OTHER_DOSES:
            other = outcomes(partial(simulated, shift_ev=shift_ev, dose=dose))
            result += figures(f"{name}, dose {dose:g}", other, goals=False)
    random = {shift_ev: outcomes(partial(drawn, shift_ev=shift_ev)) for shift_ev in SHIFTS_EV}
    for shift_ev, found in random.items():
        result += figures(f"Li:Co, random edges {shift_ev:+.1f} eV", found)
    same = random[0.0]
    other = outcomes(partial(drawn, shift_ev=0.0, fine_structure=FINE_STRUCTURE))
    result += figures("Li:Co against grain 1, grain 2 of other fine structure", other, "against_grain_1")
    return [
        *result,
        Figure("grains of other fine structure told", "of lines", float(np.mean([o.shapes_differ for o in other]))),
        Figure("grains of the same told apart", "of lines", float(np.mean([o.shapes_differ for o in same])), high=0.05),
        Figure("power laws flagged", "of spectra", residual_rate(0.0), high=0.01),
        Figure(f"humps of {100 * HUMP:g} % near 51 eV flagged", "of spectra", residual_rate(HUMP), low=0.95),
    ]
