"""How much the counts of measured spectra scatter, estimated from the spectra themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.noise import NoiseModel
from ..data.spectrum import Spectra

BLOCK_CHANNELS = 25  # a tail bends little over so many channels ...
BLOCK_ORDER = 3  # ... and a cubic takes out what bend there is
MAXIMUM_LAG = 3  # point spread reaches this many neighbours
MAXIMUM_ROWS = 64  # more rows make the estimate no better than it needs to be


def estimate(spectra: Spectra) -> NoiseModel:
    """Noise model of spectra of unknown gain: variance per count and correlation of neighbours, source "estimated".

    Blocks of channels outside the zero-loss peak are fitted with a cubic; what is left over, divided by the counts,
    is noise. The median over the blocks keeps features out of it. Spectra with no block to measure in count as Poisson.
    """
    residuals, levels = _block_residuals(spectra)
    if not len(residuals):
        return NoiseModel("estimated", 1.0)
    degrees = BLOCK_CHANNELS - BLOCK_ORDER - 1
    per_count = (residuals**2).sum(axis=1) / degrees / levels
    scale = float(np.median(per_count) / _median_of_chi_square(degrees))
    if not scale > 0:
        return NoiseModel("estimated", 1.0)
    return NoiseModel("estimated", scale, None, _correlation(residuals, per_count))


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
    return replace(
        known, variance_per_count=per_channel, correlation=max(1.0, known.variance_per_count / per_channel)
    )


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


def _correlation(residuals: np.ndarray, per_count: np.ndarray) -> float:
    """1 + 2 sum(rho_k) over the quieter half of the blocks, which hold no feature."""
    quiet = residuals[per_count <= np.median(per_count)]
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


def _median_of_chi_square(degrees: int) -> float:
    """Median of chi-squared over its degrees of freedom (Wilson-Hilferty)."""
    return (1 - 2 / (9 * degrees)) ** 3
