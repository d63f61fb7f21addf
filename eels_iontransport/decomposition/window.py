"""The channels that are fitted: cut out of aligned spectra, with their uncertainties, backgrounds and responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..data.errors import UnusableInput
from ..data.noise import NoiseModel
from ..materials.recipe import Interval
from ..measure.alignment import Aligned, AlignedRows, stack_aligned
from ..measure.background import PowerLaw, two_window_power_law
from .problem import Data
from .response import Response

MINIMUM_CHANNELS = 12  # of a fit window; fewer hold no background and a line
SMOOTHING_CHANNELS = 9  # variances come from smoothed counts, else low channels would weigh more than they know
SIGNIFICANTLY_NEGATIVE = 5.0  # sigma; less is what dark subtraction leaves of few counts
Background = Callable[[np.ndarray], np.ndarray]  # energies (r, m) in meV -> functions (q, r, m)
PLAIN = np.array([[1.0, 0.0, 0.0, 0.0]])  # the response through which a Voigt stays the Voigt that it is


@dataclass(frozen=True, eq=False)
class Windowed:
    """The r spectra of n that can be fitted, in their fit windows of m channels.

    rows: (r,) which they are; energy_mev, counts, sigma, subtracted: (r, m), sigma infinite where a channel is masked,
    subtracted the background that was taken off the counts. background (r, q, m), response (r, j, 4) as in `Data`.
    """

    rows: np.ndarray
    energy_mev: np.ndarray
    counts: np.ndarray
    sigma: np.ndarray
    subtracted: np.ndarray
    background: np.ndarray
    response: np.ndarray

    def apart(self) -> Data:
        """As r problems of one spectrum."""
        arrays = (self.energy_mev, self.counts, self.sigma, self.background, self.response)
        return Data(*(a[:, None] for a in arrays))

    def together(self) -> Data:
        """As one problem of r spectra."""
        arrays = (self.energy_mev, self.counts, self.sigma, self.background, self.response)
        return Data(*(a[None] for a in arrays))

    def mean(self) -> Data:
        """As one problem of one spectrum: with the counts of all, distributed as in the median of them.

        Good enough to start from, as axes differ by parts of a channel; and one spoilt spectrum does not spoil it.
        """
        used = np.isfinite(self.sigma)
        seen = used.any(axis=0)
        total = np.sum(self.counts + self.subtracted, axis=1, where=used)
        scale = np.where(total > 0, total, 1.0)[:, None]
        middle = np.median(scale)
        counts, sigma = (
            middle * np.nanmedian(np.where(used | ~seen, np.where(seen, array, 0.0) / scale, np.nan), axis=0)
            for array in (self.counts, self.sigma)
        )
        counts, sigma = len(self.rows) * counts, np.sqrt(len(self.rows)) * sigma
        arrays = (
            self.energy_mev.mean(axis=0),
            counts,
            np.where(seen, sigma, np.inf),
            self.background.mean(axis=0),
            self.response.mean(axis=0),
        )
        return Data(*(a[None, None] for a in arrays))


def cut_out(
    spectra: Sequence[Aligned] | AlignedRows,
    window_mev: Interval,
    noise: NoiseModel,
    response: Response | None,
    background: Background | None,
    power_law_mev: tuple[Interval, Interval] | None = None,
) -> Windowed:
    """The spectra in the window, as many channels of each, wherever its zero lies; without those that cannot be fitted.

    background: functions fitted with the lines; None for none. response: None for lines as they were recorded.
    power_law_mev: two windows through which a power law is subtracted. Raises UnusableInput where no spectrum is left.
    """
    if isinstance(spectra, AlignedRows):
        return _cut_rows(spectra, window_mev, noise, response, background, power_law_mev)
    sizes = [spectrum.counts.size for spectrum in spectra]
    parts: list[Windowed] = []
    fault: UnusableInput | None = None
    for size in dict.fromkeys(sizes):
        rows = np.flatnonzero(np.array(sizes) == size)
        stacked = stack_aligned([spectra[row] for row in rows.tolist()], with_fwhm=response is not None)
        try:
            part = _cut_rows(stacked, window_mev, noise, response, background, power_law_mev)
            parts.append(replace(part, rows=rows[part.rows]))
        except UnusableInput as problem:
            fault = fault or problem
    if not parts:
        raise fault or UnusableInput("There is no spectrum to fit.")
    return parts[0] if len(parts) == 1 else _joined(parts)


def _cut_rows(
    rows: AlignedRows,
    window_mev: Interval,
    noise: NoiseModel,
    response: Response | None,
    background: Background | None,
    power_law_mev: tuple[Interval, Interval] | None,
) -> Windowed:
    chosen, energy, counts, sigma = _cut(rows, window_mev, noise)
    subtracted = np.zeros_like(counts)
    if power_law_mev is not None:
        subtracted = _power_law(rows, chosen, noise, power_law_mev)(energy)
        known = np.isfinite(subtracted).all(axis=1)
        if not known.any():
            raise UnusableInput("No power law goes through the two background windows; choose other windows.")
        chosen, energy, counts, sigma, subtracted = (a[known] for a in (chosen, energy, counts, sigma, subtracted))
    functions = np.empty((len(chosen), 0, energy.shape[1]))
    if background is not None:
        functions = np.moveaxis(background(energy), 0, 1)
    if response is None:
        seen = np.broadcast_to(PLAIN, (len(chosen), *PLAIN.shape))
    else:
        seen = np.array([response.components_for(fwhm) for fwhm in rows.fwhm_mev[chosen].tolist()])
    return Windowed(chosen, energy, counts - subtracted, sigma, subtracted, functions, seen)


def _joined(parts: Sequence[Windowed]) -> Windowed:
    order = np.argsort(np.concatenate([part.rows for part in parts]))
    return Windowed(*(np.concatenate([getattr(p, f.name) for p in parts])[order] for f in fields(Windowed)))


def _cut(rows: AlignedRows, window_mev: Interval, noise: NoiseModel) -> tuple[np.ndarray, ...]:
    """Which rows hold counts in the window, and their energy, counts and standard deviation there, each (r, m).

    The standard deviation is infinite where a channel is not finite or far below zero.
    """
    chosen, first, count = _covered(rows, window_mev)
    energy, counts, variance = _stretch(rows, chosen, first, count, noise)
    sigma = np.sqrt(variance)
    masked = _masked(counts, sigma)
    left = np.where(masked, -np.inf, counts)
    usable = ((~masked).sum(axis=1) >= MINIMUM_CHANNELS) & (left.max(axis=1) > 0)
    if not usable.any():
        raise UnusableInput("The spectrum holds no counts in the fit window; check exposure and energy axis.")
    sigma = np.where(masked, np.inf, sigma)
    return chosen[usable], energy[usable], counts[usable], sigma[usable]


def _power_law(
    rows: AlignedRows, chosen: np.ndarray, noise: NoiseModel, windows_mev: tuple[Interval, Interval]
) -> PowerLaw:
    """The power law of each of the chosen rows through the two windows."""
    columns = []
    for low, high in windows_mev:
        first, count = _first_channel(rows, chosen, low), int(max(high - low, 0.0) / rows.step_mev) + 1
        columns.append(_stretch(rows, chosen, first, count, noise))
    energy, counts, variance = (np.concatenate(parts, axis=1) for parts in zip(*columns))
    counts = np.where(_masked(counts, np.sqrt(variance)), np.nan, counts)
    return two_window_power_law(energy, counts, variance, windows_mev)


def _masked(counts: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The channels that are not finite, or far below zero."""
    return ~np.isfinite(counts) | (np.nan_to_num(counts) < -SIGNIFICANTLY_NEGATIVE * sigma)


def _stretch(
    rows: AlignedRows, chosen: np.ndarray, first: np.ndarray, count: int, noise: NoiseModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy, counts and variance, each (r, count), of so many channels of the chosen rows (r,) from first (r,) on.

    Beyond the axis the energy is nan.
    """
    margin, size = SMOOTHING_CHANNELS // 2, rows.counts.shape[1]
    channels = first[:, None] + np.arange(-margin, count + margin)
    around = rows.counts[chosen[:, None], np.clip(channels, 0, size - 1)]
    own = slice(margin, margin + count)
    variance = _variance(around, rows.summed[chosen, None], noise)[:, own]
    channels = channels[:, own]
    energy = rows.first_mev[chosen, None] + rows.step_mev * channels
    return np.where((channels >= 0) & (channels < size), energy, np.nan), around[:, own], variance


def _variance(counts: np.ndarray, summed: np.ndarray, noise: NoiseModel) -> np.ndarray:
    """Variance of the channels of rows (n, m), to which a channel far below zero adds nothing."""
    variance = noise.variance(_smoothed(counts), summed) * noise.correlation
    below = np.isfinite(counts) & _masked(counts, np.sqrt(variance))
    if not below.any():
        return variance
    return noise.variance(_smoothed(np.where(below, np.nan, counts)), summed) * noise.correlation


def _smoothed(counts: np.ndarray) -> np.ndarray:
    """Running mean of rows (n, m); channels without a number take those of their neighbours."""
    missing = ~np.isfinite(counts)
    if missing.any():
        counts, at = counts.copy(), np.arange(counts.shape[1])
        for row in np.flatnonzero(missing.any(axis=1)):
            gaps = missing[row]
            counts[row] = np.interp(at, at[~gaps], counts[row, ~gaps]) if not gaps.all() else 0.0
    return uniform_filter1d(counts, SMOOTHING_CHANNELS, axis=1)


def _first_channel(rows: AlignedRows, chosen: np.ndarray, low_mev: float) -> np.ndarray:
    """The first channel at or above an energy, of each of the chosen rows."""
    return np.ceil((low_mev - rows.first_mev[chosen]) / rows.step_mev - 1e-9).astype(int)


def _covered(rows: AlignedRows, window_mev: Interval) -> tuple[np.ndarray, np.ndarray, int]:
    """The rows (r,) that cover a window, their first channels in it (r,), and how many channels it has.

    As many for every row of the same step, wherever its zero lies. Raises UnusableInput where no row covers it.
    """
    low, high = window_mev
    size, count = rows.counts.shape[1], int((high - low) / rows.step_mev + 1e-6)
    chosen = np.flatnonzero((rows.first_mev <= low) & np.isfinite(rows.first_mev) & (low > 0))
    first = _first_channel(rows, chosen, low)
    fits = first + count <= size
    if not fits.any():
        start = rows.first_mev[0]
        raise UnusableInput(
            f"The fit window {low:g}-{high:g} meV is not covered by the spectrum, which reaches from "
            f"{start:.0f} to {start + (size - 1) * rows.step_mev:.0f} meV; choose windows inside it and above 0."
        )
    if count < MINIMUM_CHANNELS:
        raise UnusableInput(
            f"The fit window {low:g}-{high:g} meV holds {count} channels of {rows.step_mev:.3g} meV and needs "
            f"{MINIMUM_CHANNELS}; widen it, or take a spectrum with finer channels."
        )
    return chosen[fits], first[fits], count
