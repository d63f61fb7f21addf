"""Blocks of channels, and what is left in them when all that is smooth is taken away: there noise is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

BLOCK_CHANNELS = 25  # a tail bends little over so many channels ...
BLOCK_ORDER = 3  # ... and a cubic takes out what bend there is
FRAME_ORDER = 1  # of what is left between a frame and the mean of all: another intensity, and a slope
MAXIMUM_LAG = 3  # point spread reaches this many neighbours
_ROWS_AT_A_TIME = 8  # for the processor's cache
_PEAK = 0.01  # part of the maximum above which a block belongs to the ZLP


@dataclass(frozen=True, eq=False)
class Blocks:
    """What smooth fits leave of blocks of channels: b blocks in each of some rows (...).

    level: (..., b) mean counts, nan for a block that tells nothing of the noise. products: (..., b, lags + 1) sums over
    the channels of a block of the residual times that so many channels on. order: of the polynomial that was fitted.
    """

    level: np.ndarray
    products: np.ndarray
    order: int = BLOCK_ORDER


def blocks_of(rows: np.ndarray) -> Blocks:
    """The blocks of spectra (r, m)."""
    count = rows.shape[1] // BLOCK_CHANNELS
    blocks = Blocks(np.full((len(rows), count), np.nan), np.zeros((len(rows), count, MAXIMUM_LAG + 1)))
    basis = _polynomials(BLOCK_ORDER)
    for first in range(0, len(rows) if count else 0, _ROWS_AT_A_TIME):
        part = slice(first, first + _ROWS_AT_A_TIME)
        # One product for each row, so that a row's numbers do not depend on which others it comes with.
        stacked = rows[part, : count * BLOCK_CHANNELS].reshape(-1, count, BLOCK_CHANNELS)
        level = (stacked @ np.ones((BLOCK_CHANNELS, 1)))[:, :, 0] / BLOCK_CHANNELS
        top = np.fmax.reduce(rows[part], axis=1)[:, None]
        # No cubic follows the ZLP.
        blocks.level[part] = np.where((level > 0) & (level < _PEAK * top), level, np.nan)
        blocks.products[part] = _products(stacked - (stacked @ basis) @ basis.T)
    return blocks


def frame_blocks(frames: np.ndarray, position: np.ndarray) -> Blocks:
    """Blocks (f, b) of what sets frames (f, m) apart from their mean; position: (f,) of their zeros in channels."""
    middle = float(np.median(position))
    whole = np.rint(position - middle).astype(int)
    first, last = max(0, -whole.min()), frames.shape[1] - max(0, whole.max())
    count = max(0, last - first) // BLOCK_CHANNELS
    if count == 0:
        return Blocks(np.empty((0, 0)), np.empty((0, 0, MAXIMUM_LAG + 1)), FRAME_ORDER)
    channels = first + np.arange(count * BLOCK_CHANNELS)
    stack = frames[np.arange(len(frames))[:, None], channels + whole[:, None]]
    mean = stack.mean(axis=0)
    apart = (stack - mean).reshape(len(frames), count, BLOCK_CHANNELS)
    shape = mean.reshape(count, BLOCK_CHANNELS)
    level = shape.mean(axis=1)
    with np.errstate(invalid="ignore"):
        flat = np.nanmax(mean) * _PEAK > level
    known = flat & (level > 0)
    basis = np.zeros((count, BLOCK_CHANNELS, FRAME_ORDER + 1))
    basis[known] = np.linalg.qr(shape[known, :, None] * _polynomials(FRAME_ORDER))[0]
    residual = apart - np.einsum("bcq,bdq,fbd->fbc", basis, basis, np.nan_to_num(apart), optimize=True)
    products = _products(residual) * len(frames) / (len(frames) - 1)  # the mean holds a part of each frame
    brightness = np.nansum(stack, axis=1) / np.nansum(mean)
    return Blocks(np.where(known, level * brightness[:, None], np.nan), products, FRAME_ORDER)


def averaged(parts: Sequence[Blocks]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Level (b,) and products (b, lags + 1) of each block, the mean of all rows that tell, and how many these are (b,).

    A feature that is as large as the noise in no row shows in the mean of many. None where no row tells anything.
    """
    if not parts:
        return None
    levels = np.concatenate([np.atleast_2d(part.level) for part in parts])
    products = np.concatenate([part.products if part.products.ndim == 3 else part.products[None] for part in parts])
    known = np.isfinite(levels)
    rows = known.sum(axis=0)
    seen = rows > 0
    if not seen.any():
        return None
    level = np.where(known, levels, 0.0).sum(axis=0)[seen] / rows[seen]
    product = np.where(known[:, :, None], products, 0.0).sum(axis=0)[seen] / rows[seen, None]
    return level, product, rows[seen]


def _products(residuals: np.ndarray) -> np.ndarray:
    """Sums over the last axis (..., BLOCK_CHANNELS) of residuals times those so many channels on, (..., lags + 1)."""
    result = np.empty((*residuals.shape[:-1], MAXIMUM_LAG + 1))
    for lag in range(MAXIMUM_LAG + 1):
        left, right = residuals[..., : BLOCK_CHANNELS - lag], residuals[..., lag:]
        result[..., lag] = np.einsum("rbc,rbc->rb", left, right)
    return result


@cache
def _polynomials(order: int) -> np.ndarray:
    """Orthonormal basis (channels, order + 1) of the polynomials in a block."""
    return np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, BLOCK_CHANNELS), order))[0]


@cache
def moments_of(order: int) -> np.ndarray:
    """Expected products (lags + 1) of residuals of noise with the autocovariance at each lag, (lags + 1, lags + 1)."""
    basis = _polynomials(order)
    apart = np.eye(BLOCK_CHANNELS) - basis @ basis.T
    moments = np.empty((MAXIMUM_LAG + 1, MAXIMUM_LAG + 1))
    for at in range(MAXIMUM_LAG + 1):
        band = np.eye(BLOCK_CHANNELS, k=at) + (np.eye(BLOCK_CHANNELS, k=-at) if at else 0.0)
        seen = apart @ band @ apart
        moments[:, at] = [np.trace(seen, offset=lag) for lag in range(MAXIMUM_LAG + 1)]
    return moments
