"""How much the counts of measured spectra scatter, estimated from the spectra themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ..data.noise import NoiseModel
from ..data.spectrum import Spectra

BLOCK_CHANNELS = 25  # a tail bends little over so many channels ...
BLOCK_ORDER = 3  # ... and a cubic takes out what bend there is
MAXIMUM_LAG = 3  # point spread reaches this many neighbours
OUTLIER = 2.0  # a block with so many times the expected variance holds a feature
ITERATIONS = 6
MAXIMUM_ROWS = 64  # more rows make the estimate no better than it needs to be
_ROWS_AT_A_TIME = 8  # for the processor's cache


@dataclass(frozen=True, eq=False)
class Blocks:
    """What cubic fits leave of blocks of channels: b blocks in each of some rows (...).

    level: (..., b) mean counts, nan for a block that tells nothing of the noise. products: (..., b, lags + 1) sums over
    the channels of a block of the residual times that so many channels on.
    """

    level: np.ndarray
    products: np.ndarray


def estimate(spectra: Spectra) -> NoiseModel:
    """Noise model of spectra of unknown gain: variance per count and correlation of neighbours, source "estimated".

    Blocks of channels outside the zero-loss peak are fitted with a cubic; what is left over is noise, whose variance is
    a part that grows with the counts and a floor (read noise). Blocks that stand out hold a feature and are left aside,
    as are those with a channel without a number. Spectra with no block to measure in count as Poisson.
    """
    return estimate_from([blocks_of(spectra.rows[sampled_rows(spectra.valid)])])


def sampled_rows(valid: np.ndarray) -> np.ndarray:
    """The rows, of those that are valid (n,), that an estimate is made from."""
    return np.flatnonzero(valid)[:MAXIMUM_ROWS]


def blocks_of(rows: np.ndarray) -> Blocks:
    """The blocks of spectra (r, m)."""
    count = rows.shape[1] // BLOCK_CHANNELS
    blocks = Blocks(np.full((len(rows), count), np.nan), np.zeros((len(rows), count, MAXIMUM_LAG + 1)))
    basis = _cubic()
    for first in range(0, len(rows) if count else 0, _ROWS_AT_A_TIME):
        part = slice(first, first + _ROWS_AT_A_TIME)
        # One product for each row, so that a row's numbers do not depend on which others it comes with.
        stacked = rows[part, : count * BLOCK_CHANNELS].reshape(-1, count, BLOCK_CHANNELS)
        level = (stacked @ np.ones((BLOCK_CHANNELS, 1)))[:, :, 0] / BLOCK_CHANNELS
        top = np.fmax.reduce(rows[part], axis=1)[:, None]
        # Above a hundredth of the maximum a block is part of the ZLP, which no cubic follows.
        blocks.level[part] = np.where((level > 0) & (level < 0.01 * top), level, np.nan)
        residuals = stacked - (stacked @ basis) @ basis.T
        for lag in range(MAXIMUM_LAG + 1):
            left, right = residuals[:, :, : BLOCK_CHANNELS - lag], residuals[:, :, lag:]
            blocks.products[part, :, lag] = np.einsum("rbc,rbc->rb", left, right)
    return blocks


def estimate_from(parts: Sequence[Blocks]) -> NoiseModel:
    """As `estimate`, from the blocks of its rows, however they are divided."""
    levels = np.concatenate([np.empty(0), *(part.level.ravel() for part in parts)])
    products = np.concatenate(
        [np.empty((0, MAXIMUM_LAG + 1)), *(p.products.reshape(-1, MAXIMUM_LAG + 1) for p in parts)]
    )
    usable = np.isfinite(levels)
    levels, products = levels[usable], products[usable]
    if not levels.size:
        return NoiseModel("estimated", 1.0)
    variances = products[:, 0] / (BLOCK_CHANNELS - BLOCK_ORDER - 1)
    scale, floor = _scale_and_floor(variances, levels)
    if not scale > 0:
        return NoiseModel("estimated", 1.0)
    excess = variances / (scale * levels + floor)
    return NoiseModel("estimated", scale, None, _correlation(products, excess), floor)


def for_spectra(spectra: Spectra) -> NoiseModel:
    """The noise model to analyse with: the spectra's own where the gain is known, else an estimate."""
    return reconciled(estimate(spectra), spectra.noise)


def reconciled(measured: NoiseModel, known: NoiseModel | None) -> NoiseModel:
    """The noise model to analyse with, from an estimate and what is known of the gain.

    With the gain known, the variance of a smooth feature is that of its electrons; the scatter of single channels,
    which a point spread lowers, still comes from the data, and the ratio of the two is the correlation.
    """
    if known is None:
        return measured
    per_channel = min(measured.variance_per_count, known.variance_per_count)
    correlation = max(1.0, known.variance_per_count / per_channel)
    return replace(known, variance_per_count=per_channel, correlation=correlation, floor=measured.floor)


@cache
def _cubic() -> np.ndarray:
    """Orthonormal basis (channels, order + 1) of the cubics in a block."""
    return np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, BLOCK_CHANNELS), BLOCK_ORDER))[0]


def _correlation(products: np.ndarray, excess: np.ndarray) -> float:
    """1 + 2 sum(rho_k) over the quieter half of the blocks, which hold no feature."""
    quiet = products[(excess <= np.median(excess)) & (products[:, 0] > 0)]
    if not len(quiet):
        return 1.0
    # The fit itself anticorrelates residuals: white noise through the same cubic is what "no correlation" looks like.
    basis = _cubic()
    white = (np.eye(BLOCK_CHANNELS) - basis @ basis.T) / (BLOCK_CHANNELS - BLOCK_ORDER - 1)
    total = 1.0
    for lag in range(1, MAXIMUM_LAG + 1):
        rho = float((quiet[:, lag] / quiet[:, 0]).mean() - np.trace(white, offset=lag))
        if rho < 0.02:
            break
        total += 2 * rho
    return total


def _scale_and_floor(variances: np.ndarray, levels: np.ndarray) -> tuple[float, float]:
    """variance = scale level + floor, neither negative, over blocks (b,) of which some hold features."""
    highest = levels.max()
    scale, floor = float(np.median(variances / levels)), 0.0
    for _ in range(ITERATIONS):
        expected = np.maximum(scale * levels + floor, 1e-300)
        plain = variances < OUTLIER * expected
        if plain.sum() < 2:
            break
        weight = 1 / expected[plain]
        design = np.stack([levels[plain], np.full(weight.size, highest)]) * weight  # both rows of one size
        scale, part = _not_negative(design, variances[plain] * weight)
        floor = part * highest
    if scale <= 0:  # nothing grows with the counts here; at the ZLP, though, it would
        return float(np.median(variances / levels)), 0.0
    return scale, floor


def _not_negative(design: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """The two coefficients, neither negative, by which rows (2, b) come closest to values (b,)."""
    normal, target = design @ design.T, design @ values
    determinant = normal[0, 0] * normal[1, 1] - normal[0, 1] ** 2
    if determinant > 0:
        first = float((normal[1, 1] * target[0] - normal[0, 1] * target[1]) / determinant)
        second = float((normal[0, 0] * target[1] - normal[0, 1] * target[0]) / determinant)
        if first >= 0 and second >= 0:
            return first, second
    alone = np.maximum(target, 0.0) / np.diag(normal)
    gain = alone * target  # of either alone, in chi-squared
    return (float(alone[0]), 0.0) if gain[0] >= gain[1] else (0.0, float(alone[1]))
