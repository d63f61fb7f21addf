"""Is a peak there? Judged against noise and against what other windows and backgrounds would have found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ..measure.alignment import Aligned
from .engine import Stop, never
from .fitting import Setup, fit_each, with_windows

SIGNIFICANCE = 5.0  # three would do for a known shape; centre and widths are searched for
WINDOW_SHIFT = 0.1  # each end of the fit window is moved by this part of its width, both ways
ORDER_STEPS = (-1, 0, 1)


@dataclass(frozen=True)
class Presence:
    """Least significance of a peak in all variations, and the spread of its parameters that they cause."""

    present: bool
    significance: float
    area_spread: float
    centre_spread_mev: float
    fwhm_spread_mev: float


def test_presence(setup: Setup, spectrum: Aligned, peak: str, should_stop: Stop = never) -> Presence:
    """Fit the peak with the window moved and the background stiffer and softer.

    Present: the line takes SIGNIFICANCE squared off chi-squared in every variation (a background that bends passes
    for a peak in some of them only), and its centre lies inside its limits in most.
    """
    fits = [fit_each(variation, [spectrum], should_stop) for variation in _variations(setup, spectrum)]
    if not fits:
        return Presence(False, np.nan, np.nan, np.nan, np.nan)
    areas = np.array([f.value(peak, "area")[0] for f in fits])
    significance = float(min(f.significance[0, f.index(peak)] for f in fits))
    centres = np.array([f.value(peak, "centre_mev")[0] for f in fits])
    widths = np.array([f.value(peak, "fwhm_mev")[0] for f in fits])
    railed = np.mean([f.railed["centre_mev"][0, f.index(peak)] for f in fits])
    present = bool(significance >= SIGNIFICANCE and railed < 0.5)
    return Presence(present, significance, float(areas.std()), _spread(centres), _spread(widths))


def _spread(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.std()) if finite.size else np.nan


def _variations(setup: Setup, spectrum: Aligned) -> list[Setup]:
    """The setup with other windows and orders, as far as the spectrum covers them.

    Always with the background inside the fit: one that is subtracted beforehand cannot show that it bends.
    """
    if setup.is_published:
        setup = replace(setup, mode="wide")
    low, high = setup.window_mev
    step = WINDOW_SHIFT * (high - low)
    found = []
    for a, b, c in product((-1, 0, 1), (-1, 0, 1), ORDER_STEPS):
        ends, order = (low + a * step, high + b * step), setup.recipe.background_order + c
        inside = ends[0] > max(0.0, spectrum.energy_mev[0]) and ends[1] < spectrum.energy_mev[-1]
        if inside and order >= 0:
            found.append(with_windows(setup, *ends, order))
    return found
