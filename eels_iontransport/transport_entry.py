"""The transport estimate as the readout holds it: numbers, what they hang on, and what nobody knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from .measure.transport import Estimate, TransportEstimate
from .measure.transport_model import CARRIER_MODELS, carrier_factor
from .measure.transport_spread import Spread
from .quantity import quantity


def transport_entry(estimate: TransportEstimate, of_material: Sequence[str] = ()) -> dict[str, Any]:
    """Entries of the readout. of_material: sentences on what is not known of this material in particular."""
    return {
        "activation_energy": {"relative_change": _estimated(estimate.activation_energy_change)},
        "conductivity": {
            "relative_change": _estimated(estimate.conductivity_change),
            "mobility_factor": _estimated(estimate.mobility_factor),
            "carrier_factor": _estimated(estimate.carrier_factor),
            "ln_factor": _estimated(estimate.ln_conductivity),
            "over_assumptions": _over(estimate.spread),
            "not_known": [*not_known(estimate), *of_material],
        },
        "assumptions": asdict(estimate.assumptions),
    }


def not_known(estimate: TransportEstimate) -> list[str]:
    """What no spectrum here tells, a sentence each."""
    used = estimate.assumptions
    return [
        f"The activation energy of the grain is not measured here; {used.bulk_activation_energy_ev:.2f} eV is assumed.",
        f"That the activation energy goes with the power {used.frequency_exponent:g} of the peak's energy is an "
        "empirical relation between crystals, not tested at a boundary.",
        _carriers(estimate),
        "How often an ion tries to hop, and whether a higher barrier comes with a larger prefactor (Meyer-Neldel), is "
        "not measured.",
        "No current is measured: nothing here tells how much of one crosses the boundary, or runs along it.",
    ]


def _carriers(estimate: TransportEstimate) -> str:
    text = "What carries the current is not measured"
    changes = [
        100 * (float(carrier_factor(estimate.lithium_factor, replace(estimate.assumptions, carrier_model=model))) - 1)
        for model in CARRIER_MODELS
    ]
    if not all(math.isfinite(change) for change in changes):
        return f"{text}; ions, and vacancies that they hop into, change in opposite ways."
    ions, vacancies = changes
    sign = "; even the sign depends on the model" if ions * vacancies < 0 else ""
    return (
        f"{text}: carriers change by {ions:+.0f} % if all ions are, by {vacancies:+.0f} % if they need vacancies{sign}."
    )


def _over(spread: Spread) -> dict[str, Any] | None:
    """None where the conductivity is not known."""
    if not math.isfinite(spread.low):
        return None
    return {
        "low": spread.low,
        "high": spread.high,
        "interval_68": list(spread.interval_68) if math.isfinite(spread.interval_68[0]) else None,
        "ln_sigma": spread.ln_sigma if math.isfinite(spread.ln_sigma) else None,
        "combinations": spread.combinations,
        "by_assumption": [
            {
                "assumption": one.assumption,
                "choices": list(one.choices),
                "low": one.low,
                "high": one.high,
                "ln_range": one.ln_range if math.isfinite(one.ln_range) else None,
            }
            for one in spread.by_assumption
        ],
    }


def _estimated(estimate: Estimate) -> dict[str, Any]:
    return quantity(estimate.value, estimate.sigma, "", estimate.interval_68)
