"""What other assumptions would have made of the same measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .transport_model import CARRIER_MODELS, Assumptions, carrier_factor, mobility_factor

_PERCENTILES_68 = (15.865525393145708, 84.13447460685429)


@lru_cache(maxsize=8)
def _around(alternatives: Alternatives, assumptions: Assumptions) -> tuple[Assumptions, ...]:
    names = tuple(alternatives.__dataclass_fields__)
    combinations = product(*(getattr(alternatives, name) for name in names))
    varied = [replace(assumptions, **dict(zip(names, values))) for values in combinations]
    return tuple(dict.fromkeys([assumptions, *varied]))


@dataclass(frozen=True)
class Alternatives:
    """What else could have been assumed; every combination is tried for the spread over assumptions.

    A Meyer-Neldel energy of 0.05 eV, twice kT at room temperature, takes back half of what a barrier costs.
    """

    bulk_activation_energy_ev: tuple[float, ...] = (0.2, 0.3, 0.4)
    frequency_exponent: tuple[float, ...] = (1.0, 2.0)
    attempt_frequency: tuple[bool, ...] = (False, True)
    meyer_neldel_ev: tuple[float | None, ...] = (None, 0.05)
    carrier_model: tuple[str, ...] = CARRIER_MODELS
    temperature_k: tuple[float, ...] = (270.0, 300.0, 330.0)

    def around(self, assumptions: Assumptions) -> list[Assumptions]:
        """The assumptions themselves first, then every combination of the alternatives."""
        return list(_around(self, assumptions))

    def one_by_one(self, assumptions: Assumptions) -> dict[str, list[Assumptions]]:
        """By the name of an assumption: the assumptions themselves, and with each alternative for that one alone."""
        return {
            name: list(dict.fromkeys([assumptions, *(replace(assumptions, **{name: v}) for v in getattr(self, name))]))
            for name in self.__dataclass_fields__
        }


class Estimate(NamedTuple):
    """A number with its uncertainty; nan where the data do not carry it.

    sigma: half of the interval, as the standard deviation of a factor e^x is made by its tail alone.
    """

    value: float
    sigma: float
    interval_68: tuple[float, float]


UNKNOWN = Estimate(math.nan, math.nan, (math.nan, math.nan))


class Contribution(NamedTuple):
    """Conductivity change, lowest and highest, over the choices for one assumption, the others being as they are."""

    assumption: str
    choices: tuple[Any, ...]
    low: float
    high: float

    @property
    def ln_range(self) -> float:
        """ln of the highest conductivity over the lowest; nan where either is none."""
        return math.log((1 + self.high) / (1 + self.low)) if self.low > -1 else math.nan


@dataclass(frozen=True)
class Spread:
    """Conductivity change over all combinations of assumptions; nan where it is unknown.

    low, high: extremes of the central value. interval_68: of draws over combinations, each as likely as the others, and
    measurement errors alike. ln_sigma: standard deviation of ln(boundary over grain) of the same draws.
    by_assumption: one assumption at a time, the one that matters most first.
    """

    low: float
    high: float
    interval_68: tuple[float, float]
    combinations: int
    ln_sigma: float = math.nan
    by_assumption: tuple[Contribution, ...] = ()


def spread_over(
    frequency: float,
    lithium: float,
    frequency_draws: np.ndarray,
    lithium_draws: np.ndarray,
    assumptions: Assumptions,
    alternatives: Alternatives,
) -> Spread:
    """The spread around measured ratios, boundary over grain, of frequency and Li:Co, and draws (d,) of both."""
    cases = alternatives.around(assumptions)
    central, drawn = _conductivities(frequency, lithium, frequency_draws, lithium_draws, cases)
    if not np.isfinite(central).all():
        return Spread(math.nan, math.nan, (math.nan, math.nan), len(cases))
    interval = interval_68(drawn - 1) if np.isfinite(drawn).all() else (math.nan, math.nan)
    values = dict(zip(cases, central.tolist()))
    singly = [
        Contribution(name, tuple(getattr(case, name) for case in varied), min(found), max(found))
        for name, varied in alternatives.one_by_one(assumptions).items()
        for found in [[(values[case] if case in values else _change(frequency, lithium, case)) - 1 for case in varied]]
    ]
    singly.sort(key=lambda one: -np.nan_to_num(one.ln_range, nan=np.inf))
    low, high = float(central.min()) - 1, float(central.max()) - 1
    return Spread(low, high, interval, len(cases), ln_sigma(drawn), tuple(singly))


def interval_68(drawn: np.ndarray) -> tuple[float, float]:
    """Central interval of draws (d,)."""
    low, high = np.percentile(drawn, _PERCENTILES_68)
    return float(low), float(high)


def ln_sigma(drawn: np.ndarray) -> float:
    """Standard deviation of the logarithms of draws (d,); nan where one has none."""
    return float(np.std(np.log(drawn))) if np.isfinite(drawn).all() and (drawn > 0).all() else math.nan


def _change(frequency: float, lithium: float, case: Assumptions) -> float:
    return float(mobility_factor(frequency, case) * carrier_factor(lithium, case))


def _conductivities(
    frequency: float,
    lithium: float,
    frequency_draws: np.ndarray,
    lithium_draws: np.ndarray,
    cases: Sequence[Assumptions],
) -> tuple[np.ndarray, np.ndarray]:
    """Conductivity, boundary over grain, of every case (c,), and of draws (d,) that are dealt out to the cases."""
    first = np.linspace(0, frequency_draws.size, len(cases), endpoint=False).astype(int)
    frequencies, ratios = np.insert(frequency_draws, first, frequency), np.insert(lithium_draws, first, lithium)
    found = np.empty(frequencies.size)
    starts = first + np.arange(len(cases))  # the central value of a case comes before its draws
    for case, start, end in zip(cases, starts.tolist(), [*starts[1:].tolist(), found.size], strict=True):
        own = slice(start, end)
        found[own] = mobility_factor(frequencies[own], case) * carrier_factor(ratios[own], case)
    return found[starts], np.delete(found, starts)
