"""What a decomposition found: lines, their parameters and uncertainties, and how well it describes the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..data.flags import Flag
from ..materials.recipe import PHONONIC, POLARITONIC, Peak
from ..measure.lineshapes import voigt_fwhm, voigt_fwhm_slopes
from .engine import Fit
from .problem import Problem

QUANTITIES = ("centre_mev", "sigma_mev", "gamma_mev", "fwhm_mev", "area")
MISFIT = 1.5  # a reduced chi-squared above this: the model does not describe the data


@dataclass(frozen=True, eq=False)
class Decomposition:
    """n spectra taken apart into k peaks over m channels; nan where a spectrum could not be fitted.

    energy_mev, counts, background: (n, m); lines: (n, k, m), in counts. values, sigmas: quantity -> (n, k), lines in
    meV, areas in counts meV; railed: quantity -> (n, k) bool. chi2: (n,) reduced chi-squared of each spectrum.
    significance: (n, k), area over its standard deviation with all shapes held. centre_covariance: (k, n, n) in meV^2
    for spectra fitted together.
    """

    peaks: tuple[Peak, ...]
    energy_mev: np.ndarray
    counts: np.ndarray
    background: np.ndarray
    lines: np.ndarray
    values: Mapping[str, np.ndarray]
    sigmas: Mapping[str, np.ndarray]
    railed: Mapping[str, np.ndarray]
    significance: np.ndarray
    centre_covariance: np.ndarray
    chi2: np.ndarray
    flags: tuple[Flag, ...] = field(default=())

    def index(self, peak: str) -> int:
        return [p.name for p in self.peaks].index(peak)

    def value(self, peak: str, quantity: str) -> np.ndarray:
        """A quantity of a peak in every spectrum, (n,)."""
        return self.values[quantity][:, self.index(peak)]

    def sigma(self, peak: str, quantity: str) -> np.ndarray:
        """Its standard deviation, (n,); nan where the parameter is held or railed."""
        return self.sigmas[quantity][:, self.index(peak)]

    @property
    def polaritonic(self) -> np.ndarray:
        """Sum of the lines that the aloof spectrum shows, (n, m)."""
        return self._component(POLARITONIC)

    @property
    def phononic(self) -> np.ndarray:
        """Sum of the lines that it does not show, (n, m)."""
        return self._component(PHONONIC)

    @property
    def model(self) -> np.ndarray:
        return self.background + self.lines.sum(axis=1)

    @property
    def residual(self) -> np.ndarray:
        return self.counts - self.model

    @property
    def described(self) -> np.ndarray:
        """True for the spectra that the model describes, (n,)."""
        return np.isfinite(self.chi2) & (self.chi2 <= MISFIT)

    def _component(self, component: str) -> np.ndarray:
        chosen = [peak.component == component for peak in self.peaks]
        return self.lines[:, chosen].sum(axis=1)


def from_fit(
    peaks: tuple[Peak, ...], problem: Problem, fit: Fit, subtracted: np.ndarray, correlation: float
) -> Decomposition:
    """The result of a fit. subtracted (n, m): background that was taken off beforehand.

    The uncertainties grow with the misfit: they are multiplied by the root of reduced chi-squared where it exceeds 1.
    """
    blocks, k = problem.blocks, len(peaks)
    chi2 = np.array([b.chi2 / b.degrees if b.degrees > 0 else np.nan for b in fit.blocks]) * correlation
    stretch = max(1.0, float(np.nan_to_num(fit.reduced_chi2 * correlation, nan=1.0)))
    values = {q: np.full((len(blocks), k), np.nan) for q in QUANTITIES}
    sigmas = {q: np.full((len(blocks), k), np.nan) for q in QUANTITIES}
    railed = {q: np.zeros((len(blocks), k), bool) for q in QUANTITIES}
    for b, block in enumerate(fit.blocks):
        values["centre_mev"][b], values["sigma_mev"][b], values["gamma_mev"][b] = problem.line_parameters(fit.theta, b)
        values["fwhm_mev"][b] = voigt_fwhm(values["sigma_mev"][b], values["gamma_mev"][b])
        values["area"][b], sigmas["area"][b] = block.areas, block.area_sigma * np.sqrt(stretch)
        for line in range(k):
            _line_uncertainty(problem, fit, b, line, stretch, sigmas, railed)
    # A line without area has no place and no width.
    absent = values["area"] <= 0
    for q in QUANTITIES[:-1]:
        values[q][absent] = sigmas[q][absent] = np.nan
    centres = np.array([fit.covariance[np.ix_(problem.centre[:, line], problem.centre[:, line])] for line in range(k)])
    return Decomposition(
        tuple(peaks),
        np.array([b.energy_mev for b in blocks]),
        np.array([b.counts for b in blocks]) + subtracted,
        np.array([b.background for b in fit.blocks]) + subtracted,
        np.array([b.lines for b in fit.blocks]),
        values,
        sigmas,
        railed,
        np.array([b.significance for b in fit.blocks]) / np.sqrt(stretch),
        centres * stretch,
        chi2,
    )


def _line_uncertainty(
    problem: Problem,
    fit: Fit,
    b: int,
    line: int,
    stretch: float,
    sigmas: Mapping[str, np.ndarray],
    railed: Mapping[str, np.ndarray],
) -> None:
    """Fill in the standard deviations of one line of one spectrum, and which of its parameters railed."""
    indices = [problem.centre[b, line], problem.offset[line], problem.sigma[b, line], problem.gamma[b, line]]
    slopes = np.zeros((4, 4))  # of centre, sigma, gamma, FWHM by (centre, offset, sigma or its fraction, gamma)
    slopes[0, :2] = 1.0, float(problem.offset[line] >= 0)
    _, sigma, gamma = (p[line] for p in problem.line_parameters(fit.theta, b))
    if problem.fwhm_limits is None:
        slopes[1, 2] = 1.0
    else:
        slopes[1, 2:] = problem.fwhm_limits.sigma(line, fit.theta[indices[2]], gamma)[1:]
    slopes[2, 3] = 1.0
    by_sigma, by_gamma = voigt_fwhm_slopes(sigma, gamma)
    slopes[3] = by_sigma * slopes[1] + by_gamma * slopes[2]
    covariance = np.nan_to_num(fit.covariance[np.ix_(indices, indices)])
    variance = np.einsum("ij,jk,ik->i", slopes, covariance, slopes) * stretch
    held = ~problem.free[indices] | fit.railed[indices]
    for row, quantity in enumerate(QUANTITIES[:4]):
        involved = slopes[row] != 0
        railed[quantity][b, line] = bool(np.any(fit.railed[indices] & involved))
        known = not railed[quantity][b, line] and not np.all(held[involved])
        sigmas[quantity][b, line] = np.sqrt(variance[row]) if known else np.nan


def stack(parts: Sequence[Decomposition | None], like: Decomposition) -> Decomposition:
    """Spectra fitted one by one (each n = 1) as one result; None becomes nan. `like` gives the shapes."""
    n, (k, m) = len(parts), like.lines.shape[1:]

    def gathered(get, shape, fill):
        rows = [np.full(shape, fill) if part is None else get(part) for part in parts]
        return np.array(rows).reshape((n, *shape))

    def table(name, fill):
        return {q: gathered(lambda p, q=q: getattr(p, name)[q][0], (k,), fill) for q in QUANTITIES}

    variance = gathered(lambda p: p.centre_covariance[:, 0, 0], (k,), np.nan)
    covariance = np.zeros((k, n, n))
    for line in range(k):
        np.fill_diagonal(covariance[line], variance[:, line])
    return Decomposition(
        like.peaks,
        gathered(lambda p: p.energy_mev[0], (m,), np.nan),
        gathered(lambda p: p.counts[0], (m,), np.nan),
        gathered(lambda p: p.background[0], (m,), np.nan),
        gathered(lambda p: p.lines[0], (k, m), np.nan),
        table("values", np.nan),
        table("sigmas", np.nan),
        table("railed", False),
        gathered(lambda p: p.significance[0], (k,), np.nan),
        covariance,
        gathered(lambda p: p.chi2[0], (), np.nan),
    )
