"""The rows of a line fitted one by one, and kept from one evaluation to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .decomposition.engine import Stop
from .decomposition.fitting import Plan, fit_peaks
from .decomposition.result import QUANTITIES, PeakTable
from .materials.recipe import Peak
from .prepared import Prepared
from .progress import Progress

TOLERATED = 0.2  # part of its standard deviation by which a centre that is kept may be off: it adds 2 % to its error
TRIED = 2  # of the rows that have waited longest, at first


class Basis(NamedTuple):
    """What all rows have in common: something that changes when held shapes or noise do, and when the starts do."""

    shapes: Any
    starts: Any


class RowFits:
    """The peaks of every row, each with what it was fitted from: its data, and a basis that all rows share."""

    def __init__(self) -> None:
        self._table: PeakTable | None = None
        self._version = np.empty(0, int)  # of the data, 0 for a row that has not been fitted
        self._basis: list[Basis | None] = []
        self._turn = np.empty(0, int)  # evaluation at which each was fitted
        self._turns = 0
        self._plan: tuple[Basis, Plan] | None = None

    def fit(
        self,
        line: Prepared,
        peaks: Sequence[Peak],
        basis: Basis,
        make_plan: Callable[[], Plan],
        *,
        settled: bool,
        should_stop: Stop,
        progress: Progress,
    ) -> PeakTable:
        """The peaks of all rows, nan for those that are not usable or cannot be fitted.

        make_plan: plans fits of the peaks on this basis. settled: every row is fitted on this basis. Else starts do not
        matter, and rows that were fitted with other shapes keep their fit while it hardly matters: new rows are fitted,
        and the few that have waited longest are fitted again; where one of those centres moves by more than TOLERATED
        of its standard deviation, the next to have waited follow, twice as many, and so on. As a change of the shapes
        moves all rows much alike, and the longer the more changes there were, these few speak for the others.
        """
        self._begin(line, peaks)
        current = np.array([_same(known, basis, settled) for known in self._basis], bool)
        wanted = np.flatnonzero(line.usable & ~(current & (self._version == line.version)))
        is_new = self._version[wanted] != line.version[wanted]
        new, stale = wanted[is_new], wanted[~is_new]
        stale = stale[np.argsort(self._turn[stale], kind="stable")]
        now, waiting, count = (wanted, stale[:0], 0) if settled else (new, stale, TRIED)
        plan = self._planned(basis, make_plan, settled) if wanted.size else None
        total = int(line.usable.sum())
        while plan is not None and (now.size or waiting.size):
            progress(total - now.size - waiting.size, total, "Fitting rows")
            now, tried, waiting = np.concatenate([now, waiting[:count]]), waiting[:count], waiting[count:]
            before = self._centres(tried)
            self._renew(line, now, *plan, should_stop)
            if not _moved(before, self._centres(tried)):
                break
            now, count = now[:0], 2 * count
        progress(total, total, "Fitting rows")
        return self._shown(line.usable)

    def _planned(self, basis: Basis, make_plan: Callable[[], Plan], settled: bool) -> tuple[Basis, Plan]:
        """A plan, and the basis that it was made on."""
        if self._plan is None or not _same(self._plan[0], basis, settled):
            self._plan = basis, make_plan()
        return self._plan

    def _begin(self, line: Prepared, peaks: Sequence[Peak]) -> None:
        """Room for the rows; what is known of other rows, or of other peaks, is forgotten."""
        n = len(line.spectra.rows)
        self._turns += 1
        if self._table is None or self._table.chi2.size != n or self._table.peaks != tuple(peaks):
            self._table = _blank(peaks, n)
            self._version, self._basis, self._turn = np.zeros(n, int), [None] * n, np.zeros(n, int)
            self._plan = None

    def _renew(self, line: Prepared, rows: np.ndarray, basis: Basis, plan: Plan, should_stop: Stop) -> None:
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


def _same(known: Basis | None, basis: Basis, settled: bool) -> bool:
    return known is not None and (known == basis if settled else known.shapes == basis.shapes)


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
