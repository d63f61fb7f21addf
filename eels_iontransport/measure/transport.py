"""From the blue shift and the Li:Co change to ion transport: a model estimate, never a measurement.

The formulas are those of `transport_model`, other assumptions those of `transport_spread`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..data.flags import Flag
from .transport_model import VACANCIES, Assumptions, factors
from .transport_spread import UNKNOWN, Alternatives, Estimate, Spread, interval_68, ln_sigma, spread_over

__all__ = ["Alternatives", "Assumptions", "Estimate", "Spread", "TransportEstimate", "estimate"]

USUAL, OTHERS = Assumptions(), Alternatives()


@dataclass(frozen=True)
class TransportEstimate:
    """Relative changes are boundary over grain minus one, factors boundary over grain.

    ln_conductivity: logarithm of the factor, whose draws are nearly normal where those of the factor are not.
    lithium_factor: measured ratio of Li:Co, boundary over grain, that carriers were made of.
    """

    activation_energy_change: Estimate
    mobility_factor: Estimate
    carrier_factor: Estimate
    conductivity_change: Estimate
    ln_conductivity: Estimate
    lithium_factor: float
    spread: Spread
    assumptions: Assumptions
    flags: tuple[Flag, ...] = ()


@lru_cache(maxsize=8)
def estimate(
    shift_mev: float | None,
    shift_sigma_mev: float | None,
    grain_centre_mev: float | None,
    lithium_change: float | None,
    lithium_change_sigma: float | None,
    assumptions: Assumptions = USUAL,
    *,
    alternatives: Alternatives = OTHERS,
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
        _logarithm(at.conductivity, drawn.conductivity),
        lithium,
        spread_over(frequency, lithium, frequency_draws, lithium_draws, assumptions, alternatives),
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


def _estimate(value: float | np.ndarray, drawn: np.ndarray) -> Estimate:
    if not np.isfinite(value):
        return UNKNOWN
    if not np.isfinite(drawn).all():
        return Estimate(float(value), math.nan, (math.nan, math.nan))
    low, high = interval_68(drawn)
    return Estimate(float(value), 0.5 * (high - low), (low, high))


def _logarithm(value: float | np.ndarray, drawn: np.ndarray) -> Estimate:
    """nan where a factor is zero: there are no carriers."""
    if not (np.isfinite(value) and value > 0):
        return UNKNOWN
    sigma = ln_sigma(drawn)
    return Estimate(math.log(value), sigma, interval_68(np.log(drawn)) if sigma >= 0 else (math.nan, math.nan))


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
