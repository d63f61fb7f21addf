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
from .decomposition.resampling import Resampled, bootstrap
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

BOOTSTRAPS = 100  # a standard deviation is then known to 7 %


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
        order: int | None = self._recall("preferred background", make)
        return order

    def uncertainty(self) -> ShiftUncertainty:
        """How uncertain the shift is."""
        names, rows = tuple(self.groups), sums_of_centres(tuple(self.groups))
        values = rows @ self.together.value(shift_peak(self.setup.recipe), "centre_mev")
        drawn = self._drawn()
        sigma = np.array([drawn.spread(row)[0] for row in rows])
        failed = np.isnan(sigma)
        if failed.any():
            sigma[failed] = self._profile(rows[failed]).sigma
        scan = self._scan(rows[len(names)])
        return ShiftUncertainty(names, values, sigma, failed, scan, {BACKGROUND: scan.sigma(rows, sigma)})

    def _drawn(self) -> Resampled:
        peak, spectra = shift_peak(self.setup.recipe), list(self.groups.values())
        options: dict[str, Any] = {"should_stop": self.should_stop, "fitted": self.together}
        make = partial(bootstrap, self.setup, spectra, peak, BOOTSTRAPS, **options)
        drawn: Resampled = self._recall("bootstraps", make)
        return drawn

    def _profile(self, rows: np.ndarray) -> Profile:
        peak, spectra = shift_peak(self.setup.recipe), list(self.groups.values())
        make = partial(profile, self.setup, spectra, self.together, peak, rows, self.should_stop)
        found: tuple[Profile, Decomposition] = self._recall(("profile", rows.tobytes()), make)
        return found[0]

    def _scan(self, weights: np.ndarray) -> BackgroundScan:
        make = partial(scan_backgrounds, self._sums, self._main, self.together, weights, self.should_stop)
        scan: BackgroundScan = self._recall("backgrounds", make)
        return scan

    def _recall(self, name: Any, make: Callable[[], Any]) -> Any:
        return self.memory.recall((name, Itself(self.together), Itself(self.tail), Itself(self.aloof)), make)

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
