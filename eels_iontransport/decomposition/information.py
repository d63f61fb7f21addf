"""What spectra tell of all parameters of their fit at once: Fisher information, and the covariance that follows.

The engine eliminates areas and background and keeps of the rest what a readout quotes. Here nothing is eliminated, so
that areas and centres, or the counts of a channel and a centre, can be asked how they hang together. All of it is to
first order around the optimum, with the variances that the fit gives its channels, without the stretch for misfit.
The inverse of the information is the Cramer-Rao bound (H. Cramer, Mathematical Methods of Statistics, 1946, ch. 32).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from .engine import Fits, draw
from .problem import Data, FwhmLimits, Layout

STEP = 1e-3  # of centres and widths, from which slopes are taken; good to 1e-6 of them
CURVATURE_STEP = 0.02  # from which second slopes are taken
DEEP = 5.0  # as the engine has it: an area that the data would have so many sigma below zero is zero
RIDGES = (1e-13, 1e-11, 1e-9)  # as part of a diagonal of one
UNDETERMINED = 1e-12  # part that rounding leaves of what is zero


@dataclass(frozen=True, eq=False)
class Information:
    """What n spectra fitted together tell of P parameters, and what was known of these beforehand.

    Parameters are those of theta that are searched for, searched (t,) their indices there; then the areas of K lines in
    each spectrum; then q background coefficients of each.
    lines: that are fitted, at the optimum. jacobian (n, m, P): of the expected counts. weight (n, m): 1 / variance of
    the counts, 0 where masked. residual (n, m): counts less the fit. priors: (P, P) information of each of the layout.
    pull: (P,) half the slope of chi-squared downwards: nothing but rounding, save for areas at zero.
    moving: (P,) bool, what is neither held, nor at a limit, nor without any effect, as the centre of a line without
    area; the rest is held where it ended. at_zero: (P,) bool, moving areas that ended at zero.
    """

    layout: Layout
    searched: np.ndarray
    lines: Lines
    jacobian: np.ndarray
    weight: np.ndarray
    residual: np.ndarray
    priors: tuple[np.ndarray, ...]
    pull: np.ndarray
    moving: np.ndarray
    at_zero: np.ndarray

    def centre(self, line: int) -> np.ndarray:
        """The parameter that is the centre of a line in each spectrum, (n,); -1 where it is held."""
        found = self.searched == self.layout.centre[:, line, None]
        return np.where(found.any(axis=1), found @ np.arange(self.searched.size), -1)

    def area(self, line: int) -> np.ndarray:
        """The parameter that is the area of a line in each spectrum, (n,)."""
        spectra, lines = self.layout.centre.shape
        return self.searched.size + lines * np.arange(spectra) + line

    def of_centres(self, line: int, weights: np.ndarray) -> np.ndarray | None:
        """The weighted sum of the centres of a line as a vector (P,), weights (n,); None where one of them is held."""
        at = self.centre(line)[weights != 0]
        if (at < 0).any() or not self.moving[at].all():
            return None
        vector = np.zeros(self.moving.size)
        np.add.at(vector, at, weights[weights != 0])
        return vector

    @cached_property
    def of_spectra(self) -> np.ndarray:
        """What each spectrum tells, (n, P, P)."""
        weighted = self.jacobian * np.sqrt(self.weight)[..., None]
        return np.swapaxes(weighted, 1, 2) @ weighted

    @cached_property
    def cut_off(self) -> np.ndarray:
        """What is known of the areas at zero by their sign, (P,), as information: they cannot be negative.

        The posterior of such an area is a normal distribution cut off at zero, and has its variance.
        """
        result = np.zeros(self.moving.size)
        if not self.at_zero.any():
            return result
        change, covariance = self.unbounded()
        variance = np.diag(covariance)[self.at_zero]
        depth = np.maximum(-change[self.at_zero] / np.sqrt(variance), 0.0)
        added = 1 / (variance * _cut_off_variance(np.minimum(depth, DEEP))) - 1 / variance
        told = np.diag(self.of_spectra.sum(axis=0))[self.at_zero]
        result[self.at_zero] = np.where(depth < DEEP, added, 1e12 * told)
        return result

    @property
    def total(self) -> np.ndarray:
        """Information of spectra, priors and signs, (P, P)."""
        return self.of_spectra.sum(axis=0) + sum(self.priors) + np.diag(self.cut_off)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of all parameters, (P, P); 0 for those that are held."""
        return _inverse(self.total, self.moving)

    def sigma(self, vector: np.ndarray) -> float:
        """The Cramer-Rao bound of the standard deviation of a weighted sum of parameters, (P,)."""
        return float(np.sqrt(vector @ self.covariance @ vector))

    def unbounded(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the parameters would be if areas could be negative, as a change (P,), and their covariance (P, P)."""
        covariance = _inverse(self.of_spectra.sum(axis=0) + sum(self.priors), self.moving)
        return covariance @ self.pull, covariance

    def response(self, counts: np.ndarray) -> np.ndarray:
        """By how much the fitted parameters (P,) move when these few counts (n, m) are added to the data.

        A change of the model at given parameters (another template, another response) moves them the other way.
        Areas at zero stay there, and so does what is held; masked channels tell nothing.
        """
        return self._following @ np.einsum("nmp,nm->p", self.jacobian, self.weight * np.nan_to_num(counts))

    @cached_property
    def _following(self) -> np.ndarray:
        """The inverse of half the Hessian of chi-squared, (P, P).

        That of the information alone would do for data that the model describes without noise. With it, where lines
        overlap, the curvature of the model turns what a centre does by as much as a half.
        """
        hessian = self.of_spectra.sum(axis=0) + sum(self.priors) + self._curvature
        return _inverse(hessian, self.moving & ~self.at_zero)

    @property
    def _curvature(self) -> np.ndarray:
        """What the bending of the lines adds to half the Hessian, (P, P): residuals times second slopes."""
        slopes, second = self.lines.slopes, self.lines.second_slopes()
        weighted = self.weight * self.residual
        within = self.lines.areas[..., None, None] * np.einsum("nkijm,nm->nkij", second, weighted)
        beside = np.einsum("nkim,nm->nki", slopes, weighted)
        moves, t = self.lines.moves[..., self.searched], self.searched.size
        result = np.zeros((self.moving.size, self.moving.size))
        result[:t, :t] = -np.einsum("nkit,nkij,nkju->tu", moves, within, moves, optimize=True)
        result[:t, t : t + beside[..., 0].size] = -np.einsum("nkit,nki->tnk", moves, beside).reshape(t, -1)
        result[t:, :t] = result[:t, t:].T
        return result


@dataclass(frozen=True, eq=False)
class Lines:
    """K lines in each of n spectra on m channels, as functions of their centre, sigma and gamma as searched for.

    energy_mev (n, m), response (n, j, 4). shapes (3, n, K): these three, where the FWHM is limited the fraction that
    stands for sigma. limits: those of the FWHM. areas (n, K). moves (n, K, 3, p): 1 where theta moves them.
    """

    energy_mev: np.ndarray
    response: np.ndarray
    shapes: np.ndarray
    limits: FwhmLimits | None
    areas: np.ndarray
    moves: np.ndarray

    @classmethod
    def of(cls, layout: Layout, data: Data, theta: np.ndarray, areas: np.ndarray, problem: int = 0) -> Lines:
        """Those of a layout at theta (p,)."""
        moves = np.zeros((*areas.shape, 3, layout.lower.size))
        spectrum, line = np.indices(areas.shape)
        for i, table in enumerate((layout.centre, layout.sigma, layout.gamma)):
            moves[spectrum, line, i, table] = 1.0
        moved = layout.offset >= 0
        moves[:, moved, 0, layout.offset[moved]] = 1.0
        shapes = np.moveaxis(moves @ theta, 2, 0)
        return cls(data.energy_mev[problem], data.response[problem], shapes, layout.fwhm_limits, areas, moves)

    def drawn(self, steps: np.ndarray) -> np.ndarray:
        """Lines of unit area after each of the steps (s, 3) of their shapes, (s, n, K, m)."""
        n, lines = self.areas.shape
        centre, sigma, gamma = self.shapes[:, None] + steps.T[:, :, None, None]
        if self.limits is not None:
            sigma = self.limits.sigma(sigma, gamma)[0]
        flat = (np.moveaxis(p, 0, 1).reshape(n, -1) for p in (centre, sigma, gamma))
        drawn = draw(self.energy_mev, self.response, *flat)
        return np.moveaxis(drawn.reshape(n, len(steps), lines, -1), 1, 0)

    @cached_property
    def values(self) -> np.ndarray:
        """Of unit area, (n, K, m)."""
        return self.drawn(np.zeros((1, 3)))[0]

    @cached_property
    def slopes(self) -> np.ndarray:
        """By centre, sigma and gamma, (n, K, 3, m), by differences."""
        steps = STEP * np.eye(3)
        drawn = self.drawn(np.concatenate([steps, -steps]))
        return np.moveaxis((drawn[:3] - drawn[3:]) / (2 * STEP), 0, 2)

    def second_slopes(self) -> np.ndarray:
        """By two of centre, sigma and gamma, (n, K, 3, 3, m), by differences."""
        pairs = [(i, j) for i in range(3) for j in range(i, 3)]
        steps = CURVATURE_STEP * np.eye(3)
        corners = [sum(s * steps[k] for s, k in zip(signs, pair)) for pair in pairs for signs in CORNERS]
        drawn = self.drawn(np.array(corners))
        result = np.empty((*self.areas.shape, 3, 3, drawn.shape[-1]))
        for (i, j), (both, first, second, none) in zip(pairs, drawn.reshape(-1, 4, *drawn.shape[1:])):
            result[:, :, i, j] = result[:, :, j, i] = (both - first - second + none) / (4 * CURVATURE_STEP**2)
        return result


CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def information(layout: Layout, data: Data, fits: Fits, problem: int = 0) -> Information:
    """The information of one of the problems of a fit at its optimum."""
    theta, areas = fits.theta[problem], fits.areas[problem]
    lines = Lines.of(layout, data, theta, areas, problem)
    searched = np.flatnonzero(layout.free)
    jacobian = _jacobian(lines, data.background[problem], searched)
    sigma, counts = data.sigma[problem], data.counts[problem]
    weight = np.where(np.isfinite(sigma), 1.0 / sigma**2, 0.0)
    linear = np.concatenate([areas.ravel(), fits.background[problem].ravel()])
    residual = np.where(weight > 0, np.nan_to_num(counts) - jacobian[..., searched.size :] @ linear, 0.0)
    pull = np.einsum("nmp,nm->p", jacobian, weight * residual)
    moving = np.einsum("nmp,nmp,nm->p", jacobian, jacobian, weight) > 0
    priors = []
    for prior in layout.priors:
        at, inverse = np.searchsorted(searched, prior.indices), np.linalg.inv(prior.covariance)
        known = np.zeros((moving.size, moving.size))
        known[np.ix_(at, at)] = inverse
        pull[at] -= inverse @ (theta[prior.indices] - prior.mean)
        moving[at] = True
        priors.append(known)
    moving[: searched.size] &= ~fits.railed[problem, searched]
    at_zero = np.zeros_like(moving)
    at_zero[searched.size : searched.size + areas.size] = ~(areas > 0).ravel()
    pull[~moving] = 0.0
    return Information(
        layout, searched, lines, jacobian, weight, residual, tuple(priors), pull, moving, at_zero & moving
    )


def _jacobian(lines: Lines, functions: np.ndarray, searched: np.ndarray) -> np.ndarray:
    """Slopes of the expected counts by all parameters, (n, m, P); functions (n, q, m) of the background."""
    spectra, count, channels = lines.values.shape
    by_shape = (lines.areas[..., None, None] * lines.slopes).reshape(spectra, -1, channels)
    by_theta = np.swapaxes(by_shape, 1, 2) @ lines.moves[..., searched].reshape(spectra, -1, searched.size)
    by_area, by_coefficient = (np.zeros((spectra, channels, spectra, k)) for k in (count, functions.shape[1]))
    every = np.arange(spectra)
    by_area[every, :, every] = np.swapaxes(lines.values, 1, 2)
    by_coefficient[every, :, every] = np.swapaxes(functions, 1, 2)
    parts = (by_theta, *(part.reshape(spectra, channels, -1) for part in (by_area, by_coefficient)))
    return np.concatenate(parts, axis=-1)


@dataclass(frozen=True, eq=False)
class Growth:
    """A variance as a function of the factors by which two parts of the information grow: some, and the others.

    some (r,): the part of `some` in the information of r directions; shares (r,): the variance that is theirs at
    factors of one. rest: what directions leave that `some` knows nothing of.
    """

    some: np.ndarray
    shares: np.ndarray
    rest: float

    def variance(self, some: float = 1.0, others: float = 1.0) -> float:
        """Infinite where nothing is known of a direction that matters."""
        known = some * self.some + others * (1 - self.some)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(self.shares > 0, self.shares / known, 0.0)
        rest = self.rest / others if others > 0 else (np.inf if self.rest > 0 else 0.0)
        return float(shares.sum() + rest)


def growth(some: np.ndarray, others: np.ndarray, moving: np.ndarray, vector: np.ndarray) -> Growth:
    """Variance of a weighted sum (P,) of the parameters when `some` and `others`, (P, P), of the information grow.

    Only a few parameters should be known by `some`, as by a prior: with L L^T = some + others and R^T R = some, the
    singular values of R L^-T say which part of each direction is its own.
    """
    scale, factor = _factorised((some + others)[np.ix_(moving, moving)])
    own = some[np.ix_(moving, moving)] * np.outer(scale, scale)
    known = np.flatnonzero(np.diag(own) > 0)
    place = solve_triangular(factor, vector[moving] * scale, lower=True)
    if not known.size:
        return Growth(np.empty(0), np.empty(0), float(place @ place))
    root = np.zeros((scale.size, known.size))
    root[known] = np.linalg.cholesky(own[np.ix_(known, known)])
    directions, values, _ = np.linalg.svd(solve_triangular(factor, root, lower=True), full_matrices=False)
    part = np.clip(values**2, 0.0, 1.0)
    part[1 - part < UNDETERMINED] = 1.0
    shares = (directions.T @ place) ** 2
    shares[shares < UNDETERMINED * (place @ place)] = 0.0
    return Growth(part, shares, max(float(place @ place - shares.sum()), 0.0))


def _inverse(information: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """The inverse among the parameters that move, 0 elsewhere."""
    scale, factor = _factorised(information[np.ix_(moving, moving)])
    root = solve_triangular(factor, np.diag(scale), lower=True)
    result = np.zeros_like(information)
    result[np.ix_(moving, moving)] = root.T @ root
    return result


def _factorised(information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What brings the diagonal to one, as units differ widely, and the Cholesky factor of that.

    A direction that nothing determines is given as much information as that takes, and so has a very large variance.
    """
    scale = 1.0 / np.sqrt(np.diag(information))
    scaled = information * np.outer(scale, scale)
    for ridge in RIDGES:
        try:
            return scale, np.linalg.cholesky(scaled + ridge * np.eye(scale.size))
        except np.linalg.LinAlgError:
            continue
    return scale, np.full_like(scaled, np.nan)


def _cut_off_variance(depth: np.ndarray) -> np.ndarray:
    """Variance of the part of a standard normal distribution that lies above depth >= 0."""
    hazard = np.exp(-0.5 * depth**2) / np.sqrt(2 * np.pi) / ndtr(-depth)
    return 1 + depth * hazard - hazard**2
