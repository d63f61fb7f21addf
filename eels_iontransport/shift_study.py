"""The shift of the regions' common fit looked at from all sides: background by criterion, profile, systematic parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .background_scan import BackgroundScan, main_specification, prefer_background, scan_backgrounds
from .data.errors import UnusableInput
from .data.regions import BOUNDARY
from .decomposition.engine import THREADS, Stop, never
from .decomposition.fitting import Setup, fit_aloof, fit_together
from .decomposition.layout import KnownShapes
from .decomposition.profile import Profile, profile
from .decomposition.resampling import Resampled, bootstrap
from .decomposition.response import Response, from_vacuum
from .decomposition.response_draws import response_ensemble, through_voigts
from .decomposition.result import Decomposition
from .decomposition.sharing_test import SCATTER, SharedWidths, fit_own_widths, judge_widths
from .materials import Recipe
from .materials.recipe import Interval
from .measure.alignment import Aligned
from .measure.background import Tail
from .memory import Itself, Memory
from .prepared import Prepared
from .shift import shift_peak, weights
from .shift_uncertainty import BACKGROUND, REGIONS, RESPONSE, ShiftUncertainty, references, sums_of_centres
from .specification import Specification
from .specification_curve import Sums, tail_of
from .window_start import prefer_window


@dataclass(frozen=True, eq=False)
class MovedGroups:
    """The sums of the regions with the boundary one error before and after; part: see `data.regions.Moved`."""

    before: Mapping[str, Aligned]
    after: Mapping[str, Aligned]
    part: float


BOOTSTRAPS = 100  # a standard deviation is then known to 7 %
VACUUM_DRAWS = 8  # of what is a small part of the whole, and takes long to describe
ENOUGH = 0.75  # of the draws have to determine a centre


def can_be_studied(recipe: Recipe, mode: str, groups: Mapping[str, Aligned]) -> bool:
    """Whether there is a shift from a common fit of the regions."""
    return mode == "shared" and recipe.shift_peak is not None and BOUNDARY in groups and bool(references(tuple(groups)))


@dataclass(frozen=True, eq=False)
class ShiftStudy:
    """What is asked of one fit of the regions; what was asked before is recalled.

    setup, order, together: what was fitted, with a background of which order (None: the vacuum tail), and what it gave.
    groups: the spectra of the regions by name. vacuum: the ZLP that response and tail are from. moved: the regions an
    error of the boundary's place away. Everything may raise Cancelled.
    """

    setup: Setup
    order: int | None
    together: Decomposition
    groups: Mapping[str, Aligned]
    aloof: Prepared | None
    vacuum: Prepared | None
    moved: MovedGroups | None
    memory: Memory
    should_stop: Stop = never

    @property
    def preferred_order(self) -> int | None:
        """Order of the background that the data prefer, None for the vacuum tail."""
        make = partial(prefer_background, self._sums, self._main, self.together, self.should_stop)
        order: int | None = self._recall("preferred background", make)
        return order

    @property
    def preferred_window_mev(self) -> Interval:
        """The fit window, begun as near to the zero-loss peak as the data allow with the background that there is."""
        make = partial(prefer_window, self._sums, self._main, self.together, self.should_stop)
        window: Interval = self._recall("preferred window", make)
        return window

    def uncertainty(self) -> ShiftUncertainty:
        """How uncertain the shift is."""
        names, rows = tuple(self.groups), sums_of_centres(tuple(self.groups))
        values = rows @ self.together.value(shift_peak(self.setup.recipe), "centre_mev")
        drawn = self._drawn()
        sigma = np.array([drawn.spread(row)[0] for row in rows])
        failed = np.isnan(sigma)
        if failed.any():
            found = self._profile(rows[failed])
            # A profile may come upon a better optimum: how far that lies away is in doubt as well.
            sigma[failed] = np.hypot(found.sigma, found.value - values[failed])
        scan = self._scan(rows[len(names)])
        parts = {BACKGROUND: scan.sigma(rows, sigma)}
        if self._draws:
            parts[RESPONSE] = self._recall("responses", partial(self._by_responses, rows))
        if self.moved is not None:
            parts[REGIONS] = self._recall(("moved", Itself(self.moved)), partial(self._by_regions, self.moved, rows))
        return ShiftUncertainty(names, values, sigma, failed, scan, parts)

    @property
    def widths(self) -> SharedWidths:
        """Whether the regions may share their widths. Raises UnusableInput."""
        spectra = list(self.groups.values())
        make = partial(judge_widths, self.setup, spectra, self.should_stop, self.together)
        widths: SharedWidths = self._recall("widths", make)
        return widths

    def shift_with_own_widths(self, reference: str) -> tuple[float, float]:
        """The shift and its standard deviation, in meV, with widths that differ as much as they seem to."""
        scatter = max(SCATTER, float(np.nan_to_num(self.widths.scatter)))
        spectra, peak = list(self.groups.values()), shift_peak(self.setup.recipe)
        fit = fit_own_widths(self.setup, spectra, scatter, self.should_stop, self.together)
        row = weights(reference, tuple(self.groups))
        assert row is not None
        used = row != 0
        covariance = fit.centre_covariance(peak)[np.ix_(used, used)]
        shift = float(row[used] @ fit.value(peak, "centre_mev")[used])
        return shift, float(np.sqrt(row[used] @ covariance @ row[used]))

    def _by_responses(self, rows: np.ndarray) -> np.ndarray:
        """What counts of the vacuum ZLP, and its description, leave uncertain in sums of the centres, (w,), or nan."""

        def centres(draw: tuple[Response, Tail | None]) -> np.ndarray:
            response, tail = draw
            other = replace(self.setup, response=response, tail=tail)
            return self._centres(replace(other, polaritons=self._aloof_shapes(other)), self.groups)

        with ThreadPoolExecutor(THREADS) as pool:  # the fits leave the interpreter to other threads
            found = list(pool.map(centres, self._draws))
        return np.hypot(_deviation(np.array(found) @ rows.T), self._by_description(rows))

    def _by_description(self, rows: np.ndarray) -> np.ndarray:
        """By what sums of the centres are off, (w,), as the Voigts are not quite the response; nan where unknown."""
        assert self.setup.response is not None
        spectra = through_voigts(self.together, list(self.groups.values()), self.setup.response)
        before, after = (self._centres(self.setup, g) for g in (self.groups, dict(zip(self.groups, spectra))))
        return np.abs(rows @ (after - before))

    @property
    def _draws(self) -> list[tuple[Response, Tail | None]]:
        """Other outcomes of the vacuum ZLP; none where it has no peak."""
        if self.vacuum is None:
            return []
        response, tail = self.setup.response, self.setup.tail
        key = ("vacuum draws", self.setup.recipe.wide_window_mev, Itself(self.vacuum), response, tail)
        make = partial(vacuum_draws, self.setup.recipe, self.vacuum, response, tail)
        draws: list[tuple[Response, Tail | None]] = self.memory.recall(key, make)
        return draws

    def _by_regions(self, moved: MovedGroups, rows: np.ndarray) -> np.ndarray:
        """What an error of the boundary's place makes in sums of the centres, (w,); nan where unknown."""
        here = rows @ self._centres(self.setup, self.groups)
        there = [rows @ self._centres(self.setup, groups) - here for groups in (moved.before, moved.after)]
        return moved.part * np.sqrt(np.mean(np.square(there), axis=0))

    def _centres(self, setup: Setup, groups: Mapping[str, Aligned]) -> np.ndarray:
        """Centres (n,) from the optimum on, nan for those that are not determined."""
        peak = shift_peak(setup.recipe)
        try:
            fit = fit_together(setup, list(groups.values()), self.should_stop, self.together)
        except UnusableInput:
            return np.full(len(groups), np.nan)
        return np.where(fit.railed["centre_mev"][:, fit.index(peak)], np.nan, fit.value(peak, "centre_mev"))

    def _aloof_shapes(self, setup: Setup) -> KnownShapes | None:
        aloof = self.aloof.total() if self.aloof is not None else None
        if self.aloof is None or aloof is None or self.setup.polaritons is None:
            return None
        return fit_aloof(replace(setup, polaritons=None, noise=self.aloof.noise), aloof, self.should_stop)[1]

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
        return self.memory.recall((name, Itself(self.together), Itself(self.vacuum), Itself(self.aloof)), make)

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
            tail=vacuum_tail(self.setup.recipe, self.vacuum, self.memory),
        )


def vacuum_tail(recipe: Recipe, vacuum: Prepared | None, memory: Memory) -> Tail | None:
    """The tail of the vacuum ZLP around the fit window, None where it is not seen; the same object for the same ZLP."""
    if vacuum is None:
        return None
    make = partial(tail_of, recipe, vacuum.noise, vacuum.total())
    tail: Tail | None = memory.recall(("tail", recipe.wide_window_mev, Itself(vacuum)), make)
    return tail


def vacuum_draws(
    recipe: Recipe, vacuum: Prepared, response: Response | None, tail: Tail | None
) -> list[tuple[Response, Tail | None]]:
    """What other counts of the same vacuum ZLP would have made of its response and tail; none where it has no peak.

    tail: None where none is asked for.
    """

    def measured(energy_mev: np.ndarray, counts: np.ndarray) -> tuple[Response, Tail | None]:
        drawn = replace(from_vacuum(energy_mev, counts), like=response)
        if tail is None:
            return drawn, None
        total = Aligned(energy_mev, counts, int(vacuum.usable.sum()))
        return drawn, tail_of(recipe, vacuum.noise, total, (tail.polynomial.degree(),))

    with suppress(UnusableInput):
        return response_ensemble(vacuum.spectra, vacuum.zero.position_ev, vacuum.noise, VACUUM_DRAWS, measure=measured)
    return []


def _deviation(draws: np.ndarray) -> np.ndarray:
    """Standard deviations (w,) of draws (d, w); nan where too few of them are known."""
    enough = np.isfinite(draws).mean(axis=0) >= ENOUGH
    return np.where(enough, np.nanstd(np.where(enough, draws, 0.0), axis=0, ddof=1), np.nan)
