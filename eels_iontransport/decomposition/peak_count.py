"""How many peaks are there? Fits with one fewer and with one more than the recipe has, and what three criteria say.

The number that is chosen is by the published rule: the smallest whose reduced chi-squared is within TOLERANCE of the
best. It depends on the dose: five per cent of the chi-squared of six hundred channels is thirty, so that a line of five
sigma may go, and what faint spectra need is less than what is there. AICc and BIC stand beside it: chi-squared + 2 k
(1 + (k + 1) / (n - k - 1)) and chi-squared + k ln n for k parameters and n channels (K. P. Burnham and D. R. Anderson,
Model Selection and Multimodel Inference, 2002, sections 2.4, 2.5 and 6.4). For these, chi-squared is divided by the
misfit of the largest model, so that noise that is larger or smaller than it is said to be changes nothing.

The shifts are those of the recipe's own background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.flags import Flag
from ..data.noise import NoiseModel
from ..materials.recipe import PHONONIC, POLARITONIC, Recipe
from ..measure.alignment import Aligned
from ..progress import Progress, silent
from ..quantity import quantity
from .engine import Stop, never
from .fitting import Setup, fit_aloof, fit_together
from .peak_trials import Trial, of_peaks, try_numbers

TOLERANCE = 0.05


@dataclass(frozen=True)
class Candidate:
    """A number of peaks with the best fit of so many.

    names: of the peaks of the kind that is counted. chi2: of all channels, with what is known beforehand; reduced_chi2:
    allowing for correlated channels, so larger than chi2 over channels less parameters where there are such.
    parameters: all that are fitted, areas and background with them. shift_mev, shift_sigma_mev: nan where there is
    none. added_mev: where the line lies that the recipe has not, the mean of all spectra. is_line: not where that is at
    the edge of what is searched, or has no area: it mends the background then, and is no candidate for a peak.
    """

    names: tuple[str, ...]
    chi2: float
    reduced_chi2: float
    parameters: int
    aicc: float
    bic: float
    added_mev: float = np.nan
    shift_mev: float = np.nan
    shift_sigma_mev: float = np.nan
    is_line: bool = True

    @property
    def count(self) -> int:
        return len(self.names)

    def to_dict(self) -> dict[str, Any]:
        numbers = {name: getattr(self, name) for name in ("chi2", "reduced_chi2", "aicc", "bic", "added_mev")}
        known = {name: float(number) if np.isfinite(number) else None for name, number in numbers.items()}
        shift = quantity(self.shift_mev, self.shift_sigma_mev, "meV")
        return {
            "count": self.count,
            "names": list(self.names),
            "parameters": self.parameters,
            "is_line": self.is_line,
            **known,
            "shift_mev": shift,
        }


@dataclass(frozen=True)
class PeakCount:
    """How many peaks of a component, POLARITONIC or PHONONIC.

    recipe: how many it has. candidates: from few to many.
    """

    component: str
    recipe: int
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> int | None:
        """The smallest number whose reduced chi-squared is within TOLERANCE of the best; None if no fit succeeded."""
        best = min((c.reduced_chi2 for c in self._lines), default=np.nan)
        return next((c.count for c in self._lines if c.reduced_chi2 <= (1 + TOLERANCE) * best), None)

    @property
    def by_aicc(self) -> int | None:
        return min(((c.aicc, c.count) for c in self._lines if np.isfinite(c.aicc)), default=(np.nan, None))[1]

    @property
    def by_bic(self) -> int | None:
        return min(((c.bic, c.count) for c in self._lines if np.isfinite(c.bic)), default=(np.nan, None))[1]

    @property
    def _lines(self) -> list[Candidate]:
        return [c for c in self.candidates if c.is_line and np.isfinite(c.reduced_chi2)]

    @property
    def flags(self) -> tuple[Flag, ...]:
        chosen = self.chosen
        found = {c.count: c for c in self._lines}
        if chosen is None or chosen == self.recipe or self.recipe not in found:
            return ()
        gone, kept = found[self.recipe], found[chosen]
        where = "aloof spectrum" if self.component == POLARITONIC else "regions"
        criteria = f"AICc chooses {self.by_aicc}, BIC {self.by_bic}"
        if chosen < self.recipe:
            without = ", ".join(name for name in gone.names if name not in kept.names)
            what = f"{chosen} {self.component} peaks describe the {where} about as well as the recipe's {self.recipe}"
            what = f"{what}, without {without} ({criteria})"
        else:
            change = f"from {gone.reduced_chi2:.2f} to {kept.reduced_chi2:.2f}"
            what = (
                f"One more than the recipe's {self.recipe} {self.component} peaks, at {kept.added_mev:.0f} meV, takes"
            )
            what = f"{what} the reduced chi-squared of the {where} {change} ({criteria})"
        message = f"{what}: see what the shift is with {chosen}, and change the recipe if you believe that number."
        return (Flag("PEAK_COUNT", message),)

    def to_dict(self) -> dict[str, Any]:
        """As a readout holds it."""
        counts = {"recipe": self.recipe, "chosen": self.chosen, "by_aicc": self.by_aicc, "by_bic": self.by_bic}
        return {"component": self.component, **counts, "candidates": [c.to_dict() for c in self.candidates]}


def count_phononic_peaks(
    setup: Setup,
    spectra: Sequence[Aligned],
    weights: np.ndarray | None = None,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> PeakCount:
    """How many phononic peaks the spectra that are fitted together show.

    The background is inside the fit, whatever the mode of the setup. One fewer: the best of the fits without one of the
    recipe's, the shift peak always kept. One more: a line anywhere in the fit window, but for its edges. weights: (n,)
    of the centres of the shift peak, for the shift with each number. Raises UnusableInput, and Cancelled when
    should_stop says so.
    """
    setup = replace(setup, mode="shared")
    trials = try_numbers(setup, spectra, PHONONIC, should_stop, progress)
    shifts = [(np.nan, np.nan)] * len(trials)
    if weights is not None:
        shifts = [_shift(replace(setup, recipe=_recipe(setup, t)), spectra, weights, should_stop) for t in trials]
    return PeakCount(PHONONIC, len(setup.recipe.phononic_peaks), _candidates(PHONONIC, trials, shifts))


def count_aloof_peaks(
    setup: Setup,
    aloof: Aligned,
    aloof_noise: NoiseModel,
    spectra: Sequence[Aligned] = (),
    weights: np.ndarray | None = None,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> PeakCount:
    """How many polaritonic peaks the aloof spectrum shows.

    As `count_phononic_peaks`; the shift with each number is that of spectra fitted together with the shapes of so many.
    """
    alone = replace(of_peaks(setup, setup.recipe.aloof_peaks), mode="wide", noise=aloof_noise, polaritons=None)
    trials = try_numbers(alone, [aloof], POLARITONIC, should_stop, progress)
    shifts = [(np.nan, np.nan)] * len(trials)
    if len(spectra) and weights is not None:
        for i, trial in enumerate(trials):
            there = replace(setup, mode="shared", recipe=_recipe(setup, trial))
            shapes = fit_aloof(replace(there, noise=aloof_noise, polaritons=None), aloof, should_stop)[1]
            shifts[i] = _shift(replace(there, polaritons=shapes), spectra, weights, should_stop)
    return PeakCount(POLARITONIC, len(setup.recipe.aloof_peaks), _candidates(POLARITONIC, trials, shifts))


def _recipe(setup: Setup, trial: Trial) -> Recipe:
    """The recipe with the peaks of a trial in place of its own of that component, the added one where it was found."""
    peaks = list(trial.setup.recipe.peaks)
    if not np.isnan(trial.added_mev):
        wide = peaks[-1].wide
        at = replace(wide.centre_mev, initial=trial.added_mev)
        peaks[-1] = replace(peaks[-1], wide=replace(wide, centre_mev=at))
    if not any(peak.component == PHONONIC for peak in peaks):
        peaks += setup.recipe.phononic_peaks
    return replace(setup.recipe, peaks=tuple(peaks))


def _shift(setup: Setup, spectra: Sequence[Aligned], weights: np.ndarray, should_stop: Stop) -> tuple[float, float]:
    """The shift of spectra fitted together and its standard deviation, in meV; nan where there is none."""
    peak = setup.recipe.shift_peak
    if peak is None:
        return np.nan, np.nan
    found, used = fit_together(setup, spectra, should_stop), weights != 0
    covariance = found.centre_covariance(peak)[np.ix_(used, used)]
    variance = float(weights[used] @ covariance @ weights[used])
    shift = float(weights[used] @ found.value(peak, "centre_mev")[used])
    return (shift, float(np.sqrt(variance))) if variance > 0 else (np.nan, np.nan)


def _candidates(
    component: str, trials: Sequence[Trial], shifts: Sequence[tuple[float, float]]
) -> tuple[Candidate, ...]:
    """With AICc and BIC; the misfit is that of the largest model whose fit came to an end."""
    misfit = next((t.reduced_chi2 for t in reversed(trials) if np.isfinite(t.reduced_chi2)), np.nan)
    correlation, n = trials[-1].setup.noise.correlation, trials[-1].channels
    candidates = []
    for trial, (shift, sigma) in zip(trials, shifts):
        names = tuple(peak.name for peak in trial.setup.recipe.peaks if peak.component == component)
        k, scaled = trial.parameters, trial.cost / misfit
        aicc = scaled + 2 * k * (1 + (k + 1) / (n - k - 1)) if n > k + 1 else np.nan
        bic = scaled + k * float(np.log(n))
        chi2s = (trial.cost * correlation, trial.reduced_chi2, k, aicc, bic)
        candidates.append(Candidate(names, *chi2s, trial.added_mev, shift, sigma, trial.is_line))
    return tuple(candidates)
