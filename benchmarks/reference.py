"""The best optimum known of spectra of the published model: scipy from many starts, to tight tolerances."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from multiprocessing import get_context

import numpy as np
from scipy.optimize import brentq, least_squares, nnls

from .published_model import AREAS, GAMMAS, LDO_CENTRE, PHONON_COUNT, SIGMAS, jacobian, limits, model, unit_lines
from .published_spectra import PublishedSpectra

RANDOM_STARTS = 12
LDO_STARTS_MEV = (49.3, 50.0, 50.7, 51.4)
COARSE, TIGHT = 1e-6, 1e-13
INSIDE = 0.05  # starts keep this far from limits, in parts of the range: trf is slow to leave them
POLISHED = 4  # so many of the best are followed to tight tolerances
NONLINEAR = slice(AREAS.stop, None)

# Full width at half maximum of a Voigt line after Olivero and Longbothum (1977).
LORENTZ, LORENTZ_SQUARED, GAUSS_SQUARED = 1.0692, 0.8664, 8.0 * np.log(2.0)


@dataclass(frozen=True, eq=False)
class Reference:
    """chi2 and LDO centre of the best optima, (n,) each."""

    chi2: np.ndarray
    ldo_mev: np.ndarray


@dataclass(frozen=True)
class Piece:
    """A part of what the limits allow, as a box in which the model is smooth.

    Without limits on the FWHM there is one. With a least FWHM, the least sigma of a line has a kink where it takes over
    from the limit on sigma: below that gamma (`narrow`, for each phonon), sigma is given by its place, 0 to 1, between
    the sigma of the least FWHM and the largest. A largest FWHM of 20 meV lies beyond the limits on sigma and gamma.
    """

    least_fwhm_mev: float | None = None
    narrow: tuple[bool, ...] = (False,) * PHONON_COUNT

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        lower, upper = limits()
        if self.least_fwhm_mev is not None:
            narrow, kink = np.array(self.narrow), _kinks(self.least_fwhm_mev)
            lower[GAMMAS], upper[GAMMAS] = (
                np.where(narrow, lower[GAMMAS], kink),
                np.where(narrow, kink, upper[GAMMAS]),
            )
            lower[SIGMAS], upper[SIGMAS] = np.where(narrow, 0.0, lower[SIGMAS]), np.where(narrow, 1.0, upper[SIGMAS])
        return lower, upper

    def parameters(self, place: np.ndarray) -> np.ndarray:
        """The parameters (19,) at a place in the box."""
        least, _, range_ = self._sigmas(place)
        result = place.copy()
        result[SIGMAS] = np.where(self.narrow, least + place[SIGMAS] * range_, place[SIGMAS])
        return result

    def place(self, parameters: np.ndarray) -> np.ndarray:
        """The place in the box of parameters (19,), or one near by; not at its limits."""
        lower, upper = self.limits()
        clipped = parameters.copy()
        clipped[GAMMAS] = np.clip(parameters[GAMMAS], lower[GAMMAS], upper[GAMMAS])
        least, _, range_ = self._sigmas(clipped)
        clipped[SIGMAS] = np.where(self.narrow, (parameters[SIGMAS] - least) / range_, parameters[SIGMAS])
        margin = np.where(np.isfinite(upper), INSIDE * (upper - lower), 0.0)
        return np.clip(clipped, lower + margin, upper - margin)

    def jacobian(self, energy_mev: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Derivatives of the model by the place, (m, 19)."""
        _, slope, range_ = self._sigmas(place)
        result = jacobian(energy_mev, self.parameters(place))
        by_sigma = result[:, SIGMAS].copy()
        result[:, SIGMAS] = by_sigma * np.where(self.narrow, range_, 1.0)
        result[:, GAMMAS] += by_sigma * np.where(self.narrow, (1 - place[SIGMAS]) * slope, 0.0)
        return result

    def _sigmas(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sigma of the least FWHM, its derivative by gamma, and how far the largest is from it; (4,) each."""
        if not any(self.narrow) or self.least_fwhm_mev is None:
            return np.zeros(PHONON_COUNT), np.zeros(PHONON_COUNT), np.ones(PHONON_COUNT)
        gamma = np.minimum(place[GAMMAS], _kinks(self.least_fwhm_mev))
        rest = self.least_fwhm_mev - LORENTZ * gamma
        least = np.sqrt((rest**2 - LORENTZ_SQUARED * gamma**2) / GAUSS_SQUARED)
        slope = -(LORENTZ * rest + LORENTZ_SQUARED * gamma) / (GAUSS_SQUARED * least)
        range_ = limits()[1][SIGMAS] - least
        return least, slope, range_


@cache
def _kinks(least_fwhm_mev: float) -> np.ndarray:
    """The gamma at which a line of least sigma has the least FWHM, (4,)."""

    def excess(gamma: float, sigma: float) -> float:
        return LORENTZ * gamma + np.sqrt(LORENTZ_SQUARED * gamma**2 + GAUSS_SQUARED * sigma**2) - least_fwhm_mev

    return np.array([brentq(excess, 0.0, least_fwhm_mev, args=(sigma,)) for sigma in limits()[0][SIGMAS]])


def pieces(least_fwhm_mev: float | None) -> list[Piece]:
    """All pieces of what the limits allow."""
    if least_fwhm_mev is None:
        return [Piece()]
    return [Piece(least_fwhm_mev, narrow) for narrow in product((False, True), repeat=PHONON_COUNT)]


def references(spectra: PublishedSpectra, start: np.ndarray, least_fwhm_mev: float | None = None) -> Reference:
    """The best optima, with `start` (19,) among the starts; on all cores."""
    fit = partial(best_optimum, spectra.energy_mev, start, least_fwhm_mev)
    # Not forked: threads may be running here.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        found = pool.map(fit, spectra.counts, spectra.sigma, range(len(spectra)), chunksize=4)
        return Reference(*np.array(list(found)).T)


def best_optimum(
    energy_mev: np.ndarray,
    start: np.ndarray,
    least_fwhm_mev: float | None,
    counts: np.ndarray,
    sigma: np.ndarray,
    seed: int,
) -> tuple[float, float]:
    """chi2 and LDO centre of the best optimum of one spectrum."""

    def solve(piece: Piece, place: np.ndarray, tolerance: float):
        return least_squares(
            lambda q: (model(energy_mev, piece.parameters(q)) - counts) / sigma,
            place,
            lambda q: piece.jacobian(energy_mev, q) / sigma[:, None],
            bounds=piece.limits(),
            x_scale="jac",
            ftol=tolerance,
            xtol=tolerance,
            gtol=tolerance,
        )

    parts = pieces(least_fwhm_mev)
    random = np.random.default_rng(seed)
    places = [(piece, piece.place(start)) for piece in parts]
    places += [(parts[0], other) for other in _at_other_centres(parts[0].place(start))]
    chosen = random.integers(len(parts), size=RANDOM_STARTS)
    places += [(parts[i], _random_place(energy_mev, counts, sigma, parts[i], random)) for i in chosen]
    coarse = sorted(((solve(*place, COARSE), place[0]) for place in places), key=lambda found: found[0].cost)
    best = min((solve(piece, found.x, TIGHT) for found, piece in coarse[:POLISHED]), key=lambda found: found.cost)
    return 2 * best.cost, best.x[LDO_CENTRE]


def _at_other_centres(place: np.ndarray) -> Iterable[np.ndarray]:
    for centre in LDO_STARTS_MEV:
        other = place.copy()
        other[LDO_CENTRE] = centre
        yield other


def _random_place(
    energy_mev: np.ndarray, counts: np.ndarray, sigma: np.ndarray, piece: Piece, random: np.random.Generator
) -> np.ndarray:
    """Anywhere in the box, with the areas that suit it."""
    lower, upper = piece.limits()
    place = np.ones_like(lower)
    place[NONLINEAR] = random.uniform(lower[NONLINEAR], upper[NONLINEAR])
    lines = unit_lines(energy_mev, piece.parameters(place)) / sigma
    place[AREAS] = np.maximum(nnls(lines.T, counts / sigma)[0], 1.0)
    return place
