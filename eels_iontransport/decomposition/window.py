"""The channels that are fitted: cut out of aligned spectra, with their uncertainties, backgrounds and responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..data.errors import UnusableInput
from ..data.noise import NoiseModel
from ..materials.recipe import Interval
from ..measure.alignment import Aligned
from ..measure.background import log_polynomial, two_window_power_law
from .problem import Data
from .response import Response

MINIMUM_CHANNELS = 12  # of a fit window; fewer hold no background and a line
SMOOTHING_CHANNELS = 9  # variances come from smoothed counts, else low channels would weigh more than they know
SIGNIFICANTLY_NEGATIVE = 5.0  # sigma; less is what dark subtraction leaves of few counts
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
        """As one problem of one spectrum, their sum. Good enough to start from: axes differ by parts of a channel."""
        weight = np.where(np.isfinite(self.sigma), 1.0, 0.0)
        seen = weight.sum(axis=0)
        share = len(self.rows) / np.where(seen > 0, seen, 1.0)
        counts = np.sum(np.nan_to_num(self.counts) * weight, axis=0) * share
        sigma = np.sqrt(np.sum(np.where(weight > 0, self.sigma, 0.0) ** 2, axis=0)) * share
        arrays = (
            self.energy_mev.mean(axis=0),
            counts,
            np.where(seen > 0, sigma, np.inf),
            self.background.mean(axis=0),
            self.response.mean(axis=0),
        )
        return Data(*(a[None, None] for a in arrays))


def cut_out(
    spectra: Sequence[Aligned],
    window_mev: Interval,
    noise: NoiseModel,
    response: Response | None,
    background_order: int | None,
    power_law_mev: tuple[Interval, Interval] | None = None,
) -> Windowed:
    """The spectra in the window, as many channels of each, wherever its zero lies; without those that cannot be fitted.

    background_order: of the background inside the fit, None for none. response: None for lines as they were recorded.
    power_law_mev: two windows through which a power law is subtracted. Raises UnusableInput where no spectrum is left.
    """
    rows, parts, laws = [], [], []
    fault: UnusableInput | None = None
    for row, spectrum in enumerate(spectra):
        try:
            channels = _channels(spectrum, window_mev)
            part = _smooth_and_cut(spectrum, channels, noise)
            if power_law_mev is not None:
                smooth = _smoothed(spectrum.counts)
                variance = noise.variance(smooth, spectrum.rows) * noise.correlation
                law = two_window_power_law(spectrum.energy_mev, spectrum.counts, variance, power_law_mev)
                laws.append(law(part[0]))
        except UnusableInput as problem:
            fault = fault or problem
            continue
        rows.append(row)
        parts.append(part)
    if not parts:
        raise fault or UnusableInput("There is no spectrum to fit.")
    energy, counts, sigma = (np.array(column) for column in zip(*parts))
    background = np.empty((len(rows), 0, energy.shape[1]))
    if background_order is not None:
        background = np.moveaxis(log_polynomial(energy, background_order), 0, 1)
    seen = [PLAIN if response is None else response.components_for(spectra[row].fwhm_mev) for row in rows]
    subtracted = np.array(laws) if laws else np.zeros_like(counts)
    return Windowed(np.array(rows), energy, counts - subtracted, sigma, subtracted, background, np.array(seen))


def _smooth_and_cut(spectrum: Aligned, channels: slice, noise: NoiseModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy, counts and standard deviation of the channels, infinite where one is not finite or far below zero."""
    margin = SMOOTHING_CHANNELS // 2
    first = max(channels.start - margin, 0)
    around = spectrum.counts[first : channels.stop + margin]
    inside = slice(channels.start - first, channels.stop - first)
    counts = spectrum.counts[channels]
    sigma = np.sqrt(noise.variance(_smoothed(around)[inside], spectrum.rows) * noise.correlation)
    masked = ~np.isfinite(counts) | (np.nan_to_num(counts) < -SIGNIFICANTLY_NEGATIVE * sigma)
    left = counts[~masked]
    if left.size < MINIMUM_CHANNELS or left.max() <= 0:
        raise UnusableInput("The spectrum holds no counts in the fit window; check exposure and energy axis.")
    return spectrum.energy_mev[channels], counts, np.where(masked, np.inf, sigma)


def _smoothed(counts: np.ndarray) -> np.ndarray:
    """Running mean; channels without a number take those of their neighbours."""
    missing = ~np.isfinite(counts)
    if missing.any():
        at = np.arange(counts.size)
        counts = np.interp(at, at[~missing], counts[~missing]) if not missing.all() else np.zeros(counts.size)
    return uniform_filter1d(counts, SMOOTHING_CHANNELS)


def _channels(spectrum: Aligned, window_mev: Interval) -> slice:
    """The channels of a window: as many for every spectrum of the same step, wherever its zero lies."""
    low, high = window_mev
    count = int((high - low) / spectrum.step_mev + 1e-6)
    first = int(np.searchsorted(spectrum.energy_mev, low))
    if spectrum.energy_mev[0] > low or first + count > spectrum.energy_mev.size or low <= 0:
        raise UnusableInput(
            f"The fit window {low:g}-{high:g} meV is not covered by the spectrum, which reaches from "
            f"{spectrum.energy_mev[0]:.0f} to {spectrum.energy_mev[-1]:.0f} meV; choose windows inside it and above 0."
        )
    if count < MINIMUM_CHANNELS:
        raise UnusableInput(
            f"The fit window {low:g}-{high:g} meV holds {count} channels of {spectrum.step_mev:.3g} meV and needs "
            f"{MINIMUM_CHANNELS}; widen it, or take a spectrum with finer channels."
        )
    return slice(first, first + count)
