"""The shift against its truth: bias, spread, and whether the quoted intervals cover; `benchmarks/referee_lines.py`.

Doses are those of the spectra that are fitted, the sums of a region, in units of the published dose of a pixel.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from eels_iontransport.materials import load
from eels_iontransport.session import Session

from .cramer_rao import bound
from .figure import Figure
from .referee_lines import PIXELS, REGIONS, Condition, session

MAIN_SEEDS, OTHER_SEEDS = range(30_000, 30_500), range(40_000, 40_200)  # used nowhere else
SHIFTS_MEV = (0.0, 0.9, 1.8, 2.6)
DOSE_1, DOSE_10, DOSE_100 = 1.0 / PIXELS, 10.0 / PIXELS, 100.0 / PIXELS
BIAS_MEV, SLOPE, SPREAD = 0.05, 0.05, 1.25
COVER, COVER_ELSEWHERE = (0.63, 0.75), (0.60, 0.78)
PULL_MEAN, PULL_DEVIATION = 0.15, (0.85, 1.15)
WITHIN, CAUGHT = 2.0, 0.95
WIDTH_SCATTER, FOUND, FALSE = 0.05, 0.95, 0.05
OFFSET_MEV = -1.0
WIDTHS_FLAG = "WIDTHS_DIFFER"
OFFSET_FLAG = "POLARITONS_OFFSET"
DOUBTS = ("MODEL_MISFIT", "LDO_RAILED", "LDO_NOT_FOUND", "SHIFT_NOT_DETERMINED")


@dataclass(frozen=True)
class Outcome:
    """The shift of one session: what was found less the truth, in meV; nan where it was refused."""

    condition: Condition
    error: float
    sigma: float
    covers: bool
    flags: tuple[str, ...]

    @property
    def pull(self) -> float:
        return self.error / self.sigma


def outcome(task: tuple[Condition, int, str]) -> Outcome:
    """One session analysed. task: condition, seed, mode."""
    condition, seed, mode = task
    taken = session(condition, seed)
    analysis = Session(load("lco"), mode=mode, regions=REGIONS)
    analysis.update(**taken.inputs)
    readout = analysis.evaluate().readout
    flags = tuple(flag["code"] for flag in readout["flags"])
    shift = readout["ldo_peak"]["blue_shift_mev"]
    if shift["value"] is None or shift["sigma"] is None:
        return Outcome(condition, math.nan, math.nan, False, flags)
    low, high = shift["interval_68"]
    return Outcome(condition, shift["value"] - taken.shift_mev, shift["sigma"], low <= taken.shift_mev <= high, flags)


def outcomes(conditions: Sequence[Condition], seeds: Sequence[int], mode: str = "shared") -> list[Outcome]:
    """Of every seed, the conditions in turn; on all cores."""
    tasks = [(conditions[i % len(conditions)], seed, mode) for i, seed in enumerate(seeds)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        return list(pool.map(outcome, tasks, chunksize=4))


def measure() -> list[Figure]:
    main = outcomes([Condition(shift, DOSE_10) for shift in SHIFTS_MEV], MAIN_SEEDS)
    return [
        *_bias(main),
        *_spread(main),
        *_coverage("dose 10", main, COVER),
        *_pulls("dose 10", main),
        *_elsewhere(),
        *_widths(),
        *_offset(),
        *_published(),
    ]


def _known(results: Sequence[Outcome]) -> list[Outcome]:
    return [r for r in results if math.isfinite(r.error)]


def _of(results: Sequence[Outcome], shift_mev: float) -> np.ndarray:
    return np.array([r.error for r in _known(results) if r.condition.shift_mev == shift_mev])


def _bias(results: Sequence[Outcome], mode: str = "shared", bound_mev: float = BIAS_MEV) -> list[Figure]:
    found = []
    for shift in SHIFTS_MEV:
        errors = _of(results, shift)
        name = f"{mode}, dose 10: bias at a shift of {shift:g}"
        if errors.size < 2:
            found.append(Figure(name, "meV", math.nan, spread=f"{errors.size} sessions with a number"))
            continue
        spread = f"+- {errors.std(ddof=1) / math.sqrt(errors.size):.3f} of {errors.size}"
        found.append(Figure(name, "meV", float(errors.mean()), -bound_mev, bound_mev, spread))
    known = _known(results)
    truth = np.array([r.condition.shift_mev for r in known])
    value = truth + np.array([r.error for r in known])
    slope = float(np.polyfit(truth, value, 1)[0])
    goal = (1 - SLOPE, 1 + SLOPE) if math.isfinite(bound_mev) else (-math.inf, math.inf)
    return [*found, Figure(f"{mode}, dose 10: slope of found against true", "", slope, *goal)]


def _spread(results: Sequence[Outcome]) -> list[Figure]:
    found = []
    for shift in SHIFTS_MEV:
        errors = _of(results, shift)
        limit = bound(Condition(shift, DOSE_10))
        text = f"{errors.std(ddof=1):.3f} over {limit:.3f} meV"
        name = f"dose 10: spread over the Cramer-Rao bound at {shift:g}"
        found.append(Figure(name, "", float(errors.std(ddof=1) / limit), high=SPREAD, spread=text))
    return found


def _coverage(name: str, results: Sequence[Outcome], goal: tuple[float, float]) -> list[Figure]:
    known = _known(results)
    share = float(np.mean([r.covers for r in known]))
    shifts = [[r.covers for r in known if r.condition.shift_mev == shift] for shift in SHIFTS_MEV]
    by_shift = ", ".join(f"{np.mean(covers):.2f}" if covers else "none" for covers in shifts)
    error = math.sqrt(share * (1 - share) / len(known))
    return [
        Figure(f"{name}: 68 % intervals that cover", "", share, *goal, f"+- {error:.3f}; by shift {by_shift}"),
        Figure(f"{name}: sessions without a number", "", 1 - len(known) / len(results)),
    ]


def _pulls(name: str, results: Sequence[Outcome]) -> list[Figure]:
    pulls = np.array([r.pull for r in _known(results)])
    mean, deviation = float(pulls.mean()), float(pulls.std(ddof=1))
    text = f"+- {deviation / math.sqrt(pulls.size):.3f}"
    return [
        Figure(f"{name}: mean of the pulls", "", mean, -PULL_MEAN, PULL_MEAN, text),
        Figure(f"{name}: deviation of the pulls", "", deviation, *PULL_DEVIATION),
    ]


def _elsewhere() -> list[Figure]:
    found = []
    for name, dose in (("dose 1", DOSE_1), ("dose 100", DOSE_100)):
        results = outcomes([Condition(shift, dose) for shift in SHIFTS_MEV], OTHER_SEEDS)
        found += _coverage(name, results, COVER_ELSEWHERE)
    return found


def _widths() -> list[Figure]:
    lines = (outcomes([Condition(dose=DOSE_10, width_scatter=s)], OTHER_SEEDS) for s in (WIDTH_SCATTER, 0.0))
    scattered, common = (_share(results, lambda r: WIDTHS_FLAG in r.flags) for results in lines)
    return [
        Figure("dose 10: lines with 5 % scatter of widths that are flagged", "", scattered, low=FOUND),
        Figure("dose 10: lines of common widths that are flagged", "", common, high=FALSE),
    ]


def _offset() -> list[Figure]:
    """The offset is itself flagged, so that what the shift is worth without the flag is told beside it."""
    off, on = (
        outcomes([Condition(0.0, DOSE_10, polariton_offset_mev=offset)], OTHER_SEEDS) for offset in (OFFSET_MEV, 0.0)
    )
    within = _share(off, lambda r: abs(r.pull) <= WITHIN or any(doubt in r.flags for doubt in DOUBTS))
    caught = _share(off, lambda r: abs(r.pull) <= WITHIN or any(d in r.flags for d in (*DOUBTS, OFFSET_FLAG)))
    false = _share(on, lambda r: OFFSET_FLAG in r.flags)
    known = _known(off)
    text = f"bias {np.mean([r.error for r in known]):+.3f} meV, {len(known)} of {len(off)} with a number"
    return [
        Figure("polaritons off by -1 meV, no shift: within 2 sigma, or flagged", "", caught, low=CAUGHT, spread=text),
        Figure("polaritons off by -1 meV, no shift: within 2 sigma, or no number", "", within),
        Figure("polaritons in place: lines flagged as off", "", false, high=FALSE),
    ]


def _published() -> list[Figure]:
    results = outcomes([Condition(shift, DOSE_10) for shift in SHIFTS_MEV], OTHER_SEEDS, "published")
    return [
        *_bias(results, "published", math.inf),
        *_coverage("published, dose 10", results, (-math.inf, math.inf)),
    ]


def _share(results: Sequence[Outcome], is_so: Callable[[Outcome], bool]) -> float:
    return float(np.mean([is_so(r) for r in results]))
