"""Does the beam change what is measured? The first passes along the line against the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.flags import Flag
from ..decomposition.engine import Stop, fit, never
from ..decomposition.fitting import pose
from ..decomposition.information import information
from ..decomposition.result import misfit_stretch
from ..prepared import Prepared
from .case import SIGNIFICANT, Case, Estimate, number_or_null
from .halves import Comparison, compare, counted_passes

PART = 3  # the first and the last third: of a steady change, they show more than two passes or two halves


@dataclass(frozen=True)
class DoseChange:
    """What differs between the first and the last passes, numbered from 1; changes are last over first, minus one.

    area: of the shift peak over the ZLP counts, by region. zlp: ZLP counts of a pixel, by region, with the scatter of
    the pixels as uncertainty; a beam current that wanders changes it too.
    """

    peak: str
    first: tuple[int, ...]
    last: tuple[int, ...]
    first_mev: Estimate
    last_mev: Estimate
    difference_mev: Estimate
    area: Mapping[str, Estimate]
    zlp: Mapping[str, Estimate]

    @property
    def p_value(self) -> float:
        """The least of shift and areas, times their number (Bonferroni); nan where none is known."""
        found = [e.p_value for e in (self.difference_mev, *self.area.values()) if e.is_known]
        return min(1.0, len(found) * min(found)) if found else np.nan

    def to_dict(self) -> dict[str, Any]:
        return {
            "first_passes": list(self.first),
            "last_passes": list(self.last),
            "first_mev": self.first_mev.to_dict("meV"),
            "last_mev": self.last_mev.to_dict("meV"),
            "difference_mev": self.difference_mev.to_dict("meV"),
            "area_change": {name: change.to_dict("") for name, change in self.area.items()},
            "zlp_change": {name: change.to_dict("") for name, change in self.zlp.items()},
            "p_value": number_or_null(self.p_value),
        }

    @property
    def flags(self) -> tuple[Flag, ...]:
        if not self.p_value < SIGNIFICANT:
            return ()
        areas = [f"{100 * c.value:+.0f} % in the {n.replace('_', ' ')}" for n, c in self.area.items() if c.is_known]
        shift = [f"the shift by {self.difference_mev.value:+.2f} meV"] if self.difference_mev.is_known else []
        told = " and ".join([*shift, f"the area of {self.peak} by {', '.join(areas)}"] if areas else shift)
        message = (
            f"From the first to the last passes {told} changed: the beam changes what it measures; lower the dose."
        )
        return (Flag("CHANGES_WITH_DOSE", message),)


def first_against_last(case: Case, by_pass: Prepared, should_stop: Stop = never) -> DoseChange:
    """The first third of the passes against the last, one pass each at least.

    by_pass: as `halves.passes_apart` gives it. Raises UnusableInput where a region has no spectrum in one of them.
    """
    number = counted_passes(case, by_pass)
    passes = int(number[-1]) + 1
    count = max(1, passes // PART)
    ends = number < count, number >= passes - count
    first, last = ({name: np.tile(mask, passes) & end for name, mask in case.masks.items()} for end in ends)
    found = compare(case, by_pass, first, last, "end of the passes", should_stop)
    integrals = [np.array([by_pass.total_integral(mask) for mask in part.values()]) for part in (first, last)]
    area = _area_changes(case, found, np.concatenate(integrals), should_stop)
    zlp = {name: _zlp_change(by_pass.integral.reshape(passes, -1)[:, case.masks[name]], count) for name in case.masks}
    numbers = tuple(range(1, passes + 1))
    shifts = (found.first_mev, found.second_mev, found.difference_mev)
    return DoseChange(case.peak, numbers[:count], numbers[-count:], *shifts, area, zlp)


def _area_changes(case: Case, found: Comparison, integrals: np.ndarray, should_stop: Stop) -> dict[str, Estimate]:
    """Relative change of the peak's area over the ZLP counts (2 r,) in each region, unknown where it has no area."""
    area, covariance = found.fit.value(case.peak, "area"), _area_covariance(case, found, should_stop)
    regions, changes = len(case.masks), {}
    for i, name in enumerate(case.masks):
        ends = [i, i + regions]
        changes[name] = Estimate()
        if (area[ends] > 0).all():
            one, two = area[ends] / integrals[ends]
            slope = np.array([-1.0, 1.0]) / area[ends]  # of the logarithm of their ratio
            sigma = np.sqrt(slope @ covariance[np.ix_(ends, ends)] @ slope)
            changes[name] = Estimate(float(two / one - 1.0), float(two / one * sigma))
    return changes


def _area_covariance(case: Case, found: Comparison, should_stop: Stop) -> np.ndarray:
    """Covariance (n, n) of the areas of the shift peak in spectra that were fitted together.

    They share line shapes, and what these are uncertain by moves all areas alike and cancels in their ratio.
    """
    if case.setup.mode != "shared":
        return np.diag(found.fit.sigma(case.peak, "area") ** 2)
    posed = pose(case.setup, found.spectra, should_stop, found.fit)
    fits = fit(posed.layout, posed.data, posed.starts, should_stop)
    known = information(posed.layout, posed.data, fits)
    at = known.area(found.fit.index(case.peak))
    return known.covariance[np.ix_(at, at)] * misfit_stretch(fits, case.setup.noise.correlation)[0]


def _zlp_change(integral: np.ndarray, count: int) -> Estimate:
    """Mean relative change over the pixels of a region, integral (P, pixels), and its standard error."""
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.nanmean(integral[-count:], axis=0) / np.nanmean(integral[:count], axis=0) - 1.0
    change = change[np.isfinite(change)]
    if change.size < 2:
        return Estimate()
    return Estimate(float(change.mean()), float(change.std(ddof=1) / np.sqrt(change.size)))
