"""How good the optima of the published model are, beside the best of many starts with scipy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import ours
from .figure import Figure
from .kkt import kkt_residuals
from .peers import with_scipy
from .published_model import LDO_CENTRE, chi2, recipe, recipe_start
from .published_spectra import published_spectra
from .reference import references

DOSES = (0.1, 1.0, 10.0)
SEED = 2000
LINE = 400  # spectra of a line, the mean of which is fitted first
JUDGED = 80  # of those, evenly spread

MEDIAN_GOAL, SHARE_GOAL, FAR_GOAL = 1e-5, 0.01, 0.0
WORSE, MUCH_WORSE = 0.1, 1.0  # in chi-squared
OFF_MEV, OFF_GOAL = 0.1, 0.02
KKT_GOAL = 1e-2


@dataclass(frozen=True, eq=False)
class Judged:
    """Results at one dose beside the reference: chi2 above it, and LDO centres off it; (n,) each."""

    excess: np.ndarray
    off_mev: np.ndarray
    single_excess: np.ndarray
    kkt: np.ndarray

    @property
    def off_at_same_optimum(self) -> np.ndarray:
        return (np.abs(self.excess) <= WORSE) & (np.abs(self.off_mev) > OFF_MEV)


def measure() -> list[Figure]:
    figures = []
    for name, limited in (("with FWHM limits", True), ("without FWHM limits", False)):
        figures += _figures(name, {dose: _judge(dose, limited) for dose in DOSES}, limited)
    return figures


def _judge(dose: float, fwhm_limits: bool) -> Judged:
    spectra = published_spectra(LINE, dose, SEED)
    few = spectra.some(JUDGED)
    start = with_scipy(spectra.mean(), recipe_start(dose)).parameters[0]
    limits_mev = recipe().fwhm_mev
    best = references(few, start, limits_mev[0] if fwhm_limits and limits_mev else None)
    robust = ours.fit_from(few, ours.robust_starts(start), fwhm_limits=fwhm_limits).parameters
    single = ours.fit_from(few, start[None], fwhm_limits=fwhm_limits).parameters
    off = robust[:, LDO_CENTRE] - best.ldo_mev
    # The conditions are written down for a plain box.
    kkt = np.full(len(few), np.nan) if fwhm_limits else kkt_residuals(few, robust)
    return Judged(chi2(few, robust) - best.chi2, off, chi2(few, single) - best.chi2, kkt)


def _figures(name: str, judged: dict[float, Judged], fwhm_limits: bool) -> list[Figure]:
    def figure(what: str, parts: dict[float, np.ndarray], summary, goal: float) -> Figure:
        by_dose = ", ".join(f"{summary(part):.2g} at dose {dose:g}" for dose, part in parts.items())
        everything = np.concatenate(list(parts.values()))
        return Figure(f"{what}, {name}", "", float(summary(everything)), high=goal, spread=by_dose)

    excess = {dose: j.excess for dose, j in judged.items()}
    single = {dose: j.single_excess for dose, j in judged.items()}
    off = {dose: j.off_at_same_optimum for dose, j in judged.items()}
    figures = [
        figure("chi2 above the best of many starts, median", excess, np.median, MEDIAN_GOAL),
        figure(f"share above it by {WORSE:g}", excess, lambda e: np.mean(e > WORSE), SHARE_GOAL),
        figure(f"share above it by {MUCH_WORSE:g}", excess, lambda e: np.mean(e > MUCH_WORSE), FAR_GOAL),
        figure(f"share below it by {WORSE:g}", excess, lambda e: np.mean(e < -WORSE), np.inf),
        figure(f"share above it by {WORSE:g} from a single start", single, lambda e: np.mean(e > WORSE), np.inf),
        figure(f"LDO centre off by {OFF_MEV:g} meV at the same optimum", off, np.mean, OFF_GOAL),
    ]
    if not fwhm_limits:
        kkt = {dose: j.kkt for dose, j in judged.items()}
        figures.append(figure("largest scaled KKT residual", kkt, np.max, KKT_GOAL))
    return figures
