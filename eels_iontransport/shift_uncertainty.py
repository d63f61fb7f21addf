"""How uncertain the shift is, part by part: counting noise, background and window, response, place of the regions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .background_scan import BackgroundScan
from .quantity import number_or_none
from .shift import REFERENCES, weights

BACKGROUND, RESPONSE, REGIONS = "background", "response", "regions"


@dataclass(frozen=True)
class Sum:
    """A weighted sum of the centres and its standard deviations, in meV: of counting noise, and of all that is not."""

    value: float
    statistical: float
    systematic: float

    @property
    def sigma(self) -> float:
        return math.hypot(self.statistical, self.systematic)


@dataclass(frozen=True, eq=False)
class ShiftUncertainty:
    """Of the centres of n regions and their shifts by reference.

    names: of the regions, in the order of the centres. All arrays are (n + references,) in meV, the centres and then
    the shifts in the order of `references`; nan where there is none. statistical: standard deviations, by bootstrap or,
    where that failed, by profile. parts: standard deviations that are not counting noise, by name; nan where one could
    not be determined, which then is not in the whole.
    """

    names: tuple[str, ...]
    values: np.ndarray
    statistical: np.ndarray
    by_profile: np.ndarray
    scan: BackgroundScan
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)

    def of_shift(self, reference: str) -> Sum | None:
        """The shift against a reference; None where a region is missing."""
        found = references(self.names)
        return self._sum(len(self.names) + found.index(reference)) if reference in found else None

    def of_centre(self, name: str) -> Sum:
        """The centre of a region."""
        return self._sum(self.names.index(name))

    def unknown(self, reference: str) -> tuple[str, ...]:
        """The parts of a shift's uncertainty that could not be determined."""
        found = references(self.names)
        if reference not in found:
            return ()
        place = len(self.names) + found.index(reference)
        return tuple(name for name, part in self.parts.items() if np.isnan(part[place]))

    def _sum(self, place: int) -> Sum:
        known = [float(part[place]) for part in self.parts.values() if not np.isnan(part[place])]
        systematic = math.hypot(*known)
        return Sum(float(self.values[place]), float(self.statistical[place]), systematic)

    def to_dict(self, reference: str) -> dict[str, Any]:
        """The parts of one shift, and what it is with other windows and backgrounds: for JSON."""
        shift, row = self.of_shift(reference), weights(reference, self.names)
        if shift is None or row is None:
            return {}
        place = len(self.names) + references(self.names).index(reference)
        return {
            "statistical_mev": number_or_none(shift.statistical),
            "statistical_by": "profile" if self.by_profile[place] else "bootstrap",
            "systematic_mev": number_or_none(shift.systematic),
            "parts_mev": {name: number_or_none(float(part[place])) for name, part in self.parts.items()},
            "backgrounds": self.scan.to_dict(row),
        }


def references(names: Sequence[str]) -> tuple[str, ...]:
    """What a shift can be referred to where there are these regions."""
    return tuple(reference for reference in REFERENCES if weights(reference, names) is not None)


def sums_of_centres(names: Sequence[str]) -> np.ndarray:
    """Weights (n + references, n): the centres themselves, then the shifts."""
    rows = [weights(reference, names) for reference in references(names)]
    return np.array([*np.eye(len(names)), *(row for row in rows if row is not None)])
