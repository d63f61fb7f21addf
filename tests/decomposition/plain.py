"""The plain solver: the same least squares on scipy, slow and easy to check, as an oracle for the engine.

Lines come from scipy's wofz, or from a convolution with a measured response; areas from scipy's nnls, the search from
scipy's trust region, covariances from dense matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, nnls
from scipy.stats import norm

from eels_iontransport.decomposition.problem import Data, Layout, Prior

from .plain_lines import LineShapes, SeenVoigts

RAIL = 1e-3  # a parameter this close to a limit, in parts of its range, has railed
TOLERANCE = 1e-9
DEEP = 5.0  # an area that the data would have so many sigma below zero is zero


@dataclass(frozen=True, eq=False)
class Block:
    """One spectrum in its fit window, (m,), background (q, m)."""

    counts: np.ndarray
    sigma: np.ndarray
    shapes: LineShapes
    background: np.ndarray


@dataclass(frozen=True, eq=False)
class Problem:
    layout: Layout
    blocks: tuple[Block, ...]


def problem(layout: Layout, data: Data, i: int = 0, shapes: Sequence[LineShapes] | None = None) -> Problem:
    """Problem i of the data; shapes: of each spectrum, in place of Voigts through data.response. No masked channels."""
    if shapes is None:
        shapes = [SeenVoigts(e, r) for e, r in zip(data.energy_mev[i], data.response[i])]
    parts = zip(data.counts[i], data.sigma[i], shapes, data.background[i])
    return Problem(layout, tuple(Block(*part) for part in parts))


@dataclass(frozen=True, eq=False)
class BlockFit:
    """A block at the optimum: lines (k, m) in counts, areas and their standard deviations (k,), background (m,), chi2.

    significance (k,): area over its standard deviation with all shapes held, the root of the chi-squared that the line
    takes away.
    """

    lines: np.ndarray
    areas: np.ndarray
    area_sigma: np.ndarray
    significance: np.ndarray
    background: np.ndarray
    chi2: float
    degrees: float


@dataclass(frozen=True, eq=False)
class Fit:
    """theta (p,), its covariance (p, p) from the data as weighted, nan for fixed and railed parameters.

    degrees: channels less fitted parameters. optima: how many different optima the starts ended in.
    """

    theta: np.ndarray
    covariance: np.ndarray
    railed: np.ndarray
    blocks: tuple[BlockFit, ...]
    chi2: float
    degrees: float
    optima: int
    success: bool

    @property
    def reduced_chi2(self) -> float:
        return self.chi2 / self.degrees if self.degrees > 0 else np.nan


def fit(problem: Problem, starts: Sequence[np.ndarray]) -> Fit:
    """The best of the optima reached from the starts, each (p,)."""
    evaluator = Evaluator(problem)
    layout = problem.layout
    free = layout.free
    lower, upper = layout.lower[free], layout.upper[free]
    solutions = []
    for start in starts:
        evaluator.rest = np.where(free, 0.0, start)
        inside = lower + np.clip((start[free] - lower) / (upper - lower), 1e-3, 1 - 1e-3) * (upper - lower)
        if inside.size:
            found = least_squares(
                evaluator.residual,
                inside,
                evaluator.jacobian,
                bounds=(lower, upper),
                x_scale="jac",
                ftol=TOLERANCE,
                xtol=TOLERANCE,
                gtol=TOLERANCE,
                max_nfev=200,
            )
            solutions.append((2 * found.cost, evaluator.full(found.x), found.status > 0))
        else:
            solutions.append((float(np.sum(evaluator.residual(inside) ** 2)), evaluator.full(inside), True))
    chi2, theta, success = min(solutions, key=lambda s: s[0])
    return _summary(problem, evaluator, theta, success, _optima(solutions))


def _optima(solutions: list[tuple[float, np.ndarray, bool]]) -> int:
    distinct: list[np.ndarray] = []
    for _, theta, _ in solutions:
        if all(np.abs(theta - other).max() > 0.05 for other in distinct):
            distinct.append(theta)
    return len(distinct)


def _summary(problem: Problem, evaluator: Evaluator, theta: np.ndarray, success: bool, optima: int) -> Fit:
    layout = problem.layout
    free = layout.free
    span = np.where(free, layout.upper - layout.lower, 1.0)
    railed = free & ((theta - layout.lower < RAIL * span) | (layout.upper - theta < RAIL * span))
    jacobian = evaluator.jacobian(theta[free])
    residual = evaluator.residual(theta[free])
    covariance = np.full((theta.size, theta.size), np.nan)
    scale = np.zeros(theta.size)
    scale[free] = np.linalg.norm(jacobian, axis=0)
    moving = free & ~railed & (scale > 0)  # what moves nothing, as a line without area, has no uncertainty
    if moving.any():
        covariance[np.ix_(moving, moving)] = _covariance(jacobian[:, moving[free]], -evaluator.bounded(), residual)
    known = sum(prior.indices.size for prior in problem.layout.priors)
    searched = (free.sum() - known) / len(problem.blocks)  # a block's share of the parameters that the data determine
    blocks = tuple(
        _block_fit(solved, evaluator.area_slopes(b, theta), np.nan_to_num(covariance), searched)
        for b, solved in enumerate(evaluator.solved)
    )
    degrees = sum(block.degrees for block in blocks)
    return Fit(theta, covariance, railed, blocks, float(residual @ residual), degrees, optima, success)


def _covariance(jacobian: np.ndarray, bounded: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Covariance (p, p) of parameters with Jacobian (m, p), beside areas that ended at zero, with Jacobian (m, b).

    Such an area is not known to be zero: it may be as large as the data and its sign allow. Its posterior is a normal
    distribution cut off at zero, and what it trades against is as uncertain as the variance of that leaves it.
    """
    columns = np.concatenate([jacobian, bounded], axis=1)
    scale = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    columns = columns / scale
    information = columns.T @ columns
    inverse = np.linalg.pinv(information)
    unbounded = -inverse @ (columns.T @ residual)
    for i in range(jacobian.shape[1], scale.size):
        variance = inverse[i, i]
        depth = max(0.0, -unbounded[i] / np.sqrt(variance)) if variance > 0 else np.inf
        information[i, i] += 1 / (variance * _cut_off_variance(depth)) - 1 / variance if depth < DEEP else 1e12
    inverse = np.linalg.pinv(information)
    size = jacobian.shape[1]
    return inverse[:size, :size] / np.outer(scale[:size], scale[:size])


def _cut_off_variance(depth: float) -> float:
    """Variance of the part of a standard normal distribution that lies above depth >= 0."""
    hazard = norm.pdf(depth) / norm.sf(depth)
    return float(1 + depth * hazard - hazard**2)


def _block_fit(solved: _Solved, slopes: np.ndarray, covariance: np.ndarray, searched: float) -> BlockFit:
    residual = solved.residual
    held = solved.area_variance()
    variance = held + np.einsum("kp,pq,kq->k", slopes, covariance, slopes)
    return BlockFit(
        solved.values * solved.areas[:, None],
        solved.areas,
        np.where(solved.active, np.sqrt(variance), np.nan),
        np.where(solved.active, solved.areas / np.sqrt(np.where(solved.active, held, 1.0)), 0.0),
        solved.background,
        float(residual @ residual),
        residual.size - solved.linear_parameters - searched,
    )


class _Solved:
    """A block with its linear parameters solved for given lines, values (k, m)."""

    def __init__(self, block: Block, values: np.ndarray):
        weight = 1.0 / block.sigma
        self.values = values
        design = (block.background * weight).T
        self._smooth, triangle = np.linalg.qr(design)
        target, lines = block.counts * weight, (values * weight).T
        # With the background projected out, only the areas are left, and those may not be negative.
        target_left, lines_left = self._clear(target), self._clear(lines)
        self.areas = nnls(lines_left, target_left)[0]
        self.active = self.areas > 0
        self._basis = np.linalg.qr(lines_left[:, self.active])[0]
        self.residual = target_left - lines_left @ self.areas
        coefficients = (
            np.linalg.solve(triangle, self._smooth.T @ (target - lines @ self.areas)) if design.size else np.empty(0)
        )
        self.background = coefficients @ block.background if design.size else np.zeros_like(block.counts)
        self._lines_left = lines_left

    def project(self, columns: np.ndarray) -> np.ndarray:
        """The part of columns (m, n) that no change of areas or background can make up for."""
        return self.project_left(self._clear(columns))

    def project_left(self, columns: np.ndarray) -> np.ndarray:
        """The same for columns that the background has been cleared from."""
        return columns - self._basis @ (self._basis.T @ columns)

    def bounded(self) -> np.ndarray:
        """Columns (m, b) of the lines whose area ended at its bound, zero, cleared of all other linear parameters."""
        return self.project_left(self._lines_left[:, ~self.active])

    @property
    def linear_parameters(self) -> int:
        return int(self.active.sum()) + self._smooth.shape[1]

    def area_variance(self) -> np.ndarray:
        """Variance of the areas with the line shapes held, (k,); 0 for a line that plays no part."""
        variance = np.zeros(self.areas.size)
        if self.active.any():
            lines = self._lines_left[:, self.active]
            variance[self.active] = np.diag(np.linalg.pinv(lines.T @ lines))
        return variance

    def area_slopes(self, columns: np.ndarray) -> np.ndarray:
        """How the areas follow when the model changes by columns (m, p): (k, p), to first order."""
        slopes = np.zeros((self.areas.size, columns.shape[1]))
        if self.active.any():
            slopes[self.active] = -np.linalg.pinv(self._lines_left[:, self.active]) @ self._clear(columns)
        return slopes

    def _clear(self, columns: np.ndarray) -> np.ndarray:
        return columns - self._smooth @ (self._smooth.T @ columns)


class Evaluator:
    """Residual and Jacobian of a problem as functions of its free parameters; the last solution is kept."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._whitening = [_whitening(prior) for prior in problem.layout.priors]
        self._at: np.ndarray | None = None
        self.rest = np.zeros(problem.layout.lower.size)
        self.solved: list[_Solved] = []
        self._derivatives: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def full(self, moving: np.ndarray) -> np.ndarray:
        theta = self.rest.copy()
        theta[self._problem.layout.free] = moving
        return theta

    def residual(self, moving: np.ndarray) -> np.ndarray:
        self._evaluate(moving)
        theta = self.full(moving)
        known = [w @ (theta[p.indices] - p.mean) for w, p in zip(self._whitening, self._problem.layout.priors)]
        return np.concatenate([solved.residual for solved in self.solved] + known)

    def jacobian(self, moving: np.ndarray) -> np.ndarray:
        self._evaluate(moving)
        rows = [self._block_jacobian(b, self.full(moving)) for b in range(len(self._problem.blocks))]
        for whitening, prior in zip(self._whitening, self._problem.layout.priors):
            row = np.zeros((prior.indices.size, self._problem.layout.lower.size))
            row[:, prior.indices] = whitening
            rows.append(row)
        return np.concatenate(rows)[:, self._problem.layout.free]

    def _evaluate(self, moving: np.ndarray) -> None:
        theta = self.full(moving)
        if self._at is not None and np.array_equal(theta, self._at):
            return
        self.solved, self._derivatives = [], []
        lines = zip(*self._problem.layout.line_parameters(theta))
        for block, parameters in zip(self._problem.blocks, lines):
            value, by_centre, by_sigma, by_gamma = block.shapes(*parameters)
            self.solved.append(_Solved(block, value))
            self._derivatives.append((by_centre, by_sigma, by_gamma))
        self._at = theta

    def bounded(self) -> np.ndarray:
        """Derivatives (m, b) of the weighted models by the areas at zero, other linear parameters made up for."""
        parts = [solved.bounded() for solved in self.solved]
        known = sum(prior.indices.size for prior in self._problem.layout.priors)
        result = np.zeros((sum(len(p) for p in parts) + known, sum(p.shape[1] for p in parts)))
        row = column = 0
        for part in parts:
            result[row : row + part.shape[0], column : column + part.shape[1]] = part
            row, column = row + part.shape[0], column + part.shape[1]
        return result

    def area_slopes(self, b: int, theta: np.ndarray) -> np.ndarray:
        """Derivatives of the areas of block b by the parameters, (k, p)."""
        return self.solved[b].area_slopes(self._model_slopes(b, theta).T)

    def _block_jacobian(self, b: int, theta: np.ndarray) -> np.ndarray:
        slopes = self._model_slopes(b, theta)
        used = np.flatnonzero(np.any(slopes != 0, axis=1))
        result = np.zeros((slopes.shape[1], slopes.shape[0]))
        result[:, used] = -self.solved[b].project(slopes[used].T)
        return result

    def _model_slopes(self, b: int, theta: np.ndarray) -> np.ndarray:
        """Derivatives of the weighted model of block b by the parameters, areas held; (p, m)."""
        layout, solved = self._problem.layout, self.solved[b]
        weight = 1.0 / self._problem.blocks[b].sigma
        by_centre, by_sigma, by_gamma = (d * solved.areas[:, None] * weight for d in self._derivatives[b])
        columns = np.zeros((layout.lower.size, weight.size))
        by_u, by_g = np.ones(solved.areas.size), np.zeros(solved.areas.size)
        if layout.fwhm_limits is not None:
            _, by_u, by_g = layout.fwhm_limits.sigma(theta[layout.sigma[b]], theta[layout.gamma[b]])
        for k in range(solved.areas.size):
            columns[layout.centre[b, k]] += by_centre[k]
            if layout.offset[k] >= 0:
                columns[layout.offset[k]] += by_centre[k]
            columns[layout.sigma[b, k]] += by_sigma[k] * by_u[k]
            columns[layout.gamma[b, k]] += by_gamma[k] + by_sigma[k] * by_g[k]
        return columns


def _whitening(prior: Prior) -> np.ndarray:
    """W with |W (theta - mean)|^2 the prior's chi-squared."""
    return np.linalg.inv(np.linalg.cholesky(prior.covariance))
