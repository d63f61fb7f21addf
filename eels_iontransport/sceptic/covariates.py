"""Does the centre of the shift peak follow something that it should not? Its area, width, the thickness, the zero.

Correlations are tested over the rows inside the grains, each grain about its own mean, so that the boundary, where all
of them may change, does not make one. The errors of a fitted centre and of the area or width of the same fit are
correlated themselves: noise is added to the rows and they are fitted again to see how much, and a correlation is
significant where it differs from the one that this makes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.special import erfc
from scipy.stats import rankdata

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..data.regions import BOUNDARY
from ..data.units import mev
from ..decomposition.engine import Stop, never
from ..decomposition.fitting import Plan, fit_peaks, plan_rows
from ..decomposition.result import Decomposition, PeakTable
from ..decomposition.window import SMOOTHING_CHANNELS
from ..measure.alignment import AlignedRows
from ..measure.gaps import bridged
from ..progress import Progress, silent
from .case import SIGNIFICANT, Case, number_or_null

REPEATS = 24  # times that noise is added to the rows
FEWEST_ROWS = 8
AREA, WIDTH, THICKNESS, ZLP_WIDTH, ZERO = "area", "fwhm_mev", "thickness", "zlp_fwhm_mev", "zlp_position_mev"
WORDS: Mapping[str, tuple[str, str]] = {
    AREA: ("AREA", "its area"),
    WIDTH: ("WIDTH", "its width"),
    THICKNESS: ("THICKNESS", "t/lambda"),
    ZLP_WIDTH: ("ZLP_WIDTH", "the width of the zero-loss peak"),
    ZERO: ("ZERO_SHIFT", "the shift of the energy zero"),
}


@dataclass(frozen=True)
class Correlation:
    """r over some rows, the r that the noise of the fit makes, and the probability of a difference as large."""

    rows: int
    r: float
    expected: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "r": number_or_null(self.r),
            "expected": number_or_null(self.expected),
            "p_value": number_or_null(self.p_value),
        }


UNKNOWN = Correlation(0, math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class Covariates:
    """Centres (n,) of the shift peak along the line, what they are compared with (n,), and correlations by name.

    correlations: name -> {"pearson", "spearman"} over all rows and, with "_in_grains" behind, about the mean of each
    grain; the latter are tested.
    """

    peak: str
    centre_mev: np.ndarray
    regions: tuple[str | None, ...]
    values: Mapping[str, np.ndarray]
    correlations: Mapping[str, Mapping[str, Correlation]]

    @property
    def tests(self) -> int:
        """How many covariates are tested, by which each p-value is multiplied (Bonferroni)."""
        return sum(math.isfinite(_worse(found)) for found in self.correlations.values())

    def p_value(self, name: str) -> float:
        """Of a covariate inside the grains, corrected for the number of tests; nan where there is none.

        The larger of both kinds: one odd row makes a Pearson correlation, and none in the ranks.
        """
        return float(np.minimum(1.0, self.tests * _worse(self.correlations[name])))

    def to_dict(self) -> dict[str, Any]:
        return {
            "centre_mev": [number_or_null(v) for v in self.centre_mev.tolist()],
            "region": list(self.regions),
            "tests": self.tests,
            "covariates": {
                name: {
                    "values": [number_or_null(v) for v in values.tolist()],
                    **{kind: c.to_dict() for kind, c in self.correlations[name].items()},
                    "p_value": number_or_null(self.p_value(name)),
                }
                for name, values in self.values.items()
            },
        }

    @property
    def flags(self) -> tuple[Flag, ...]:
        flags = []
        for name in self.values:
            if self.p_value(name) < SIGNIFICANT:
                code, words = WORDS[name]
                r = self.correlations[name]["pearson_in_grains"].r
                message = (
                    f"Inside the grains the {self.peak} centre follows {words} (r = {r:+.2f}), "
                    "which may make a shift where that changes at the boundary."
                )
                flags.append(Flag(f"{self.peak.upper()}_FOLLOWS_{code}", message))
        return tuple(flags)


def follow(
    case: Case,
    together: Decomposition,
    thickness: np.ndarray | None = None,
    seed: int = 0,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> Covariates:
    """Correlations of the centre along the line with area and width of the peak, thickness, ZLP width and zero.

    together: the common fit, whose shapes the rows are fitted with; widths come from fits that leave that of the peak
    free. thickness: t/lambda of every row (n,), None where it is not known. Raises UnusableInput.
    """
    line, setup = case.line, case.setup
    rows, mean = np.flatnonzero(line.usable), line.total()
    if mean is None:
        raise UnusableInput("No row of the line has a zero-loss peak.")
    held = plan_rows(setup, together, mean, should_stop)
    plans: tuple[Plan, ...] = (held, _with_free_width(held, case.peak))
    aligned, random = line.aligned(rows), np.random.default_rng(seed)
    found, integral = [], line.integral[rows]
    described: list[np.ndarray] = []
    for repeat in range(REPEATS + 1):
        if repeat == 1:  # what noise adds to a fit is seen from where it ended
            plans = tuple(replace(plan, starts=plan.starts[:1]) for plan in plans)
        progress(repeat, REPEATS + 1, "Rows with noise added")
        spectra = aligned if repeat == 0 else _noisier(case, aligned, random)
        fits = [fit_peaks(plan, spectra, should_stop) for plan in plans]
        described = described or [_described(case, *fit, rows.size) for fit in fits]  # later ones are too noisy
        found.append(_measured(case, fits, described, integral))
    progress(REPEATS + 1, REPEATS + 1, "Rows with noise added")
    centre, *fitted = np.array(found).transpose(1, 0, 2)  # each (repeats + 1, rows)
    zero = line.zero
    series = {ZLP_WIDTH: mev(zero.fwhm_ev)[rows], ZERO: mev(zero.position_ev)[rows]}
    if thickness is not None:
        series[THICKNESS] = thickness[rows]
    owner = _owner(case)
    noise = {name: (centre[1:] - centre[0], again[1:] - again[0]) for name, again in zip((AREA, WIDTH), fitted)}
    series |= {name: again[0] for name, again in zip((AREA, WIDTH), fitted)}
    grain = np.where(owner == list(case.masks).index(BOUNDARY), -1, owner)[rows]
    correlations = {
        name: _correlations(centre[0], series[name], grain, noise.get(name)) for name in WORDS if name in series
    }
    n = owner.size
    return Covariates(
        case.peak,
        _placed(centre[0], rows, n),
        tuple(list(case.masks)[i] if i >= 0 else None for i in owner.tolist()),
        {name: _placed(series[name], rows, n) for name in correlations},
        correlations,
    )


def _worse(found: Mapping[str, Correlation]) -> float:
    """The larger p-value of both correlations inside the grains; nan where one is not known."""
    both = [c.p_value for kind, c in found.items() if kind.endswith("_in_grains")]
    return float(np.max(both))


def _owner(case: Case) -> np.ndarray:
    """The number of the region that each row (n,) lies in; -1 outside."""
    owner = np.full(len(case.line.usable), -1)
    for i, mask in enumerate(case.masks.values()):
        owner[mask] = i
    return owner


def _placed(values: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    placed = np.full(n, np.nan)
    placed[rows] = values
    return placed


def _noisier(case: Case, rows: AlignedRows, random: np.random.Generator) -> AlignedRows:
    """The rows with as much noise once more as they have."""
    noise = case.setup.noise
    level = uniform_filter1d(bridged(rows.counts), SMOOTHING_CHANNELS, axis=1)
    sigma = np.sqrt(noise.variance(level) * noise.correlation)
    return replace(rows, counts=rows.counts + sigma * random.standard_normal(sigma.shape))


def _with_free_width(plan: Plan, peak: str) -> Plan:
    """The plan with the Gaussian width of the shift peak free within the recipe's limits."""
    line = [p.name for p in plan.setup.recipe.peaks].index(peak)
    limits = plan.setup.shape(plan.setup.recipe.peaks[line]).sigma_mev
    index = plan.layout.sigma[0, line]
    if plan.layout.free[index]:
        return plan
    lower, upper = plan.layout.lower.copy(), plan.layout.upper.copy()
    lower[index], upper[index] = limits.lower, limits.upper
    return replace(plan, layout=replace(plan.layout, lower=lower, upper=upper))


_Fitted = tuple[np.ndarray, PeakTable | None]  # which rows could be fitted, and their peaks


def _described(case: Case, rows: np.ndarray, table: PeakTable | None, n: int) -> np.ndarray:
    """Which of all n rows the model describes."""
    described = np.zeros(n, bool)
    if table is not None:
        described[rows] = table.described | case.setup.is_published
    return described


def _measured(case: Case, fits: Sequence[_Fitted], described: Sequence[np.ndarray], integral: np.ndarray) -> np.ndarray:
    """Centre and area over ZLP counts with held widths, and FWHM where it is free, (3, rows); nan without."""
    (held, free), (in_held, in_free) = fits, described
    centre, area = (_determined(case, *held, quantity, integral.size) for quantity in ("centre_mev", "area"))
    width = _determined(case, *free, "fwhm_mev", integral.size)
    return np.array(
        [
            np.where(in_held, centre, np.nan),
            np.where(in_held, area / integral, np.nan),
            np.where(in_free, width, np.nan),
        ]
    )


def _determined(case: Case, rows: np.ndarray, table: PeakTable | None, quantity: str, n: int) -> np.ndarray:
    """A quantity of the shift peak in all n rows; nan where it is at a limit."""
    values = np.full(n, np.nan)
    if table is not None:
        at_limit = table.railed[quantity][:, table.index(case.peak)]
        values[rows] = np.where(at_limit, np.nan, table.value(case.peak, quantity))
    return values


def _correlations(
    centre: np.ndarray, values: np.ndarray, grain: np.ndarray, noise: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, Correlation]:
    """Over all rows, and over those inside grains; grain (rows,): the number of each row's grain, -1 outside."""
    there = np.isfinite(centre) & np.isfinite(values)
    scopes = (("", np.zeros_like(grain), there), ("_in_grains", grain, there & (grain >= 0)))
    return {
        kind + suffix: _correlation(kind, centre, values, groups, chosen, noise)
        for suffix, groups, chosen in scopes
        for kind in ("pearson", "spearman")
    }


def _correlation(
    kind: str,
    centre: np.ndarray,
    values: np.ndarray,
    groups: np.ndarray,
    chosen: np.ndarray,
    noise: tuple[np.ndarray, np.ndarray] | None,
) -> Correlation:
    """Of two series (rows,) over the chosen rows, about the mean of each group."""
    count, partial = int(chosen.sum()), len(np.unique(groups[chosen])) - 1
    if count - partial < FEWEST_ROWS:
        return UNKNOWN
    x, y = (_about_means(series[chosen], groups[chosen]) for series in (centre, values))
    if not (x.std() > 0 and y.std() > 0):
        return UNKNOWN
    expected, repeats = _of_noise(noise, chosen, x.std(), y.std()) if noise is not None else (0.0, np.inf)
    if kind == "spearman":
        x, y = rankdata(x), rankdata(y)
        expected = 6.0 / np.pi * math.asin(0.5 * expected)  # of a bivariate normal distribution
    r = float(np.corrcoef(x, y)[0, 1])
    # Fisher's transformation; ranks scatter a little more (Fieller, Hartley and Pearson 1957).
    spread = math.sqrt((1.06 if kind == "spearman" else 1.0) / (count - 3 - partial) + 1.0 / repeats)
    z = (math.atanh(np.clip(r, -0.999999, 0.999999)) - math.atanh(expected)) / spread
    return Correlation(count, r, expected, float(erfc(abs(z) / math.sqrt(2.0))))


def _about_means(series: np.ndarray, groups: np.ndarray) -> np.ndarray:
    result = series.astype(float).copy()
    for group in np.unique(groups):
        result[groups == group] -= result[groups == group].mean()
    return result


def _of_noise(
    noise: tuple[np.ndarray, np.ndarray], chosen: np.ndarray, x_spread: float, y_spread: float
) -> tuple[float, float]:
    """The correlation that the errors of both series, each (repeats, rows), make where they scatter by so much.

    And from how many pairs of errors it is. What scatters by no more than its errors has their correlation.
    """
    one, other = (errors[:, chosen] for errors in noise)
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < FEWEST_ROWS:
        return 0.0, math.inf
    (one_spread, other_spread), r = (e[both].std() for e in (one, other)), np.corrcoef(one[both], other[both])[0, 1]
    share = min(1.0, one_spread / x_spread) * min(1.0, other_spread / y_spread)
    return float(np.clip(r * share, -0.95, 0.95)), float(both.sum() - 3)
