"""What there is to map of an image, by name, in words, and with its unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, methodcaller

import numpy as np

from .maps import PeakMaps

_WORDS = {
    "centre_mev": ("centre", "meV"),
    "sigma_mev": ("Gaussian sigma", "meV"),
    "gamma_mev": ("Lorentzian gamma", "meV"),
    "fwhm_mev": ("FWHM", "meV"),
    "area": ("area", "counts meV"),
}


@dataclass(frozen=True)
class Kind:
    """A kind of map: the name of its files, what it shows, in words and unit, and how its values are got."""

    name: str
    title: str
    unit: str
    values: Callable[[PeakMaps], np.ndarray]


def of_peaks(wanted: Sequence[tuple[str, str]]) -> list[Kind]:
    """Quantities of peaks, each followed by its uncertainty, and how good the fits are."""
    kinds = []
    for peak, quantity in wanted:
        words, unit = _WORDS[quantity]
        name = re.sub(r"[^\w.-]+", "_", f"{peak}_{quantity}")  # peaks may be called anything, files may not
        value, sigma = methodcaller("value", peak, quantity), methodcaller("sigma", peak, quantity)
        kinds.append(Kind(name, f"{peak} {words}", unit, value))
        kinds.append(Kind(f"{name}_sigma", f"{peak} {words}, standard deviation", unit, sigma))
    return [*kinds, Kind("chi2", "reduced chi-squared", "", attrgetter("chi2"))]


OF_ZERO_LOSS = (
    Kind("zlp_position_mev", "zero-loss peak position", "meV", attrgetter("zlp.position_mev")),
    Kind("zlp_fwhm_mev", "zero-loss peak FWHM", "meV", attrgetter("zlp.fwhm_mev")),
    Kind("zlp_integral", "zero-loss peak integral", "counts", attrgetter("zlp.integral")),
)
