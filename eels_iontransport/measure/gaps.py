"""Channels without a number: how many there are side by side, and what their neighbours say of them."""

from __future__ import annotations

import numpy as np


def bridged(rows: np.ndarray) -> np.ndarray:
    """Spectra (n, m) with straight lines over channels without a number; those without any number stay as they are."""
    missing = ~np.isfinite(rows)
    if not missing.any():
        return rows
    result, channels = rows.copy(), np.arange(rows.shape[1])
    for i in np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1)):
        gap = missing[i]
        result[i, gap] = np.interp(channels[gap], channels[~gap], rows[i, ~gap])
    return result


def widest_gap(rows: np.ndarray) -> np.ndarray:
    """The most channels without a number side by side in each of n spectra, (n,)."""
    missing = ~np.isfinite(rows)
    result = np.zeros(len(rows), int)
    for i in np.flatnonzero(missing.any(axis=1)):
        borders = np.diff(np.concatenate([[False], missing[i], [False]]).astype(int))
        result[i] = (np.flatnonzero(borders < 0) - np.flatnonzero(borders > 0)).max()
    return result
