"""Overlapping edges separated: a joint fit of background, edge shapes and amounts to the spectra of all regions.

The regions share the shapes of the edges; each has its own background, amounts and edge shift. What is shared is what
makes overlapping edges separable, and the free shift keeps a chemical or instrumental shift from passing for a change
of composition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from ..data.errors import UnusableInput
from ..materials.recipe import Edge
from . import edges as edge_shapes

SHIFT_PRIOR_EV = 1.0
_ITERATIONS = 60
_DIFFERENCE = 1e-4  # step of numerical derivatives; every free parameter is of order one


@dataclass(frozen=True, eq=False)
class EdgeFit:
    """R spectra decomposed into a background and K edges over m channels.

    edges: with the fitted shapes, before the shift. amounts (R, K): counts of each edge in its own signal window;
    covariance (R K, R K), in the order of amounts.ravel(). shift_ev (R,): how far the edges lie above the recipe's
    energies, with shift_sigma_ev. background, model (R, m). chi2: reduced.
    """

    edges: tuple[Edge, ...]
    energy_ev: np.ndarray
    amounts: np.ndarray
    covariance: np.ndarray
    shift_ev: np.ndarray
    shift_sigma_ev: np.ndarray
    background: np.ndarray
    model: np.ndarray
    chi2: float
    step: str

    def shapes(self, shift_ev: float = 0.0) -> np.ndarray:
        """Shapes of the edges, each with unit counts in its own signal window; (K, m)."""
        return edge_shapes.normalised(self.edges, self.energy_ev, shift_ev, self.step)

    @property
    def cross_talk(self) -> np.ndarray:
        """(K, K), see `edges.cross_talk`."""
        return edge_shapes.cross_talk(self.edges, self.step)

    def index(self, element: str) -> int:
        return [edge.element for edge in self.edges].index(element)


def log_polynomial(energy_ev: np.ndarray, exponent: float, order: int) -> np.ndarray:
    """Background basis (E/E0)^-exponent ln(E/E0)^j, j = 0..order, E0 the middle of the axis; (order + 1, m).

    Order 1 is a power law of nearly that exponent, order 2 one that bends.
    """
    ratio = energy_ev / float(np.exp(np.log(energy_ev).mean()))
    return np.array([ratio**-exponent * np.log(ratio) ** j for j in range(order + 1)])


class _Problem:
    """Variable projection: shapes and shifts are searched, backgrounds and amounts solved for."""

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
        self.energy_ev, self.counts, self.edges, self.step = energy_ev, counts, edges, step
        self.weight = 1 / np.sqrt(variance)
        self.backgrounds = [log_polynomial(energy_ev, exponent, order) for exponent in exponents]
        sigmas = [edge_shapes.prior_sigma(edge) for edge in edges] + [np.full(len(counts), SHIFT_PRIOR_EV)]
        self.prior = np.concatenate(sigmas)
        self.shapes_size = self.prior.size - len(counts)
        self.splits = np.cumsum([sigma.size for sigma in sigmas])[:-1]

    def deformed(self, unit: np.ndarray) -> tuple[tuple[Edge, ...], np.ndarray]:
        """Edges and shifts from the parameters in units of their priors."""
        *shapes, shifts = np.split(unit * self.prior, self.splits)
        return tuple(edge_shapes.deformed(e, p) for e, p in zip(self.edges, shapes, strict=True)), shifts

    def designs(self, unit: np.ndarray) -> list[np.ndarray]:
        """For every region its linear basis: background then edges, (order + 1 + K, m)."""
        edges, shifts = self.deformed(unit)
        return [
            np.concatenate([background, edge_shapes.normalised(edges, self.energy_ev, shift, self.step)])
            for background, shift in zip(self.backgrounds, shifts, strict=True)
        ]

    def solve(self, unit: np.ndarray) -> list[np.ndarray]:
        """Linear coefficients of every region."""
        coefficients = []
        for design, counts, weight in zip(self.designs(unit), self.counts, self.weight, strict=True):
            scale = np.sqrt(((design * weight) ** 2).sum(axis=1))
            solution = np.linalg.lstsq((design * weight / scale[:, None]).T, counts * weight, rcond=None)[0]
            coefficients.append(solution / scale)
        return coefficients

    def model(self, unit: np.ndarray, coefficients: list[np.ndarray]) -> np.ndarray:
        return np.array([c @ design for c, design in zip(coefficients, self.designs(unit), strict=True)])

    def residual(self, unit: np.ndarray) -> np.ndarray:
        misfit = (self.counts - self.model(unit, self.solve(unit))) * self.weight
        return np.concatenate([misfit.ravel(), unit])

    def jacobian(self, unit: np.ndarray, coefficients: list[np.ndarray]) -> np.ndarray:
        """Derivatives of the weighted model and the priors by all parameters, the linear ones scaled to order one."""
        linear = [self.weight[r] * d * s[:, None] for r, (d, s) in enumerate(self._scaled_designs(unit, coefficients))]
        columns = []
        for r, block in enumerate(linear):
            for row in block:
                column = np.zeros_like(self.counts)
                column[r] = row
                columns.append(np.concatenate([column.ravel(), np.zeros(unit.size)]))
        for j in range(unit.size):
            step = np.zeros(unit.size)
            step[j] = _DIFFERENCE
            slope = (self.model(unit + step, coefficients) - self.model(unit - step, coefficients)) / (2 * _DIFFERENCE)
            columns.append(np.concatenate([(slope * self.weight).ravel(), np.eye(unit.size)[j]]))
        return np.array(columns).T

    def _scaled_designs(self, unit: np.ndarray, coefficients: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(d, self.scales(r, d)) for r, d in enumerate(self.designs(unit))]

    def scales(self, region: int, design: np.ndarray) -> np.ndarray:
        """One over the weighted norm of every linear basis function."""
        return 1 / np.sqrt(((design * self.weight[region]) ** 2).sum(axis=1))


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
) -> EdgeFit:
    """Joint fit of R spectra. energy_ev (m,), counts and variance (R, m), exponents (R,) of the backgrounds.

    order: of the background's bend. step: form of the onsets. Shapes start at the recipe's and are held near them by
    priors (`edges.prior_sigma`). The covariance includes the shapes' freedom and is widened where the model does not
    describe the data (reduced chi-squared above one).
    Raises UnusableInput where the range is too short to hold the parameters.
    """
    problem = _Problem(energy_ev, counts, variance * correlation, edges, exponents, order, step)
    degrees = counts.size - len(counts) * (order + 1 + len(edges)) - problem.shapes_size
    if degrees < counts.size // 2:
        raise UnusableInput("The core-loss spectra have too few channels around the edges to separate them.")
    start = np.zeros(problem.prior.size)
    calls = _ITERATIONS * (start.size + 1)
    found = least_squares(problem.residual, start, method="lm", xtol=1e-6, ftol=1e-7, max_nfev=calls)
    unit = found.x
    coefficients = problem.solve(unit)
    model = problem.model(unit, coefficients)
    chi2 = float((((counts - model) * problem.weight) ** 2).sum()) * correlation / degrees
    jacobian = problem.jacobian(unit, coefficients)
    covariance = np.linalg.pinv(jacobian.T @ jacobian) * max(1.0, chi2)
    return _result(problem, unit, coefficients, model, covariance, chi2, order)


def _result(
    problem: _Problem,
    unit: np.ndarray,
    coefficients: list[np.ndarray],
    model: np.ndarray,
    covariance: np.ndarray,
    chi2: float,
    order: int,
) -> EdgeFit:
    regions, k = len(problem.counts), len(problem.edges)
    edges, shifts = problem.deformed(unit)
    designs = problem.designs(unit)
    scales = np.concatenate([problem.scales(r, design) for r, design in enumerate(designs)] + [problem.prior])
    covariance = covariance * np.outer(scales, scales)
    per_region = order + 1 + k
    own = np.concatenate([np.arange(k) + r * per_region + order + 1 for r in range(regions)])
    background = np.array([c[: order + 1] @ d[: order + 1] for c, d in zip(coefficients, designs, strict=True)])
    return EdgeFit(
        edges=edges,
        energy_ev=problem.energy_ev,
        amounts=np.array([c[order + 1 :] for c in coefficients]),
        covariance=covariance[np.ix_(own, own)],
        shift_ev=shifts,
        shift_sigma_ev=np.sqrt(np.diag(covariance))[-regions:],
        background=background,
        model=model,
        chi2=chi2,
        step=problem.step,
    )
