"""Bounded least squares with the linear parameters eliminated (variable projection), for many problems of one layout.

Areas (not negative) and background coefficients are solved for exactly at every trial of the centres and widths, so
that only those are searched for, by Levenberg-Marquardt in a box with analytic derivatives in Kaufman's form. What is
private to a spectrum and what all share make the normal equations arrow-shaped. The numbers are crunched in `kernels`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .problem import Data, Layout

Stop = Callable[[], bool]

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SPECTRA_AT_A_TIME = 64  # of a thread between two looks at whether to stop


class Cancelled(Exception):
    """The caller asked to stop."""


def never() -> bool:
    return False


@dataclass(frozen=True, eq=False)
class Fits:
    """N problems of n spectra at their optima, with uncertainties as the data are weighted.

    theta (N, p). chi2, degrees (N, n): of each spectrum; degrees are channels less fitted parameters. cost (N,): chi2
    of all, with that of the priors. areas, area_sigma, significance (N, n, K): in counts meV; significance is area over
    its standard deviation with all shapes held, the root of the chi-squared that the line takes away.
    background (N, n, q): coefficients of the functions. railed (N, p). optima (N,): how many different optima the
    starts ended in. converged (N,). evaluations (N,): of the model, all starts together.
    """

    columns: _Columns
    theta: np.ndarray
    chi2: np.ndarray
    cost: np.ndarray
    degrees: np.ndarray
    areas: np.ndarray
    area_sigma: np.ndarray
    significance: np.ndarray
    background: np.ndarray
    railed: np.ndarray
    optima: np.ndarray
    converged: np.ndarray
    evaluations: np.ndarray
    block_covariance: np.ndarray
    transfer: np.ndarray
    shared: np.ndarray

    @property
    def reduced_chi2(self) -> np.ndarray:
        """Of each problem, (N,); nan without degrees of freedom."""
        degrees = self.degrees.sum(axis=1)
        return np.where(degrees > 0, self.cost / np.where(degrees > 0, degrees, 1.0), np.nan)

    def covariance(self, block: int, indices: np.ndarray) -> np.ndarray:
        """Covariance (N, i, i) of parameters of one spectrum, by their indices (i,) in theta.

        nan for those that are held, at a limit, or not a parameter (-1).
        """
        columns = np.where(indices >= 0, self.columns.of_block(block, indices), -1)
        if not (columns >= 0).any():
            return np.full((len(self.theta), columns.size, columns.size), np.nan)
        part = self.block_covariance[:, block][:, columns[:, None], columns[None, :]]
        missing = columns < 0
        return np.where(missing[:, None] | missing[None, :], np.nan, part)

    def covariance_across(self, indices: np.ndarray) -> np.ndarray:
        """Covariance (N, n, n) of one parameter a spectrum, by their indices (n,) in theta; nan as above."""
        blocks = len(indices)
        result = np.full((len(self.theta), blocks, blocks), np.nan)
        columns = [int(self.columns.of_block(b, indices[b : b + 1])[0]) for b in range(blocks)]
        private = self.transfer.shape[2]
        own = [self.covariance(b, indices[b : b + 1])[:, 0, 0] for b in range(blocks)]
        for a in range(blocks):
            for b in range(blocks):
                if a == b or indices[a] == indices[b]:
                    result[:, a, b] = own[a]
                elif 0 <= columns[a] < private and 0 <= columns[b] < private:
                    left, right = self.transfer[:, a, columns[a]], self.transfer[:, b, columns[b]]
                    across = np.einsum("ig,igh,ih->i", left, self.shared, right)
                    result[:, a, b] = np.where(np.isfinite(own[a] + own[b]), across, np.nan)
        return result


def fit(
    layout: Layout,
    data: Data,
    starts: np.ndarray,
    should_stop: Stop = never,
    prior_means: np.ndarray | None = None,
) -> Fits:
    """The best of the optima reached from the starts, (S, p) or (N, S, p) theta.

    prior_means (N, i): in place of the priors' own, one after the other. Raises Cancelled when should_stop says so.
    """
    from . import kernels

    columns = _Columns(layout)
    problems, blocks, channels = data.counts.shape
    masked = ~np.isfinite(data.sigma)
    weight = np.where(masked, 0.0, 1.0 / np.where(masked, 1.0, data.sigma))
    batch = kernels.Batch(
        _plain(data.energy_mev),
        _plain(weight),
        _plain(np.where(masked, 0.0, np.nan_to_num(data.counts)) * weight),
        _plain(data.background),
        _plain(data.response),
        columns.known(layout, prior_means, problems),
    )
    starts = np.broadcast_to(starts, (problems, *starts.shape[-2:]))
    flat = _plain(np.where(columns.order >= 0, starts[:, :, columns.order], 0.0))
    lines, q, width = layout.centre.shape[1], data.background.shape[2], columns.private + columns.shared.size
    results = kernels.Results(
        np.empty((problems, columns.order.size)),
        np.empty((problems, blocks)),
        np.empty((problems, blocks, lines)),
        np.empty((problems, blocks, lines)),
        np.empty((problems, blocks, lines)),
        np.empty((problems, blocks, q)),
        np.empty((problems, blocks, width, width)),
        np.zeros((problems, blocks, columns.private, columns.shared.size)),
        np.empty((problems, columns.shared.size, columns.shared.size)),
        np.empty((problems, columns.order.size), bool),
        np.empty((problems, 3), np.int64),
    )

    def work(first: int, last: int) -> None:
        kernels.fit_batch(columns.table, batch, flat, results, first, last)

    _in_threads(work, problems, blocks, should_stop)
    return _fits(layout, data, columns, batch, results)


def draw(
    energy_mev: np.ndarray, response: np.ndarray, centre: np.ndarray, sigma: np.ndarray, gamma: np.ndarray
) -> np.ndarray:
    """Lines of unit area in 1/meV, (n, K, m): centre, sigma, gamma (n, K) on energy_mev (n, m) through (n, j, 4).

    Where the centre is nan the line is any.
    """
    from . import kernels

    lines = np.empty((*centre.shape, energy_mev.shape[-1]))
    known = np.isfinite(centre)
    centre, sigma, gamma = (_plain(np.where(known, p, 1.0)) for p in (centre, sigma, gamma))
    kernels.draw(_plain(energy_mev), _plain(response), centre, sigma, gamma, lines)
    return lines


def _plain(array: np.ndarray) -> np.ndarray:
    """The array as kernels are compiled for it; one that is strided or cannot be written would have others compiled."""
    return np.require(array, float, ("C", "A", "W"))


def _in_threads(work: Callable[[int, int], None], problems: int, blocks: int, should_stop: Stop) -> None:
    """Call work(first, last) for all problems, a share at a time, in as many threads as there are cores."""
    if should_stop():
        raise Cancelled
    share = max(1, min(SPECTRA_AT_A_TIME // blocks, -(-problems // THREADS)))
    if share >= problems:
        work(0, problems)
        return

    def stretch(first: int) -> bool:
        if should_stop():
            return False
        work(first, min(first + share, problems))
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        if not all(pool.map(stretch, range(0, problems, share))):
            raise Cancelled


class _Columns:
    """Parameters in the order of the kernels: what is private to the first spectrum, to the second ..., what is shared.

    A single spectrum has none of its own: all of it is "shared", and the arrow is a plain matrix.
    """

    def __init__(self, layout: Layout):
        blocks, lines = layout.centre.shape
        users = np.zeros((blocks, layout.lower.size), bool)
        for b in range(blocks):
            for table in (layout.centre, layout.sigma, layout.gamma):
                users[b, table[b]] = True
        common = users.sum(axis=0) != 1
        common[layout.offset[layout.offset >= 0]] = True
        for prior in layout.priors:
            common[prior.indices] = True
        if blocks == 1:
            common[:] = True
        private = [np.flatnonzero(layout.free & ~common & users[b]) for b in range(blocks)]
        self.private = max(len(own) for own in private)
        self.shared = np.flatnonzero(layout.free & common)
        padded = np.full((blocks, self.private), -1)
        for b, own in enumerate(private):
            padded[b, : own.size] = own
        self._padded = padded
        self.order = np.concatenate([padded.ravel(), self.shared])
        self.table = self._table(layout)

    def of_block(self, block: int, indices: np.ndarray) -> np.ndarray:
        """Column of a spectrum for each index into theta; -1 where it is none of its columns."""
        mine = np.concatenate([self._padded[block], self.shared])
        if not mine.size:  # every line shape is held, as where there are but polaritons
            return np.full(len(indices), -1)
        found = mine[None, :] == np.asarray(indices)[:, None]
        return np.where(found.any(axis=1) & (np.asarray(indices) >= 0), found.argmax(axis=1), -1)

    def known(self, layout: Layout, means: np.ndarray | None, problems: int) -> np.ndarray:
        """Means of the priors (N, G) at the shared parameters, 0 where there is none."""
        result = np.zeros((problems, self.shared.size))
        taken = 0
        for prior in layout.priors:
            size = prior.indices.size
            mean = prior.mean if means is None else means[:, taken : taken + size]
            result[:, np.searchsorted(self.shared, prior.indices)] = mean
            taken += size
        return result

    def _table(self, layout: Layout) -> Any:
        from . import kernels

        blocks, lines = layout.centre.shape
        indices = np.stack([layout.centre, layout.sigma, layout.gamma], axis=-1)
        columns = np.array([self.of_block(b, indices[b].ravel()).reshape(lines, 3) for b in range(blocks)])
        information = np.zeros((self.shared.size, self.shared.size))
        for prior in layout.priors:
            at = np.searchsorted(self.shared, prior.indices)
            information[np.ix_(at, at)] += np.linalg.inv(prior.covariance)
        limits = layout.fwhm_limits
        sigma_limits = (
            np.zeros((lines, 2)) if limits is None else np.stack([limits.sigma_lower, limits.sigma_upper], -1)
        )
        return kernels.Table(
            columns,
            layout.lower[indices].astype(float),
            self.of_block(0, layout.offset),
            np.where(self.order >= 0, layout.lower[self.order], 0.0),
            np.where(self.order >= 0, layout.upper[self.order], 0.0),
            self.private,
            limits is not None,
            np.array((0.0, 0.0) if limits is None else limits.fwhm_mev, float),
            np.ascontiguousarray(sigma_limits, float),
            information,
        )


def _fits(layout: Layout, data: Data, columns: _Columns, batch: Any, results: Any) -> Fits:
    problems, blocks, _ = data.counts.shape
    used = columns.order >= 0
    theta = np.tile(layout.lower.astype(float), (problems, 1))
    theta[:, columns.order[used]] = results.x[:, used]
    railed = np.zeros(theta.shape, bool)
    railed[:, columns.order[used]] = results.railed[:, used]
    shared = theta[:, columns.shared] - batch.known
    cost = results.chi2.sum(axis=1) + np.einsum("ig,gh,ih->i", shared, columns.table.information, shared)
    known = sum(prior.indices.size for prior in layout.priors)
    searched = (layout.free.sum() - known) / blocks  # a spectrum's share of what the data determine
    active = results.areas > 0
    degrees = data.channels - active.sum(axis=-1) - data.background.shape[2] - searched
    held = np.where(active, results.held_variance, 1.0)
    return Fits(
        columns,
        theta,
        results.chi2,
        cost,
        degrees,
        results.areas,
        np.where(active, np.sqrt(results.area_variance), np.nan),
        np.where(active, results.areas / np.sqrt(held), 0.0),
        results.background,
        railed,
        results.status[:, 1],
        results.status[:, 0] > 0,
        results.status[:, 2],
        results.covariance,
        results.transfer,
        results.shared,
    )
