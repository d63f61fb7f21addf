"""Conversions between eV and meV, and between calibrated intervals and Swift's 0..1 fractions.

Energies are stored in eV and shown in meV in the vibrational range; nothing outside this module
multiplies by a thousand.
"""

from __future__ import annotations

from typing import overload

import numpy as np

MEV_PER_EV = 1000.0
_EV_PER_UNIT = {"ev": 1.0, "mev": 1.0 / MEV_PER_EV, "kev": 1000.0}


@overload
def mev(energy_ev: float) -> float: ...
@overload
def mev(energy_ev: np.ndarray) -> np.ndarray: ...
def mev(energy_ev):
    """Energy in meV from an energy in eV."""
    return energy_ev * MEV_PER_EV


@overload
def ev(energy_mev: float) -> float: ...
@overload
def ev(energy_mev: np.ndarray) -> np.ndarray: ...
def ev(energy_mev):
    """Energy in eV from an energy in meV."""
    return energy_mev / MEV_PER_EV


def ev_per_unit(unit: str) -> float | None:
    """Size in eV of an energy unit as instruments spell it ("eV", "meV", "keV"); None if it is no energy.

    The comparison ignores case and blanks: "mev" is meV, as "MeV" does not occur in a spectrometer.
    """
    return _EV_PER_UNIT.get(unit.strip().lower())


def interval_from_fraction(fractions: tuple[float, float], start: float, span: float) -> tuple[float, float]:
    """Low and high end of a Swift interval graphic, whose ends are fractions 0..1 of a display.

    start, span: where the first channel of the display begins and how far all of them reach, in the result's unit.
    """
    low, high = sorted(fractions)
    return start + low * span, start + high * span


def fraction_from_interval(interval: tuple[float, float], start: float, span: float) -> tuple[float, float]:
    """Inverse of `interval_from_fraction`."""
    low, high = sorted(interval)
    return (low - start) / span, (high - start) / span
