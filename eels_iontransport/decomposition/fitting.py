"""Aligned spectra taken apart after a recipe, in one of the three modes.

published: power law through two windows subtracted, Voigts as recorded, each spectrum by itself.
wide: background inside the fit, lines seen through the response, each spectrum by itself, limits that do not rail.
shared: as wide, but spectra fitted together with common widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..data.errors import UnusableInput
from ..data.noise import NoiseModel
from ..materials.recipe import Interval, LineShape, Peak, Recipe
from ..measure.alignment import Aligned, AlignedRows
from ..measure.background import Tail, log_polynomial, tail_power_law
from .engine import Stop, fit, never
from .layout import KnownShapes, Sharing, lay_out
from .problem import Data, Layout
from .response import Response
from .result import QUANTITIES, Decomposition, PeakTable, from_fits, misfit_stretch, peak_table, scatter
from .window import Background, Windowed, cut_out

MODES = ("shared", "wide", "published")
SEARCHED = (0.2, 0.35, 0.5, 0.65, 0.8)  # of the range of its centre, where a shift peak is looked for that was lost


@dataclass(frozen=True, eq=False)
class Setup:
    """All that a decomposition needs beside the spectra.

    windows_mev: the two background windows if the recipe's are not to be used; in the modes with the background inside
    the fit their outer ends bound the fit window.
    polaritons: line shapes of the polaritonic peaks from the aloof spectrum, if there was one.
    tail: of the vacuum ZLP, whose product with a power law is the background inside the fit; None for the polynomial.
    """

    recipe: Recipe
    mode: str
    noise: NoiseModel
    response: Response | None
    windows_mev: tuple[Interval, Interval] | None = None
    polaritons: KnownShapes | None = None
    tail: Tail | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UnusableInput(f"There is no mode '{self.mode}'; choose one of {', '.join(MODES)}.")
        if self.windows_mev is not None:
            _check_windows(*self.windows_mev)

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

    @property
    def background(self) -> Background:
        """The functions of the background inside the fit."""
        if self.tail is not None:
            return partial(tail_power_law, self.tail)
        return partial(log_polynomial, order=self.recipe.background_order)

    def shape(self, peak: Peak) -> LineShape:
        return peak.published if self.is_published else peak.wide


def _check_windows(first: Interval, second: Interval) -> None:
    """Raises UnusableInput for background windows that are reversed or not in order; nan is in no order."""
    if not -np.inf < first[0] <= first[1] <= second[0] <= second[1] < np.inf:
        named = ", ".join(f"{low:g}-{high:g}" for low, high in (first, second))
        raise UnusableInput(
            f"The background windows {named} meV are no two intervals in order; give the lower one first, "
            "and of each the lower end first."
        )


def fit_aloof(setup: Setup, aloof: Aligned, should_stop: Stop = never) -> tuple[Decomposition, KnownShapes]:
    """The aloof spectrum taken apart into the polaritonic peaks, and their shapes for the fits that follow."""
    peaks = setup.recipe.aloof_peaks
    windowed = _windowed(setup, [aloof])
    layout, start = _lay_out(setup, peaks, 1, Sharing(fwhm_mev=_limits(setup)))
    data = windowed.apart()
    fits = fit(layout, data, start[None], should_stop)
    result = from_fits(peaks, layout, data, fits, windowed.subtracted, setup.noise.correlation)
    indices = np.stack([layout.centre[0], layout.sigma[0], layout.gamma[0]], axis=-1).ravel()
    mean = np.stack([result.values[q][0] for q in QUANTITIES[:3]], axis=-1).ravel()
    absent = ~np.isfinite(mean)
    mean[absent] = fits.theta[0, indices][absent]
    if setup.is_published:
        return result, KnownShapes(mean)
    covariance = fits.covariance(0, indices)[0] * misfit_stretch(fits, setup.noise.correlation)[0]
    return result, KnownShapes(mean, np.where(np.outer(absent, absent), np.nan, covariance))


def fit_together(
    setup: Setup, spectra: Sequence[Aligned], should_stop: Stop = never, start: Decomposition | None = None
) -> Decomposition:
    """Spectra fitted together, common widths, areas and centres of their own (mode shared); else one by one.

    start: what a fit of nearly the same spectra found, to begin there and nowhere else. Raises UnusableInput.
    """
    posed = pose(setup, spectra, should_stop, start)
    found = _solved(setup, posed, len(spectra), should_stop)
    more = _where_lost(setup, posed, found) if start is None and setup.mode == "shared" else ()
    if not len(more):
        return found
    starts = np.concatenate([posed.starts, more])
    return _solved(setup, replace(posed, starts=starts), len(spectra), should_stop)


@dataclass(frozen=True, eq=False)
class Posed:
    """A fit before it is run: N problems of one layout, and the starts (S, p) of each."""

    layout: Layout
    data: Data
    starts: np.ndarray
    windowed: Windowed


def pose(
    setup: Setup, spectra: Sequence[Aligned], should_stop: Stop = never, start: Decomposition | None = None
) -> Posed:
    """The fit of spectra together (mode shared: one problem), else one by one (those that can be fitted, one each).

    start: as for fit_together. Raises UnusableInput.
    """
    if setup.mode != "shared":
        return _posed_apart(setup, spectra, _own_widths(setup), should_stop)
    peaks = setup.recipe.peaks
    windowed = _windowed(setup, spectra)
    if len(windowed.rows) < len(spectra):
        _windowed(setup, [spectra[min(set(range(len(spectra))) - set(windowed.rows.tolist()))]])  # says why
    sharing = Sharing(setup.polaritons, _offset_prior(setup))
    layout, initial = _lay_out(setup, peaks, len(spectra), sharing)
    if start is None:
        starts = _starts_from_mean(setup, peaks, sharing, windowed, layout, initial, should_stop)
    else:
        starts = _start_at(layout, initial, start)[None]
    return Posed(layout, windowed.together(), starts, windowed)


def fit_each(setup: Setup, spectra: Sequence[Aligned], should_stop: Stop = never) -> Decomposition:
    """Spectra fitted one by one with widths of their own; with `published`, by that procedure to the letter.

    nan for a spectrum that cannot be fitted. Raises UnusableInput where none can.
    """
    return _one_by_one(setup, spectra, _own_widths(setup), should_stop)


def fit_rows(
    setup: Setup, together: Decomposition, spectra: Sequence[Aligned], should_stop: Stop = never
) -> Decomposition:
    """Spectra fitted one by one with every width, and the polaritonic lines, held at those of a common fit.

    nan for a spectrum that cannot be fitted. Raises UnusableInput where none can.
    """
    return _one_by_one(setup, spectra, _row_sharing(setup, together), should_stop)


@dataclass(frozen=True, eq=False)
class Plan:
    """How spectra are fitted one by one, whichever come together: one layout, and the starts (S, p) of each."""

    setup: Setup
    layout: Layout
    starts: np.ndarray


def plan_rows(setup: Setup, together: Decomposition | None, mean: Aligned, should_stop: Stop = never) -> Plan:
    """The fit that `fit_rows` does, with the starts that the mean of all spectra gives. Raises UnusableInput.

    together: the common fit of mode shared.
    """
    peaks, sharing = setup.recipe.peaks, _row_sharing(setup, together)
    layout, initial = _lay_out(setup, peaks, 1, sharing)
    mean_data = _windowed(setup, [mean]).mean()
    return Plan(setup, layout, _starts_at_mean(setup, peaks, sharing, mean_data, layout, initial, should_stop))


def fit_peaks(plan: Plan, rows: AlignedRows, should_stop: Stop = never) -> tuple[np.ndarray, PeakTable | None]:
    """Which of the rows can be fitted, by number, and their peaks, without the spectra; none where none can."""
    setup = plan.setup
    try:
        windowed = _windowed(setup, rows)
    except UnusableInput:
        return np.empty(0, int), None
    data = windowed.apart()
    fits = fit(plan.layout, data, plan.starts, should_stop)
    return windowed.rows, peak_table(setup.recipe.peaks, plan.layout, data, fits, setup.noise.correlation)


def _row_sharing(setup: Setup, together: Decomposition | None) -> Sharing:
    """Every width, and the polaritonic lines, held at those of a common fit; in the other modes there is none."""
    if setup.mode != "shared" or together is None:
        return _own_widths(setup)
    shapes = {p.name: [together.value(p.name, q)[0] for q in QUANTITIES[:3]] for p in together.peaks}
    # A peak without area in the common fit has no shape: its rows take the recipe's.
    for peak in together.peaks:
        wide = setup.shape(peak)
        recipe_shape = [wide.centre_mev.initial, wide.sigma_mev.initial, wide.gamma_mev.initial]
        shapes[peak.name] = [a if np.isfinite(a) else b for a, b in zip(shapes[peak.name], recipe_shape)]
    polaritons = np.array([v for peak in setup.recipe.aloof_peaks for v in shapes[peak.name]])
    widths = {name: (float(sigma), float(gamma)) for name, (_, sigma, gamma) in shapes.items()}
    return Sharing(KnownShapes(polaritons), held_widths=widths)


def _own_widths(setup: Setup) -> Sharing:
    """What spectra that are fitted one by one have in common: with `published`, what that procedure holds."""
    if setup.is_published:
        held = setup.polaritons and KnownShapes(setup.polaritons.mean)
        return Sharing(held, common_widths=False, fwhm_mev=_limits(setup))
    return Sharing(setup.polaritons, _offset_prior(setup))


def _one_by_one(setup: Setup, spectra: Sequence[Aligned], sharing: Sharing, should_stop: Stop) -> Decomposition:
    return _solved(setup, _posed_apart(setup, spectra, sharing, should_stop), len(spectra), should_stop)


def _posed_apart(setup: Setup, spectra: Sequence[Aligned], sharing: Sharing, should_stop: Stop) -> Posed:
    peaks = setup.recipe.peaks
    windowed = _windowed(setup, spectra)
    layout, initial = _lay_out(setup, peaks, 1, sharing)
    starts = _starts_from_mean(setup, peaks, sharing, windowed, layout, initial, should_stop)
    return Posed(layout, windowed.apart(), starts, windowed)


def _solved(setup: Setup, posed: Posed, spectra: int, should_stop: Stop) -> Decomposition:
    """The result of a fit, with nan for those of so many spectra that it leaves out."""
    fits = fit(posed.layout, posed.data, posed.starts, should_stop)
    subtracted = posed.windowed.subtracted
    result = from_fits(setup.recipe.peaks, posed.layout, posed.data, fits, subtracted, setup.noise.correlation)
    return scatter(result, posed.windowed.rows, spectra)


def _starts_from_mean(
    setup: Setup,
    peaks: Sequence[Peak],
    sharing: Sharing,
    windowed: Windowed,
    layout: Layout,
    initial: np.ndarray,
    should_stop: Stop,
) -> np.ndarray:
    """Starts (S, p) from the mean of the spectra; from the recipe for one of them."""
    if len(windowed.rows) == 1:
        return _with_centres(setup, peaks, layout, initial, setup.recipe.starts_mev)
    return _starts_at_mean(setup, peaks, sharing, windowed.mean(), layout, initial, should_stop)


def _starts_at_mean(
    setup: Setup,
    peaks: Sequence[Peak],
    sharing: Sharing,
    mean: Data,
    layout: Layout,
    initial: np.ndarray,
    should_stop: Stop,
) -> np.ndarray:
    """Starts (S, p): what the mean spectrum shows, the shift peak there and at the recipe's other places, or apart."""
    mean_layout, mean_initial = _lay_out(setup, peaks, 1, sharing)
    starts = _with_centres(setup, peaks, mean_layout, mean_initial, setup.recipe.starts_mev)
    best = fit(mean_layout, mean, starts, should_stop).theta[0]
    carried = initial.copy()
    for of_mean, table in ((getattr(mean_layout, n), getattr(layout, n)) for n in ("centre", "sigma", "gamma")):
        carried[table] = best[of_mean[0]]
    used = layout.offset >= 0
    carried[layout.offset[used]] = best[mean_layout.offset[used]]
    others = setup.recipe.starts_mev
    if setup.recipe.shift_peak is not None and others:
        found = best[mean_layout.centre[0, [p.name for p in peaks].index(setup.recipe.shift_peak)]]
        nearest = min(others, key=lambda value: abs(value - found))
        others = (found, *(value for value in others if value != nearest))
    starts = _with_centres(setup, peaks, layout, carried, others)
    return np.concatenate([starts, _one_moved(setup, peaks, layout, carried)])


def _with_centres(
    setup: Setup, peaks: Sequence[Peak], layout: Layout, start: np.ndarray, centres_mev: Sequence[float]
) -> np.ndarray:
    """The start with the centre of the shift peak at each of the values, (S, p)."""
    names = [peak.name for peak in peaks]
    if setup.recipe.shift_peak not in names or not centres_mev:
        return start[None]
    indices = layout.centre[:, names.index(setup.recipe.shift_peak)]
    starts = np.tile(start, (len(centres_mev), 1))
    starts[:, indices] = np.clip(np.array(centres_mev)[:, None], layout.lower[indices], layout.upper[indices])
    return starts


def _one_moved(setup: Setup, peaks: Sequence[Peak], layout: Layout, start: np.ndarray) -> np.ndarray:
    """Starts with the shift peak of one spectrum high and those of the others low, (n, p); none for a single spectrum.

    From one centre for all, a boundary whose peak lies elsewhere may lose its peak to a neighbouring line.
    """
    spectra, centres_mev = len(layout.centre), setup.recipe.starts_mev
    names = [peak.name for peak in peaks]
    if spectra < 2 or len(centres_mev) < 2 or setup.recipe.shift_peak not in names:
        return np.empty((0, start.size))
    indices = layout.centre[:, names.index(setup.recipe.shift_peak)]
    starts = np.tile(start, (spectra, 1))
    centres = np.where(np.eye(spectra, dtype=bool), max(centres_mev), min(centres_mev))
    starts[:, indices] = np.clip(centres, layout.lower[indices], layout.upper[indices])
    return starts


def _where_lost(setup: Setup, posed: Posed, found: Decomposition) -> np.ndarray:
    """Starts with the shift peak all over its range in those spectra that show none, or one at a limit, (S, p)."""
    layout, peak = posed.layout, setup.recipe.shift_peak
    nothing = np.empty((0, layout.lower.size))
    if peak is None:
        return nothing
    line = found.index(peak)
    lost = ~np.isfinite(found.value(peak, "centre_mev")) | found.railed["centre_mev"][:, line]
    if not lost.any():
        return nothing
    indices = layout.centre[lost, line]
    starts = np.tile(posed.starts[0], (len(SEARCHED), 1))
    starts[:, indices] = layout.lower[indices] + np.outer(SEARCHED, (layout.upper - layout.lower)[indices])
    return starts


def _start_at(layout: Layout, initial: np.ndarray, found: Decomposition) -> np.ndarray:
    """The start (p,) where another fit of as many spectra ended, without its offset; initial where it found nothing."""
    start = initial.copy()
    for table, quantity in ((layout.centre, "centre_mev"), (layout.sigma, "sigma_mev"), (layout.gamma, "gamma_mev")):
        values = found.values[quantity]
        start[table[np.isfinite(values)]] = values[np.isfinite(values)]
    return np.clip(start, layout.lower, layout.upper)


def _lay_out(setup: Setup, peaks: Sequence[Peak], spectra: int, sharing: Sharing) -> tuple[Layout, np.ndarray]:
    return lay_out(peaks, {peak.name: setup.shape(peak) for peak in peaks}, spectra, sharing)


def _windowed(setup: Setup, spectra: Sequence[Aligned] | AlignedRows) -> Windowed:
    """Raises UnusableInput where no spectrum can be fitted."""
    if setup.is_published:
        windows = setup.windows_mev or setup.recipe.background_windows_mev
        return cut_out(spectra, setup.window_mev, setup.noise, None, None, windows)
    if setup.response is None:
        raise UnusableInput("There is no zero-loss peak to take the response from; record one that is not saturated.")
    return cut_out(spectra, setup.window_mev, setup.noise, setup.response, setup.background)


def _limits(setup: Setup) -> Interval | None:
    return setup.recipe.fwhm_mev if setup.is_published else None


def _offset_prior(setup: Setup) -> float | None:
    return setup.recipe.polariton_offset_prior_mev if setup.polaritons is not None else None


def with_windows(setup: Setup, low_mev: float, high_mev: float, order: int) -> Setup:
    """The same analysis with another fit window and background order, to see what hangs on them."""
    windows = ((low_mev, low_mev), (high_mev, high_mev))
    return replace(setup, windows_mev=windows, recipe=replace(setup.recipe, background_order=order))
