"""The polaritons' areas tied to the ratios that they have aloof, where the spectra do not speak against it.

Inside the specimen the polaritonic lines may be expected to be as strong relative to each other as outside, to within
a relative width, up to one factor for each region. Nothing makes sure of it: surfaces and impact scattering change the
ratios. So it is first asked whether the areas that were fitted without the tie agree with it. Only then it is put on,
as a measurement of the ratios: the linear Gaussian update of everything that was fitted, as in a Kalman filter.

It takes from the fit the freedom that costs most: to make a weak polariton under the shift peak of any strength. That
freedom is just what spectra say little of, so that the test can be blind to it. How well it would have seen an area
that is twice as large is therefore part of the answer, and what such an area would do to the shift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import helmert
from scipy.stats import chi2, ncx2

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..measure.alignment import Aligned
from ..quantity import quantity
from .fitting import Setup
from .forecast import solve
from .information import Information
from .result import Decomposition

WIDTH = 0.2  # relative standard deviation of a ratio
SEEN = 0.5  # an area of twice the size that is rejected less often than that is not seen
REJECTED = 0.01  # a tie that areas miss by more than noise makes them once in a hundred times is not put on


@dataclass(frozen=True, eq=False)
class Ratios:
    """Which lines are tied, (L,) their numbers and names, their areas aloof, and relative standard deviations of these.

    width: relative standard deviation that is allowed to each area in the specimen.
    """

    lines: np.ndarray
    names: tuple[str, ...]
    areas: np.ndarray
    relative_sigma: np.ndarray
    width: float = WIDTH


@dataclass(frozen=True, eq=False)
class AreaTie:
    """A weighted sum of centres with the tie where it was `applied`, without it elsewhere; nan where there is none.

    p_value: how often noise and the width make areas miss the ratios by more than these do, of `ties` of them.
    power, moved_mev: (n, L), with what probability an area of twice the size would have been rejected, and by how much
    the tie moves the sum of centres if it is not. areas: (n, L) of the tied lines.
    """

    shift_mev: float
    sigma_mev: float
    p_value: float
    ties: int
    applied: bool
    power: np.ndarray
    moved_mev: np.ndarray
    areas: np.ndarray
    flags: tuple[Flag, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For the readout, ready for JSON."""
        shift = quantity(self.shift_mev, self.sigma_mev, "meV")
        return {"shift_mev": shift, "p_value": self.p_value, "applied": self.applied}


def tie_areas(
    setup: Setup,
    groups: Mapping[str, Aligned],
    together: Decomposition,
    aloof: Decomposition,
    peak: str,
    weights: np.ndarray,
    width: float = WIDTH,
) -> AreaTie:
    """The sum of a peak's centres with weights (n,), in groups of rows fitted together, with the areas tied.

    together, aloof: what was found in the groups, and in the aloof spectrum. Raises UnusableInput for spectra that
    were fitted one by one, and where the aloof spectrum shows fewer than two polaritons.
    """
    if setup.mode != "shared":
        raise UnusableInput(f"In mode '{setup.mode}' spectra are fitted one by one; tie areas in mode 'shared'.")
    found = solve(setup, tuple(groups.values()), together)
    names = [p.name for p in setup.recipe.peaks]
    ratios = _ratios(names, aloof, width)
    result = tied(found.informations[0], float(found.stretch[0]), ratios, names.index(peak), weights)
    return replace(result, flags=_flags(result, ratios.names, tuple(groups)))


def tied(one: Information, stretch: float, ratios: Ratios, line: int, weights: np.ndarray) -> AreaTie:
    """The weighted sum of a line's centres, weights (n,), with the areas of other lines tied.

    stretch: by which the variances of the fit are multiplied for its misfit.
    """
    at = np.array([one.area(k) for k in ratios.lines]).T  # (n, L)
    change, covariance = _with_any_areas(one, at)
    covariance = stretch * covariance
    values = one.values + change
    contrasts = _contrasts(one, at, ratios)
    multiples = values[at] / ratios.areas
    factor, spread = _spread(multiples, covariance, at, ratios)
    missed, mixed = contrasts @ values, covariance @ contrasts.T
    total = contrasts @ mixed
    inverse = np.linalg.inv(total + spread)
    p_value = float(chi2.sf(missed @ inverse @ missed, missed.size))
    vector = one.of_centres(line, weights)
    power, answers = np.empty(at.shape), np.empty((*at.shape, missed.size))
    for b, k in np.ndindex(at.shape):
        more = multiples.copy()
        more[b, k] += factor[b]  # and with it the factor that the areas seem to have in common
        off = contrasts[:, at[b, k]] * factor[b] * ratios.areas[k]
        answers[b, k] = np.linalg.solve(total + _spread(more, covariance, at, ratios)[1], off)
        power[b, k] = ncx2.sf(chi2.isf(REJECTED, missed.size), missed.size, off @ answers[b, k])
    if vector is None:
        return AreaTie(np.nan, np.nan, p_value, missed.size, False, power, power * np.nan, one.values[at])
    moved = -answers @ (mixed.T @ vector)
    if p_value < REJECTED:
        shift, sigma = float(vector @ one.values), float(np.sqrt(stretch) * one.sigma(vector))
        return AreaTie(shift, sigma, p_value, missed.size, False, power, moved, one.values[at])
    gain = mixed @ inverse
    updated = values - gain @ missed
    sigma = float(np.sqrt(vector @ (covariance - gain @ mixed.T) @ vector))
    return AreaTie(float(vector @ updated), sigma, p_value, missed.size, True, power, moved, updated[at])


def _ratios(names: Sequence[str], aloof: Decomposition, width: float) -> Ratios:
    """Of the lines that the aloof spectrum shows. Raises UnusableInput where they are fewer than two."""
    areas, sigmas = aloof.values["area"][0], aloof.sigmas["area"][0]
    shown = np.isfinite(areas) & np.isfinite(sigmas) & (areas > 0)
    if shown.sum() < 2:
        raise UnusableInput("The aloof spectrum shows fewer than two polaritons, so that there are no ratios to keep.")
    tied_names = tuple(p.name for p, known in zip(aloof.peaks, shown) if known)
    lines = np.array([names.index(name) for name in tied_names])
    return Ratios(lines, tied_names, areas[shown], (sigmas / areas)[shown], width)


def _with_any_areas(one: Information, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the parameters would be (a change) if the tied areas could be negative, and their covariance.

    Those are normally distributed then, as the update wants them. Others that are at zero stay there.
    """
    others = one.at_zero.copy()
    others[at.ravel()] = False
    return one.unbounded(np.where(others, one.cut_off, 0.0), ~others)


def _contrasts(one: Information, at: np.ndarray, ratios: Ratios) -> np.ndarray:
    """What is zero where all areas of a region are the same multiple of those aloof, as vectors (n (L - 1), P)."""
    spectra, lines = at.shape
    result = np.zeros((spectra, lines - 1, one.values.size))
    for b in range(spectra):
        result[b, :, at[b]] = (helmert(lines) / ratios.areas).T
    return result.reshape(-1, one.values.size)


def _spread(
    multiples: np.ndarray, covariance: np.ndarray, at: np.ndarray, ratios: Ratios
) -> tuple[np.ndarray, np.ndarray]:
    """The factor of each region, (n,), and what the tie's width and the aloof areas' errors make of the contrasts.

    multiples (n, L): areas over those aloof. The covariance of the contrasts holds a width of its own for each region,
    and the same errors for all.
    """
    spectra, lines = at.shape
    variance = np.diag(covariance)[at] / ratios.areas**2
    weight = 1.0 / (variance + (ratios.width * multiples.max(axis=1, keepdims=True)) ** 2)
    factor = np.maximum((weight * multiples).sum(axis=1) / weight.sum(axis=1), 0.0)
    uncertain = 1.0 / weight.sum(axis=1)  # a region with hardly any polaritons has hardly known a factor
    basis = helmert(lines)
    own = ratios.width**2 * np.diag(factor**2 + uncertain)
    common = basis @ np.diag(ratios.relative_sigma**2) @ basis.T
    return factor, np.kron(own, np.eye(lines - 1)) + np.kron(np.outer(factor, factor), common)


def _flags(tie: AreaTie, lines: Sequence[str], groups: Sequence[str]) -> tuple[Flag, ...]:
    if tie.p_value < REJECTED:
        message = (
            "The polaritons' areas in the specimen do not keep the ratios of the aloof spectrum "
            f"(p = {tie.p_value:.2g}), so they were not tied to them."
        )
        return (Flag("AREA_TIE_REJECTED", message),)
    unseen = np.where(tie.power < SEEN, np.abs(tie.moved_mev), 0.0)
    if not tie.applied or not (unseen > tie.sigma_mev).any():
        return ()
    group, line = divmod(int(np.argmax(unseen)), len(lines))
    message = (
        f"The tie of the polaritons' areas is an assumption: the spectra would not show {lines[line]} to be twice as "
        f"strong in the {groups[group].replace('_', ' ')}, which would move the shift by "
        f"{tie.moved_mev[group, line]:+.2f} meV."
    )
    return (Flag("AREA_TIE_UNTESTED", message),)
