"""Fits with one peak fewer, as many and one more than the recipe has: how well each describes the spectra.

While peaks are counted the background has MORE_ORDERS orders more than the recipe gives it: what a stiff one leaves
over passes for a line, a weak shoulder above all, and in strong spectra for one more wherever it is. A line is narrower
than anything that a background of so many orders does.

Where neighbouring channels correlate there are fewer of them: as many fewer as the uncertainty of anything smooth is
larger. Whatever is fitted is smooth and takes the larger share of chi-squared, which the degrees of freedom allow for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..data.errors import UnusableInput
from ..materials.recipe import Bound, Interval, LineShape, Peak
from ..measure.alignment import Aligned
from ..progress import Progress
from .engine import Fits, Stop, fit
from .fitting import Posed, Setup, pose, with_windows
from .result import Decomposition, from_fits

MORE_ORDERS = 3
ADDED = "one_more"  # the name of the line that no recipe has
TELLING = "Numbers of peaks"
SMOOTHED_MEV = 3.0  # of residuals, before looking for where they are largest


@dataclass(frozen=True, eq=False)
class Trial:
    """A fit with some number of peaks."""

    setup: Setup
    posed: Posed
    fits: Fits

    @property
    def decomposition(self) -> Decomposition:
        posed, setup = self.posed, self.setup
        subtracted = posed.windowed.subtracted
        return from_fits(setup.recipe.peaks, posed.layout, posed.data, self.fits, subtracted, setup.noise.correlation)

    @property
    def cost(self) -> float:
        """Chi-squared as what is smooth sees it: with variances that correlated channels make larger."""
        return float(self.fits.cost[0]) if self.fits.converged[0] else np.nan

    @property
    def channels(self) -> float:
        """How many independent channels would tell as much."""
        return float(self.posed.data.channels.sum()) / self.setup.noise.correlation

    @property
    def parameters(self) -> int:
        """All that are searched for, but those that are known beforehand; areas, at zero or not, and background."""
        layout, functions = self.posed.layout, self.posed.data.background.shape
        known = sum(prior.indices.size for prior in layout.priors)
        return int(layout.free.sum()) - known + layout.centre.size + functions[1] * functions[2]

    @property
    def reduced_chi2(self) -> float:
        degrees = self.channels - self.parameters
        return self.cost / degrees if degrees > 0 else np.nan

    @property
    def added_mev(self) -> float:
        """Where the line lies that the recipe has not; nan without one, and without its area."""
        if self.setup.recipe.peaks[-1].name != ADDED:
            return np.nan
        there = self.fits.areas[0, :, -1] > 0
        centres = self.posed.layout.line_parameters(self.fits.theta)[0][0, there, -1]
        return float(centres.mean()) if there.any() else np.nan

    @property
    def is_line(self) -> bool:
        """Whether the line that the recipe has not is one: away from the edges wherever it is, and somewhere."""
        if self.setup.recipe.peaks[-1].name != ADDED:
            return True
        there = self.fits.areas[0, :, -1] > 0
        return bool(there.any()) and not self.fits.railed[0, self.posed.layout.centre[there, -1]].any()


def try_numbers(
    setup: Setup, spectra: Sequence[Aligned], component: str, should_stop: Stop, progress: Progress
) -> list[Trial]:
    """The best fits of fewer peaks of a component, of as many as the recipe has, and of more. Raises UnusableInput."""
    setup = with_windows(setup, *setup.window_mev, setup.recipe.background_order + MORE_ORDERS)
    peaks, shift_peak = setup.recipe.peaks, setup.recipe.shift_peak
    counted = [peak for peak in peaks if peak.component == component]
    if not counted:
        raise UnusableInput(f"The recipe {setup.recipe.name} has no {component} peaks; there are none to count.")
    spare = [peak for peak in counted if peak.name != shift_peak] if len(counted) > 1 else []
    progress(0, len(spare) + 2, TELLING)
    usual = _fitted(setup, spectra, should_stop)
    fewer = []
    for done, left in enumerate(spare, start=1):
        progress(done, len(spare) + 2, TELLING)
        fewer.append(_fitted(of_peaks(setup, [peak for peak in peaks if peak is not left]), spectra, should_stop))
    progress(len(spare) + 1, len(spare) + 2, TELLING)
    more = _with_one_more(usual, spectra, counted, should_stop)
    progress(len(spare) + 2, len(spare) + 2, TELLING)
    best = sorted(fewer, key=lambda trial: (np.isnan(trial.cost), trial.cost))[:1]
    return [*best, usual, more]


def _fitted(setup: Setup, spectra: Sequence[Aligned], should_stop: Stop) -> Trial:
    posed = pose(setup, spectra, should_stop)
    return Trial(setup, posed, fit(posed.layout, posed.data, posed.starts, should_stop))


def _with_one_more(usual: Trial, spectra: Sequence[Aligned], like: Sequence[Peak], should_stop: Stop) -> Trial:
    """The best fit with one line more, which is looked for all over the window."""
    inside = _inside(usual.setup)
    places = _places(usual, *inside)
    added = _added(like, inside, places[0])
    setup = of_peaks(usual.setup, [*usual.setup.recipe.peaks, added])
    posed = pose(setup, spectra, should_stop)
    layout, before = posed.layout, usual.posed.layout
    start = posed.starts[0].copy()
    for table, known in ((layout.centre, before.centre), (layout.sigma, before.sigma), (layout.gamma, before.gamma)):
        start[table[:, :-1]] = usual.fits.theta[0, known]
    used = before.offset >= 0
    start[layout.offset[:-1][used]] = usual.fits.theta[0, before.offset[used]]
    starts = np.tile(start, (len(places), 1))
    starts[:, layout.centre[:, -1]] = np.array(places)[:, None]
    fits = fit(layout, posed.data, np.concatenate([posed.starts, starts]), should_stop)
    return Trial(setup, posed, fits)


def _inside(setup: Setup) -> Interval:
    """Where a line may lie that has both flanks in the window; else it cannot be told from the background."""
    low, high = setup.window_mev
    margin = min(setup.response.fwhm_mev if setup.response is not None else 0.0, 0.25 * (high - low))
    return low + margin, high - margin


def _places(usual: Trial, low_mev: float, high_mev: float) -> list[float]:
    """Where one more line may be: where the smoothed residual is highest, and between the lines that there are."""
    found, data = usual.decomposition, usual.posed.data
    energy = found.energy_mev[0]
    residual = np.where(np.isfinite(data.sigma[0]), np.nan_to_num(found.residual) / data.sigma[0], 0.0).sum(axis=0)
    smoothed = gaussian_filter1d(residual, SMOOTHED_MEV / (energy[1] - energy[0]))
    inside = (energy >= low_mev) & (energy <= high_mev)
    centres = usual.posed.layout.line_parameters(usual.fits.theta)[0][0].mean(axis=0)
    edges = np.array([low_mev, *sorted(np.clip(centres, low_mev, high_mev)), high_mev])
    return [float(energy[inside][np.argmax(smoothed[inside])]), *(0.5 * (edges[1:] + edges[:-1])).tolist()]


def _added(like: Sequence[Peak], inside_mev: Interval, start_mev: float) -> Peak:
    """A line anywhere inside, of any width that one of the others may have."""
    sigmas, gammas = [peak.wide.sigma_mev for peak in like], [peak.wide.gamma_mev for peak in like]
    wide = LineShape(Bound(start_mev, *inside_mev), _widest(sigmas), _widest(gammas))
    return replace(like[0], name=ADDED, wide=wide, test_presence=False, assignment="")


def _widest(bounds: Sequence[Bound]) -> Bound:
    return Bound(bounds[0].initial, min(b.lower for b in bounds), max(b.upper for b in bounds))


def of_peaks(setup: Setup, peaks: Sequence[Peak]) -> Setup:
    """With other peaks, and the shift peak only if it is one of them."""
    names = {peak.name for peak in peaks}
    kept = setup.recipe.shift_peak if setup.recipe.shift_peak in names else None
    return replace(setup, recipe=replace(setup.recipe, peaks=tuple(peaks), shift_peak=kept))
