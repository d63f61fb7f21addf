"""How much the counts of measured spectra scatter, estimated from the spectra themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import nnls

from ..data.noise import NoiseModel
from ..data.spectrum import Spectra

BLOCK_CHANNELS = 25  # a tail bends little over so many channels ...
BLOCK_ORDER = 3  # ... and a cubic takes out what bend there is
MAXIMUM_LAG = 3  # point spread reaches this many neighbours
OUTLIER = 2.0  # a block with so many times the expected variance holds a feature
ITERATIONS = 6
MAXIMUM_ROWS = 64  # more rows make the estimate no better than it needs to be


def estimate(spectra: Spectra) -> NoiseModel:
    """Noise model of spectra of unknown gain: variance per count and correlation of neighbours, source "estimated".

    Blocks of channels outside the zero-loss peak are fitted with a cubic; what is left over is noise, whose variance is
    a part that grows with the counts and a floor (read noise). Blocks that stand out hold a feature and are left aside.
    Spectra with no block to measure in count as Poisson.
    """
    residuals, levels = _block_residuals(spectra)
    if not len(residuals):
        return NoiseModel("estimated", 1.0)
    variances = (residuals**2).sum(axis=1) / (BLOCK_CHANNELS - BLOCK_ORDER - 1)
    scale, floor = _scale_and_floor(variances, levels)
    if not scale > 0:
        return NoiseModel("estimated", 1.0)
    excess = variances / (scale * levels + floor)
    return NoiseModel("estimated", scale, None, _correlation(residuals, excess), floor)


def for_spectra(spectra: Spectra) -> NoiseModel:
    """The noise model to analyse with: the spectra's own where the gain is known, else an estimate.

    With the gain known, the variance of a smooth feature is that of its electrons; the scatter of single channels,
    which a point spread lowers, still comes from the data, and the ratio of the two is the correlation.
    """
    measured = estimate(spectra)
    known = spectra.noise
    if known is None:
        return measured
    per_channel = min(measured.variance_per_count, known.variance_per_count)
    correlation = max(1.0, known.variance_per_count / per_channel)
    return replace(known, variance_per_count=per_channel, correlation=correlation, floor=measured.floor)


def _block_residuals(spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (blocks, channels) of cubic fits, and the mean counts (blocks,) of the blocks."""
    rows = spectra.rows[spectra.valid][:MAXIMUM_ROWS]
    blocks = spectra.energy.size // BLOCK_CHANNELS
    if not len(rows) or not blocks:
        return np.empty((0, BLOCK_CHANNELS)), np.empty(0)
    stacked = rows[:, : blocks * BLOCK_CHANNELS].reshape(-1, BLOCK_CHANNELS)
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, BLOCK_CHANNELS), BLOCK_ORDER)
    q, _ = np.linalg.qr(basis)
    residuals = stacked - stacked @ q @ q.T
    levels = stacked.mean(axis=1)
    top = np.repeat(rows.max(axis=1), blocks)
    # Above a hundredth of the maximum a block is part of the ZLP, which no cubic follows.
    usable = (levels > 0) & (levels < 0.01 * top)
    return residuals[usable], levels[usable]


def _correlation(residuals: np.ndarray, excess: np.ndarray) -> float:
    """1 + 2 sum(rho_k) over the quieter half of the blocks, which hold no feature."""
    quiet = residuals[excess <= np.median(excess)]
    power = (quiet**2).sum(axis=1)
    quiet = quiet[power > 0] / np.sqrt(power[power > 0])[:, None]
    if not len(quiet):
        return 1.0
    # The fit itself anticorrelates residuals: white noise through the same cubic is what "no correlation" looks like.
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, BLOCK_CHANNELS), BLOCK_ORDER)
    q, _ = np.linalg.qr(basis)
    white = (np.eye(BLOCK_CHANNELS) - q @ q.T) / (BLOCK_CHANNELS - BLOCK_ORDER - 1)
    total = 1.0
    for lag in range(1, MAXIMUM_LAG + 1):
        rho = float((quiet[:, :-lag] * quiet[:, lag:]).sum(axis=1).mean() - np.trace(white, offset=lag))
        if rho < 0.02:
            break
        total += 2 * rho
    return total


def _scale_and_floor(variances: np.ndarray, levels: np.ndarray) -> tuple[float, float]:
    """variance = scale level + floor, neither negative, over blocks (b,) of which some hold features."""
    design = np.stack([levels, np.full_like(levels, levels.max())], axis=1)  # second column scaled alike
    coefficients = np.array([np.median(variances / levels), 0.0])
    for _ in range(ITERATIONS):
        expected = np.maximum(design @ coefficients, 1e-300)
        plain = variances < OUTLIER * expected
        if plain.sum() < 2:
            break
        coefficients = nnls(design[plain] / expected[plain, None], variances[plain] / expected[plain])[0]
    if coefficients[0] <= 0:  # nothing grows with the counts here; at the ZLP, though, it would
        return float(np.median(variances / levels)), 0.0
    return float(coefficients[0]), float(coefficients[1] * levels.max())
