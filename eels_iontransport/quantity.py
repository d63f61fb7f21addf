"""A number as readout.json holds it: value, standard deviation, 68 % interval and unit, null where there is none."""

from __future__ import annotations

import math
from typing import Any


def quantity(
    value: float | None, sigma: float | None, unit: str, interval_68: tuple[float, float] | None = None
) -> dict[str, Any]:
    """A quantity; what is None or not finite becomes null. Without an interval it is value -+ sigma."""
    number, spread = number_or_none(value), number_or_none(sigma)
    if number is None:
        return {"value": None, "sigma": None, "interval_68": None, "unit": unit}
    interval = None
    if interval_68 is not None and all(number_or_none(end) is not None for end in interval_68):
        interval = [float(interval_68[0]), float(interval_68[1])]
    elif spread is not None:
        interval = [number - spread, number + spread]
    return {"value": number, "sigma": spread, "interval_68": interval, "unit": unit}


def unknown(unit: str) -> dict[str, Any]:
    """A quantity that the data do not carry."""
    return quantity(None, None, unit)


def number_or_none(number: float | None) -> float | None:
    """A number for JSON: None where it is not finite."""
    return None if number is None or not math.isfinite(number) else float(number)
