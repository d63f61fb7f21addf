"""Small numbers with errors: ratios of amounts, and the change of a ratio from the grains to the boundary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

DETECTION = 3.0  # an amount below so many sigma is none
# Part by which counts of one edge in the window of another, under which it cannot be seen, may lie beside what a shape
# says: an assumption of ours, set before anything was measured with it.
CROSS_TALK_DOUBT = 0.1


class Value(NamedTuple):
    """A number and its standard deviation, nan where the data do not carry it."""

    value: float = np.nan
    sigma: float = np.nan


UNKNOWN = Value()


def quotient(amounts: np.ndarray, covariance: np.ndarray, pair: list[int]) -> Value:
    """amounts[pair[0]] / amounts[pair[1]] of correlated amounts (K,); nan where the second is not seen."""
    value, sigma = quotients(amounts[None], covariance[None], pair)
    return Value(float(value[0]), float(sigma[0]))


def quotients(amounts: np.ndarray, covariance: np.ndarray, pair: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """`quotient` and its standard deviation for n sets of amounts (n, K) with covariances (n, K, K); (n,) each."""
    first, second = pair
    seen = (amounts[:, second] > DETECTION * np.sqrt(covariance[:, second, second])) & (amounts[:, first] > 0)
    divisor = np.where(seen, amounts[:, second], np.nan)
    value = amounts[:, first] / divisor
    variance = covariance[:, first, first] - 2 * value * covariance[:, first, second]
    variance += value**2 * covariance[:, second, second]
    return value, np.sqrt(variance) / divisor


def mean(ways: Sequence[float], sigma: float) -> Value:
    """Mean of several ways to measure one thing: the noise of one, and half the range of all as doubt."""
    doubt = 0.5 * (max(ways) - min(ways))
    return Value(float(np.mean(ways)), float(np.hypot(sigma, doubt)))


def log_ratios(amounts: np.ndarray, covariance: np.ndarray, pair: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """ln(amounts[:, pair[0]] / amounts[:, pair[1]]) of R regions (R, K) and its covariance (R, R), nan without."""
    first, second = pair
    regions, k = amounts.shape
    gradient = np.zeros((regions, regions, k))
    positive = np.where(amounts > 0, amounts, np.nan)
    for r in range(regions):
        gradient[r, r, first], gradient[r, r, second] = 1 / positive[r, first], -1 / positive[r, second]
    flat = gradient.reshape(regions, -1)
    return np.log(positive[:, first] / positive[:, second]), flat @ covariance @ flat.T


def relative_change(amounts: np.ndarray, pair: list[int]) -> float:
    """Ratio at the boundary over the mean of the grains', minus one; amounts (3, K): grain 1, boundary, grain 2."""
    ratio = amounts[:, pair[0]] / amounts[:, pair[1]]
    return float(ratio[1] / (0.5 * (ratio[0] + ratio[2])) - 1)


def relative_sigma(amounts: np.ndarray, covariance: np.ndarray, pair: list[int]) -> float:
    """Error of `relative_change` by the covariance (3 K, 3 K) of all amounts."""
    ratio = amounts[:, pair[0]] / amounts[:, pair[1]]
    grains = 0.5 * (ratio[0] + ratio[2])
    by_ratio = np.array([-0.5 * ratio[1] / grains, 1.0, -0.5 * ratio[1] / grains]) / grains
    gradient = np.zeros_like(amounts)
    gradient[:, pair[0]] = by_ratio / amounts[:, pair[1]]
    gradient[:, pair[1]] = -by_ratio * ratio / amounts[:, pair[1]]
    flat = gradient.ravel()
    return float(np.sqrt(flat @ covariance @ flat))


def cross_talk_doubt(intensities: np.ndarray, cross_talk: np.ndarray, number: Callable[[np.ndarray], float]) -> float:
    """What a number made of amounts changes by with the cross-talk (K, K) of windows, see CROSS_TALK_DOUBT.

    intensities: (R, K) in the windows; `number` gets the amounts. For the change of a ratio this is in proportion to
    the change: equal regions stay equal whatever the cross-talk.
    """
    changes = []
    for i, j in zip(*np.nonzero(~np.eye(len(cross_talk), dtype=bool))):
        other = cross_talk.copy()
        other[i, j] *= 1 + CROSS_TALK_DOUBT
        changes.append(number(unmixed(intensities, other)))
    return float(np.linalg.norm(np.array(changes) - number(unmixed(intensities, cross_talk))))


def unmixed(intensities: np.ndarray, cross_talk: np.ndarray) -> np.ndarray:
    """Own counts of each edge from window intensities (..., K): the solution of I = M n."""
    return np.linalg.solve(cross_talk, intensities[..., None])[..., 0]


def amount_change(amounts: np.ndarray, covariance: np.ndarray) -> Value:
    """One amount at the boundary over the mean of the grains', minus one; amounts (3,), covariance (3, 3)."""
    grains = 0.5 * (amounts[0] + amounts[2])
    if not grains > 0:
        return UNKNOWN
    value = amounts[1] / grains
    gradient = np.array([-0.5 * value, 1.0, -0.5 * value]) / grains
    return Value(float(value - 1), float(np.sqrt(gradient @ covariance @ gradient)))
