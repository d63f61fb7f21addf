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
from .problem import Data, Layout

STEP_MEV = 1e-3  # of centres and widths, from which slopes are taken; good to 1e-6 of them
DEEP = 5.0  # as the engine has it: an area that the data would have so many sigma below zero is zero
RIDGES = (1e-13, 1e-11, 1e-9)  # as part of a diagonal of one
UNDETERMINED = 1e-12  # part that rounding leaves of what is zero


@dataclass(frozen=True, eq=False)
class Information:
    """What n spectra fitted together tell of P parameters, and what was known of these beforehand.

    Parameters are those of theta that are searched for, searched (t,) their indices there; then the areas of K lines in
    each spectrum; then q background coefficients of each. jacobian (n, m, P): of the expected counts. weight (n, m):
    1 / variance of the counts, 0 where masked. priors: (P, P) information of each prior of the layout.
    pull: (P,) half the slope of chi-squared downwards: nothing but rounding, save for areas at zero.
    moving: (P,) bool, what is neither held, nor at a limit, nor without any effect, as the centre of a line without
    area; the rest is held where it ended. at_zero: (P,) bool, moving areas that ended at zero.
    """

    layout: Layout
    searched: np.ndarray
    jacobian: np.ndarray
    weight: np.ndarray
    priors: tuple[np.ndarray, ...]
    pull: np.ndarray
    moving: np.ndarray
    at_zero: np.ndarray

    def centre(self, line: int) -> np.ndarray:
        """The parameter that is the centre of a line in each spectrum, (n,); -1 where it is held."""
        wanted = self.layout.centre[:, line]
        at = np.minimum(np.searchsorted(self.searched, wanted), max(self.searched.size - 1, 0))
        return np.where(self.searched[at] == wanted, at, -1) if self.searched.size else np.full(wanted.shape, -1)

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
    def data(self) -> np.ndarray:
        """Information of each spectrum, (n, P, P)."""
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
        covariance = _inverse(self.data.sum(axis=0) + sum(self.priors), self.moving)
        variance = np.diag(covariance)[self.at_zero]
        depth = np.maximum(-(covariance @ self.pull)[self.at_zero] / np.sqrt(variance), 0.0)
        added = 1 / (variance * _cut_off_variance(np.minimum(depth, DEEP))) - 1 / variance
        result[self.at_zero] = np.where(depth < DEEP, added, 1e12 * np.diag(self.data.sum(axis=0))[self.at_zero])
        return result

    @property
    def total(self) -> np.ndarray:
        """Information of data, priors and signs, (P, P)."""
        return self.data.sum(axis=0) + sum(self.priors) + np.diag(self.cut_off)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of all parameters, (P, P); 0 for those that are held."""
        return _inverse(self.total, self.moving)

    def sigma(self, vector: np.ndarray) -> float:
        """The Cramer-Rao bound of the standard deviation of a weighted sum of parameters, (P,)."""
        return float(np.sqrt(vector @ self.covariance @ vector))

    def response(self, counts: np.ndarray) -> np.ndarray:
        """By how much the fitted parameters (P,) move when these counts (n, m) are added to the data.

        A change of the model at given parameters (another template, another response) moves them the other way. What
        is held stays; masked channels tell nothing.
        """
        return self.covariance @ np.einsum("nmp,nm->p", self.jacobian, self.weight * np.nan_to_num(counts))

    def unbounded(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the parameters would be if areas could be negative, as a change (P,), and their covariance (P, P)."""
        covariance = _inverse(self.data.sum(axis=0) + sum(self.priors), self.moving)
        return covariance @ np.where(self.at_zero, self.pull, 0.0), covariance


def information(layout: Layout, data: Data, fits: Fits, problem: int = 0) -> Information:
    """The information of one of the problems of a fit at its optimum."""
    theta, areas, coefficients = fits.theta[problem], fits.areas[problem], fits.background[problem]
    spectra, lines = areas.shape
    searched = np.flatnonzero(layout.free)
    values, slopes = line_slopes(layout, data, theta, problem)
    functions = data.background[problem]
    by_theta = _by_theta(layout, theta, areas, slopes)[..., searched]
    shape = (spectra, values.shape[-1])
    by_area, by_coefficient = (np.zeros((*shape, spectra, size)) for size in (lines, functions.shape[1]))
    every = np.arange(spectra)
    by_area[every, :, every] = np.swapaxes(values, 1, 2)
    by_coefficient[every, :, every] = np.swapaxes(functions, 1, 2)
    jacobian = np.concatenate([by_theta, by_area.reshape(*shape, -1), by_coefficient.reshape(*shape, -1)], axis=-1)
    sigma, counts = data.sigma[problem], data.counts[problem]
    weight = np.where(np.isfinite(sigma), 1.0 / sigma**2, 0.0)
    expected = np.einsum("nk,nkm->nm", areas, values) + np.einsum("nq,nqm->nm", coefficients, functions)
    at_limit = np.zeros(jacobian.shape[-1], bool)
    at_limit[: searched.size] = fits.railed[problem, searched]
    effect = np.einsum("nmp,nm->p", jacobian**2, weight) > 0
    for prior in layout.priors:
        effect[np.searchsorted(searched, prior.indices)] = True
    moving = effect & ~at_limit
    at_zero = np.zeros_like(moving)
    at_zero[searched.size : searched.size + areas.size] = ~(areas > 0).ravel()
    residual = np.where(weight > 0, np.nan_to_num(counts) - expected, 0.0)
    pull = np.einsum("nmp,nm->p", jacobian, weight * residual)
    priors = []
    for prior in layout.priors:
        at = np.searchsorted(searched, prior.indices)
        known = np.zeros((moving.size, moving.size))
        known[np.ix_(at, at)] = np.linalg.inv(prior.covariance)
        pull[at] -= known[np.ix_(at, at)] @ (theta[prior.indices] - prior.mean)
        priors.append(known)
    return Information(layout, searched, jacobian, weight, tuple(priors), pull, moving, at_zero & moving)


def line_slopes(
    layout: Layout, data: Data, theta: np.ndarray, problem: int = 0
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Lines of unit area, (n, K, m), at theta (p,), and their slopes by centre, sigma and gamma, by differences."""
    shapes = np.array(layout.line_parameters(theta))  # (3, n, K)
    steps = STEP_MEV * np.array([[s * (i == j) for j in range(3)] for i in range(3) for s in (1, -1)])
    moved = [shapes, *(shapes + step[:, None, None] for step in steps)]
    drawn = draw(data.energy_mev[problem], data.response[problem], *np.concatenate(moved, axis=2))
    value, *sides = np.split(drawn, 7, axis=1)
    by_centre, by_sigma, by_gamma = ((sides[2 * i] - sides[2 * i + 1]) / (2 * STEP_MEV) for i in range(3))
    return value, (by_centre, by_sigma, by_gamma)


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


def _by_theta(
    layout: Layout, theta: np.ndarray, areas: np.ndarray, slopes: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """Slopes (n, m, p) of the expected counts by theta."""
    by_centre, by_sigma, by_gamma = (areas[..., None] * slope for slope in slopes)
    by_own, by_gamma_too = np.ones_like(areas), np.zeros_like(areas)
    if layout.fwhm_limits is not None:
        _, by_own, by_gamma_too = layout.fwhm_limits.sigma(theta[layout.sigma], theta[layout.gamma])
    by_gamma = by_gamma + by_gamma_too[..., None] * by_sigma
    result = np.zeros((areas.shape[0], layout.lower.size, by_centre.shape[-1]))
    every = np.arange(areas.shape[0])
    for k in range(areas.shape[1]):
        result[every, layout.centre[:, k]] += by_centre[:, k]
        if layout.offset[k] >= 0:
            result[every, layout.offset[k]] += by_centre[:, k]
        result[every, layout.sigma[:, k]] += by_own[:, k, None] * by_sigma[:, k]
        result[every, layout.gamma[:, k]] += by_gamma[:, k]
    return np.swapaxes(result, 1, 2)


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
