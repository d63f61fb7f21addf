"""The rows of a line fitted one by one, and kept from one evaluation to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .decomposition.engine import Stop
from .decomposition.fitting import Plan, fit_peaks
from .decomposition.result import QUANTITIES, PeakTable
from .materials.recipe import Peak
from .prepared import Prepared
from .progress import Progress

TOLERATED = 0.2  # part of its standard deviation by which a centre that is kept may be off: it adds 2 % to its error
TRIED = 4  # of the rows that have waited longest, at first


class RowFits:
    """The peaks of every row, each with what it was fitted from: its data, and a basis that all rows share."""

    def __init__(self) -> None:
        self._table: PeakTable | None = None
        self._version = np.empty(0, int)  # of the data, 0 for a row that has not been fitted
        self._basis: list[Any] = []
        self._turn = np.empty(0, int)  # evaluation at which each was fitted
        self._turns = 0

    def fit(
        self,
        line: Prepared,
        peaks: Sequence[Peak],
        basis: Any,
        make_plan: Callable[[], Plan],
        *,
        settled: bool,
        should_stop: Stop,
        progress: Progress,
    ) -> PeakTable:
        """The peaks of all rows, nan for those that are not usable or cannot be fitted.

        basis: changes when shapes, noise or starts do, by which make_plan plans; plans with the same peaks. settled:
        every row is fitted on this basis. Else rows that were fitted on another keep their fit while it hardly matters:
        new rows are fitted, and the few that have waited longest are fitted again; where one of those centres moves by
        more than TOLERATED of its standard deviation, the next to have waited follow, twice as many, and so on. What is
        off the most is thus what is looked at.
        """
        self._begin(line, peaks)
        current = np.array([known == basis for known in self._basis], bool) & (self._version == line.version)
        wanted = np.flatnonzero(line.usable & ~current)
        new = wanted[self._version[wanted] != line.version[wanted]]
        stale = np.setdiff1d(wanted, new)
        stale = stale[np.argsort(self._turn[stale], kind="stable")]
        now, waiting, count = (wanted, stale[:0], 0) if settled else (new, stale, TRIED)
        plan = make_plan() if wanted.size else None
        total = int(line.usable.sum())
        while plan is not None and (now.size or waiting.size):
            progress(total - now.size - waiting.size, total, "Fitting rows")
            now, tried, waiting = np.concatenate([now, waiting[:count]]), waiting[:count], waiting[count:]
            before = self._centres(tried)
            self._renew(line, now, basis, plan, should_stop)
            if not _moved(before, self._centres(tried)):
                break
            now, count = now[:0], 2 * count
        progress(total, total, "Fitting rows")
        return self._shown(line.usable)

    def _begin(self, line: Prepared, peaks: Sequence[Peak]) -> None:
        """Room for the rows; what is known of other rows, or of other peaks, is forgotten."""
        n = len(line.spectra.rows)
        self._turns += 1
        if self._table is None or self._table.chi2.size != n or self._table.peaks != tuple(peaks):
            self._table = _blank(peaks, n)
            self._version, self._basis, self._turn = np.zeros(n, int), [None] * n, np.zeros(n, int)

    def _renew(self, line: Prepared, rows: np.ndarray, basis: Any, plan: Plan, should_stop: Stop) -> None:
        assert self._table is not None
        fitted, part = fit_peaks(plan, line.aligned(rows), should_stop)
        _put(self._table, rows, _blank(self._table.peaks, rows.size))
        if part is not None:
            _put(self._table, rows[fitted], part)
        self._version[rows], self._turn[rows] = line.version[rows], self._turns
        for row in rows.tolist():
            self._basis[row] = basis

    def _centres(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centres of some rows and their standard deviations, (r, k) each."""
        assert self._table is not None
        return self._table.values["centre_mev"][rows], self._table.sigmas["centre_mev"][rows]

    def _shown(self, usable: np.ndarray) -> PeakTable:
        """A copy, without rows that were usable once and are no longer."""
        assert self._table is not None
        shown = _blank(self._table.peaks, usable.size)
        rows = np.flatnonzero(usable)
        _put(shown, rows, _taken(self._table, rows))
        return shown


def _moved(before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether a centre is no longer where it was; also where it has appeared, gone, or reached a limit."""
    (old, sigma), (new, new_sigma) = before, after
    if not np.array_equal(np.isfinite(sigma), np.isfinite(new_sigma)):
        return True
    known = np.isfinite(sigma)
    return bool(np.any(np.abs(new - old)[known] > TOLERATED * sigma[known]))


def _blank(peaks: Sequence[Peak], n: int) -> PeakTable:
    """A table of n spectra without a fit."""
    shape = (n, len(peaks))
    return PeakTable(
        peaks=tuple(peaks),
        values={q: np.full(shape, np.nan) for q in QUANTITIES},
        sigmas={q: np.full(shape, np.nan) for q in QUANTITIES},
        railed={q: np.zeros(shape, bool) for q in QUANTITIES},
        significance=np.full(shape, np.nan),
        chi2=np.full(n, np.nan),
        masked=np.zeros(n, int),
        optima=np.zeros(n, int),
    )


_TABLES, _COLUMNS = ("values", "sigmas", "railed"), ("significance", "chi2", "masked", "optima")


def _put(table: PeakTable, rows: np.ndarray, part: PeakTable) -> None:
    """Write the spectra of a part in their places."""
    for name in _TABLES:
        for quantity in QUANTITIES:
            getattr(table, name)[quantity][rows] = getattr(part, name)[quantity]
    for name in _COLUMNS:
        getattr(table, name)[rows] = getattr(part, name)


def _taken(table: PeakTable, rows: np.ndarray) -> PeakTable:
    """Some of the spectra."""
    tables = ({q: getattr(table, name)[q][rows] for q in QUANTITIES} for name in _TABLES)
    values, sigmas, railed = tables
    significance, chi2, masked, optima = (getattr(table, name)[rows] for name in _COLUMNS)
    return PeakTable(
        peaks=table.peaks,
        values=values,
        sigmas=sigmas,
        railed=railed,
        significance=significance,
        chi2=chi2,
        masked=masked,
        optima=optima,
    )
