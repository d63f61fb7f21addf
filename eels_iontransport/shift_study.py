"""The shift of the regions' common fit looked at from all sides: background by criterion, profile, systematic parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .background_scan import BackgroundScan, main_specification, prefer_background, scan_backgrounds
from .data.regions import BOUNDARY
from .decomposition.engine import Stop, never
from .decomposition.fitting import Setup
from .decomposition.profile import Profile, profile
from .decomposition.result import Decomposition
from .materials import Recipe
from .measure.alignment import Aligned
from .measure.background import Tail
from .memory import Itself, Memory
from .prepared import Prepared
from .shift import shift_peak
from .shift_uncertainty import BACKGROUND, ShiftUncertainty, references, sums_of_centres
from .specification import Specification
from .specification_curve import Sums


def can_be_studied(recipe: Recipe, mode: str, groups: Mapping[str, Aligned]) -> bool:
    """Whether there is a shift from a common fit of the regions."""
    return mode == "shared" and recipe.shift_peak is not None and BOUNDARY in groups and bool(references(tuple(groups)))


@dataclass(frozen=True, eq=False)
class ShiftStudy:
    """What is asked of one fit of the regions; what was asked before is recalled.

    setup, order, together: what was fitted, with a background of which order (None: the vacuum tail), and what it gave.
    groups: the spectra of the regions by name. tail: of the vacuum ZLP. Everything may raise Cancelled.
    """

    setup: Setup
    order: int | None
    together: Decomposition
    groups: Mapping[str, Aligned]
    aloof: Prepared | None
    tail: Tail | None
    memory: Memory
    should_stop: Stop = never

    @property
    def preferred_order(self) -> int | None:
        """Order of the background that the data prefer, None for the vacuum tail."""
        make = partial(prefer_background, self._sums, self._main, self.together, self.should_stop)
        order: int | None = self._recall("preferred background", self.together, make)
        return order

    def uncertainty(self) -> tuple[Decomposition, ShiftUncertainty]:
        """How uncertain the shift is; and the fit, which is another where the profile found a better optimum."""
        names, rows = tuple(self.groups), sums_of_centres(tuple(self.groups))
        shifts, together = self._profile(self.together, rows[len(names) :])
        centres, together = self._profile(together, rows[: len(names)])
        scan = self._scan(together, rows[len(names)])
        parts = {BACKGROUND: scan.sigma(rows, np.concatenate([centres.sigma, shifts.sigma]))}
        return together, ShiftUncertainty(names, centres, shifts, scan, parts)

    def _profile(self, together: Decomposition, rows: np.ndarray) -> tuple[Profile, Decomposition]:
        peak, spectra = shift_peak(self.setup.recipe), list(self.groups.values())
        make = partial(profile, self.setup, spectra, together, peak, rows, self.should_stop)
        found: tuple[Profile, Decomposition] = self._recall(("profile", rows.tobytes()), together, make)
        return found

    def _scan(self, together: Decomposition, weights: np.ndarray) -> BackgroundScan:
        make = partial(scan_backgrounds, self._sums, self._main, together, weights, self.should_stop)
        scan: BackgroundScan = self._recall("backgrounds", together, make)
        return scan

    def _recall(self, name: Any, together: Decomposition, make: Callable[[], Any]) -> Any:
        return self.memory.recall((name, Itself(together), Itself(self.tail), Itself(self.aloof)), make)

    @property
    def _main(self) -> Specification:
        assert self.setup.response is not None
        return main_specification(self._sums, self.setup.mode, self.order, self.setup.response.source)

    @property
    def _sums(self) -> Sums:
        assert self.setup.response is not None
        return Sums(
            self.setup.recipe,
            self.groups,
            self.setup.noise,
            self.aloof.total() if self.aloof is not None else None,
            self.aloof.noise if self.aloof is not None else None,
            {self.setup.response.source: self.setup.response},
            self.setup.windows_mev,
            tail=self.tail,
        )
