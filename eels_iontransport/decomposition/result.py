"""What a decomposition found: lines, their parameters and uncertainties, and how well it describes the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ..data.flags import Flag
from ..materials.recipe import PHONONIC, POLARITONIC, Peak
from ..measure.lineshapes import voigt_fwhm, voigt_fwhm_slopes
from .engine import Fits, draw
from .problem import Data, Layout

QUANTITIES = ("centre_mev", "sigma_mev", "gamma_mev", "fwhm_mev", "area")
MISFIT = 1.5  # a reduced chi-squared above this: the model does not describe the data


@dataclass(frozen=True, eq=False, kw_only=True)
class PeakTable:
    """Peaks of n spectra: k lines each, without the spectra; nan where a spectrum could not be fitted.

    values, sigmas: quantity -> (n, k), lines in meV, areas in counts meV; railed: quantity -> (n, k) bool.
    significance: (n, k), area over its standard deviation with all shapes held. chi2: (n,) reduced chi-squared of each
    spectrum. masked: (n,) channels left out. optima: (n,) different optima that the starts ended in, 0 where no
    fit came to an end.
    """

    peaks: tuple[Peak, ...]
    values: Mapping[str, np.ndarray]
    sigmas: Mapping[str, np.ndarray]
    railed: Mapping[str, np.ndarray]
    significance: np.ndarray
    chi2: np.ndarray
    masked: np.ndarray
    optima: np.ndarray
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
    def described(self) -> np.ndarray:
        """True for the spectra that the model describes, (n,)."""
        return np.isfinite(self.chi2) & (self.chi2 <= MISFIT)


@dataclass(frozen=True, eq=False, kw_only=True)
class Decomposition(PeakTable):
    """n spectra taken apart into k peaks over m channels: the peaks, and the spectra that they make up.

    energy_mev, counts, background: (n, m); lines: (n, k, m), in counts. together: (k, n, n), covariance of the centres
    in meV^2 of spectra fitted together; None for spectra fitted one by one. offset_mev: of the polaritonic centres from
    the aloof ones, in spectra fitted together, and its standard deviation; nan where there is none.
    """

    energy_mev: np.ndarray
    counts: np.ndarray
    background: np.ndarray
    lines: np.ndarray
    together: np.ndarray | None = None
    offset_mev: tuple[float, float] = (np.nan, np.nan)

    def centre_covariance(self, peak: str) -> np.ndarray:
        """Covariance (n, n) in meV^2 of the centres of a peak; nan where they are held or railed."""
        if self.together is not None:
            return self.together[self.index(peak)]
        variance = self.sigma(peak, "centre_mev") ** 2
        covariance = np.where(np.isfinite(variance[:, None] + variance[None, :]), 0.0, np.nan)
        np.fill_diagonal(covariance, variance)
        return covariance

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

    def _component(self, component: str) -> np.ndarray:
        chosen = [peak.component == component for peak in self.peaks]
        return self.lines[:, chosen].sum(axis=1)

    def row(self, i: int) -> Decomposition:
        """One of the spectra (n = 1), as if it had been fitted alone."""
        return _combined([self], lambda arrays: arrays[0][i : i + 1])


def peak_table(peaks: tuple[Peak, ...], layout: Layout, data: Data, fits: Fits, correlation: float) -> PeakTable:
    """The peaks of the N n spectra of a fit.

    The uncertainties grow with the misfit: they are multiplied by the root of reduced chi-squared where it exceeds 1.
    """
    spectra, k = fits.chi2.size, len(peaks)
    chi2 = np.where(fits.degrees > 0, fits.chi2 / np.where(fits.degrees > 0, fits.degrees, 1.0), np.nan) * correlation
    stretch = misfit_stretch(fits, correlation)[:, None, None]
    centre, sigma, gamma = (p.reshape(spectra, k) for p in layout.line_parameters(fits.theta))
    area = fits.areas.reshape(spectra, k)
    shapes = (centre, sigma, gamma, voigt_fwhm(sigma, gamma))
    # With as many parameters as channels anything fits, and where the search ended nowhere there is nothing to tell.
    fitted = ((fits.degrees > 0) & fits.converged[:, None]).reshape(spectra, 1)
    sigmas, railed, determined = _line_uncertainties(layout, fits, stretch)
    area_sigma = (fits.area_sigma * np.sqrt(stretch)).reshape(spectra, k)
    determined &= fitted & (~(area > 0) | np.isfinite(area_sigma))
    area = np.where(determined, area, np.nan)
    absent = ~(area > 0)  # a line without area has no place and no width
    values = {q: np.where(absent, np.nan, shape) for q, shape in zip(QUANTITIES, shapes)}
    values["area"] = area
    sigmas = {q: np.where(absent, np.nan, sigma) for q, sigma in sigmas.items()}
    sigmas["area"] = np.where(determined, area_sigma, np.nan)
    railed["area"] = np.zeros((spectra, k), bool)
    return PeakTable(
        peaks=peaks,
        values=values,
        sigmas=sigmas,
        railed=railed,
        significance=np.where(determined, (fits.significance / np.sqrt(stretch)).reshape(spectra, k), np.nan),
        chi2=chi2.ravel(),
        masked=(data.counts.shape[-1] - data.channels).ravel(),
        optima=np.where(fitted[:, 0], np.repeat(fits.optima, fits.chi2.shape[1]), 0),
    )


def misfit_stretch(fits: Fits, correlation: float) -> np.ndarray:
    """By what the variances of a problem are to be multiplied for its misfit and for correlated channels, (N,)."""
    return np.maximum(1.0, np.nan_to_num(fits.reduced_chi2 * correlation, nan=1.0))


def from_fits(
    peaks: Sequence[Peak], layout: Layout, data: Data, fits: Fits, subtracted: np.ndarray, correlation: float
) -> Decomposition:
    """The result of a fit. subtracted (N n, m): background that was taken off beforehand."""
    table = peak_table(tuple(peaks), layout, data, fits, correlation)
    spectra, blocks = fits.chi2.size, layout.centre.shape[0]
    energy, counts = (a.reshape(spectra, -1) for a in (data.energy_mev, data.counts))
    response = data.response.reshape(spectra, *data.response.shape[2:])
    shapes = [table.values[q] for q in QUANTITIES[:3]]
    lines = draw(energy, response, *shapes) * table.values["area"][:, :, None]
    background = np.einsum("inq,inqm->inm", fits.background, data.background).reshape(spectra, -1)
    together = None
    if blocks > 1:
        stretch = misfit_stretch(fits, correlation)[0]
        together = stretch * np.array([fits.covariance_across(layout.centre[:, k])[0] for k in range(len(peaks))])
    return Decomposition(
        **{f.name: getattr(table, f.name) for f in fields(table)},
        energy_mev=energy,
        counts=counts + subtracted,
        background=background + subtracted,
        lines=lines,
        together=together,
        offset_mev=_offset(layout, fits, correlation) if blocks > 1 else (np.nan, np.nan),
    )


def _offset(layout: Layout, fits: Fits, correlation: float) -> tuple[float, float]:
    used = layout.offset[layout.offset >= 0][:1]
    if not used.size:
        return np.nan, np.nan
    variance = fits.covariance(0, used)[0, 0, 0] * misfit_stretch(fits, correlation)[0]
    return float(fits.theta[0, used[0]]), float(np.sqrt(variance))


def _line_uncertainties(
    layout: Layout, fits: Fits, stretch: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Standard deviations of centre, sigma, gamma and FWHM, (N n, k) each, and which of them railed.

    The last array, (N n, k), says which lines the data determine: all of a line that is neither held nor at a limit.
    """
    problems, (blocks, k) = len(fits.theta), layout.centre.shape
    sigmas = {q: np.full((problems, blocks, k), np.nan) for q in QUANTITIES[:4]}
    railed = {q: np.zeros((problems, blocks, k), bool) for q in QUANTITIES[:4]}
    determined = np.ones((problems, blocks, k), bool)
    _, sigma, gamma = layout.line_parameters(fits.theta)
    by_parameter, by_gamma = np.ones_like(sigma), np.zeros_like(sigma)
    if layout.fwhm_limits is not None:
        parameters = fits.theta[:, layout.sigma], fits.theta[:, layout.gamma]
        _, by_parameter, by_gamma = layout.fwhm_limits.sigma(*parameters)
    fwhm_by_sigma, fwhm_by_gamma = voigt_fwhm_slopes(sigma, gamma)
    for b in range(blocks):
        for line in range(k):
            indices = np.array([table[b, line] for table in (layout.centre, layout.sigma, layout.gamma)])
            indices = np.insert(indices, 1, layout.offset[line])
            slopes = np.zeros((problems, 4, 4))  # of centre, sigma, gamma, FWHM by centre, offset, sigma's, gamma
            slopes[:, 0, 0], slopes[:, 0, 1] = 1.0, float(layout.offset[line] >= 0)
            slopes[:, 1, 2], slopes[:, 1, 3] = by_parameter[:, b, line], by_gamma[:, b, line]
            slopes[:, 2, 3] = 1.0
            slopes[:, 3] = (
                fwhm_by_sigma[:, b, line, None] * slopes[:, 1] + fwhm_by_gamma[:, b, line, None] * slopes[:, 2]
            )
            covariance = fits.covariance(b, indices)
            unknown = ~np.isfinite(np.diagonal(covariance, axis1=1, axis2=2))
            variance = np.einsum("nij,njk,nik->ni", slopes, np.nan_to_num(covariance), slopes) * stretch[:, 0]
            at_limit = np.where(indices >= 0, fits.railed[:, indices], False)
            held = ~layout.free[indices] | at_limit
            for row, quantity in enumerate(QUANTITIES[:4]):
                involved = slopes[:, row] != 0
                railed[quantity][:, b, line] = np.any(at_limit & involved, axis=1)
                searched = ~railed[quantity][:, b, line] & np.any(involved & ~held, axis=1)
                known = (variance[:, row] > 0) & ~np.any(involved & ~held & unknown, axis=1)
                determined[:, b, line] &= known | ~searched
                variances = np.where(searched & known, variance[:, row], np.nan)
                sigmas[quantity][:, b, line] = np.sqrt(variances)
    spectra = problems * blocks
    flat = [{q: a.reshape(spectra, k) for q, a in table.items()} for table in (sigmas, railed)]
    return flat[0], flat[1], determined.reshape(spectra, k)


def scatter(part: Decomposition, rows: np.ndarray, n: int) -> Decomposition:
    """Spectra fitted one by one in their places among n, rows (r,): nan, and optima 0, elsewhere."""

    def spread(arrays: list[np.ndarray]) -> np.ndarray:
        array = arrays[0]
        fill = np.nan if array.dtype.kind == "f" else 0
        result = np.full((n, *array.shape[1:]), fill, array.dtype)
        result[rows] = array
        return result

    return part if rows.size == n else _combined([part], spread)


def stack(parts: Sequence[Decomposition | None], like: Decomposition) -> Decomposition:
    """Spectra fitted one by one (each n = 1) as one result; None becomes nan. `like` gives the shapes."""
    rows = np.array([i for i, part in enumerate(parts) if part is not None], int)
    there = [part for part in parts if part is not None] or [like.row(0)]
    return scatter(_combined(there, lambda arrays: np.concatenate(arrays)[: rows.size]), rows, len(parts))


def _combined(parts: Sequence[Decomposition], combine: Callable[[list[np.ndarray]], np.ndarray]) -> Decomposition:
    """Spectra fitted one by one, from the same array of every part."""
    combined: dict[str, Any] = {"together": None, "offset_mev": (np.nan, np.nan)}
    for name in (f.name for f in fields(Decomposition) if f.name not in ("peaks", "flags", "together", "offset_mev")):
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], dict):
            combined[name] = {q: combine([value[q] for value in values]) for q in values[0]}
        else:
            combined[name] = combine(values)
    return replace(parts[0], **combined)
