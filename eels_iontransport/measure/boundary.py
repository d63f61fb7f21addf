"""Where along a line the boundary lies, from profiles that change there; nothing where nothing stands out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import erf

from ..data.flags import Flag
from ..data.regions import Region, Regions
from ..quantity import quantity

# Improvement of chi-squared by a boundary over a smooth line from which it is believed, by the number of profiles:
# pure noise exceeds these in fewer than 1 of 1000 lines of 20 to 100 pixels, the search over place and width included.
BELIEVED = {1: 27.0, 2: 36.0, 3: 38.0}
MINIMUM_GRAIN_PIXELS = 3
WIDEST = 0.4  # of the line
WIDTHS = 14
EDGES_PIXELS = (0.3, 0.6, 1.2)  # standard deviations of the boundary's smooth edges that are tried
PLATEAU = 3.3  # width over edge from which the middle holds 90 % of the boundary, so that its level is really seen
PLACES_PER_PIXEL = 4
FORM_PIXELS = 0.01  # by so much a centre is off whose edges have another form than an error function
MOST_PLACES = 200
_CHUNK = 250  # candidates worked on at a time, for the processor's cache
_FLAT = 5.9  # so many widths of an error function from its middle it is 0 or 1 to the last digit
_BEND_PIXELS = 0.05  # by so much centre, width and edge are moved to see how chi-squared bends
_SAME = 1e-12  # part of a function's square that is left of it where another says all that it says
PURE_BOUNDARY, PURE_GRAIN = 0.9, 0.01  # share of the boundary in a pixel that is its own, and in one of a grain
DIP_OVER_STEP = 15.0  # improvement by a level of the boundary's own; below, two levels and a step say as much
COMPONENTS = 3
APART = 3.0  # standard deviations, and half the width, from which two boundaries are not the same
KNOWN = 0.5  # part of a spectrum, and of the spectra in a channel, that has to be known
_SCALINGS = 3  # rounds of bringing spectra with lost channels to the scale of the others


@dataclass(frozen=True)
class Boundary:
    """What was found: regions, or None with a flag. Without regions the numbers are those of the best candidate.

    centre_nm, width_nm: of the boundary; centre_sigma_nm: error of the centre. improvement: of chi-squared over no
    boundary. source: in what it was found.
    """

    regions: Regions | None
    centre_nm: float = np.nan
    centre_sigma_nm: float = np.nan
    width_nm: float = np.nan
    improvement: float = 0.0
    flags: tuple[Flag, ...] = ()
    source: str = ""

    def to_dict(self) -> dict[str, Any] | None:
        """Where the boundary lies, ready for JSON; None where none was found."""
        if self.regions is None:
            return None
        places = {"centre_nm": quantity(self.centre_nm, self.centre_sigma_nm, "nm")}
        return {"source": self.source, **places, "width_nm": quantity(self.width_nm, None, "nm")}


class _Candidate(NamedTuple):
    centre: float
    width: float  # 0: a step from grain to grain
    edge: float


class _Line:
    """The usable pixels: position (n,), profiles and their errors (n, p), ready for fits of boundaries."""

    def __init__(self, x: np.ndarray, profiles: np.ndarray, sigma: np.ndarray, order: int) -> None:
        self.x, self.profiles = x, profiles
        self._weights = 1 / sigma.T**2
        place = 2 * (x - x.mean()) / max(float(np.ptp(x)), 1e-300)
        plain = np.polynomial.legendre.legvander(place, order) / sigma.T[:, :, None]
        smooth = np.linalg.qr(plain)[0]  # (p, n, order + 1): what a smooth line takes up
        left = (profiles / sigma).T[:, :, None]
        left = left - smooth @ (smooth.transpose(0, 2, 1) @ left)
        self._columns = np.concatenate([smooth, left], axis=2) / sigma.T[:, :, None]
        self.plain = float((left**2).sum())  # chi-squared of smooth lines
        self.freedom = profiles.size - (order + 1) * profiles.shape[1]

    def misfits(self, candidates: np.ndarray) -> np.ndarray:
        """Chi-squared of every candidate (c, 3), its levels and slope fitted; (c,)."""
        parts = [self._misfits(candidates[i : i + _CHUNK]) for i in range(0, len(candidates), _CHUNK)]
        return np.concatenate(parts)

    def misfit(self, candidate: _Candidate) -> float:
        """The same for one candidate, with less ado."""
        place = candidate.centre + candidate.width * np.array([[-0.5], [0.5]])
        risen = 0.5 * (1 + erf((self.x - place) / (np.sqrt(2) * candidate.edge)))
        columns = risen @ self._columns
        products = (risen * self._weights[:, None]) @ risen.T - columns[:, :, :-1] @ columns[:, :, :-1].transpose(
            0, 2, 1
        )
        gain = _gain(products[:, 0, 0], products[:, 0, 1], products[:, 1, 1], columns[:, 0, -1], columns[:, 1, -1])
        return self.plain - float(gain.sum())

    def _misfits(self, candidates: np.ndarray) -> np.ndarray:
        centre, width, edge = candidates.T[:, :, None]
        first, second = _risen(self.x, centre - 0.5 * width, edge), _risen(self.x, centre + 0.5 * width, edge)
        products = first * first, first * second, second * second
        misfit = np.full(len(candidates), self.plain)
        for weight, columns in zip(self._weights, self._columns):
            a, b = first @ columns, second @ columns
            aa, ab, bb = (
                product @ weight - (c[:, :-1] * d[:, :-1]).sum(axis=1)
                for product, c, d in zip(products, (a, a, b), (a, b, b), strict=True)
            )
            misfit -= _gain(aa, ab, bb, a[:, -1], b[:, -1])
        return misfit


def _gain(aa: np.ndarray, ab: np.ndarray, bb: np.ndarray, ay: np.ndarray, by: np.ndarray) -> np.ndarray:
    """What two functions take off chi-squared, by their products with each other and with the data, all (c,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own, left = bb - ab**2 / aa, by - ab / aa * ay
        first = np.where(aa > 0, ay**2 / aa, 0.0)
        return first + np.where(own > _SAME * bb, left**2 / own, 0.0)


def find(
    position_nm: np.ndarray, profiles: np.ndarray, sigma: np.ndarray, *, order: int = 1, source: str = ""
) -> Boundary:
    """Regions of a line from profiles (n,) or (n, p), p <= 3, with their errors; pixels that are nan do not count.

    Model: a level in each grain and one in the boundary, smooth edges, and a common polynomial of the order, against
    that polynomial alone. The errors are widened where the model leaves more than they allow. Pixels in transition
    belong to no region.
    """
    profiles, sigma = (np.reshape(a, (len(position_nm), -1)).astype(float) for a in (profiles, sigma))
    usable = np.isfinite(profiles).all(axis=1) & np.isfinite(sigma).all(axis=1) & (sigma > 0).all(axis=1)
    x = position_nm[usable]
    if len(x) < 2 * MINIMUM_GRAIN_PIXELS + 3:
        message = f"The line has {len(x)} usable pixels, too few to look for a boundary; give the regions."
        return Boundary(None, flags=(Flag("BOUNDARY_TOO_SHORT", message),), source=source)
    step = float(np.median(np.diff(position_nm)))
    line = _Line(x, profiles[usable], sigma[usable], order)
    candidates = _candidates(x, step)
    misfits = line.misfits(candidates)
    chosen, least = _best(line, candidates, misfits, step)
    widened = max(1.0, least / max(line.freedom - 2 * line.profiles.shape[1] - 3, 1))
    # Where the errors are too small, their scale is fitted too, and likelihoods compare by the logarithm.
    improvement = line.plain - least if widened == 1.0 else line.freedom * float(np.log(line.plain / least))
    error = _centre_sigma(line, candidates, misfits, chosen, widened, step)
    found = Boundary(None, chosen.centre, error, chosen.width, improvement, source=source)
    if improvement < BELIEVED[min(line.profiles.shape[1], max(BELIEVED))]:
        message = "No boundary stands out of the noise along the line; give the regions."
        return replace(found, flags=(Flag("BOUNDARY_NOT_FOUND", message),))
    regions = _regions(position_nm, usable, chosen)
    if regions is None:
        message = "The boundary lies too close to an end of the line to tell its two grains; give the regions."
        return replace(found, flags=(Flag("BOUNDARY_AT_END", message),))
    return replace(found, regions=regions)


def given(regions: Regions) -> Boundary:
    """The boundary of regions that somebody has chosen: its middle, of unknown error."""
    start, end = regions.boundary.start_nm, regions.boundary.end_nm
    return Boundary(regions, 0.5 * (start + end), np.nan, end - start, source="given")


def compared(found: Boundary, other: Boundary) -> Boundary:
    """What was found, with a flag if another boundary was found beside it."""
    if found.regions is None or other.regions is None:
        return found
    distance = abs(found.centre_nm - other.centre_nm)
    sigma = np.hypot(found.centre_sigma_nm, other.centre_sigma_nm)
    if distance <= APART * sigma or distance <= 0.5 * max(found.width_nm, other.width_nm):
        return found
    message = (
        f"The {found.source} shows a boundary at {found.centre_nm:.1f} nm, the {other.source} one at "
        f"{other.centre_nm:.1f} nm; the first is taken: look at both and give the regions."
    )
    return replace(found, flags=(*found.flags, Flag("BOUNDARIES_DIFFER", message)))


def spectral_profiles(
    normalised: np.ndarray, variance: np.ndarray, components: int = COMPONENTS
) -> tuple[np.ndarray, np.ndarray]:
    """Profiles (n, p) and errors for `find`, from normalised spectra (n, m) and their variances: principal components.

    Every spectrum is scaled to the same total, so that thickness alone makes no boundary. Rows that are nan stay nan.
    """
    usable = (np.isfinite(normalised).mean(axis=1) >= KNOWN) & (np.nan_to_num(normalised).sum(axis=1) > 0)
    p = min(components, max(int(usable.sum()) - 1, 1), normalised.shape[1])
    scores, errors = np.full((len(normalised), p), np.nan), np.full((len(normalised), p), np.nan)
    if usable.sum() < 2:
        return scores, errors
    shape, noise = _shapes(normalised[usable], np.sqrt(variance[usable]))
    typical = np.sqrt((noise**2).mean(axis=0))
    typical[typical <= 0] = np.inf
    whitened = (shape - shape.mean(axis=0)) / typical
    _, _, directions = np.linalg.svd(whitened, full_matrices=False)
    scores[usable] = whitened @ directions[:p].T
    errors[usable] = np.sqrt((noise / typical) ** 2 @ (directions[:p] ** 2).T)
    return scores, errors


def _shapes(spectra: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (n, m) and their errors over their totals; a channel that is lost says what the mean says, surely."""
    known = np.isfinite(spectra)
    if known.all():
        total = spectra.sum(axis=1, keepdims=True)
        return spectra / total, sigma / total
    seen = known.mean(axis=0) >= KNOWN
    known, spectra, sigma = known[:, seen], spectra[:, seen], sigma[:, seen]
    counts = np.where(known, spectra, 0.0)
    total = counts.sum(axis=1, keepdims=True)
    for _ in range(_SCALINGS):
        mean = (counts / total).sum(axis=0) / known.sum(axis=0)
        total = counts.sum(axis=1, keepdims=True) / (known @ mean)[:, None]
    return np.where(known, spectra / total, mean), np.where(known, sigma / total, 0.0)


def shares(
    position_nm: np.ndarray, centre_nm: float | np.ndarray, width_nm: float | np.ndarray, edge_nm: float | np.ndarray
) -> np.ndarray:
    """Shares of grain 1, boundary and grain 2 at positions (n,); (n, 3), rows sum to one. Columns broadcast."""
    left = _risen(position_nm, centre_nm - 0.5 * width_nm, edge_nm)
    right = _risen(position_nm, centre_nm + 0.5 * width_nm, edge_nm)
    return np.stack([1 - left, left - right, right], axis=-1)


def _risen(x: np.ndarray, place: float | np.ndarray, edge: float | np.ndarray) -> np.ndarray:
    """A smooth step from 0 to 1 at a place, at x; all broadcast."""
    distance = (x - place) / (np.sqrt(2) * edge)
    result = (distance > 0).astype(float)
    near = np.abs(distance) < _FLAT
    result[near] = 0.5 * (1 + erf(distance[near]))
    return result


def _candidates(x: np.ndarray, step: float) -> np.ndarray:
    """Places, widths and edges to try (c, 3), each with grains of at least three pixels beside it."""
    length = x[-1] - x[0]
    widths = np.array([0.0, *np.geomspace(step, max(WIDEST * length, 2 * step), WIDTHS)])
    margin = (MINIMUM_GRAIN_PIXELS - 0.5) * step
    centres = np.arange(x[0] + margin, x[-1] - margin, max(step / PLACES_PER_PIXEL, length / MOST_PLACES))
    grid = np.meshgrid(centres, widths, np.array(EDGES_PIXELS) * step, indexing="ij")
    centre, width, edge = (axis.ravel() for axis in grid)
    seen = (width == 0) | (width >= 0.99 * PLATEAU * edge)
    inside = (centre - 0.5 * width >= x[0] + margin) & (centre + 0.5 * width <= x[-1] - margin)
    return np.stack([centre, width, edge], axis=1)[seen & inside]


def _best(line: _Line, candidates: np.ndarray, misfits: np.ndarray, step: float) -> tuple[_Candidate, float]:
    """The best candidate and its chi-squared: a step unless a level of the boundary's own says clearly more."""
    steps = candidates[:, 1] == 0
    dip, stepped = (int(np.flatnonzero(which)[np.argmin(misfits[which])]) for which in (~steps, steps))
    scale = max(1.0, misfits[dip] / max(line.profiles.size, 1))
    if misfits[stepped] - misfits[dip] < DIP_OVER_STEP * scale:
        return _Candidate(*candidates[stepped].tolist()), float(misfits[stepped])
    return _refined(line, _Candidate(*candidates[dip].tolist()), step)


def _refined(line: _Line, start: _Candidate, step: float) -> tuple[_Candidate, float]:
    """The best candidate near one of the grid, and its chi-squared."""

    def misfit(parameters: np.ndarray) -> float:
        centre, width, edge = parameters * step
        if abs(centre - start.centre) > step or not PLATEAU * max(edge, 0.2 * step) <= width <= 2 * start.width:
            return np.inf
        return line.misfit(_Candidate(centre, width, edge))

    found = minimize(misfit, np.array(start) / step, method="Nelder-Mead", options={"maxiter": 120, "xatol": 0.01})
    centre, width, edge = (float(value) for value in found.x * step)
    return _Candidate(centre, width, edge), float(found.fun)


def _centre_sigma(
    line: _Line, candidates: np.ndarray, misfits: np.ndarray, chosen: _Candidate, widened: float, step: float
) -> float:
    """Spread of the centres, weighted by their likelihood; by curvature where that is narrower than the grid.

    Of steps or of plateaus, whichever was found: a step is one end of many a plateau, too.
    """
    alike = (candidates[:, 1] > 0) == (chosen.width > 0)
    centres, misfits = candidates[alike, 0], misfits[alike]
    weight = np.exp(-0.5 * (misfits - misfits.min()) / widened)
    mean = np.average(centres, weights=weight)
    spread, grid = np.sqrt(np.average((centres - mean) ** 2, weights=weight)), step / PLACES_PER_PIXEL
    if chosen.width > 0 and spread < grid:
        curved = np.sqrt(widened) * _curvature_sigma(line, chosen, step)
        if curved < grid:
            return float(np.hypot(curved, FORM_PIXELS * step))
    return float(np.hypot(spread, grid / np.sqrt(12)))


def _curvature_sigma(line: _Line, chosen: _Candidate, step: float) -> float:
    """Error of the centre by how chi-squared bends with centre, width and edge; infinite at no minimum."""
    away = _BEND_PIXELS * step * np.eye(3)
    at = np.array(chosen)

    def misfit(shift: np.ndarray) -> float:
        centre, width, edge = at + shift
        return line.misfit(_Candidate(centre, width, max(edge, 0.1 * step)))

    half_bend = np.array([[misfit(a + b) - misfit(a - b) - misfit(b - a) + misfit(-a - b) for b in away] for a in away])
    half_bend /= 8 * (_BEND_PIXELS * step) ** 2
    bends = np.linalg.eigvalsh(half_bend)
    return float(np.sqrt(np.linalg.inv(half_bend)[0, 0])) if bends[0] > 1e-9 * bends[-1] > 0 else np.inf


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
