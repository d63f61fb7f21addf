"""Backgrounds under vibrational features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..data.errors import UnusableInput

REFERENCE_MEV = 50.0  # energy at which the logarithm is zero, for conditioning only

TAIL_ORDERS = range(3, 13)  # of the polynomial that a vacuum tail is smoothed with
TAIL_ITERATIONS, TAIL_SMOOTHED = 4, 15
TAIL_SIGNIFICANCE = 100.0  # a tail that is not known to a hundredth is of no use under lines

_ITERATIONS = 50
_STEADY = 1e-11  # a step of ln A and r that is rounding only


def log_polynomial(energy_mev: np.ndarray, order: int) -> np.ndarray:
    """Basis of a smooth tail: (E/50)^-2 ln(E/50)^j for j = 0..order; shape (order + 1, m), E > 0.

    A cubic from 22 meV describes the measured tails of a monochromated ZLP, which no power law does.
    """
    ratio = energy_mev / REFERENCE_MEV
    logarithm, basis = np.log(ratio), [1 / ratio**2]
    for _ in range(order):
        basis.append(basis[-1] * logarithm)
    return np.array(basis)


@dataclass(frozen=True, eq=False)
class Tail:
    """The tail of a vacuum zero-loss peak, without its noise: exp of a polynomial in ln E, between two energies."""

    polynomial: np.polynomial.Chebyshev
    low_mev: float
    high_mev: float

    def __call__(self, energy_mev: np.ndarray) -> np.ndarray:
        """Counts at energy_mev, of any shape; beyond the ends it goes on as at them."""
        return np.exp(self.polynomial(np.log(np.clip(energy_mev, self.low_mev, self.high_mev))))


def fit_tail(
    energy_mev: np.ndarray,
    counts: np.ndarray,
    variance: np.ndarray,
    low_mev: float,
    high_mev: float,
    orders: Iterable[int] = TAIL_ORDERS,
) -> Tail:
    """The tail of a vacuum ZLP (m,) between two energies; its order is that of the least BIC among some.

    Raises UnusableInput where the spectrum does not cover them, or holds too few counts there.
    """
    inside = (energy_mev >= low_mev) & (energy_mev <= high_mev) & np.isfinite(counts)
    covered = low_mev > 0 and energy_mev[0] <= low_mev and energy_mev[-1] >= high_mev
    total, noise = counts[inside].sum(), np.sqrt(variance[inside].sum())
    if not covered or inside.sum() <= 2 * TAIL_ORDERS.stop or total < TAIL_SIGNIFICANCE * noise:
        raise UnusableInput(f"The vacuum zero-loss peak shows no tail between {low_mev:g} and {high_mev:g} meV.")
    x, y, sigma = np.log(energy_mev[inside]), counts[inside], np.sqrt(variance[inside])
    found = [_smoothed_tail(x, y, sigma, order) for order in orders]
    best = min(found, key=lambda fit: fit[1] + (fit[0].degree() + 1) * np.log(x.size))
    return Tail(best[0], low_mev, high_mev)


def _smoothed_tail(
    x: np.ndarray, counts: np.ndarray, sigma: np.ndarray, order: int
) -> tuple[np.polynomial.Chebyshev, float]:
    """A polynomial whose exp comes closest to the counts, by Gauss-Newton, and chi-squared."""
    level = np.maximum(uniform_filter1d(counts, TAIL_SMOOTHED), 1e-3 * counts.mean())  # near enough to begin at
    for _ in range(TAIL_ITERATIONS):
        target = np.log(level) + (counts - level) / level
        polynomial = np.polynomial.Chebyshev.fit(x, target, order, w=level / sigma)
        level = np.exp(np.clip(polynomial(x), np.log(level) - 2, np.log(level) + 2))
    return polynomial, float((((counts - level) / sigma) ** 2).sum())


def tail_power_law(tail: Tail, energy_mev: np.ndarray) -> np.ndarray:
    """Basis of the vacuum tail times a power law near one: tail and tail ln(E/50); shape (2, m), E > 0.

    What a specimen adds to the tail, or takes from it, changes slowly with energy; this is E^-r for small r.
    """
    level = tail(energy_mev)
    return np.array([level, level * np.log(energy_mev / REFERENCE_MEV)])


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """A E^-r with E in meV; amplitude and exponent of one spectrum, (), or of n, (n,)."""

    amplitude: np.ndarray
    exponent: np.ndarray

    def __call__(self, energy_mev: np.ndarray) -> np.ndarray:
        """Its values at energy_mev, (m,) or (n, m)."""
        return self.amplitude[..., None] * energy_mev ** -self.exponent[..., None]


def two_window_power_law(
    energy_mev: np.ndarray,
    counts: np.ndarray,
    variance: np.ndarray,
    windows_mev: tuple[tuple[float, float], tuple[float, float]],
) -> PowerLaw:
    """Least-squares power law through two separate windows, one before and one after the features.

    energy_mev, counts, variance: (m,) or (n, m); channels without a number, or without an energy, are left out. Fitted
    by Gauss-Newton in (ln A, r), thus exact on an exact power law. nan for a spectrum of which a window lies outside
    the data or holds no counts. Raises UnusableInput where all are such, or a window lies at or below zero loss.
    """
    shape = counts.shape[:-1]
    energy, counts, variance = (np.atleast_2d(a) for a in (energy_mev, counts, variance))
    first, last = (_window(energy, counts, ends) for ends in windows_mev)
    inside = first.inside | last.inside
    log_energy = np.log(np.where(inside, energy, 1.0))
    weight = 1.0 / np.sqrt(np.where(inside, variance, np.inf))
    exponent = -(last.log_counts - first.log_counts) / (last.log_energy - first.log_energy)
    centre = log_energy.sum(axis=1) / np.maximum(inside.sum(axis=1), 1)  # the level there hangs little on the exponent
    level = first.log_counts - exponent * (centre - first.log_energy)
    from_centre = np.where(inside, log_energy - centre[:, None], 0.0)
    level, exponent = _gauss_newton(from_centre, np.where(inside, counts, 0.0) * weight, weight, level, exponent)
    return PowerLaw(np.exp(level + exponent * centre).reshape(shape), exponent.reshape(shape))


class _Window(NamedTuple):
    """Channels (n, m) of a window, means of ln energy (n,), and ln mean counts (n,), nan where there are none."""

    inside: np.ndarray
    log_energy: np.ndarray
    log_counts: np.ndarray


def _window(energy: np.ndarray, counts: np.ndarray, ends: tuple[float, float]) -> _Window:
    low, high = ends
    inside = (energy >= low) & (energy <= high)
    covered = inside.sum(axis=1) >= 2
    if low <= 0 or not covered.any():
        raise UnusableInput(
            f"The background window {low:g}-{high:g} meV is not covered by the spectrum; "
            "choose a window inside it and above 0."
        )
    inside &= np.isfinite(counts)
    total = np.where(inside, counts, 0.0).sum(axis=1)
    known = covered & (total > 0)
    if not known.any():
        raise UnusableInput(f"The background window {low:g}-{high:g} meV holds no counts; choose another window.")
    share = np.maximum(inside.sum(axis=1), 1)
    log_energy = np.log(np.where(inside, energy, 1.0)).sum(axis=1) / share
    return _Window(inside, log_energy, np.where(known, np.log(np.where(known, total, 1.0) / share), np.nan))


def _gauss_newton(
    x: np.ndarray, target: np.ndarray, weight: np.ndarray, level: np.ndarray, exponent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """level, exponent (n,) by which weight exp(level - exponent x) comes closest to target, all (n, m)."""
    moving = np.flatnonzero(np.isfinite(level + exponent))
    for _ in range(_ITERATIONS):
        if not moving.size:
            break
        a, b = level[moving, None], exponent[moving, None]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            by_level = weight[moving] * np.exp(a - b * x[moving])
            by_exponent = -x[moving] * by_level
            residual = target[moving] - by_level
            aa, ab, bb, ar, br = (
                np.einsum("nm,nm->n", left, right)
                for left, right in (
                    (by_level, by_level),
                    (by_level, by_exponent),
                    (by_exponent, by_exponent),
                    (by_level, residual),
                    (by_exponent, residual),
                )
            )
            step = np.array([bb * ar - ab * br, aa * br - ab * ar]) / (aa * bb - ab**2)
        level[moving] += step[0]
        exponent[moving] += step[1]
        moving = moving[np.abs(step).max(axis=0) > _STEADY]
    return level, exponent
