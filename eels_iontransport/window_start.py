"""Where the fit window begins: as near to the zero-loss peak as the model still describes the spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import f as f_distribution

from .decomposition.engine import Stop, never
from .decomposition.result import Decomposition
from .materials.recipe import Interval
from .specification import Specification, later_starts
from .specification_curve import Sums, fits_from

ONE_IN = 1000  # lines that the model describes has its window shortened for nothing


@dataclass(frozen=True)
class Misfit:
    """Chi-squared of a fit, scaled so that one per degree of freedom is expected, and the degrees."""

    chi2: float
    freedom: float


def prefer_window(sums: Sums, main: Specification, together: Decomposition, should_stop: Stop = never) -> Interval:
    """The window of the main specification, begun later as long as the channels at its low end do not fit the rest.

    Whether they do is asked by the predictive test of Chow (Econometrica 28 (1960) 591): by how much more than their
    number chi-squared falls without them, in terms of what the rest leaves. together: the fit of the main one. Raises
    Cancelled when should_stop says so.
    """
    later = later_starts(main)
    fits = [fit for _, fit in fits_from(sums, later, together, should_stop)]
    windows = [main.window_mev, *(s.window_mev for s in later)]
    orders = main.background_order
    misfits = [_misfit(orders, fit) if isinstance(fit, Decomposition) else None for fit in (together, *fits)]
    return windows[first_that_fits(misfits, sums.noise.correlation)]


def first_that_fits(misfits: Sequence[Misfit | None], correlation: float) -> int:
    """The first of ever shorter windows whose additional channels are as the next one's fit has them.

    None: a window that cannot be fitted, at which the search ends. correlation: of the channels, see `NoiseModel`.
    """
    for place, (longer, shorter) in enumerate(zip(misfits, misfits[1:])):
        if longer is None or shorter is None or not _odd(longer, shorter, correlation):
            return place
    return len(misfits) - 1


def _odd(longer: Misfit, shorter: Misfit, correlation: float) -> bool:
    """Whether the channels that only the longer window holds are not as the shorter one's fit has them."""
    more = longer.freedom - shorter.freedom
    ratio = (longer.chi2 - shorter.chi2) / more / (shorter.chi2 / shorter.freedom)
    return bool(f_distribution.sf(ratio, more / correlation, shorter.freedom / correlation) < 1 / ONE_IN)


def _misfit(order: int | None, fit: Decomposition) -> Misfit:
    functions = 2 if order is None else order + 1
    freedom = fit.counts.shape[-1] - fit.masked - functions - 2 * len(fit.peaks)
    return Misfit(float(fit.chi2 @ freedom), float(np.sum(freedom)))
