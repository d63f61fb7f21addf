"""Band intensities along a line, with their errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.errors import UnusableInput
from ..data.noise import NoiseModel
from ..data.spectrum import Spectra
from ..data.units import ev
from ..materials.recipe import Band


def intensities(
    spectra: Spectra,
    bands: Sequence[Band],
    zero_ev: np.ndarray,
    noise: NoiseModel,
    *,
    background: np.ndarray | None = None,
    norm: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of every row in every band, (n, bands), and their errors; channels at the ends count by their fraction.

    zero_ev: (n,) where each row's axis reads zero loss. background: (n, channels) counts to subtract; its own error is
    the caller's. norm: (n,) to divide by, such as ZLP integrals. Rows that are not valid or have no zero are nan, as
    are bands in which a channel has no number.
    Raises UnusableInput when a band lies outside the axis of every usable row.
    """
    n = len(spectra.rows)
    value, sigma = np.full((n, len(bands)), np.nan), np.full((n, len(bands)), np.nan)
    usable = spectra.valid & np.isfinite(zero_ev)
    if norm is not None:
        usable = usable & np.isfinite(norm) & (norm > 0)
    for i in np.flatnonzero(usable):
        signal = spectra.rows[i] if background is None else spectra.rows[i] - background[i]
        variance = noise.variance(spectra.rows[i]) * noise.correlation
        scale = 1.0 if norm is None else 1 / float(norm[i])
        for j, band in enumerate(bands):
            weight = _coverage(spectra, zero_ev[i], band)
            if weight is not None:
                inside = weight > 0
                value[i, j] = scale * float(weight[inside] @ signal[inside])
                sigma[i, j] = scale * float(np.sqrt(weight[inside] ** 2 @ variance[inside]))
    for j, band in enumerate(bands):
        if usable.any() and np.isnan(value[usable, j]).all():
            raise UnusableInput(
                f"The band {band.name} ({band.low_mev:g}-{band.high_mev:g} meV) lies outside the spectra "
                f"({spectra.energy.offset_ev:.4g} to {spectra.energy.end_ev:.4g} eV)."
            )
    return value, sigma


def _coverage(spectra: Spectra, zero_ev: float, band: Band) -> np.ndarray | None:
    """Fraction of every channel inside the band; None unless the axis covers all of it."""
    axis = spectra.energy
    low, high = ((ev(edge) + zero_ev - axis.offset_ev) / axis.step_ev for edge in (band.low_mev, band.high_mev))
    if low < -0.5 or high > axis.size - 0.5:
        return None
    channels = np.arange(axis.size)
    return np.clip(np.minimum(channels + 0.5, high) - np.maximum(channels - 0.5, low), 0.0, 1.0)
