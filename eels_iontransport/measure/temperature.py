"""The temperature of the specimen from its gains against its losses.

Detailed balance: what takes the energy E from an electron with some probability gives it with exp(-E / kT) times that
probability (for an electron microscope: M. J. Lagos, P. E. Batson, Nano Letters 18 (2018) 4556). It needs no standard,
and comes out wrong where the energy axis, its zero, or the linearity of the camera are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..data.noise import NoiseModel
from ..quantity import quantity
from .alignment import Aligned
from .detailed_balance import BalanceFit, Choice, Features, Interval, Sides, fit

BOLTZMANN_MEV_PER_K = 0.08617333
ROOM_TEMPERATURE_K = 298.0
BACKGROUND_ORDER = 3  # on both sides
SIGNIFICANCE = 5.0  # that the gains must have under every window and background, as a peak must
ODD = 3.0  # standard deviations from the expected temperature that are flagged
WINDOW_SHIFT = 0.1  # the ends of the window are moved by this part of its width
ORDER_STEPS = (-1, 0, 1)


@dataclass(frozen=True)
class Temperature:
    """The temperature in K, nan where the gains do not tell.

    statistical_k: from noise and misfit. systematic_k: from the choice of window and backgrounds. significance: of the
    gains, the least that any choice gives. energy_mev: at which the gains tell it, in the mean.
    expected_k: what it was compared with. off: by how many standard deviations, all told, it is not that.
    """

    value_k: float
    statistical_k: float
    systematic_k: float
    significance: float
    energy_mev: float
    expected_k: float
    off: float
    flags: tuple[Flag, ...] = ()

    @property
    def sigma_k(self) -> float:
        return float(np.hypot(self.statistical_k, self.systematic_k))


def lines_of(values: Mapping[str, np.ndarray], row: int) -> np.ndarray:
    """The lines (k, 3) of one spectrum from the table of a decomposition: quantity -> (n, k)."""
    lines = np.column_stack([values[name][row] for name in ("centre_mev", "sigma_mev", "gamma_mev")])
    return lines[np.isfinite(lines).all(axis=1)]


def comb(feature_mev: Interval, fwhm_mev: float) -> np.ndarray:
    """Lines (k, 3) side by side that make up a feature of any shape, as finely as a resolution of fwhm_mev shows it."""
    low, high = feature_mev
    count = max(2, 1 + int(np.ceil((high - low) / (0.75 * fwhm_mev))))
    spacing = (high - low) / (count - 1)
    return np.column_stack([np.linspace(low, high, count), np.full(count, 0.6 * spacing), np.full(count, 0.1)])


def measure(
    features: Sequence[Features],
    noise: NoiseModel,
    window_mev: Interval,
    *,
    vacuum: Aligned | None = None,
    order: int = BACKGROUND_ORDER,
    expected_k: float = ROOM_TEMPERATURE_K,
) -> Temperature:
    """One temperature from spectra of the same specimen, compared with the one that is expected.

    Both sides of each spectrum are fitted at once, |E| within the window: the lines with free areas on the loss side;
    the same times exp(-E / kT) on the gain side; a background E^-2 times a polynomial in ln E under the losses, and
    under the gains the vacuum ZLP times one, or without a vacuum ZLP the same as under the losses. The window's ends
    are moved and the orders changed by one; the spread is the systematic part. The low end is moved up only: what lies
    below it is no smooth tail.

    Raises UnusableInput where a spectrum does not hold the window on both sides, or nothing was given.
    """
    choices = list(_choices(window_mev, order))
    reach = max(high for (_, high), _, _ in choices)
    sides = [Sides(f, noise, vacuum, reach) for f in features]
    if not sides or not all(s.covers(window_mev) for s in sides):
        message = f"The spectra do not hold {window_mev[0]:g}-{window_mev[1]:g} meV on both sides of their zero."
        raise UnusableInput(f"{message} Record some of the gain side, too.")
    choices = [choice for choice in choices if all(s.covers(choice[0]) for s in sides)]
    expected = 1 / (BOLTZMANN_MEV_PER_K * expected_k)
    first = fit(sides, choices[0], expected, expected, noise.correlation)
    fits = [first, *(fit(sides, choice, first.inverse, expected, noise.correlation) for choice in choices[1:])]
    return _judged(fits, expected_k)


def _choices(window: Interval, order: int) -> Iterator[Choice]:
    """Windows and orders of both backgrounds; the first is the one that was asked for."""
    low, high = window
    step = WINDOW_SHIFT * (high - low)
    yield Choice(window, order, order)
    for a, b in product((0, 1), (-1, 0, 1)):
        if (a, b) != (0, 0):
            yield Choice((low + a * step, high + b * step), order, order)
    for by in ORDER_STEPS:
        if by and order + by >= 0:
            yield Choice(window, order + by, order)
            yield Choice(window, order, order + by)


def _judged(fits: Sequence[BalanceFit], expected_k: float) -> Temperature:
    """The first fit's temperature, with the spread over all of them; nan where the gains do not carry it."""
    first, expected = fits[0], 1 / (BOLTZMANN_MEV_PER_K * expected_k)
    significance = float(np.sqrt(max(min(f.over_none for f in fits), 0.0)))
    if not (significance >= SIGNIFICANCE and first.inverse > 0):
        # Gains that are not seen where they should be are as odd as wrong ones, however the data are looked at.
        off = float(np.sqrt(max(min(f.over_expected for f in fits), 0.0)))
        message = "The gain side shows too little of the losses to tell the temperature of the specimen."
        return Temperature(
            np.nan, np.nan, np.nan, significance, np.nan, expected_k, off, (Flag("TEMPERATURE_UNKNOWN", message),)
        )
    statistical = np.sqrt(first.variance)
    systematic = np.sqrt(np.mean([(f.inverse - first.inverse) ** 2 for f in fits]))
    slope = 1 / (BOLTZMANN_MEV_PER_K * first.inverse**2)  # of T by 1 / kT
    off = float(abs(first.inverse - expected) / np.hypot(statistical, systematic))
    return Temperature(
        float(1 / (BOLTZMANN_MEV_PER_K * first.inverse)),
        float(statistical * slope),
        float(systematic * slope),
        significance,
        first.energy_mev,
        expected_k,
        off,
    )


def check(temperature: Temperature) -> tuple[Flag, ...]:
    """A flag where the gain side contradicts the temperature that is expected; none where it does not tell."""
    if not temperature.off > ODD:
        return ()
    found = f"says {temperature.value_k:.0f} +- {temperature.sigma_k:.0f} K"
    if not np.isfinite(temperature.value_k):
        found = "shows no gains of the strength"
    message = (
        f"The gain side {found} where {temperature.expected_k:.0f} K is expected; check calibration and zero of the "
        "energy axis, whether the camera was full or not linear, and whether the specimen is warmer or colder."
    )
    return (Flag("TEMPERATURE_ODD", message),)


def to_dict(temperature: Temperature) -> dict[str, Any]:
    """Ready for JSON."""
    found = quantity(temperature.value_k, temperature.sigma_k, "K")
    energy = temperature.energy_mev if np.isfinite(temperature.energy_mev) else None
    return {"temperature_k": found, "energy_mev": energy, "expected_k": temperature.expected_k}
