"""Maps of what was fitted to every pixel of a spectrum image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .data.flags import Flag
from .decomposition.result import QUANTITIES, PeakTable
from .materials.recipe import Peak

_KEPT = np.float32  # seven digits: 3e-6 meV of a centre


@dataclass(frozen=True, eq=False)
class ZeroLossMaps:
    """Position and FWHM of the zero-loss peak in meV, and the counts by which to normalise; each (height, width)."""

    position_mev: np.ndarray
    fwhm_mev: np.ndarray
    integral: np.ndarray


@dataclass(frozen=True, eq=False)
class PeakMaps:
    """The peaks of every pixel of an image of `shape` (height, width), in single precision; nan where there is no fit.

    table: the pixels row by row, as spectra that were fitted one by one. step_nm: distance of pixels (down, across),
    None where unknown.
    """

    shape: tuple[int, int]
    table: PeakTable
    zlp: ZeroLossMaps
    step_nm: tuple[float, float] | None = None

    @property
    def peaks(self) -> tuple[Peak, ...]:
        return self.table.peaks

    @property
    def flags(self) -> tuple[Flag, ...]:
        return self.table.flags

    def value(self, peak: str, quantity: str) -> np.ndarray:
        """A quantity of a peak: centre_mev, sigma_mev, gamma_mev, fwhm_mev, or area in counts meV."""
        return self._map(self.table.value(peak, quantity))

    def sigma(self, peak: str, quantity: str) -> np.ndarray:
        """Its standard deviation; nan where the parameter is held or railed."""
        return self._map(self.table.sigma(peak, quantity))

    def railed(self, peak: str, quantity: str) -> np.ndarray:
        """True where it ended at a limit."""
        return self._map(self.table.railed[quantity][:, self.table.index(peak)])

    def significance(self, peak: str) -> np.ndarray:
        """Area over its standard deviation with all shapes held."""
        return self._map(self.table.significance[:, self.table.index(peak)])

    @property
    def chi2(self) -> np.ndarray:
        """Reduced chi-squared."""
        return self._map(self.table.chi2)

    @property
    def masked(self) -> np.ndarray:
        """Channels left out of the fit: those without a number, or far below zero."""
        return self._map(self.table.masked)

    @property
    def optima(self) -> np.ndarray:
        """Different optima in which the starts ended; 0 for no fit."""
        return self._map(self.table.optima)

    def _map(self, column: np.ndarray) -> np.ndarray:
        return column.reshape(self.shape)


class Collector:
    """Takes the peaks of n pixels as they come."""

    def __init__(self, peaks: Sequence[Peak], n: int) -> None:
        self._peaks, table = tuple(peaks), (n, len(peaks))
        self._values = {quantity: np.full(table, np.nan, _KEPT) for quantity in QUANTITIES}
        self._sigmas = {quantity: np.full(table, np.nan, _KEPT) for quantity in QUANTITIES}
        self._railed = {quantity: np.zeros(table, bool) for quantity in QUANTITIES}
        self._significance = np.full(table, np.nan, _KEPT)
        self._chi2 = np.full(n, np.nan, _KEPT)
        self._masked, self._optima = np.zeros(n, np.uint16), np.zeros(n, np.uint8)

    def put(self, pixels: np.ndarray, part: PeakTable) -> None:
        """Keep the peaks of these pixels (r,), given by number."""
        for quantity in QUANTITIES:
            self._values[quantity][pixels] = part.values[quantity]
            self._sigmas[quantity][pixels] = part.sigmas[quantity]
            self._railed[quantity][pixels] = part.railed[quantity]
        self._significance[pixels] = part.significance
        self._chi2[pixels] = part.chi2
        self._masked[pixels], self._optima[pixels] = part.masked, part.optima

    def table(self) -> PeakTable:
        return PeakTable(
            peaks=self._peaks,
            values=self._values,
            sigmas=self._sigmas,
            railed=self._railed,
            significance=self._significance,
            chi2=self._chi2,
            masked=self._masked,
            optima=self._optima,
        )
