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
    response, recipe, window = model.setup.response, model.setup.recipe, model.setup.window_mev
    features = [
        Features(spectrum, temperature.lines_of(together.values, row), response.components)
        for row, spectrum in enumerate(vibrations.groups.values())
        if together.described[row]
    ]
    if recipe.thermometer_mev is not None:
        lines = temperature.comb(recipe.thermometer_mev, response.fwhm_mev)
        features = [Features(spectrum, lines, response.components) for spectrum in vibrations.groups.values()]
        window = recipe.thermometer_window_mev or window
    total = vacuum.total() if vacuum is not None else None
    try:
        return temperature.measure(features, model.setup.noise, window, vacuum=total)
    except UnusableInput:
        return None
