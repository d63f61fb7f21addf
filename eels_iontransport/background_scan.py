"""Other windows and backgrounds: which of them the data prefer, and by how much the centres hang on the choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .decomposition.engine import Stop, never
from .decomposition.engine import fit as fit_again
from .decomposition.fitting import Setup, pose
from .decomposition.information import information
from .decomposition.result import Decomposition
from .quantity import number_or_none
from .shift import shift_peak
from .specification import Specification, background_name, other_backgrounds, other_windows
from .specification_curve import Sums, fits_from

# Differences of BIC above 10 are very strong evidence (Kass and Raftery, J. Am. Stat. Assoc. 90 (1995) 773).
VERY_STRONG = 10.0


@dataclass(frozen=True, eq=False)
class Alternative:
    """A window or background in place of the main one.

    centres_mev: (n,) of the shift peak, nan where it is not determined. chi2: reduced, of all spectra together.
    bic: less that of the main one, nan for another window, which holds other data. variance_ratio: of the shift, over
    that of the main one. plausible: whether the data allow it.
    """

    specification: Specification
    centres_mev: np.ndarray
    chi2: float = np.nan
    bic: float = np.nan
    variance_ratio: float = np.nan
    plausible: bool = False


@dataclass(frozen=True, eq=False)
class BackgroundScan:
    """The main specification with its centres (n,), and the alternatives to it."""

    main: Specification
    centres_mev: np.ndarray
    chi2: float
    alternatives: tuple[Alternative, ...]

    def sigma(self, weights: np.ndarray, statistical: np.ndarray) -> np.ndarray:
        """Standard deviation (w,) that the choice makes in sums of the centres with weights (w, n).

        That of the plausible choices, less what counting noise makes of it: of two estimates of which one is efficient
        the difference has the difference of their variances (Hausman, Econometrica 46 (1978) 1251); the choices share
        about half of that. statistical: (w,) standard deviations of the main one.
        """
        known = [a for a in self.alternatives if a.plausible and np.isfinite(a.centres_mev).all()]
        if not known:
            return np.zeros(len(weights))
        centres = np.array([self.centres_mev, *(a.centres_mev for a in known)])
        noise = 0.5 * np.mean([abs(a.variance_ratio - 1.0) for a in known]) * statistical**2
        return np.sqrt(np.maximum((centres @ weights.T).var(axis=0, ddof=1) - np.nan_to_num(noise), 0.0))

    def to_dict(self, weights: np.ndarray) -> list[dict[str, Any]]:
        """All choices, the main one first, with their sum of the centres by weights (n,): for JSON."""
        main = Alternative(self.main, self.centres_mev, self.chi2, 0.0, 1.0, True)
        return [_entry(choice, weights, choice is main) for choice in (main, *self.alternatives)]


def prefer_background(
    sums: Sums, main: Specification, together: Decomposition, should_stop: Stop = never
) -> int | None:
    """Order of the background that the data prefer, None for the vacuum tail; the main one unless very strongly.

    By BIC, over the same window. Raises Cancelled when should_stop says so.
    """
    others = other_backgrounds(sums.recipe, main, sums.tail is not None)
    fits = [fit for _, fit in fits_from(sums, others, together, should_stop)]
    peak, found = shift_peak(sums.recipe), {main.background_order: _criterion(main, together) - VERY_STRONG}
    for specification, fit in zip(others, fits):
        if isinstance(fit, Decomposition) and np.isfinite(_centres(fit, peak)).all():
            found[specification.background_order] = _criterion(specification, fit)
    return min(found, key=lambda order: found[order])


def scan_backgrounds(
    sums: Sums, main: Specification, together: Decomposition, weights: np.ndarray, should_stop: Stop = never
) -> BackgroundScan:
    """Fit the regions with other windows and backgrounds, one at a time, from the main optimum.

    weights: (n,) of the centres whose variance is compared. Raises Cancelled when should_stop says so.
    """
    peak = shift_peak(sums.recipe)
    specifications = [*other_windows(main), *other_backgrounds(sums.recipe, main, sums.tail is not None)]
    centres = together.value(peak, "centre_mev")
    (setup, refitted), *fits = fits_from(sums, [main, *specifications], together, should_stop)
    variance = _variance(setup, refitted, sums, peak, weights)
    criterion = _criterion(main, together)
    found = []
    for specification, (setup, fit) in zip(specifications, fits):
        if not isinstance(fit, Decomposition):
            found.append(Alternative(specification, np.full(centres.size, np.nan)))
            continue
        own = _centres(fit, peak)
        bic = _criterion(specification, fit) - criterion if specification.window_mev == main.window_mev else np.nan
        plausible = bool(fit.described.all() and not bic > VERY_STRONG)
        ratio = np.nan
        if plausible and np.isfinite(own).all():
            ratio = _variance(setup, fit, sums, peak, weights) / variance
            plausible = bool(np.isfinite(ratio))
        found.append(Alternative(specification, own, _reduced(fit), bic, ratio, plausible))
    return BackgroundScan(main, centres, _reduced(together), tuple(found))


def main_specification(sums: Sums, mode: str, order: int | None, response: str | None) -> Specification:
    """What is fitted by default, or with a background of another order (None: the vacuum tail)."""
    recipe = sums.recipe
    low, high = recipe.wide_window_mev
    if sums.windows_mev is not None:
        low, high = sums.windows_mev[0][0], sums.windows_mev[1][1]
    return Specification(mode, "", (low, high), order, response, True if sums.aloof is not None else None)


def _variance(setup: Setup | None, fit: object, sums: Sums, peak: str, weights: np.ndarray) -> float:
    """Variance of a sum of the centres that is to be expected, limits considered; nan with a centre at its limit."""
    if setup is None or not isinstance(fit, Decomposition):
        return np.nan
    posed = pose(setup, list(sums.groups.values()), start=fit)
    told = information(posed.layout, posed.data, fit_again(posed.layout, posed.data, posed.starts))
    row = told.of_centres(fit.index(peak), weights)
    return np.nan if row is None else float(row @ told.expected_covariance @ row)


def _centres(fit: Decomposition, peak: str) -> np.ndarray:
    return np.where(fit.railed["centre_mev"][:, fit.index(peak)], np.nan, fit.value(peak, "centre_mev"))


def _reduced(fit: Decomposition) -> float:
    return float(np.mean(fit.chi2))


def _criterion(specification: Specification, fit: Decomposition) -> float:
    """BIC up to what all backgrounds have in common, with chi-squared as the noise model scales it."""
    channels = fit.counts.shape[-1] - fit.masked
    functions = 2 if specification.background_order is None else specification.background_order + 1
    chi2 = float(fit.chi2 @ (channels - functions - 2 * len(fit.peaks)))
    return chi2 + len(channels) * functions * float(np.log(channels.sum()))


def _entry(choice: Alternative, weights: np.ndarray, is_main: bool) -> dict[str, Any]:
    specification = choice.specification
    return {
        "background": background_name(specification),
        "background_order": specification.background_order,
        "window_mev": list(specification.window_mev),
        "shift_mev": number_or_none(float(weights @ choice.centres_mev)),
        "chi2": number_or_none(choice.chi2),
        "bic_difference": number_or_none(choice.bic),
        "plausible": choice.plausible,
        "main": is_main,
    }
