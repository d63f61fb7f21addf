"""The temperature that the gain side of the fitted regions tells."""

from __future__ import annotations

from functools import partial

from .data.errors import UnusableInput
from .measure import temperature
from .measure.detailed_balance import Features
from .measure.temperature import Temperature
from .memory import Itself, Memory
from .prepared import Prepared
from .vibrational import Vibrations


def measure_temperature(vibrations: Vibrations, vacuum: Prepared | None, memory: Memory) -> Temperature | None:
    """One temperature from all groups; None without a fit through a response, or a gain side."""
    together, model = vibrations.together, vibrations.model
    if together is None or model is None or model.setup.response is None or model.setup.is_published:
        return None
    key = ("temperature", Itself(together), vacuum.token if vacuum is not None else None)
    make = partial(_measured, vibrations, vacuum)
    found: Temperature | None = memory.recall(key, make)
    return found


def _measured(vibrations: Vibrations, vacuum: Prepared | None) -> Temperature | None:
    together, model = vibrations.together, vibrations.model
    assert together is not None and model is not None and model.setup.response is not None
    components = model.setup.response.components
    features = [
        Features(spectrum, temperature.lines_of(together.values, row), components)
        for row, spectrum in enumerate(vibrations.groups.values())
        if together.described[row]
    ]
    total = vacuum.total() if vacuum is not None else None
    try:
        return temperature.measure(features, model.setup.noise, model.setup.window_mev, vacuum=total)
    except UnusableInput:
        return None
