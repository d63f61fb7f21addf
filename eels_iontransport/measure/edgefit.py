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
_EVALUATIONS = 100
_DIFFERENCE = 1e-4  # step of numerical derivatives; every free parameter is of order one


@dataclass(frozen=True, eq=False)
class EdgeFit:
    """R spectra decomposed into a background and K edges over m channels.

    edges: with the fitted shapes, before the shift. amounts (R, K): counts of each edge in its own signal window;
    covariance (R K, R K), in the order of amounts.ravel(). window_amounts (R, K): the same from the counts that the
    windows hold over the background, unmixed by the cross-talk of the shapes; a second opinion that leans less on
    their details. shift_ev (R,): how far the edges lie above the recipe's
    energies, with shift_sigma_ev. background, model (R, m). chi2: reduced.
    """

    edges: tuple[Edge, ...]
    energy_ev: np.ndarray
    amounts: np.ndarray
    covariance: np.ndarray
    window_amounts: np.ndarray
    shift_ev: np.ndarray
    shift_sigma_ev: np.ndarray
    background: np.ndarray
    model: np.ndarray
    chi2: float
    step: str

    def shapes(self, shift_ev: float = 0.0) -> np.ndarray:
        """Shapes of the edges, each with unit counts in its own signal window; (K, m)."""
        shift = np.array([shift_ev])
        return np.concatenate([edge_shapes.normalised(e, self.energy_ev, shift, self.step) for e in self.edges])

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
        self.energy_ev, self.edges, self.step, self.order = energy_ev, edges, step, order
        self.weight = 1 / np.sqrt(variance)
        self.weighted_counts = counts * self.weight
        self.backgrounds = np.array([log_polynomial(energy_ev, exponent, order) for exponent in exponents])
        sigmas = [edge_shapes.prior_sigma(edge) for edge in edges] + [np.full(len(counts), SHIFT_PRIOR_EV)]
        self.prior = np.concatenate(sigmas)
        self.shapes_size = self.prior.size - len(counts)
        self.splits = np.cumsum([sigma.size for sigma in sigmas])[:-1]

    def deformed(self, unit: np.ndarray) -> tuple[tuple[Edge, ...], np.ndarray]:
        """Edges and shifts at the parameters."""
        *shapes, shifts = np.split(unit * self.prior, self.splits)
        return tuple(edge_shapes.deformed(e, p) for e, p in zip(self.edges, shapes, strict=True)), shifts

    def shape(self, edge: Edge, shifts: np.ndarray) -> np.ndarray:
        return edge_shapes.normalised(edge, self.energy_ev, shifts, self.step)

    def designs(self, unit: np.ndarray) -> np.ndarray:
        """For every region its linear basis, background then edges: (R, order + 1 + K, m)."""
        edges, shifts = self.deformed(unit)
        return np.concatenate([self.backgrounds, np.stack([self.shape(e, shifts) for e in edges], axis=1)], axis=1)

    def solve(self, designs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Linear coefficients (R, order + 1 + K), and orthonormal bases (R, m, ...) of the weighted designs."""
        weighted = designs * self.weight[:, None, :]
        scale = np.linalg.norm(weighted, axis=2, keepdims=True)
        orthogonal, triangle = np.linalg.qr((weighted / scale).transpose(0, 2, 1))
        projected = np.einsum("rmk,rm->rk", orthogonal, self.weighted_counts)
        return np.linalg.solve(triangle, projected[..., None])[..., 0] / scale[..., 0], orthogonal

    def residual(self, unit: np.ndarray) -> np.ndarray:
        designs = self.designs(unit)
        coefficients, _ = self.solve(designs)
        model = np.einsum("rk,rkm->rm", coefficients, designs)
        return np.concatenate([(self.weighted_counts - model * self.weight).ravel(), unit])

    def projected_slopes(self, unit: np.ndarray) -> np.ndarray:
        """Derivatives of `residual`, less the part that the linear coefficients take up (Kaufman's approximation)."""
        coefficients, orthogonal = self.solve(self.designs(unit))
        slopes = self.slopes(unit, coefficients)
        taken = np.einsum("rmk,prm->prk", orthogonal, slopes)
        slopes = slopes - np.einsum("rmk,prk->prm", orthogonal, taken)
        return np.concatenate([-slopes.reshape(unit.size, -1), np.eye(unit.size)], axis=1).T

    def slopes(self, unit: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Derivatives of the weighted model by the parameters at fixed coefficients; (parameters, R, m)."""
        amounts = coefficients[:, self.order + 1 :]
        result = np.zeros((unit.size, *self.weight.shape))
        for sign in (1, -1):
            for j in range(self.shapes_size):
                k = int(np.searchsorted(self.splits, j, side="right"))
                moved = unit.copy()
                moved[j] += sign * _DIFFERENCE
                edges, shifts = self.deformed(moved)
                result[j] += sign * amounts[:, k, None] * self.shape(edges[k], shifts)
            edges, shifts = self.deformed(unit)
            shifts = shifts + sign * _DIFFERENCE * SHIFT_PRIOR_EV
            moved_model = sum(amounts[:, k, None] * self.shape(edge, shifts) for k, edge in enumerate(edges))
            for r in range(len(shifts)):
                result[self.shapes_size + r, r] += sign * moved_model[r]
        return result * self.weight / (2 * _DIFFERENCE)

    def covariance(self, unit: np.ndarray, designs: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Of all parameters: the linear ones region by region, then those searched for in their own units."""
        regions, size, _ = designs.shape
        weighted = designs * self.weight[:, None, :]
        linear = np.zeros((regions * size, *self.weight.shape))
        for r in range(regions):
            linear[r * size : (r + 1) * size, r] = weighted[r]
        scale = np.concatenate([1 / np.linalg.norm(weighted, axis=2).ravel(), np.ones(unit.size)])
        rows = np.concatenate([linear, self.slopes(unit, coefficients)]).reshape(scale.size, -1) * scale[:, None]
        normal = rows @ rows.T
        normal[-unit.size :, -unit.size :] += np.eye(unit.size)
        scale[-unit.size :] = self.prior
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
    options = {"method": "lm", "xtol": 1e-4, "ftol": 1e-5, "max_nfev": _EVALUATIONS}
    try:
        found = least_squares(problem.residual, start, problem.projected_slopes, **options)
    except (ValueError, np.linalg.LinAlgError):
        raise UnusableInput("The edge shapes find no hold in the core-loss spectra; check their energy axis.") from None
    designs = problem.designs(found.x)
    coefficients, _ = problem.solve(designs)
    model = np.einsum("rk,rkm->rm", coefficients, designs)
    chi2 = float((((counts - model) * problem.weight) ** 2).sum()) * correlation / degrees
    covariance = problem.covariance(found.x, designs, coefficients) * max(1.0, chi2)
    fitted, shifts = problem.deformed(found.x)
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
        shift_sigma_ev=np.sqrt(np.diag(covariance))[-len(counts) :],
        background=background,
        model=model,
        chi2=chi2,
        step=step,
    )


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
