"""Overlapping edges separated: a joint fit of background, edge shapes and amounts to the spectra of all regions.

The regions share the shapes of the edges; each has its own background, amounts and edge shift. What is shared is what
makes overlapping edges separable, and the free shift keeps a chemical or instrumental shift from passing for a change
of composition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from ..data.errors import UnusableInput
from ..materials.recipe import Edge
from . import edges as edge_shapes
from .deformation import Deformable
from .leastsquares import minimise

SHIFT_PRIOR_EV = 1.0
MISFIT_FLAG, MISFIT_LIMIT = 1.5, 4.0  # reduced chi-squared that is told, and that is refused
_EVALUATIONS = 100
# Times the true variance: the search begins where the priors still hold the shapes, or it ends in a place of its own.
_TEMPERED = (1000.0, 30.0)


@dataclass(frozen=True, eq=False)
class EdgeFit:
    """R spectra decomposed into a background and K edges over m channels.

    edges: with the fitted shapes, before the shift. amounts (R, K): counts of each edge in its own signal window;
    covariance (R K, R K), in the order of amounts.ravel(). window_amounts (R, K): the same from the counts that the
    windows hold over the background, unmixed by the cross-talk of the shapes; a second opinion that leans less on
    their details. shift_ev (R,): how far the edges lie above the recipe's energies, with shift_covariance (R, R).
    background, model (R, m). misfit (R,): chi-squared of each. chi2: of all, reduced. deformation: of the shapes, in
    units of the priors, where another fit may start.
    """

    edges: tuple[Edge, ...]
    energy_ev: np.ndarray
    amounts: np.ndarray
    covariance: np.ndarray
    window_amounts: np.ndarray
    shift_ev: np.ndarray
    shift_covariance: np.ndarray
    background: np.ndarray
    model: np.ndarray
    misfit: np.ndarray
    chi2: float
    step: str
    deformation: np.ndarray

    def shapes(self, shift_ev: float = 0.0) -> np.ndarray:
        """Shapes of the edges, each with unit counts in its own signal window; (K, m)."""
        shift = np.array([shift_ev])
        return np.concatenate([edge_shapes.normalised(e, self.energy_ev, shift, self.step) for e in self.edges])

    @cached_property
    def cross_talk(self) -> np.ndarray:
        """(K, K), see `edges.cross_talk`."""
        return edge_shapes.cross_talk(self.edges, self.step)

    def index(self, element: str) -> int:
        return [edge.element for edge in self.edges].index(element)


def log_polynomial(energy_ev: np.ndarray, exponent: float | np.ndarray, order: int) -> np.ndarray:
    """Background basis (E/E0)^-exponent ln(E/E0)^j, j = 0..order, E0 the middle of the axis; (..., order + 1, m).

    Order 1 is a power law of nearly that exponent, order 2 one that bends. exponent: of any shape (...).
    """
    logarithm = np.log(energy_ev / float(np.exp(np.log(energy_ev).mean())))
    law = np.exp(-np.asarray(exponent)[..., None, None] * logarithm)
    return law * logarithm ** np.arange(order + 1)[:, None]


class _Problem:
    """Variable projection: shapes and shifts are searched, backgrounds and amounts solved for.

    The parameters searched for are in units of their priors: those of every edge's shape, then a shift per region.
    """

    def __init__(
        self,
        energy_ev: np.ndarray,
        counts: np.ndarray,
        variance: np.ndarray,
        edges: tuple[Edge, ...],
        exponents: np.ndarray,
        order: int,
        step: str,
    ) -> None:
        self.edges, self.counts = edges, counts
        self.weight = 1 / np.sqrt(variance)
        self.backgrounds = log_polynomial(energy_ev, exponents, order)
        self.deformable = Deformable(edges, energy_ev, step)
        priors = [edge_shapes.prior_sigma(edge) for edge in edges]
        self.prior = np.concatenate([*priors, np.full(len(counts), SHIFT_PRIOR_EV)])
        self.shapes_size = self.prior.size - len(counts)
        self._splits = np.cumsum([prior.size for prior in priors])[:-1]
        weighted = self.backgrounds * self.weight[:, None]
        scale = np.linalg.norm(weighted, axis=2, keepdims=True)
        self.smooth = np.linalg.qr((weighted / scale).transpose(0, 2, 1))[0]
        self.left = self.cleared((counts * self.weight)[:, None])[:, 0]

    def split(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters of the shapes, and shifts, in their own units."""
        parameters = unit * self.prior
        return parameters[: self.shapes_size], parameters[self.shapes_size :]

    def deformed(self, unit: np.ndarray) -> tuple[tuple[Edge, ...], np.ndarray]:
        """Edges and shifts at the parameters."""
        shapes, shifts = self.split(unit)
        parts = np.split(shapes, self._splits)
        return tuple(edge_shapes.deformed(e, p) for e, p in zip(self.edges, parts, strict=True)), shifts

    def cleared(self, rows: np.ndarray) -> np.ndarray:
        """Weighted spectra (R, k, m) without what the background of their region takes up."""
        return rows - rows @ self.smooth @ self.smooth.transpose(0, 2, 1)


class _Trial:
    """Shapes at some parameters, and the amounts that suit them best: a `leastsquares.State`."""

    def __init__(self, problem: _Problem, parameters: np.ndarray) -> None:
        self._problem, self.parameters = problem, parameters
        self._shapes = problem.deformable.at(*problem.split(parameters))
        regions, channels = problem.weight.shape
        self._values = self._shapes.values.reshape(-1, regions, channels).transpose(1, 0, 2)
        self._lines = problem.cleared(self._values * problem.weight[:, None])
        self._inverse = np.linalg.inv(self._lines @ self._lines.transpose(0, 2, 1))
        self._amounts = (self._inverse @ (self._lines @ problem.left[..., None]))[..., 0]
        self._residual = problem.left - (self._amounts[:, None] @ self._lines)[:, 0]
        self.cost = float(np.vdot(self._residual, self._residual) + parameters @ parameters)

    def normal(self) -> tuple[np.ndarray, np.ndarray]:
        """Less the part that the linear coefficients take up (Kaufman's approximation)."""
        slopes = self.slopes()
        matrix = slopes @ slopes.T + np.eye(len(slopes))
        gradient = self.parameters - slopes @ self._residual.ravel()
        by_region = slopes.reshape(len(slopes), *self._residual.shape).transpose(1, 0, 2)
        smooth = by_region @ self._problem.smooth
        lines = by_region @ self._lines.transpose(0, 2, 1)
        taken = smooth @ smooth.transpose(0, 2, 1) + lines @ self._inverse @ lines.transpose(0, 2, 1)
        return matrix - taken.sum(axis=0), gradient

    def slopes(self) -> np.ndarray:
        """Derivatives of the weighted model by the parameters at fixed coefficients; (parameters, R m)."""
        problem = self._problem
        regions, channels = problem.weight.shape
        factor = (self._amounts.T[:, :, None] * problem.weight).reshape(-1, regions * channels)
        by_shape, by_shift = self._shapes.slopes(factor)
        result = np.zeros((problem.prior.size, regions * channels))
        result[: problem.shapes_size] = by_shape
        for r in range(regions):
            own = slice(r * channels, (r + 1) * channels)
            result[problem.shapes_size + r, own] = by_shift[own]
        result *= problem.prior[:, None]
        return result

    def solution(self) -> tuple[np.ndarray, np.ndarray]:
        """For every region its linear basis, background then edges, (R, order + 1 + K, m), and its coefficients."""
        problem = self._problem
        designs = np.concatenate([problem.backgrounds, self._values], axis=1)
        weighted = designs * problem.weight[:, None]
        scale = np.linalg.norm(weighted, axis=2, keepdims=True)
        orthogonal, triangle = np.linalg.qr((weighted / scale).transpose(0, 2, 1))
        projected = np.einsum("rmk,rm->rk", orthogonal, problem.counts * problem.weight)
        return designs, np.linalg.solve(triangle, projected[..., None])[..., 0] / scale[..., 0]

    def covariance(self, designs: np.ndarray) -> np.ndarray:
        """Of all parameters: the linear ones region by region, then those searched for in their own units."""
        problem, size = self._problem, self.parameters.size
        weighted = designs * problem.weight[:, None]
        linear = np.zeros((weighted.shape[0] * weighted.shape[1], *problem.weight.shape))
        for r, rows in enumerate(weighted):
            linear[r * len(rows) : (r + 1) * len(rows), r] = rows
        scale = np.concatenate([1 / np.linalg.norm(weighted, axis=2).ravel(), np.ones(size)])
        rows = np.concatenate([linear.reshape(len(linear), -1), self.slopes()]) * scale[:, None]
        normal = rows @ rows.T
        normal[-size:, -size:] += np.eye(size)
        scale[-size:] = problem.prior
        return np.linalg.pinv(normal) * np.outer(scale, scale)


def fit(
    energy_ev: np.ndarray,
    counts: np.ndarray,
    variance: np.ndarray,
    edges: tuple[Edge, ...],
    exponents: np.ndarray,
    *,
    order: int = 1,
    step: str = edge_shapes.GAUSSIAN,
    correlation: float = 1.0,
    start: EdgeFit | None = None,
) -> EdgeFit:
    """Joint fit of R spectra. energy_ev (m,), counts and variance (R, m), exponents (R,) of the backgrounds.

    order: of the background's bend. step: form of the onsets. Shapes start at the recipe's and are held near them by
    priors (`edges.prior_sigma`). start: a fit of the same edges to begin at. The covariance includes the shapes'
    freedom and is widened where the model does not describe the data (reduced chi-squared above one).
    Raises UnusableInput where the range is too short to hold the parameters.
    """

    def problem_at(tempered: float) -> _Problem:
        return _Problem(energy_ev, counts, tempered * correlation * variance, edges, exponents, order, step)

    problem = problem_at(1.0)
    degrees = counts.size - len(counts) * (order + 1 + len(edges)) - problem.shapes_size
    if degrees < counts.size // 2:
        raise UnusableInput("The core-loss spectra have too few channels around the edges to separate them.")
    found = _searched([*map(problem_at, () if start is not None else _TEMPERED), problem], start)
    designs, coefficients = found.solution()
    model = np.einsum("rk,rkm->rm", coefficients, designs)
    misfit = (((counts - model) * problem.weight) ** 2).sum(axis=1) * correlation
    chi2 = float(misfit.sum()) / degrees
    covariance = found.covariance(designs) * max(1.0, chi2)
    fitted, shifts = problem.deformed(found.parameters)
    first = order + 1  # of the edges among the linear parameters of a region
    own = [r * designs.shape[1] + first + k for r in range(len(counts)) for k in range(len(edges))]
    background = np.einsum("rk,rkm->rm", coefficients[:, :first], designs[:, :first])
    in_windows = _window_counts(energy_ev, counts - background, [edge.signal_window_ev for edge in edges], shifts)
    return EdgeFit(
        edges=fitted,
        energy_ev=energy_ev,
        amounts=coefficients[:, first:],
        covariance=covariance[np.ix_(own, own)],
        window_amounts=np.linalg.solve(edge_shapes.cross_talk(fitted, step), in_windows.T).T,
        shift_ev=shifts,
        shift_covariance=covariance[-len(counts) :, -len(counts) :],
        background=background,
        model=model,
        misfit=misfit,
        chi2=chi2,
        step=step,
        deformation=found.parameters[: problem.shapes_size],
    )


def _searched(problems: list[_Problem], start: EdgeFit | None) -> _Trial:
    """The optimum of the last problem, each begun where the one before ended. Raises UnusableInput."""
    last = problems[-1]
    parameters = np.zeros(last.prior.size)
    if start is not None:
        parameters[: last.shapes_size] = start.deformation
    try:
        for problem in problems[:-1]:
            rough = minimise(partial(_Trial, problem), parameters, ftol=1e-3, xtol=1e-2, evaluations=_EVALUATIONS)
            parameters = rough.parameters
        found = minimise(partial(_Trial, last), parameters, ftol=1e-5, xtol=1e-4, evaluations=_EVALUATIONS)
        if np.isfinite(found.cost):
            return found
    except np.linalg.LinAlgError:
        pass
    raise UnusableInput("The edge shapes find no hold in the core-loss spectra; check their energy axis.")


def _window_counts(
    energy_ev: np.ndarray, signal: np.ndarray, windows_ev: list[tuple[float, float]], shift_ev: np.ndarray
) -> np.ndarray:
    """Counts (R, K) of signals (R, m) in windows that move with the edges, with fractions of channels at their ends."""
    step = energy_ev[1] - energy_ev[0]
    borders = np.append(energy_ev - 0.5 * step, energy_ev[-1] + 0.5 * step)
    result = []
    for row, shift in zip(signal, shift_ev, strict=True):
        total = np.concatenate([[0.0], np.cumsum(row)])
        result.append([np.diff(np.interp(np.array(window) + shift, borders, total))[0] for window in windows_ev])
    return np.array(result)
