"""Aligned spectra taken apart after a recipe, in one of the three modes.

published: power law through two windows subtracted, Voigts as recorded, each spectrum by itself.
wide: background inside the fit, lines seen through the response, each spectrum by itself, limits that do not rail.
shared: as wide, but spectra fitted together with common widths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from ..data.errors import UnusableInput
from ..data.noise import NoiseModel
from ..materials.recipe import Interval, LineShape, Peak, Recipe
from ..measure import zlp
from ..measure.alignment import Aligned
from ..measure.background import log_polynomial, two_window_power_law
from .engine import fit
from .layout import KnownShapes, Sharing, lay_out
from .lines import ConvolvedVoigts, PlainVoigts
from .problem import Block, Problem
from .response import Response
from .result import Decomposition, from_fit, stack

MODES = ("shared", "wide", "published")
MINIMUM_CHANNELS = 12  # of a fit window; fewer hold no background and a line
SMOOTHING_CHANNELS = 9  # variances come from smoothed counts, else low channels would weigh more than they know

Stop = Callable[[], bool]


def never() -> bool:
    return False


@dataclass(frozen=True, eq=False)
class Setup:
    """All that a decomposition needs beside the spectra.

    windows_mev: the two background windows if the recipe's are not to be used; in the modes with the background inside
    the fit their outer ends bound the fit window.
    polaritons: line shapes of the polaritonic peaks from the aloof spectrum, if there was one.
    """

    recipe: Recipe
    mode: str
    noise: NoiseModel
    response: Response | None
    windows_mev: tuple[Interval, Interval] | None = None
    polaritons: KnownShapes | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UnusableInput(f"There is no mode '{self.mode}'; choose one of {', '.join(MODES)}.")

    @property
    def is_published(self) -> bool:
        return self.mode == "published"

    @property
    def window_mev(self) -> Interval:
        """The window of the fit."""
        if self.is_published:
            return self.recipe.fit_window_mev
        if self.windows_mev is not None:
            return self.windows_mev[0][0], self.windows_mev[1][1]
        return self.recipe.wide_window_mev

    def shape(self, peak: Peak) -> LineShape:
        return peak.published if self.is_published else peak.wide


def fit_aloof(setup: Setup, aloof: Aligned, should_stop: Stop = never) -> tuple[Decomposition, KnownShapes]:
    """The aloof spectrum taken apart into the polaritonic peaks, and their shapes for the fits that follow."""
    peaks = setup.recipe.aloof_peaks
    result, problem, theta, covariance = _fit(setup, peaks, [aloof], Sharing(fwhm_mev=_limits(setup)), (), should_stop)
    indices = np.array(
        [[i[0, k] for i in (problem.centre, problem.sigma, problem.gamma)] for k in range(len(peaks))]
    ).ravel()
    mean = np.array(
        [[result.values[q][0, k] for q in ("centre_mev", "sigma_mev", "gamma_mev")] for k in range(len(peaks))]
    ).ravel()
    absent = ~np.isfinite(mean)
    mean[absent] = theta[indices][absent]
    if setup.is_published:
        return result, KnownShapes(mean)
    return result, KnownShapes(mean, np.where(np.outer(absent, absent), np.nan, covariance[np.ix_(indices, indices)]))


def fit_together(setup: Setup, spectra: Sequence[Aligned], should_stop: Stop = never) -> Decomposition:
    """Spectra fitted together, common widths, areas and centres of their own (mode shared); else one by one."""
    if setup.mode != "shared":
        return fit_each(setup, spectra, should_stop)
    sharing = Sharing(setup.polaritons, _offset_prior(setup))
    return _fit(setup, setup.recipe.peaks, spectra, sharing, setup.recipe.starts_mev, should_stop)[0]


def fit_each(setup: Setup, spectra: Sequence[Aligned], should_stop: Stop = never) -> Decomposition:
    """Spectra fitted one by one with widths of their own; with `published`, by that procedure to the letter."""
    if setup.is_published:
        held = setup.polaritons and KnownShapes(setup.polaritons.mean)
        sharing = Sharing(held, common_widths=False, fwhm_mev=_limits(setup))
    else:
        sharing = Sharing(setup.polaritons, _offset_prior(setup))
    return _one_by_one(setup, spectra, sharing, should_stop)


def fit_rows(
    setup: Setup, together: Decomposition, spectra: Sequence[Aligned], should_stop: Stop = never
) -> Decomposition:
    """Spectra fitted one by one with every width, and the polaritonic lines, held at those of a common fit."""
    if setup.mode != "shared":
        return fit_each(setup, spectra, should_stop)
    shapes = {
        p.name: [together.value(p.name, q)[0] for q in ("centre_mev", "sigma_mev", "gamma_mev")] for p in together.peaks
    }
    # A peak without area in the common fit has no shape: its rows take the recipe's.
    for peak in together.peaks:
        wide = setup.shape(peak)
        recipe_shape = [wide.centre_mev.initial, wide.sigma_mev.initial, wide.gamma_mev.initial]
        shapes[peak.name] = [a if np.isfinite(a) else b for a, b in zip(shapes[peak.name], recipe_shape)]
    polaritons = np.array([v for peak in setup.recipe.aloof_peaks for v in shapes[peak.name]])
    widths = {name: (float(sigma), float(gamma)) for name, (_, sigma, gamma) in shapes.items()}
    return _one_by_one(setup, spectra, Sharing(KnownShapes(polaritons), held_widths=widths), should_stop)


def _one_by_one(setup: Setup, spectra: Sequence[Aligned], sharing: Sharing, should_stop: Stop) -> Decomposition:
    parts = [_fit(setup, setup.recipe.peaks, [s], sharing, setup.recipe.starts_mev, should_stop)[0] for s in spectra]
    return stack(parts, parts[0])


def _fit(
    setup: Setup,
    peaks: Sequence[Peak],
    spectra: Sequence[Aligned],
    sharing: Sharing,
    starts_mev: Sequence[float],
    should_stop: Stop,
) -> tuple[Decomposition, Problem, np.ndarray, np.ndarray]:
    """The result, and the problem with its parameters and their covariance."""
    prepared = [_block(setup, spectrum) for spectrum in spectra]
    blocks = [block for block, _ in prepared]
    problem, start = lay_out(peaks, {peak.name: setup.shape(peak) for peak in peaks}, blocks, sharing)
    found = fit(problem, _starts(problem, start, peaks, setup.recipe.shift_peak, starts_mev), should_stop)
    subtracted = np.array([taken for _, taken in prepared])
    result = from_fit(tuple(peaks), problem, found, subtracted, setup.noise.correlation)
    stretch = max(1.0, float(np.nan_to_num(found.reduced_chi2 * setup.noise.correlation, nan=1.0)))
    return result, problem, found.theta, found.covariance * stretch


def _starts(
    problem: Problem, start: np.ndarray, peaks: Sequence[Peak], shift_peak: str | None, starts_mev: Sequence[float]
) -> list[np.ndarray]:
    names = [peak.name for peak in peaks]
    if shift_peak not in names or not starts_mev:
        return [start]
    centres = problem.centre[:, names.index(shift_peak)]
    starts = []
    for value in starts_mev:
        other = start.copy()
        other[centres] = np.clip(value, problem.lower[centres], problem.upper[centres])
        starts.append(other)
    return starts


def _block(setup: Setup, spectrum: Aligned) -> tuple[Block, np.ndarray]:
    """A spectrum in the fit window, and the background (m,) that was subtracted from it."""
    window = _channels(spectrum, setup.window_mev)
    energy, counts = spectrum.energy_mev[window], spectrum.counts[window]
    smooth = uniform_filter1d(spectrum.counts, SMOOTHING_CHANNELS)
    variance = setup.noise.variance(smooth, spectrum.rows) * setup.noise.correlation
    if not np.all(np.isfinite(counts)) or counts.max() <= 0:
        raise UnusableInput("The spectrum holds no counts in the fit window; check exposure and energy axis.")
    if setup.is_published:
        windows = setup.windows_mev or setup.recipe.background_windows_mev
        law = two_window_power_law(spectrum.energy_mev, spectrum.counts, variance, windows)
        subtracted = law(energy)
        block = Block(
            energy, counts - subtracted, np.sqrt(variance[window]), PlainVoigts(energy), np.empty((0, energy.size))
        )
        return block, subtracted
    if setup.response is None:
        raise UnusableInput("There is no zero-loss peak to take the response from; record one that is not saturated.")
    background = log_polynomial(energy, setup.recipe.background_order)
    fwhm = zlp.peak_of(spectrum.counts).fwhm * spectrum.step_mev
    shapes = ConvolvedVoigts(energy, setup.response, setup.response.broadening(fwhm))
    return Block(energy, counts, np.sqrt(variance[window]), shapes, background), np.zeros_like(counts)


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


def _limits(setup: Setup) -> Interval | None:
    return setup.recipe.fwhm_mev if setup.is_published else None


def _offset_prior(setup: Setup) -> float | None:
    return setup.recipe.polariton_offset_prior_mev if setup.polaritons is not None else None


def with_windows(setup: Setup, low_mev: float, high_mev: float, order: int) -> Setup:
    """The same analysis with another fit window and background order, to see what hangs on them."""
    windows = ((low_mev, low_mev), (high_mev, high_mev))
    return replace(setup, windows_mev=windows, recipe=replace(setup.recipe, background_order=order))
