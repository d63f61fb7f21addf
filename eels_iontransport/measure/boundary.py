"""Where along a line the boundary lies, from profiles that change there; nothing where nothing stands out."""

from __future__ import annotations

from dataclasses import dataclass
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
EDGES_PIXELS = (0.4, 0.8, 1.6)  # standard deviations of the boundary's smooth edges that are tried
PLACES_PER_PIXEL = 4
MOST_PLACES = 200
_CHUNK = 500  # candidates worked on at a time, for memory
PURE_BOUNDARY, PURE_GRAIN = 0.9, 0.01  # share of the boundary in a pixel that is its own, and in one of a grain
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
    width: float
    edge: float


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
    candidates = _candidates(x, step)
    misfits = _misfits(x, profiles[usable], sigma[usable], candidates)
    chosen, least = _refined(x, profiles[usable], sigma[usable], candidates[int(np.argmin(misfits))], step)
    freedom = max(profiles[usable].size - 4 * profiles.shape[1] - 3, 1)
    excess = max(1.0, least / freedom)
    improvement = float((_straight(x, profiles[usable], sigma[usable]) - least) / excess)
    centre_sigma = _centre_sigma(candidates, misfits / excess, step)
    if improvement < BELIEVED[min(profiles.shape[1], max(BELIEVED))]:
        flag = Flag("BOUNDARY_NOT_FOUND", "No boundary stands out of the noise along the line; give the regions.")
        return Boundary(None, chosen.centre, centre_sigma, chosen.width, improvement, (flag,))
    regions = _regions(position_nm, usable, chosen)
    flags = ()
    if regions is None:
        flags = (Flag("BOUNDARY_AT_END", "The boundary lies too close to an end of the line to tell its two grains."),)
    return Boundary(regions, chosen.centre, centre_sigma, chosen.width, improvement, flags)


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


def shares(position_nm: np.ndarray, centre_nm: float, width_nm: float, edge_nm: float) -> np.ndarray:
    """Shares of grain 1, boundary and grain 2 at positions (n,); (n, 3), rows sum to one."""
    scale = np.sqrt(2) * edge_nm
    left = 0.5 * (1 + erf((position_nm - (centre_nm - 0.5 * width_nm)) / scale))
    right = 0.5 * (1 + erf((position_nm - (centre_nm + 0.5 * width_nm)) / scale))
    return np.stack([1 - left, left - right, right], axis=-1)


def _candidates(x: np.ndarray, step: float) -> list[_Candidate]:
    """Places, widths and edges to try, each with grains of at least three pixels beside it."""
    length = x[-1] - x[0]
    widths = np.geomspace(step, max(WIDEST * length, 2 * step), WIDTHS)
    margin = (MINIMUM_GRAIN_PIXELS - 0.5) * step
    return [
        _Candidate(float(centre), float(width), edge * step)
        for centre in np.arange(x[0] + margin, x[-1] - margin, max(step / PLACES_PER_PIXEL, length / MOST_PLACES))
        for width in widths
        for edge in EDGES_PIXELS
        if centre - 0.5 * width >= x[0] + margin and centre + 0.5 * width <= x[-1] - margin
    ]


def _misfits(x: np.ndarray, profiles: np.ndarray, sigma: np.ndarray, candidates: list[_Candidate]) -> np.ndarray:
    """Chi-squared of every candidate, its levels and slope fitted; (candidates,)."""
    slope = (x - x.mean()) / max(float(np.ptp(x)), 1e-300)
    result = []
    for first in range(0, len(candidates), _CHUNK):
        chunk = candidates[first : first + _CHUNK]
        centre, width, edge = (np.array(column)[:, None] for column in zip(*chunk, strict=True))
        slopes = np.broadcast_to(slope, (len(chunk), len(x)))[..., None]
        basis = np.concatenate([shares(x, centre, width, edge), slopes], axis=-1)
        pairs = zip(profiles.T, sigma.T, strict=True)
        result.append(sum(_chi_squared(basis / error[:, None], profile / error) for profile, error in pairs))
    return np.concatenate(result)


def _refined(
    x: np.ndarray, profiles: np.ndarray, sigma: np.ndarray, start: _Candidate, step: float
) -> tuple[_Candidate, float]:
    """The best candidate near one of the grid, and its chi-squared."""

    def misfit(parameters: np.ndarray) -> float:
        centre, width, edge = parameters * step
        if not (0.5 * start.width <= width <= 2 * start.width and edge > 0.2 * step and abs(centre - start.centre) < step):
            return np.inf
        return float(_misfits(x, profiles, sigma, [_Candidate(centre, width, edge)])[0])

    found = minimize(misfit, np.array(start) / step, method="Nelder-Mead", options={"maxiter": 120, "xatol": 0.01})
    centre, width, edge = (float(value) for value in found.x * step)
    return _Candidate(centre, width, edge), float(found.fun)


def _straight(x: np.ndarray, profiles: np.ndarray, sigma: np.ndarray) -> float:
    basis = np.stack([np.ones_like(x), x - x.mean()], axis=-1)[None]
    pairs = zip(profiles.T, sigma.T, strict=True)
    return float(sum(_chi_squared(basis / error[:, None], profile / error)[0] for profile, error in pairs))


def _chi_squared(basis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum of squares left of values (n,) by bases (candidates, n, k)."""
    orthogonal, triangle = np.linalg.qr(basis)
    used = np.abs(np.einsum("ckk->ck", triangle)) > 1e-9 * np.linalg.norm(basis, axis=1)
    return (values**2).sum() - (((values @ orthogonal) ** 2) * used).sum(axis=-1)


def _centre_sigma(candidates: list[_Candidate], misfits: np.ndarray, step: float) -> float:
    """Half the range of centres whose best chi-squared lies within one of the best; at least that of the grid."""
    centres = np.array([candidate.centre for candidate in candidates])
    near = centres[misfits <= misfits.min() + 1.0]
    return max(0.5 * float(np.ptp(near)), step / PLACES_PER_PIXEL / np.sqrt(12))


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
