"""How uncertain the shift is, part by part: counting noise, background and window, response, place of the regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .background_scan import BackgroundScan
from .decomposition.profile import Profile
from .shift import REFERENCES, weights

BACKGROUND, RESPONSE, REGIONS = "background", "response", "regions"


@dataclass(frozen=True, eq=False)
class Sum:
    """A weighted sum of the centres: value, 68 % interval of counting noise alone, and all of it; in meV."""

    value: float
    statistical: tuple[float, float]
    systematic: float

    @property
    def statistical_sigma(self) -> float:
        return 0.5 * (self.statistical[1] - self.statistical[0])

    @property
    def sigma(self) -> float:
        return float(np.hypot(self.statistical_sigma, self.systematic))

    @property
    def interval(self) -> tuple[float, float]:
        """Each side with the systematic part."""
        low, high = self.statistical
        return (
            self.value - float(np.hypot(self.value - low, self.systematic)),
            self.value + float(np.hypot(high - self.value, self.systematic)),
        )


@dataclass(frozen=True, eq=False)
class ShiftUncertainty:
    """Of the centres of n regions and their shifts by reference.

    names: of the regions, in the order of the centres. centres: their intervals. shifts: those of the shifts, in the
    order of `references`.
    parts: by name, standard deviations (n + references,) in meV of the centres and then of the shifts.
    """

    names: tuple[str, ...]
    centres: Profile
    shifts: Profile
    scan: BackgroundScan
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def references(self) -> tuple[str, ...]:
        return references(self.names)

    def systematic(self, place: int) -> float:
        """All parts that are not counting noise, of a centre or shift."""
        return float(np.sqrt(sum(part[place] ** 2 for part in self.parts.values())))

    def of_shift(self, reference: str) -> Sum | None:
        """The shift against a reference; None where a region is missing."""
        if reference not in self.references:
            return None
        i = self.references.index(reference)
        return self._sum(self.shifts, i, self.systematic(len(self.names) + i))

    def of_centre(self, name: str) -> Sum:
        """The centre of a region."""
        i = self.names.index(name)
        return self._sum(self.centres, i, self.systematic(i))

    def _sum(self, profile: Profile, i: int, systematic: float) -> Sum:
        return Sum(float(profile.value[i]), (float(profile.low[i]), float(profile.high[i])), systematic)

    def to_dict(self, reference: str) -> dict[str, Any]:
        """The parts of one shift, and what it is with other windows and backgrounds: for JSON."""
        shift = self.of_shift(reference)
        if shift is None or not np.isfinite(shift.statistical_sigma):
            return {}
        i = len(self.names) + self.references.index(reference)
        row = weights(reference, self.names)
        assert row is not None
        return {
            "statistical_mev": shift.statistical_sigma,
            "systematic_mev": shift.systematic,
            "parts_mev": {name: float(part[i]) for name, part in self.parts.items()},
            "backgrounds": self.scan.to_dict(row),
        }


def references(names: Sequence[str]) -> tuple[str, ...]:
    """What a shift can be referred to where there are these regions."""
    return tuple(reference for reference in REFERENCES if weights(reference, names) is not None)


def sums_of_centres(names: Sequence[str]) -> np.ndarray:
    """Weights (n + references, n): the centres themselves, then the shifts."""
    rows = [weights(reference, names) for reference in references(names)]
    return np.array([*np.eye(len(names)), *(row for row in rows if row is not None)])
