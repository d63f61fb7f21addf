"""The chain of assumptions from the frequency of a peak and a composition to a conductivity.

    Ea_b / Ea_g = (w_b / w_g)^p                       Wakamura's empirical relation, p = 2
    D_b / D_g   = (w_b / w_g)^a exp(-dEa (1/kT - 1/E_MN))
    n_b / n_g   = r,  or  x r (1 - x r) / (x (1 - x))
    sigma = n q^2 D / (kT), so sigma_b / sigma_g = (n_b / n_g) (D_b / D_g)

with w the frequency of the shift peak, a = 1 if the prefactor scales with the attempt frequency and 0 if not, E_MN
the Meyer-Neldel energy (none: infinite), r the boundary's Li:Co over the grains' and x the Li content of the grain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.errors import UnusableInput

BOLTZMANN_EV_PER_K = 8.617333262e-5
PROPORTIONAL, VACANCIES = "proportional", "vacancies"
CARRIER_MODELS = (PROPORTIONAL, VACANCIES)
Ratio = float | np.ndarray


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
