"""How far the centres of a peak scatter when all that their uncertainty covers is drawn anew: a parametric bootstrap.

Counts are drawn around the fitted model, with the standard deviation that the fit gives every channel, stretched by its
misfit as the quoted uncertainties are. A Gaussian is what so many counts scatter like; where neighbouring channels
correlate, that standard deviation holds the correlation already, so that independent draws scatter more than the
spectrum does from channel to channel, and as much in anything as smooth as a line.

What is known beforehand (aloof shapes, common offset) is a measurement too. Its outcome is drawn around the fitted
values, not around the recorded ones: the drawn counts hold the fitted values, and another measurement of those would
scatter about them. One draw serves all spectra.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..data.errors import UnusableInput
from ..measure.alignment import Aligned
from .engine import Fits, Stop, draw, fit, never
from .fitting import Posed, Setup, pose
from .problem import Data, Layout
from .result import Decomposition, misfit_stretch

MINIMUM = 20  # fewer bootstraps give no interval
ENOUGH = 0.9  # of the bootstraps have to succeed: those that fail are the tails, and sigma without them is too small
AT_A_TIME = 40  # bootstraps between two reports of progress
MISSED = 0.1  # of chi-squared; an optimum that is worse by more is another one
PERCENTILES = (15.87, 84.13)  # where a Gaussian is a standard deviation from its mean


@dataclass(frozen=True, eq=False)
class Resampled:
    """Centres of one peak in n spectra of N bootstraps.

    centres_mev: (N, n), nan where the peak is gone or at a limit, or the fit did not converge. every_start: whether
    all were fitted from all starts, as the fitted values alone were seen to miss the best optimum.
    """

    centres_mev: np.ndarray
    seed: int
    every_start: bool

    def failed(self, spectra: np.ndarray) -> int:
        """In how many bootstraps a centre is missing in any of these spectra, (n,) bool."""
        return int(np.isnan(self.centres_mev[:, spectra]).any(axis=1).sum())

    @property
    def covariance(self) -> np.ndarray:
        """Of the centres in meV^2, (n, n); nan where too few bootstraps succeeded."""
        n = self.centres_mev.shape[1]
        known = self._known(np.ones(n, bool))
        return np.full((n, n), np.nan) if known is None else np.cov(known, rowvar=False).reshape(n, n)

    def spread(self, weights: np.ndarray) -> tuple[float, tuple[float, float]]:
        """Standard deviation and 68 % interval, by percentiles, of a weighted sum of the centres; weights (n,).

        Of the bootstraps that have all centres with weight; nan where they are too few.
        """
        known = self._known(weights != 0)
        if known is None:
            return np.nan, (np.nan, np.nan)
        values = known @ weights[weights != 0]
        low, high = np.percentile(values, PERCENTILES)
        return float(values.std(ddof=1)), (float(low), float(high))

    def _known(self, spectra: np.ndarray) -> np.ndarray | None:
        """The centres of some spectra where none of them is missing; None if that is not often enough."""
        chosen = self.centres_mev[:, spectra]
        complete = np.isfinite(chosen).all(axis=1)
        return chosen[complete] if complete.sum() >= ENOUGH * complete.size else None


def bootstrap(
    setup: Setup,
    spectra: Sequence[Aligned],
    peak: str,
    count: int = 200,
    seed: int = 0,
    should_stop: Stop = never,
    tell: Callable[[int], None] = lambda done: None,
    fitted: Decomposition | None = None,
) -> Resampled:
    """Draw and fit the spectra again, as fit_together fits them, and keep the centres of one peak.

    The first AT_A_TIME are fitted from the fitted values alone and from all starts. If that ever makes a difference of
    MISSED, all the others are fitted from all starts too, else the fitted values are start enough.
    tell: how many are done. fitted: what fit_together found, to draw around and begin every fit at, and nowhere else.
    Raises UnusableInput, and Cancelled when should_stop says so.
    """
    if count < MINIMUM:
        raise UnusableInput(f"{count} bootstraps are too few for an interval; take {MINIMUM} at least.")
    posed = pose(setup, spectra, should_stop, fitted)
    source = _Source.of(setup, posed, should_stop)
    line = [p.name for p in setup.recipe.peaks].index(peak)
    random = np.random.default_rng(seed)
    centres = np.full((count, len(spectra)), np.nan)
    every_start = fitted is None
    for first in range(0, count, AT_A_TIME):
        size = min(AT_A_TIME, count - first)
        drawn = source.drawn(size, random)
        fits = source.fitted(*drawn, every_start, should_stop)
        if first == 0 and every_start:
            alone = source.fitted(*drawn, False, should_stop)
            every_start = bool((alone.cost - fits.cost > MISSED).any())
        centres[first : first + size, source.rows] = _centres(source.layout, fits, line, size)
        tell(first + size)
    return Resampled(centres, seed, every_start)


@dataclass(frozen=True, eq=False)
class _Source:
    """What is drawn around: P problems of n spectra at their optima theta (P, p).

    counts, spread: (P, n, m), the model and the standard deviation of a draw. all_starts: (P, S, p), theta first.
    prior_spread: by prior, the root of its covariance, stretched as the spread is, (P, i, i).
    rows: (P n,) which of the spectra these are.
    """

    layout: Layout
    data: Data
    theta: np.ndarray
    counts: np.ndarray
    spread: np.ndarray
    prior_spread: tuple[np.ndarray, ...]
    all_starts: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, setup: Setup, posed: Posed, should_stop: Stop) -> _Source:
        layout, data = posed.layout, posed.data
        fits = fit(layout, data, posed.starts, should_stop)
        stretch = np.sqrt(misfit_stretch(fits, setup.noise.correlation))[:, None, None]
        others = np.broadcast_to(posed.starts, (len(fits.theta), *posed.starts.shape[-2:]))
        return cls(
            layout,
            data,
            fits.theta,
            _model(layout, data, fits),
            np.where(np.isfinite(data.sigma), data.sigma, 0.0) * stretch,
            tuple(stretch * _root(prior.covariance) for prior in layout.priors),
            np.concatenate([fits.theta[:, None], others], axis=1),
            posed.windowed.rows,
        )

    def drawn(self, size: int, random: np.random.Generator) -> tuple[Data, np.ndarray]:
        """As many bootstraps of all problems, one after the other, and the means (size P, i) of their priors."""
        known = [prior.indices.size for prior in self.layout.priors]
        noise = random.standard_normal((size, self.counts.size + sum(known)))
        counts = self.counts + noise[:, : self.counts.size].reshape(size, *self.counts.shape) * self.spread
        data = replace(self.data.repeated(size), counts=counts.reshape(-1, *self.counts.shape[1:]))
        parts, taken = [np.empty((size, len(self.theta), 0))], self.counts.size
        for prior, spread in zip(self.layout.priors, self.prior_spread):
            own = noise[:, taken : taken + prior.indices.size]
            parts.append(self.theta[:, prior.indices] + np.einsum("pij,sj->spi", spread, own))
            taken += prior.indices.size
        return data, np.concatenate(parts, axis=2).reshape(size * len(self.theta), -1)

    def fitted(self, data: Data, means: np.ndarray, every_start: bool, should_stop: Stop) -> Fits:
        starts = self.all_starts if every_start else self.all_starts[:, :1]
        return fit(self.layout, data, _repeated(starts, len(means) // len(starts)), should_stop, means)


def _root(covariance: np.ndarray) -> np.ndarray:
    """A matrix that makes draws of this covariance of independent ones; of any that rounding leaves indefinite too."""
    variance, directions = np.linalg.eigh(covariance)
    return directions * np.sqrt(np.maximum(variance, 0.0))


def _repeated(array: np.ndarray, size: int) -> np.ndarray:
    return np.tile(array, (size, *(1,) * (array.ndim - 1)))


def _model(layout: Layout, data: Data, fits: Fits) -> np.ndarray:
    """The fitted counts, (P, n, m)."""
    shapes = [p.reshape(-1, p.shape[-1]) for p in layout.line_parameters(fits.theta)]
    energy = data.energy_mev.reshape(-1, data.energy_mev.shape[-1])
    response = data.response.reshape(-1, *data.response.shape[2:])
    lines = draw(energy, response, *shapes).reshape(*fits.areas.shape, -1)
    background = np.einsum("inq,inqm->inm", fits.background, data.background)
    return background + np.einsum("ink,inkm->inm", fits.areas, lines)


def _centres(layout: Layout, fits: Fits, line: int, size: int) -> np.ndarray:
    """Centres of a line in every bootstrap, (size, P n); nan where they are not determined."""
    centre = layout.line_parameters(fits.theta)[0][:, :, line]
    determined = fits.converged[:, None] & (fits.areas[:, :, line] > 0) & ~fits.railed[:, layout.centre[:, line]]
    return np.where(determined, centre, np.nan).reshape(size, -1)
