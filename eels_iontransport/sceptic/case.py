"""The shift that is doubted, with what it was worked out from, and how the checks fit spectra again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ..data.regions import BOUNDARY
from ..decomposition.engine import THREADS, Cancelled, Stop, never
from ..decomposition.fitting import Setup, fit_together
from ..decomposition.result import Decomposition
from ..measure.alignment import Aligned
from ..prepared import Prepared
from ..progress import Progress, silent
from ..quantity import quantity
from ..shift import REFERENCES, shift_peak, weights

# The p-value below which a check raises its flag. Five checks have one: a sound line gets a flag once in twenty pages.
SIGNIFICANT = 0.01

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Estimate:
    """A number and its standard deviation; nan where the data do not carry it."""

    value: float = math.nan
    sigma: float = math.nan

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.value) and self.sigma > 0

    @property
    def p_value(self) -> float:
        """That a Gaussian error alone makes a number as far from zero."""
        return math.erfc(abs(self.value) / self.sigma / math.sqrt(2.0)) if self.is_known else math.nan

    def to_dict(self, unit: str) -> dict[str, Any]:
        return quantity(self.value, self.sigma, unit)


@dataclass(frozen=True, eq=False)
class Case:
    """A shift and what it comes from.

    masks: usable rows (n,) of each region that was fitted, the boundary and one grain at least. reference: what the
    boundary is compared with, the mean of the grains or one of them. shift_mev: as the readout gives it.
    """

    setup: Setup
    line: Prepared
    masks: Mapping[str, np.ndarray]
    reference: str
    shift_mev: Estimate

    @property
    def peak(self) -> str:
        return shift_peak(self.setup.recipe)

    @property
    def grains(self) -> tuple[str, ...]:
        """The grains that the shift refers to."""
        return tuple(name for name in REFERENCES[self.reference] if name != BOUNDARY)

    @property
    def weights(self) -> np.ndarray:
        """Of the centres of the regions, in the order of the masks."""
        found = weights(self.reference, tuple(self.masks))
        assert found is not None  # or there would be no shift
        return found

    def sums(self) -> list[Aligned]:
        """The spectra of the regions, in the order of the masks."""
        totals = [self.line.total(mask) for mask in self.masks.values()]
        return [total for total in totals if total is not None]

    def fit(
        self, spectra: Sequence[Aligned], should_stop: Stop = never, start: Decomposition | None = None
    ) -> Decomposition:
        """Spectra taken apart as the regions were. start: what nearly the same spectra gave. Raises UnusableInput."""
        return fit_together(self.setup, spectra, should_stop, start)

    def combined(self, fit: Decomposition, vector: np.ndarray) -> Estimate:
        """A weighted sum of the centres of the shift peak; unknown where one with weight is not determined."""
        used = vector != 0
        centre = fit.value(self.peak, "centre_mev")[used]
        at_limit = fit.railed["centre_mev"][used, fit.index(self.peak)]
        described = fit.described[used] | self.setup.is_published
        if not (described & np.isfinite(centre) & ~at_limit).all():
            return Estimate()
        covariance = fit.centre_covariance(self.peak)[np.ix_(used, used)]
        variance = float(vector[used] @ covariance @ vector[used])
        return Estimate(float(vector[used] @ centre), math.sqrt(variance) if variance > 0 else math.nan)


def of_each(
    work: Callable[[_Item], _Found],
    items: Sequence[_Item],
    text: str,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> list[_Found]:
    """work(item) of each, in threads, as the fits leave the interpreter to others. Raises Cancelled."""
    progress(0, len(items), text)
    found = []
    with ThreadPoolExecutor(THREADS) as pool:
        for result in pool.map(partial(_unless_stopped, work, should_stop), items):
            found.append(result)
            progress(len(found), len(items), text)
    return found


def number_or_null(number: float) -> float | None:
    """For JSON: null where nan."""
    return float(number) if math.isfinite(number) else None


def _unless_stopped(work: Callable[[_Item], _Found], should_stop: Stop, item: _Item) -> _Found:
    if should_stop():
        raise Cancelled
    return work(item)
