"""From peaks to a layout: which parameters there are, their limits, starts, and what is known of them beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..materials.recipe import POLARITONIC, Bound, LineShape, Peak
from .problem import FwhmLimits, Layout, Prior

OFFSET_REACH = 4.0  # limits of the common polariton offset, in standard deviations of its prior


@dataclass(frozen=True, eq=False)
class KnownShapes:
    """Line shapes of the polaritonic peaks from another fit.

    mean (3k,): centre, sigma, gamma of each of the k peaks in turn, meV. covariance (3k, 3k), nan for parameters
    without one, which are held; None holds them all.
    """

    mean: np.ndarray
    covariance: np.ndarray | None = None


@dataclass(frozen=True)
class Sharing:
    """What is common to the spectra of one fit, and what is known beforehand.

    polaritons: shapes of the polaritonic peaks; None leaves them free, common to all spectra.
    offset_prior_mev: standard deviation of a common offset of the polaritonic centres; None for no offset.
    common_widths: one sigma and gamma for each phononic peak, else one a spectrum.
    held_widths: sigma and gamma of each phononic peak by name, held.
    fwhm_mev: exact limits on the FWHM of every line.
    """

    polaritons: KnownShapes | None = None
    offset_prior_mev: float | None = None
    common_widths: bool = True
    held_widths: Mapping[str, tuple[float, float]] | None = None
    fwhm_mev: tuple[float, float] | None = None


def lay_out(
    peaks: Sequence[Peak], shapes: Mapping[str, LineShape], spectra: int, sharing: Sharing
) -> tuple[Layout, np.ndarray]:
    """The layout of fitting the peaks to so many spectra together, and its start (p,).

    shapes: initial values and limits of each peak, by name.
    """
    limits = _fwhm_limits(peaks, shapes, sharing)
    table = _Table()
    index = np.full((3, spectra, len(peaks)), -1)
    offset = np.full(len(peaks), -1)
    priors = []
    polaritonic = [k for k, peak in enumerate(peaks) if peak.component == POLARITONIC]
    for position, k in enumerate(polaritonic):
        index[:, :, k] = _polaritonic(table, shapes[peaks[k].name], sharing.polaritons, position, limits, k)[:, None]
    if sharing.polaritons is not None and polaritonic:
        priors += _shape_prior(index[:, 0, polaritonic].T.ravel(), sharing.polaritons)
    if sharing.offset_prior_mev is not None and polaritonic:
        reach = OFFSET_REACH * sharing.offset_prior_mev
        offset[polaritonic] = table.add(Bound(0.0, -reach, reach))
        priors.append(Prior(offset[polaritonic[:1]], np.zeros(1), np.array([[sharing.offset_prior_mev**2]])))
    for k, peak in enumerate(peaks):
        if k not in polaritonic:
            index[:, :, k] = _phononic(table, peak.name, shapes[peak.name], spectra, sharing, limits, k)
    lower, initial, upper = table.arrays()
    centre, sigma, gamma = index
    return Layout(centre, sigma, gamma, offset, lower, upper, tuple(priors), limits), initial


class _Table:
    """Parameters as they are handed out."""

    def __init__(self) -> None:
        self._bounds: list[Bound] = []

    def add(self, bound: Bound) -> int:
        self._bounds.append(bound)
        return len(self._bounds) - 1

    def hold(self, value: float) -> int:
        return self.add(Bound(value, value, value))

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lower, initial, upper = (np.array([getattr(b, n) for b in self._bounds]) for n in ("lower", "initial", "upper"))
        return lower, initial, upper


def _polaritonic(
    table: _Table, shape: LineShape, known: KnownShapes | None, position: int, limits: FwhmLimits | None, line: int
) -> np.ndarray:
    """Indices of centre, sigma and gamma of a polaritonic line, common to all spectra."""
    bounds = [shape.centre_mev, shape.sigma_mev, shape.gamma_mev]
    if known is None:
        bounds[1] = _limited(bounds[1], shape, limits, line)
        return np.array([table.add(bound) for bound in bounds])
    mean = known.mean[3 * position : 3 * position + 3].copy()
    if known.covariance is None:
        if limits is not None:
            mean[1] = limits.fraction(line, mean[1], mean[2])
        return np.array([table.hold(value) for value in mean])
    variance = np.diag(known.covariance)[3 * position : 3 * position + 3]
    return np.array(
        [
            table.add(Bound(value, bound.lower, bound.upper)) if np.isfinite(v) else table.hold(value)
            for value, v, bound in zip(mean, variance, bounds)
        ]
    )


def _shape_prior(indices: np.ndarray, known: KnownShapes) -> list[Prior]:
    if known.covariance is None:
        return []
    finite = np.isfinite(np.diag(known.covariance))
    return (
        [Prior(indices[finite], known.mean[finite], known.covariance[np.ix_(finite, finite)])] if finite.any() else []
    )


def _phononic(
    table: _Table, name: str, shape: LineShape, blocks: int, sharing: Sharing, limits: FwhmLimits | None, line: int
) -> np.ndarray:
    """Indices (3, blocks) of centre, sigma and gamma of a phononic line: a centre for every spectrum."""
    centres = [table.add(shape.centre_mev) for _ in range(blocks)]
    if sharing.held_widths is not None:
        sigma, gamma = sharing.held_widths[name]
        widths = [[table.hold(sigma)] * blocks, [table.hold(gamma)] * blocks]
    else:
        sigma_bound = _limited(shape.sigma_mev, shape, limits, line)
        groups = 1 if sharing.common_widths else blocks
        widths = [
            [table.add(bound) for _ in range(groups)] * (blocks // groups) for bound in (sigma_bound, shape.gamma_mev)
        ]
    return np.array([centres, *widths])


def _limited(sigma: Bound, shape: LineShape, limits: FwhmLimits | None, line: int) -> Bound:
    """The bound of sigma, or of the fraction that stands for it where the FWHM is limited."""
    return sigma if limits is None else Bound(limits.fraction(line, sigma.initial, shape.gamma_mev.initial), 0.0, 1.0)


def _fwhm_limits(peaks: Sequence[Peak], shapes: Mapping[str, LineShape], sharing: Sharing) -> FwhmLimits | None:
    if sharing.fwhm_mev is None:
        return None
    sigmas = [shapes[peak.name].sigma_mev for peak in peaks]
    return FwhmLimits(sharing.fwhm_mev, np.array([s.lower for s in sigmas]), np.array([s.upper for s in sigmas]))
