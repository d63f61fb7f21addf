"""How far a shift can be moved before the fit notices: profile likelihood.

Weighted sums of a peak's centres are held at values on both sides of the optimum, all else is fitted again, and the
ends of the interval are where chi-squared has risen by one (scaled with the misfit). Unlike the curvature at the
optimum, this knows of limits that other parameters run into on the way: widths that hardly matter for chi-squared trade
against centres, and where they reach a limit the centres are better known than the curvature says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..measure.alignment import Aligned
from .engine import Fits, Stop, fit, never
from .fitting import Posed, Setup, fit_together, pose
from .problem import Prior
from .result import Decomposition, misfit_stretch

STEPS = (0.4, 1.0)  # in standard deviations of the curvature, to either side; then where these put the ends
FARTHER = (1.6, 2.5, 4.0)  # tried where chi-squared has not risen by one within those
PIN = 0.02  # standard deviations within which a sum is held
LOOSE_MEV = 100.0  # what holds the sum leaves all else this free
LOWER = 0.1  # of chi-squared; what is lower by more is another optimum, and the better one
FIRST_GUESS_MEV = 0.3  # where the curvature knows none, as with a centre at its limit
AGAIN = 3  # lower optima are followed so often


@dataclass(frozen=True, eq=False)
class Profile:
    """68 % intervals of w weighted sums of the centres: value, low, high (w,) in meV; nan for an end not met."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def sigma(self) -> np.ndarray:
        """Half the intervals, (w,)."""
        return 0.5 * (self.high - self.low)


def profile(
    setup: Setup,
    spectra: Sequence[Aligned],
    together: Decomposition,
    peak: str,
    weights: np.ndarray,
    should_stop: Stop = never,
) -> tuple[Profile, Decomposition]:
    """Intervals of the sums with weights (w, n) of the n spectra's centres, and the best fit: mode shared only.

    together: what fit_together found. Where the profile meets a lower chi-squared than there, the fit goes on from that
    place; the fit that is returned is the lowest. Raises UnusableInput, and Cancelled when should_stop says so.
    """
    line = together.index(peak)
    for _ in range(AGAIN):
        posed = pose(setup, spectra, should_stop, together)
        held = _Held.of(posed, setup.noise.correlation, line, should_stop)
        found = [held.profile(w, should_stop) for w in weights]
        lowest = min((f.lowest for f in found), key=lambda low: low.rise)
        if lowest.rise > -LOWER:
            break
        together = fit_together(setup, spectra, should_stop, _moved(together, posed, lowest.theta))
    value, low, high = np.array([(f.value, *f.ends) for f in found]).reshape(-1, 3).T
    return Profile(value, low, high), together


@dataclass(frozen=True, eq=False)
class _Lowest:
    rise: float
    theta: np.ndarray


@dataclass(frozen=True, eq=False)
class _Points:
    """Fits with a sum moved: by how much it was (s,), by how much chi-squared rose (s,), and theta (s, p)."""

    moved: np.ndarray
    rise: np.ndarray
    theta: np.ndarray

    def __add__(self, other: _Points) -> _Points:
        pairs = ((self.moved, other.moved), (self.rise, other.rise), (self.theta, other.theta))
        return _Points(*(np.concatenate(pair) for pair in pairs))

    def crossing(self, side: int) -> float:
        """How far on a side chi-squared has risen by one, its root being nearly a straight line; nan if it has not."""
        there = side * self.moved > 0
        distance, rise = np.abs(self.moved[there]), self.rise[there]
        order = np.argsort(distance)
        x = np.concatenate([[0.0], distance[order]])
        y = np.maximum.accumulate(np.sqrt(np.maximum(np.concatenate([[0.0], rise[order]]), 0.0)))
        above = int(np.searchsorted(y, 1.0))
        if above == y.size:
            return np.nan
        return float(x[above - 1] + (1.0 - y[above - 1]) / (y[above] - y[above - 1]) * (x[above] - x[above - 1]))


@dataclass(frozen=True, eq=False)
class _Found:
    value: float
    ends: tuple[float, float]
    lowest: _Lowest


@dataclass(frozen=True, eq=False)
class _Held:
    """A joint fit at its optimum theta (p,), from which sums of the centres with these indices (n,) are moved away."""

    posed: Posed
    fits: Fits
    stretch: float
    indices: np.ndarray

    @classmethod
    def of(cls, posed: Posed, correlation: float, line: int, should_stop: Stop) -> _Held:
        fits = fit(posed.layout, posed.data, posed.starts, should_stop)
        return cls(posed, fits, float(misfit_stretch(fits, correlation)[0]), posed.layout.centre[:, line])

    def profile(self, weights: np.ndarray, should_stop: Stop) -> _Found:
        value = float(weights @ self.fits.theta[0, self.indices])
        sigma = self._curvature(weights)
        points = self._at(weights, sigma * np.array([*(-s for s in STEPS), *STEPS]), sigma, should_stop)
        for side in (-1, 1):
            if np.isnan(points.crossing(side)):
                points += self._at(weights, side * sigma * np.array(FARTHER), sigma, should_stop)
        ends = np.array([side * points.crossing(side) for side in (-1, 1)])
        if np.isfinite(ends).any():
            points += self._at(weights, ends[np.isfinite(ends)], sigma, should_stop)
            ends = np.array([side * points.crossing(side) for side in (-1, 1)])
        lowest = _Lowest(0.0, self.fits.theta[0])
        if points.rise.size and points.rise.min() < 0:
            best = int(points.rise.argmin())
            lowest = _Lowest(float(points.rise[best]), points.theta[best])
        return _Found(value, (value + float(ends[0]), value + float(ends[1])), lowest)

    def _curvature(self, weights: np.ndarray) -> float:
        """Standard deviation of the sum by the curvature at the optimum."""
        used = weights != 0
        covariance = self.fits.covariance_across(self.indices)[0][np.ix_(used, used)]
        variance = float(weights[used] @ covariance @ weights[used]) * self.stretch
        return float(np.sqrt(variance)) if variance > 0 else FIRST_GUESS_MEV

    def _at(self, weights: np.ndarray, moves: np.ndarray, sigma: float, should_stop: Stop) -> _Points:
        """Fits with the sum moved by so much (s,).

        The sum is held by a prior so narrow that it does not give; what this adds to chi-squared is taken off again.
        """
        layout, centres = self.posed.layout, self.fits.theta[0, self.indices]
        length = np.linalg.norm(weights)
        along = weights / length
        across = np.eye(weights.size) - np.outer(along, along)
        pin = Prior(self.indices, centres, (PIN * sigma / length) ** 2 * np.outer(along, along) + LOOSE_MEV**2 * across)
        targets = centres + np.outer(moves / length, along)
        known = np.concatenate([np.empty(0), *(prior.mean for prior in layout.priors)])
        means = np.concatenate([np.tile(known, (len(moves), 1)), targets], axis=1)
        starts = np.tile(self.fits.theta[0], (len(moves), 1))
        starts[:, self.indices] = np.clip(targets, layout.lower[self.indices], layout.upper[self.indices])
        held = replace(layout, priors=(*layout.priors, pin))
        fits = fit(held, self.posed.data.repeated(len(moves)), starts[:, None], should_stop, means)
        off = fits.theta[:, self.indices] - targets
        cost = fits.cost - np.einsum("si,ij,sj->s", off, np.linalg.inv(pin.covariance), off)
        moved = (fits.theta[:, self.indices] - centres) @ weights
        usable = fits.converged & np.isfinite(cost)
        rise = (cost - self.fits.cost[0]) / self.stretch
        return _Points(moved[usable], rise[usable], fits.theta[usable])


def _moved(together: Decomposition, posed: Posed, theta: np.ndarray) -> Decomposition:
    """The fit with the shapes of another theta, to start from."""
    layout = posed.layout
    tables = {"centre_mev": layout.centre, "sigma_mev": layout.sigma, "gamma_mev": layout.gamma}
    return replace(together, values={**together.values, **{name: theta[table] for name, table in tables.items()}})
