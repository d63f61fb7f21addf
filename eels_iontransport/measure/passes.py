"""Passes of a line brought to a common energy zero before they are summed.

Between two passes over a pixel minutes go by, in which the zero drifts, or is set back. Their plain sum would be wider
than each of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.spectrum import Spectra
from . import zlp

WORTH = 0.1  # standard deviation of the zeros over that of the peak; less widens a sum by half a per cent


def in_step(spectra: Spectra) -> Spectra:
    """The same spectra, with the passes of each pixel shifted by whole channels onto the middle one's zero, and summed.

    The passes themselves stay as they were recorded. Channels that a shifted pass does not reach are nan. As they are
    stay pixels whose zeros scatter by less than WORTH of the peak's width, pixels with a pass whose zero-loss peak is
    not found, and all where the axis does not hold the zero.
    """
    if spectra.passes is None or not spectra.energy.offset_ev < 0 < spectra.energy.end_ev:
        return spectra
    shifts = _shifts(spectra.passes, spectra.saturation_level)
    moved = np.flatnonzero(shifts.any(axis=0))
    if not moved.size:
        return spectra
    counts = spectra.counts.copy()
    for pixel in moved.tolist():
        counts[pixel] = sum(_shifted(row, by) for row, by in zip(spectra.passes[:, pixel], shifts[:, pixel].tolist()))
    return replace(spectra, counts=counts)


def _shifts(passes: np.ndarray, saturation_level: float | None) -> np.ndarray:
    """Channels (P, n) by which passes (P, n, m) are to be moved down; 0 for what was not taken."""
    count, pixels, _ = passes.shape
    taken = (np.nan_to_num(passes) != 0).any(axis=2)
    position = np.full((count, pixels), np.nan)
    level = None if saturation_level is None else saturation_level / count
    peaks = zlp.find(passes[taken], level)
    position[taken] = peaks.position
    known = np.flatnonzero(taken.any(axis=0) & (np.isfinite(position) | ~taken).all(axis=0))
    least = WORTH * np.nanmedian(peaks.fwhm) / np.sqrt(8 * np.log(2)) if known.size else np.inf
    known = known[np.nanstd(position[:, known], axis=0) > least]
    shifts = np.zeros((count, pixels), int)
    away = position[:, known] - np.nanmedian(position[:, known], axis=0)
    shifts[:, known] = np.rint(np.nan_to_num(away)).astype(int)
    return shifts


def _shifted(row: np.ndarray, by: int) -> np.ndarray:
    """A spectrum (m,) moved down by whole channels, nan in those that it leaves."""
    result = np.full_like(row, np.nan)
    if by >= 0:
        result[: row.size - by] = row[by:]
    else:
        result[-by:] = row[:by]
    return result
