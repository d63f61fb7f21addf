"""What spectra tell of all parameters of their fit at once: Fisher information, and the covariance that follows.

The engine eliminates areas and background and keeps of the rest what a readout quotes. Here nothing is eliminated, so
that areas and centres, or the counts of a channel and a centre, can be asked how they hang together. All of it is to
first order around the optimum, with the variances that the fit gives its channels, without the stretch for misfit.
The inverse of the information is the Cramer-Rao bound (H. Cramer, Mathematical Methods of Statistics, 1946, ch. 32).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.special import ndtr

from .engine import Fits
from .line_slopes import Lines
from .problem import Data, Layout

DEEP = 5.0  # as the engine has it: an area that the data would have so many sigma below zero is zero
RIDGES = (1e-13, 1e-11, 1e-9)  # added one after the other to a diagonal of one
NARROWEST = 1e-6  # least part of a variance that limits leave
ROOT_2_PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True, eq=False)
class Information:
    """What n spectra fitted together tell of P parameters, and what was known of these beforehand.

    Parameters are those of theta that are searched for, searched (t,) their indices there; then the areas of K lines in
    each spectrum; then q background coefficients of each.
    lines: that are fitted, at the optimum. jacobian (n, m, P): of the expected counts. weight (n, m): 1 / variance of
    the counts, 0 where masked. residual (n, m): counts less the fit. priors: (P, P) information of each of the layout.
    pull: (P,) half the slope of chi-squared downwards: nothing but rounding, save for what is at its limit.
    values, lower, upper: (P,) where the parameters ended, and their limits; none for what was known beforehand.
    effective: (P,) bool, what has any effect, as the centre of a line without area has not. moving: (P,) bool, what of
    it is not at a limit; the rest is held where it ended. at_zero: (P,) bool, moving areas that ended at zero.
    """

    layout: Layout
    searched: np.ndarray
    lines: Lines
    jacobian: np.ndarray
    weight: np.ndarray
    residual: np.ndarray
    priors: tuple[np.ndarray, ...]
    pull: np.ndarray
    values: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    effective: np.ndarray
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
        added = (1 / cut_off_variance(np.minimum(depth, DEEP), np.inf) - 1) / variance
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

    def unbounded(
        self, added: np.ndarray | float = 0.0, pulled: np.ndarray | bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where the parameters would be if areas could be negative, as a change (P,), and their covariance (P, P).

        added: to the information of each, (P,). pulled: (P,) which of them may go where they are pulled.
        """
        information = self.of_spectra.sum(axis=0) + sum(self.priors) + np.diag(np.zeros(self.moving.size) + added)
        covariance = _inverse(information, self.moving)
        return covariance @ np.where(pulled, self.pull, 0.0), covariance

    def covariance_within_limits(self, spectra: np.ndarray | float = 1.0, priors: Sequence[float] = ()) -> np.ndarray:
        """What the covariance (P, P) is to be expected to be when spectra (n,) and priors tell so many times as much.

        `covariance` is that of the very spectra: it jumps when a width comes to its limit or an area to zero. Here
        every area and width is a normal distribution cut off at its limits, around where it would be without them, and
        whatever hangs together with it is as uncertain as the variance of that leaves it.
        """
        factors = np.broadcast_to(spectra, len(self.of_spectra))
        information = np.tensordot(factors, self.of_spectra, 1)
        information += sum(f * prior for f, prior in zip(priors or (1.0,) * len(self.priors), self.priors))
        variance = np.maximum(_inverse(information, self.effective).diagonal(), 1e-300)
        sigma, place = np.sqrt(variance), self._place
        left = cut_off_variance((self.lower - place) / sigma, (self.upper - place) / sigma)
        information.ravel()[:: left.size + 1] += np.where(self.effective, (1 / left - 1) / variance, 0.0)
        return _inverse(information, self.effective)

    @cached_property
    def expected_covariance(self) -> np.ndarray:
        """`covariance_within_limits` of what there is, (P, P)."""
        return self.covariance_within_limits()

    @cached_property
    def _place(self) -> np.ndarray:
        """Where the parameters (P,) would be without limits, the nearest place within them."""
        information = self.of_spectra.sum(axis=0) + sum(self.priors)
        change = _inverse(information, self.effective) @ self.pull
        return np.clip(self.values + change, self.lower, self.upper)

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
    effective = np.einsum("nmp,nmp,nm->p", jacobian, jacobian, weight) > 0
    values = np.concatenate([theta[searched], linear])
    lower, upper = np.full(values.size, -np.inf), np.full(values.size, np.inf)
    lower[: searched.size], upper[: searched.size] = layout.lower[searched], layout.upper[searched]
    lower[searched.size : searched.size + areas.size] = 0.0
    priors = []
    for prior in layout.priors:
        at, inverse = np.searchsorted(searched, prior.indices), np.linalg.inv(prior.covariance)
        known = np.zeros((values.size, values.size))
        known[np.ix_(at, at)] = inverse
        pull[at] -= inverse @ (theta[prior.indices] - prior.mean)
        effective[at], lower[at], upper[at] = True, -np.inf, np.inf
        priors.append(known)
    at_limit, at_zero = np.zeros((2, values.size), bool)
    at_limit[: searched.size] = fits.railed[problem, searched]
    at_zero[searched.size : searched.size + areas.size] = ~(areas > 0).ravel()
    return Information(
        layout=layout,
        searched=searched,
        lines=lines,
        jacobian=jacobian,
        weight=weight,
        residual=residual,
        priors=tuple(priors),
        pull=pull,
        values=values,
        lower=lower,
        upper=upper,
        effective=effective,
        moving=effective & ~at_limit,
        at_zero=at_zero & effective,
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


def _inverse(information: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """The inverse among the parameters that move, 0 elsewhere; nan where it is not positive definite.

    The diagonal is brought to one, as units differ widely. A direction that nothing determines is given as much
    information as it takes to invert, and so comes out with a very large variance.
    """
    at = np.flatnonzero(moving)
    part = information[at[:, None], at]
    scale = 1.0 / np.sqrt(part.diagonal())
    part *= scale[:, None] * scale
    inverse = np.full_like(part, np.nan)
    for ridge in RIDGES:
        part.ravel()[:: at.size + 1] += ridge
        factor, fault = dpotrf(part, lower=1)
        if not fault:
            lower = np.tril(dpotri(factor, lower=1)[0])
            inverse = lower + np.tril(lower, -1).T
            break
    result = np.zeros_like(information)
    result[at[:, None], at] = inverse * (scale[:, None] * scale)
    return result


def cut_off_variance(low: np.ndarray, high: np.ndarray | float) -> np.ndarray:
    """Variance of the part of a standard normal distribution that lies between low and high."""
    inside = np.maximum(ndtr(high) - ndtr(low), 1e-300)  # of ndtr(-x), as that is exact where little is left above
    inside = np.where(low > 0, np.maximum(ndtr(-low) - ndtr(-np.asarray(high)), 1e-300), inside)
    at_low, at_high = (np.where(np.isfinite(x), x, 0.0) for x in (low, high))
    low_density, high_density = (np.exp(-0.5 * np.minimum(np.square(x), 1e3)) / ROOT_2_PI for x in (low, high))
    mean = (low_density - high_density) / inside
    second = 1 + (at_low * low_density - at_high * high_density) / inside
    return np.clip(second - mean**2, NARROWEST, 1.0)
