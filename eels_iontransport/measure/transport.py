"""From the blue shift and the Li:Co change to ion transport: a model estimate, never a measurement.

    Ea_b / Ea_g = (w_b / w_g)^p                       Wakamura's empirical relation, p = 2
    D_b / D_g   = (w_b / w_g)^a exp(-dEa (1/kT - 1/E_MN))
    n_b / n_g   = r,  or  x r (1 - x r) / (x (1 - x))
    sigma = n q^2 D / (kT), so sigma_b / sigma_g = (n_b / n_g) (D_b / D_g)

with w the frequency of the shift peak, a = 1 if the prefactor scales with the attempt frequency and 0 if not, E_MN
the Meyer-Neldel energy (none: infinite), r the boundary's Li:Co over the grains' and x the Li content of the grain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ..data.errors import UnusableInput
from ..data.flags import Flag

BOLTZMANN_EV_PER_K = 8.617333262e-5
PROPORTIONAL, VACANCIES = "proportional", "vacancies"
CARRIER_MODELS = (PROPORTIONAL, VACANCIES)
Ratio = float | np.ndarray
_PERCENTILES_68 = (15.865525393145708, 84.13447460685429)


@dataclass(frozen=True)
class Assumptions:
    """Everything that the estimate takes for granted.

    bulk_activation_energy_ev: Ea of the grain. frequency_exponent: p. attempt_frequency: whether the prefactor of D
    scales with w. meyer_neldel_ev: None for no compensation. carrier_model: "proportional" to Li or "vacancies",
    x (1 - x), with lithium_content the x of the grain.
    """

    temperature_k: float = 300.0
    bulk_activation_energy_ev: float = 0.30
    frequency_exponent: float = 2.0
    attempt_frequency: bool = False
    meyer_neldel_ev: float | None = None
    carrier_model: str = PROPORTIONAL
    lithium_content: float = 0.95

    def __post_init__(self) -> None:
        for name in ("temperature_k", "bulk_activation_energy_ev", "meyer_neldel_ev"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UnusableInput(f"The assumption {name} is {value}; it has to be a positive number.")
        if not math.isfinite(self.frequency_exponent):
            raise UnusableInput(f"The assumption frequency_exponent is {self.frequency_exponent}; give a number.")
        if not 0 < self.lithium_content < 1:
            raise UnusableInput(f"The assumption lithium_content is {self.lithium_content}; it has to lie within 0..1.")
        if self.carrier_model not in CARRIER_MODELS:
            choices = " or ".join(CARRIER_MODELS)
            raise UnusableInput(f"The assumption carrier_model is '{self.carrier_model}'; choose {choices}.")


@dataclass(frozen=True)
class Alternatives:
    """What else could have been assumed; every combination is tried for the spread over assumptions."""

    bulk_activation_energy_ev: tuple[float, ...] = (0.2, 0.3, 0.4)
    frequency_exponent: tuple[float, ...] = (1.0, 2.0)
    attempt_frequency: tuple[bool, ...] = (False, True)
    meyer_neldel_ev: tuple[float | None, ...] = (None,)
    carrier_model: tuple[str, ...] = CARRIER_MODELS

    def around(self, assumptions: Assumptions) -> list[Assumptions]:
        """The assumptions themselves first, then every combination of the alternatives."""
        names = tuple(self.__dataclass_fields__)
        combinations = product(*(getattr(self, name) for name in names))
        varied = [replace(assumptions, **dict(zip(names, values))) for values in combinations]
        return list(dict.fromkeys([assumptions, *varied]))


class Estimate(NamedTuple):
    """A number with its uncertainty; nan where the data do not carry it."""

    value: float
    sigma: float
    interval_68: tuple[float, float]


UNKNOWN = Estimate(math.nan, math.nan, (math.nan, math.nan))


@dataclass(frozen=True)
class Spread:
    """Conductivity change over all combinations of assumptions; nan where it is unknown.

    low, high: extremes of the central value. interval_68: of draws over combinations and measurement errors alike.
    """

    low: float
    high: float
    interval_68: tuple[float, float]
    combinations: int


@dataclass(frozen=True)
class TransportEstimate:
    """Relative changes are boundary over grain minus one, factors boundary over grain."""

    activation_energy_change: Estimate
    mobility_factor: Estimate
    carrier_factor: Estimate
    conductivity_change: Estimate
    spread: Spread
    assumptions: Assumptions
    flags: tuple[Flag, ...] = ()


class Factors(NamedTuple):
    """Boundary over grain; floats or arrays of draws."""

    activation_energy: np.ndarray
    mobility: np.ndarray
    carriers: np.ndarray

    @property
    def conductivity(self) -> np.ndarray:
        return self.mobility * self.carriers


def activation_energy_factor(frequency_factor: Ratio, assumptions: Assumptions) -> np.ndarray:
    """Ea of the boundary over that of the grain, from the same ratio of the shift peak's frequency."""
    return np.asarray(frequency_factor, float) ** assumptions.frequency_exponent


def mobility_factor(frequency_factor: Ratio, assumptions: Assumptions) -> np.ndarray:
    """Diffusivity (and, at one temperature, mobility) of the boundary over that of the grain."""
    rise_ev = assumptions.bulk_activation_energy_ev * (activation_energy_factor(frequency_factor, assumptions) - 1)
    per_ev = 1 / (BOLTZMANN_EV_PER_K * assumptions.temperature_k)
    if assumptions.meyer_neldel_ev is not None:
        per_ev -= 1 / assumptions.meyer_neldel_ev
    prefactor = np.asarray(frequency_factor, float) if assumptions.attempt_frequency else 1.0
    return prefactor * np.exp(-rise_ev * per_ev)


def carrier_factor(lithium_factor: Ratio, assumptions: Assumptions) -> np.ndarray:
    """Carriers of the boundary over those of the grain, from the same ratio of Li:Co; never negative."""
    lithium = np.maximum(np.asarray(lithium_factor, float), 0.0)
    if assumptions.carrier_model == PROPORTIONAL:
        return lithium
    grain = assumptions.lithium_content
    boundary = np.minimum(grain * lithium, 1.0)
    return boundary * (1 - boundary) / (grain * (1 - grain))


def factors(frequency_factor: Ratio, lithium_factor: Ratio, assumptions: Assumptions) -> Factors:
    """All factors for ratios boundary over grain of the frequency and of Li:Co (floats or arrays of draws)."""
    return Factors(
        activation_energy_factor(frequency_factor, assumptions),
        mobility_factor(frequency_factor, assumptions),
        carrier_factor(lithium_factor, assumptions),
    )


@lru_cache(maxsize=8)
def estimate(
    shift_mev: float | None,
    shift_sigma_mev: float | None,
    grain_centre_mev: float | None,
    lithium_change: float | None,
    lithium_change_sigma: float | None,
    assumptions: Assumptions = Assumptions(),
    *,
    alternatives: Alternatives = Alternatives(),
    draws: int = 4000,
    seed: int = 0,
) -> TransportEstimate:
    """Transport at the boundary from the blue shift and the relative change of Li:Co.

    shift_mev, grain_centre_mev: blue shift and the grain's peak, both with the same reference. lithium_change:
    boundary over grain minus one. Values are those at the measured numbers, errors from `draws` seeded draws of them
    (normal, independent); an error that is None or nan counts as unknown and leaves sigma and interval nan.
    What depends on a number that is None or nan is nan; never raises for a number.
    """
    rng = np.random.default_rng(seed)
    frequency, frequency_draws = _ratio(shift_mev, shift_sigma_mev, grain_centre_mev, rng, draws)
    lithium, lithium_draws = _ratio(lithium_change, lithium_change_sigma, 1.0, rng, draws)
    at = factors(frequency, lithium, assumptions)
    drawn = factors(frequency_draws, lithium_draws, assumptions)
    return TransportEstimate(
        _estimate(at.activation_energy - 1, drawn.activation_energy - 1),
        _estimate(at.mobility, drawn.mobility),
        _estimate(at.carriers, drawn.carriers),
        _estimate(at.conductivity - 1, drawn.conductivity - 1),
        _spread(frequency, lithium, frequency_draws, lithium_draws, alternatives.around(assumptions)),
        assumptions,
        _doubts(lithium, assumptions),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _ratio(
    change: float | None, sigma: float | None, reference: float | None, rng: np.random.Generator, draws: int
) -> tuple[float, np.ndarray]:
    """1 + change / reference and draws of it; nan where it cannot be formed or is not positive."""
    reference = _number(reference)
    scatter = rng.standard_normal(draws)  # drawn in any case, so that one unknown does not change the other's draws
    if not reference > 0:
        return math.nan, np.full(draws, math.nan)
    ratio = 1 + _number(change) / reference
    spread = _number(sigma) / reference
    drawn = ratio + (spread if spread >= 0 else math.nan) * scatter
    if not (math.isfinite(ratio) and ratio > 0):
        return math.nan, np.full(draws, math.nan)
    return ratio, np.maximum(drawn, 1e-6)


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(drawn, _PERCENTILES_68)
    return float(low), float(high)


def _estimate(value: float | np.ndarray, drawn: np.ndarray) -> Estimate:
    if not np.isfinite(value):
        return UNKNOWN
    if not np.isfinite(drawn).all():
        return Estimate(float(value), math.nan, (math.nan, math.nan))
    return Estimate(float(value), float(np.std(drawn)), _interval(drawn))


def _spread(
    frequency: float,
    lithium: float,
    frequency_draws: np.ndarray,
    lithium_draws: np.ndarray,
    cases: Sequence[Assumptions],
) -> Spread:
    conductivity = _conductivities(np.append(frequency, frequency_draws), np.append(lithium, lithium_draws), cases) - 1
    central, drawn = conductivity[:, 0], conductivity[:, 1:]
    if not np.isfinite(central).all():
        return Spread(math.nan, math.nan, (math.nan, math.nan), len(cases))
    interval = _interval(drawn) if np.isfinite(drawn).all() else (math.nan, math.nan)
    return Spread(float(central.min()), float(central.max()), interval, len(cases))


def _conductivities(frequency: np.ndarray, lithium: np.ndarray, cases: Sequence[Assumptions]) -> np.ndarray:
    """Conductivity, boundary over grain, of every case for ratios (d,); (cases, d)."""
    movers: dict[tuple, np.ndarray] = {}  # cases that differ in one factor alone share the other
    carriers: dict[tuple, np.ndarray] = {}
    result = np.empty((len(cases), frequency.size))
    for row, case in zip(result, cases, strict=True):
        moved = (
            case.temperature_k,
            case.bulk_activation_energy_ev,
            case.frequency_exponent,
            case.attempt_frequency,
            case.meyer_neldel_ev,
        )
        carried = case.carrier_model, case.lithium_content
        if moved not in movers:
            movers[moved] = mobility_factor(frequency, case)
        if carried not in carriers:
            carriers[carried] = carrier_factor(lithium, case)
        np.multiply(movers[moved], carriers[carried], out=row)
    return result


def _doubts(lithium: float, assumptions: Assumptions) -> tuple[Flag, ...]:
    if assumptions.carrier_model == VACANCIES and lithium * assumptions.lithium_content >= 1:
        content = assumptions.lithium_content
        return (
            Flag(
                "NO_VACANCIES",
                f"With {content:g} Li in the grain the boundary would have no vacancies left; the vacancy model of the "
                "carriers does not apply.",
            ),
        )
    return ()
