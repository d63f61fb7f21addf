"""Where along a line the boundary lies, from profiles that change there; nothing where nothing stands out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import erf

from ..data.flags import Flag
from ..data.regions import Region, Regions

# Improvement of chi-squared by a boundary over a straight line from which it is believed, by the number of profiles:
# pure noise exceeds these in fewer than 1 of 1000 lines of 20 to 100 pixels, the search over place and width included.
BELIEVED = {1: 27.0, 2: 36.0, 3: 38.0}
MINIMUM_GRAIN_PIXELS = 3
WIDEST = 0.4  # of the line
WIDTHS = 14
EDGES_PIXELS = (0.3, 0.6, 1.2)  # standard deviations of the boundary's smooth edges that are tried
PLATEAU = 3.3  # width over edge from which the middle holds 90 % of the boundary, so that its level is really seen
PLACES_PER_PIXEL = 4
MOST_PLACES = 200
_CHUNK = 500  # candidates worked on at a time, for memory
PURE_BOUNDARY, PURE_GRAIN = 0.9, 0.01  # share of the boundary in a pixel that is its own, and in one of a grain
DIP_OVER_STEP = 15.0  # improvement by a level of the boundary's own; below, two levels and a step say as much
COMPONENTS = 3


@dataclass(frozen=True)
class Boundary:
    """What was found: regions, or None with a flag. Without regions the numbers are those of the best candidate.

    centre_nm, width_nm: of the boundary; centre_sigma_nm: error of the centre. improvement: of chi-squared over a
    straight line.
    """

    regions: Regions | None
    centre_nm: float = np.nan
    centre_sigma_nm: float = np.nan
    width_nm: float = np.nan
    improvement: float = 0.0
    flags: tuple[Flag, ...] = ()


class _Candidate(NamedTuple):
    centre: float
    width: float  # 0: a step from grain to grain
    edge: float


class _Line(NamedTuple):
    """The usable pixels: position (n,), profiles and their errors (n, p)."""

    x: np.ndarray
    profiles: np.ndarray
    sigma: np.ndarray


def find(position_nm: np.ndarray, profiles: np.ndarray, sigma: np.ndarray) -> Boundary:
    """Regions of a line from profiles (n,) or (n, p), p <= 3, with their errors; pixels that are nan do not count.

    Model: a level in each grain and one in the boundary, smooth edges, and a common slope, against a straight line.
    The errors are widened where the model leaves more than they allow. Pixels in transition belong to no region.
    """
    profiles, sigma = (np.reshape(a, (len(position_nm), -1)).astype(float) for a in (profiles, sigma))
    usable = np.isfinite(profiles).all(axis=1) & np.isfinite(sigma).all(axis=1) & (sigma > 0).all(axis=1)
    x = position_nm[usable]
    if len(x) < 2 * MINIMUM_GRAIN_PIXELS + 3:
        message = f"The line has {len(x)} usable pixels, too few to look for a boundary; give the regions."
        return Boundary(None, flags=(Flag("BOUNDARY_TOO_SHORT", message),))
    step = float(np.median(np.diff(position_nm)))
    line = _Line(x, profiles[usable], sigma[usable])
    candidates = _candidates(x, step)
    misfits = _misfits(line, candidates)
    chosen, least = _best(line, candidates, misfits, step)
    straight, freedom = _straight(line), line.profiles.size - 2 * line.profiles.shape[1]
    widened = max(1.0, least / max(freedom - 2 * line.profiles.shape[1] - 3, 1))
    # Where the errors are too small, their scale is fitted too, and likelihoods compare by the logarithm.
    improvement = straight - least if widened == 1.0 else freedom * float(np.log(straight / least))
    found = Boundary(None, chosen.centre, _centre_sigma(candidates, misfits / widened, step), chosen.width, improvement)
    if improvement < BELIEVED[min(line.profiles.shape[1], max(BELIEVED))]:
        message = "No boundary stands out of the noise along the line; give the regions."
        return replace(found, flags=(Flag("BOUNDARY_NOT_FOUND", message),))
    regions = _regions(position_nm, usable, chosen)
    if regions is None:
        message = "The boundary lies too close to an end of the line to tell its two grains; give the regions."
        return replace(found, flags=(Flag("BOUNDARY_AT_END", message),))
    return replace(found, regions=regions)


def spectral_profiles(
    normalised: np.ndarray, variance: np.ndarray, components: int = COMPONENTS
) -> tuple[np.ndarray, np.ndarray]:
    """Profiles (n, p) and errors for `find`, from normalised spectra (n, m) and their variances: principal components.

    Every spectrum is scaled to the same total, so that thickness alone makes no boundary. Rows that are nan stay nan.
    """
    usable = np.isfinite(normalised).all(axis=1) & (np.nan_to_num(normalised).sum(axis=1) > 0)
    p = min(components, max(int(usable.sum()) - 1, 1), normalised.shape[1])
    scores, errors = np.full((len(normalised), p), np.nan), np.full((len(normalised), p), np.nan)
    if usable.sum() < 2:
        return scores, errors
    total = normalised[usable].sum(axis=1, keepdims=True)
    shape, noise = normalised[usable] / total, np.sqrt(variance[usable]) / total
    typical = np.sqrt((noise**2).mean(axis=0))
    typical[typical <= 0] = np.inf
    whitened = (shape - shape.mean(axis=0)) / typical
    _, _, directions = np.linalg.svd(whitened, full_matrices=False)
    scores[usable] = whitened @ directions[:p].T
    errors[usable] = np.sqrt((noise / typical) ** 2 @ (directions[:p] ** 2).T)
    return scores, errors


def shares(
    position_nm: np.ndarray, centre_nm: float | np.ndarray, width_nm: float | np.ndarray, edge_nm: float | np.ndarray
) -> np.ndarray:
    """Shares of grain 1, boundary and grain 2 at positions (n,); (n, 3), rows sum to one. Columns broadcast."""
    scale = np.sqrt(2) * edge_nm
    left = 0.5 * (1 + erf((position_nm - (centre_nm - 0.5 * width_nm)) / scale))
    right = 0.5 * (1 + erf((position_nm - (centre_nm + 0.5 * width_nm)) / scale))
    return np.stack([1 - left, left - right, right], axis=-1)


def _candidates(x: np.ndarray, step: float) -> list[_Candidate]:
    """Places, widths and edges to try, each with grains of at least three pixels beside it."""
    length = x[-1] - x[0]
    widths = [0.0, *np.geomspace(step, max(WIDEST * length, 2 * step), WIDTHS)]
    margin = (MINIMUM_GRAIN_PIXELS - 0.5) * step
    return [
        _Candidate(float(centre), float(width), edge * step)
        for centre in np.arange(x[0] + margin, x[-1] - margin, max(step / PLACES_PER_PIXEL, length / MOST_PLACES))
        for width in widths
        for edge in EDGES_PIXELS
        if width == 0 or width >= 0.99 * PLATEAU * edge * step
        if centre - 0.5 * width >= x[0] + margin and centre + 0.5 * width <= x[-1] - margin
    ]


def _misfits(line: _Line, candidates: list[_Candidate]) -> np.ndarray:
    """Chi-squared of every candidate, its levels and slope fitted; (candidates,)."""
    slope = (line.x - line.x.mean()) / max(float(np.ptp(line.x)), 1e-300)
    result = []
    for first in range(0, len(candidates), _CHUNK):
        chunk = candidates[first : first + _CHUNK]
        centre, width, edge = (np.array(column)[:, None] for column in zip(*chunk, strict=True))
        slopes = np.broadcast_to(slope, (len(chunk), len(line.x)))[..., None]
        basis = np.concatenate([slopes, shares(line.x, centre, width, edge)[..., [0, 2, 1]]], axis=-1)
        pairs = zip(line.profiles.T, line.sigma.T, strict=True)
        result.append(sum(_chi_squared(basis / error[:, None], profile / error) for profile, error in pairs))
    return np.concatenate(result)


def _straight(line: _Line) -> float:
    """Chi-squared of a straight line through each profile."""
    basis = np.stack([np.ones_like(line.x), line.x - line.x.mean()], axis=-1)[None]
    pairs = zip(line.profiles.T, line.sigma.T, strict=True)
    return float(sum(_chi_squared(basis / error[:, None], profile / error)[0] for profile, error in pairs))


def _best(line: _Line, candidates: list[_Candidate], misfits: np.ndarray, step: float) -> tuple[_Candidate, float]:
    """The best candidate and its chi-squared: a step unless a level of the boundary's own says clearly more."""
    steps = np.array([candidate.width == 0 for candidate in candidates])
    dip, stepped = (int(np.flatnonzero(which)[np.argmin(misfits[which])]) for which in (~steps, steps))
    scale = max(1.0, misfits[dip] / max(line.profiles.size, 1))
    if misfits[stepped] - misfits[dip] < DIP_OVER_STEP * scale:
        return candidates[stepped], float(misfits[stepped])
    return _refined(line, candidates[dip], step)


def _refined(line: _Line, start: _Candidate, step: float) -> tuple[_Candidate, float]:
    """The best candidate near one of the grid, and its chi-squared."""

    def misfit(parameters: np.ndarray) -> float:
        centre, width, edge = parameters * step
        if abs(centre - start.centre) > step or not PLATEAU * max(edge, 0.2 * step) <= width <= 2 * start.width:
            return np.inf
        return float(_misfits(line, [_Candidate(centre, width, edge)])[0])

    found = minimize(misfit, np.array(start) / step, method="Nelder-Mead", options={"maxiter": 120, "xatol": 0.01})
    centre, width, edge = (float(value) for value in found.x * step)
    return _Candidate(centre, width, edge), float(found.fun)


def _chi_squared(basis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of squares left of values (n,) by bases (candidates, n, k)."""
    orthogonal, triangle = np.linalg.qr(basis)
    used = np.abs(np.einsum("ckk->ck", triangle)) > 1e-9 * np.linalg.norm(basis, axis=1)
    return (values**2).sum() - (((values @ orthogonal) ** 2) * used).sum(axis=-1)


def _centre_sigma(candidates: list[_Candidate], misfits: np.ndarray, step: float) -> float:
    """Spread of the centres, weighted by their likelihood, and of the grid."""
    centres = np.array([candidate.centre for candidate in candidates])
    weight = np.exp(-0.5 * (misfits - misfits.min()))
    mean = np.average(centres, weights=weight)
    spread = np.sqrt(np.average((centres - mean) ** 2, weights=weight))
    return float(np.hypot(spread, step / PLACES_PER_PIXEL / np.sqrt(12)))


def _regions(position_nm: np.ndarray, usable: np.ndarray, found: _Candidate) -> Regions | None:
    """Pixels that belong to one region alone; the nearest pixel stands for a boundary too thin to fill one."""
    inside = shares(position_nm, *found)
    boundary = usable & (inside[:, 1] > PURE_BOUNDARY)
    if not boundary.any():
        boundary = usable & (np.abs(position_nm - found.centre) == np.abs(position_nm[usable] - found.centre).min())
    pixels = np.flatnonzero(boundary)
    order = np.arange(len(position_nm))
    left = usable & (inside[:, 0] > 1 - PURE_GRAIN) & (order < pixels[0] - 1)
    right = usable & (inside[:, 2] > 1 - PURE_GRAIN) & (order > pixels[-1] + 1)
    if min(left.sum(), right.sum()) < MINIMUM_GRAIN_PIXELS:
        return None
    return Regions(*(Region(float(position_nm[m][0]), float(position_nm[m][-1])) for m in (left, boundary, right)))
