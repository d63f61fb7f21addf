"""How far the specimen has moved between two dark-field images, or why that cannot be said."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from .correlation import correlation, peaks
from .registration import (
    LEAST_OVERLAP,
    MARGIN_PIXELS,
    Overlap,
    Pair,
    correlated_pixels,
    covariance,
    noise_of_sums,
    score_covariance,
    unlike,
)

LEAST_PIXELS = 24  # on each side of an image
_RIVALS = 6
_STRUCTURE = 5.0  # standard deviations of chance by which structure has to stand out
_BETTER = 4.0  # standard deviations of noise by which a place has to be better than any other
_BEYOND = 1.25  # times the limit up to which a shift is searched for, so that one beyond it is known as such
_WORST_PIXELS = 1.5  # standard deviation beyond which the maximum of the correlation may be another one
_PARALLEL = 0.9  # cosine between two directions that count as one
_UNLIKE = 0.15  # part of the structure that may not be in both images; chance likeness shares 0.8 of it at most
_WANDERED = 3.0  # pixels from its peak in the correlation at which a place is no longer that peak's


@dataclass(frozen=True)
class Shift:
    """Displacement of the image against the reference in nm; with a problem there is none, and the numbers are nan.

    sigma_nm: standard deviation in the direction in which the shift is known least, of those in which it is known.
    covariance_nm2: (yy, yx, xx). direction: unit vector (y, x) where the images tell the shift in that direction
    only, as beside a straight edge; the component across it is 0 and means nothing. problem: one sentence; empty where
    the shift can be used.
    """

    y_nm: float
    x_nm: float
    sigma_nm: float
    problem: str = ""
    covariance_nm2: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    direction: tuple[float, float] | None = None

    @property
    def is_usable(self) -> bool:
        return not self.problem

    @property
    def size_nm(self) -> float:
        return math.hypot(self.y_nm, self.x_nm)


def refused(problem: str) -> Shift:
    return Shift(math.nan, math.nan, math.nan, problem)


def measure_shift(
    reference: np.ndarray,
    image: np.ndarray,
    nm_per_pixel: float,
    *,
    limit_nm: float,
    lattice_nm: float | None = None,
    near_nm: tuple[float, float] | None = None,
    reach_nm: float | None = None,
) -> Shift:
    """The shift of image (y, x) against reference, two of equal shape: a feature at p in the reference is at p + shift.

    limit_nm: largest shift that counts. lattice_nm: period of a lattice that the images may show; the shift has to be
    better than any other by so much. near_nm, reach_nm: where the shift is believed to be, and how far it may be from
    there; a lattice is then no obstacle while it has only one place within reach. Both images are smoothed by 1.5
    pixels: what is finer is not seen.

    The problems are: nothing to see, several places fit as well, the shift is larger than the limit or the image
    allows, or out of reach. Raises ValueError for images that are no pair.
    """
    _check(reference, image, nm_per_pixel)
    if not (np.isfinite(reference).all() and np.isfinite(image).all()):
        return refused("The drift image has pixels without a number; check the scan.")
    if np.ptp(reference) == 0 or np.ptp(image) == 0:
        return refused(_FEATURELESS)
    pair = Pair(reference, image)
    search = _Search(pair, nm_per_pixel, limit_nm, lattice_nm, near_nm or (0.0, 0.0), reach_nm)
    try:
        return search.run()
    except ValueError:  # too little overlaps
        return refused(too_large(limit_nm))


class _Search:
    """One measurement; lengths in pixels from here on."""

    def __init__(
        self,
        pair: Pair,
        nm_per_pixel: float,
        limit_nm: float,
        lattice_nm: float | None,
        near_nm: tuple[float, float],
        reach_nm: float | None,
    ) -> None:
        self._pair = pair
        self._scale = nm_per_pixel
        self._limit_nm = limit_nm
        self._limit = limit_nm / nm_per_pixel
        self._lattice = lattice_nm / nm_per_pixel if lattice_nm else None
        self._near = np.array(near_nm) / nm_per_pixel
        self._reach = math.inf if reach_nm is None else reach_nm / nm_per_pixel

    def run(self) -> Shift:
        values = self._correlation()
        starts = self._peaks(values, _BEYOND * self._limit + 3.0, 1)
        if not starts:
            return refused(_FEATURELESS)
        start = starts[0]
        known = _known_directions(self._pair.overlap(start))
        along = known[0] if len(known) == 1 else None
        if along is not None:  # any place beside the edge fits; take the one that is nearest to what is believed
            start = self._on_line(start, along)
        best = self._pair.refine(start, along) if known else start
        both = self._pair.overlap(best)
        if np.hypot(*(best - start)) > _WANDERED or not _still_known(known, _known_directions(both)):
            return refused(_FEATURELESS)
        if unlike(both, self._pair.noise) > _UNLIKE:
            return refused(_ANOTHER_SCENE)
        others = self._peaks(values, self._limit, _RIVALS) if along is None else self._line_peaks(values, along)
        if self._has_rival(best, both, others, along):
            return refused(_AMBIGUOUS)
        return self._result(best, both, along)

    def _correlation(self) -> np.ndarray:
        """At whole-pixel shifts, somewhat beyond the limit too; index 0 is the shift -reach."""
        reference, image = self._pair.inner
        most = int((1.0 - LEAST_OVERLAP) * (min(reference.shape) + 2 * MARGIN_PIXELS)) - 2 * MARGIN_PIXELS - 1
        reach = max(3, min(most, int(_BEYOND * self._limit) + 3))
        return correlation(reference, image, reach)

    def _peaks(self, values: np.ndarray, limit: float, count: int) -> list[np.ndarray]:
        """Whole-pixel shifts within a limit at which the images look alike, the most alike first."""
        reach = values.shape[0] // 2
        y, x = np.meshgrid(*(np.arange(-reach, reach + 1),) * 2, indexing="ij")
        from_near = np.hypot(y - self._near[0], x - self._near[1])
        allowed = (from_near <= self._reach + 2.0) & (np.hypot(y, x) <= limit + 1.0)
        return [np.array(place, float) for place in peaks(values, allowed, count)]

    def _line_peaks(self, values: np.ndarray, along: np.ndarray) -> list[np.ndarray]:
        """Shifts on the line through the believed one at which the images look alike."""
        reach = values.shape[0] // 2
        longest = 2.0 * reach
        offsets = np.arange(-longest, longest + 0.5, 0.5)
        places = self._near + offsets[:, None] * along
        seen = map_coordinates(values, (places + reach).T, order=1, cval=-1.0)
        tops = np.flatnonzero((seen[1:-1] > seen[:-2]) & (seen[1:-1] >= seen[2:]) & (seen[1:-1] > 0)) + 1
        return [place for place in places[tops] if self._may_be(place)]

    def _on_line(self, place: np.ndarray, along: np.ndarray) -> np.ndarray:
        """The shift on the line along a direction, through the believed one, that is nearest to a place."""
        return self._near + along * (along @ (place - self._near))

    def _has_rival(self, best: np.ndarray, both: Overlap, starts: list[np.ndarray], along: np.ndarray | None) -> bool:
        """Whether another place explains the image as well as the best one, within the noise."""
        spread = covariance(both)
        for start in [*starts, *self._lattice_starts(best, along)]:
            try:
                place = self._pair.refine(start, along)
                other = self._pair.overlap(place)
            except ValueError:
                continue
            apart = place - best
            if np.hypot(*(place - start)) > _WANDERED or np.hypot(*apart) < 1.0 or not self._may_be(place):
                continue
            within_error = apart @ np.linalg.pinv(spread + 1e-6 * np.eye(2)) @ apart < _BETTER**2
            if not within_error and _advantage(both, other) < _BETTER:
                return True
        return False

    def _may_be(self, place: np.ndarray) -> bool:
        return bool(np.hypot(*place) <= self._limit and np.hypot(*(place - self._near)) <= self._reach)

    def _lattice_starts(self, best: np.ndarray, along: np.ndarray | None) -> list[np.ndarray]:
        """Places one period away, which a coarse image may not show as peaks of their own."""
        if self._lattice is None:
            return []
        if along is not None:
            return [best - self._lattice * along, best + self._lattice * along]
        angles = np.arange(0.0, 2 * np.pi, np.pi / 6)
        return [best + self._lattice * np.array([np.sin(a), np.cos(a)]) for a in angles]

    def _result(self, best: np.ndarray, both: Overlap, along: np.ndarray | None) -> Shift:
        if np.hypot(*(best - self._near)) > self._reach:
            return refused(
                "The specimen seems to have jumped further than it can drift, so the image was not used; take a new "
                "survey and place the line anew."
            )
        place = (best if along is None else along * (along @ best)) * self._scale
        if np.hypot(*place) > self._limit_nm:
            return refused(too_large(self._limit_nm, float(np.hypot(*place))))
        if along is None:
            spread = covariance(both) * self._scale**2
            variance = float(np.linalg.eigvalsh(spread)[-1])
        else:
            energy = float(along @ both.information @ along)
            variance = float(along @ score_covariance(both) @ along) * (self._scale / energy) ** 2
            across = np.eye(2) - np.outer(along, along)
            spread = variance * np.outer(along, along) + self._limit_nm**2 * across
        if not 0 <= variance < (_WORST_PIXELS * self._scale) ** 2:
            return refused(_FEATURELESS)
        direction = None if along is None else (float(along[0]), float(along[1]))
        parts = (float(spread[0, 0]), float(spread[0, 1]), float(spread[1, 1]))
        return Shift(float(place[0]), float(place[1]), math.sqrt(variance), "", parts, direction)


_FEATURELESS = (
    "There is nothing to see in the drift image that its reference shows too; choose an area with an edge or a "
    "particle, and check the beam."
)
_ANOTHER_SCENE = "The drift image shows another place than its reference; take a new survey and place the line anew."
_AMBIGUOUS = (
    "The drift image fits in several places, as a lattice does; choose an area with an edge or a particle, or take "
    "drift images more often."
)


def too_large(limit_nm: float, size_nm: float | None = None) -> str:
    """What the operator reads of a shift beyond the limit."""
    how_far = f"{size_nm:.1f} nm, more" if size_nm is not None else "more"
    limit = f"the limit of {limit_nm:.1f} nm"
    return f"The specimen has moved {how_far} than {limit}; take a new survey and place the line anew."


def _along_covariance(both: Overlap, along: np.ndarray) -> np.ndarray:
    energy = float(along @ both.information @ along)
    return score_covariance(both) / energy**2


def _known_directions(both: Overlap) -> list[np.ndarray]:
    """Unit vectors (y, x) along which the images share more structure than chance: none, one or two."""
    values, vectors = np.linalg.eigh(both.information)
    own = np.einsum("ahw,bhw->ab", both.slopes, both.slopes)
    image_slopes = np.array(np.gradient(both.image))
    own = 0.5 * (own + np.einsum("ahw,bhw->ab", image_slopes, image_slopes))
    chance = math.sqrt(correlated_pixels(both) / both.error.size)
    found = []
    for value, vector in zip(values[::-1], vectors.T[::-1]):
        noise = max(0.0, float(vector @ own @ vector) - value)
        if value > _STRUCTURE * chance * noise and value > 0:
            found.append(vector)
    return found


def _still_known(directions: list[np.ndarray], now: list[np.ndarray]) -> bool:
    """Whether there are directions, and two or the same one are known now."""
    return bool(directions) and (len(now) == 2 or any(abs(directions[0] @ other) > _PARALLEL for other in now))


def _advantage(both: Overlap, other: Overlap) -> float:
    """Standard deviations by which the first of two places explains the image better.

    With d the difference of their errors, the sums of squares differ by sum d^2 + 2 sum d error, of which the last
    is noise.
    """
    first, second = both.within(other), other.within(both)
    gain = float((second.error**2 - first.error**2).sum())
    noise = 4.0 * noise_of_sums(first, (second.error - first.error)[None])[0, 0]
    return gain / math.sqrt(noise) if noise > 0 else 0.0


def _check(reference: np.ndarray, image: np.ndarray, nm_per_pixel: float) -> None:
    if np.ndim(reference) != 2 or np.shape(reference) != np.shape(image):
        raise ValueError(f"The images have shapes {np.shape(reference)} and {np.shape(image)}; give two equal ones.")
    if min(np.shape(reference)) < LEAST_PIXELS:
        raise ValueError(f"The images have shape {np.shape(reference)}; they need {LEAST_PIXELS} pixels on each side.")
    if not nm_per_pixel > 0:
        raise ValueError(f"A pixel of {nm_per_pixel} nm cannot be.")
