"""The shift between two images to a fraction of a pixel, with its covariance from the images themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter, shift, spline_filter
from scipy.signal import fftconvolve

BLUR_PIXELS = 1.5  # standard deviation of the smoothing before all; makes interpolation exact and takes noise away
MARGIN_PIXELS = 5  # of both images that are not used: smoothing and interpolation reach beyond the edge there
LEAST_OVERLAP = 0.4  # part of each side of the image that has to be seen in both
_ITERATIONS = 12
_CONVERGED_PIXELS = 1e-3
_CORRELATED_PIXELS = 5 * BLUR_PIXELS  # over which noise of neighbours is correlated after the smoothing
_LOCAL_PIXELS = 6.0  # over which the variance of the noise is taken as the same


@dataclass(frozen=True, eq=False)
class Overlap:
    """The pixels that both images have at a shift (pixels): reference and the shifted image, on one scale.

    rows, columns: which of the reference's pixels. error: image minus reference.
    """

    rows: slice
    columns: slice
    reference: np.ndarray
    image: np.ndarray

    @cached_property
    def error(self) -> np.ndarray:
        return self.image - self.reference

    @cached_property
    def slopes(self) -> np.ndarray:
        """Gradient of the reference, (2, h, w)."""
        return np.array(np.gradient(self.reference))

    @cached_property
    def information(self) -> np.ndarray:
        """Gradient energy (2, 2) that the two images share: what moves the error with the shift.

        Noise does not add to it, as it is not the same in the two.
        """
        shared = np.einsum("ahw,bhw->ab", self.slopes, np.array(np.gradient(self.image)))
        return 0.5 * (shared + shared.T)

    def within(self, other: Overlap) -> Overlap:
        """The part of this overlap that the other has too."""
        rows, columns = _both(self.rows, other.rows), _both(self.columns, other.columns)
        cut = _inside(rows, self.rows), _inside(columns, self.columns)
        return Overlap(rows, columns, self.reference[cut], self.image[cut])


class Pair:
    """Two images of equal shape, smoothed once and compared at any shift: image(p + shift) against reference(p)."""

    def __init__(self, reference: np.ndarray, image: np.ndarray) -> None:
        self.reference = gaussian_filter(np.asarray(reference, float), BLUR_PIXELS)
        self.image = gaussian_filter(np.asarray(image, float), BLUR_PIXELS)
        self._noise = smoothed_noise(reference), smoothed_noise(image)
        self._spline = spline_filter(self.image, order=3)

    @property
    def inner(self) -> tuple[np.ndarray, np.ndarray]:
        """Both images without the margin."""
        inside = (slice(MARGIN_PIXELS, -MARGIN_PIXELS),) * 2
        return self.reference[inside], self.image[inside]

    def overlap(self, at: np.ndarray) -> Overlap:
        """The two at a shift (2,) in pixels. Raises ValueError where too little overlaps."""
        rows, columns = (_common(n, s) for n, s in zip(self.reference.shape, at))
        moved = shift(self._spline, -at, order=3, mode="nearest", prefilter=False)[rows, columns]
        fixed = self.reference[rows, columns]
        spread = moved.std()
        scale = fixed.std() / spread if spread > 0 else 1.0
        return Overlap(rows, columns, fixed - fixed.mean(), scale * (moved - moved.mean()))

    @property
    def noise(self) -> float:
        """Variance that the noise of both gives their error, on the scale of the reference."""
        first, second = self._noise
        spread = float(self.image.var())
        return first + (second * float(self.reference.var()) / spread if spread > 0 else 0.0)

    def refine(self, start: np.ndarray, along: np.ndarray | None = None) -> np.ndarray:
        """The shift near `start` at which the correlation has its maximum, in pixels.

        along: a unit vector (2,); only the component along it is changed. Newton's method on the derivative of the
        correlation, with steps of at most a pixel. Raises ValueError where it leaves the overlap.
        """
        at = np.array(start, float)
        for _ in range(_ITERATIONS):
            both = self.overlap(at)
            score = np.einsum("ahw,hw->a", both.slopes, both.error)
            step = _solve(both.information, score, along)
            at -= np.clip(step, -1.0, 1.0)
            if np.abs(step).max() < _CONVERGED_PIXELS:
                break
        return at


def smoothed_noise(image: np.ndarray) -> float:
    """Variance that the noise of an image (y, x) has after the smoothing, from its second differences along both axes.

    Immerkaer, Comput. Vis. Image Underst. 64 (1996) 300; structure finer than the smoothing counts as noise.
    """
    differences = np.diff(np.diff(np.asarray(image, float), 2, axis=0), 2, axis=1)
    return float(np.mean(differences**2)) / 36.0 / (4.0 * np.pi * BLUR_PIXELS**2)


def unlike(both: Overlap, noise: float) -> float:
    """Part of the structure of two images that is not in both, beyond three standard deviations of their noise.

    1 minus their correlation without the noise: 0 for two images of one scene, about 1 for two that share nothing.
    """
    error = float(np.mean(both.error**2)) - noise
    structure = float(np.mean(both.reference**2) + np.mean(both.image**2)) - noise
    chance = 3.0 * noise * np.sqrt(2.0 * correlated_pixels(both) / both.error.size)
    return max(0.0, error - chance) / structure if structure > 0 else 0.0


def score_covariance(both: Overlap) -> np.ndarray:
    """Covariance (2, 2) of the sums of slope times error."""
    return noise_of_sums(both, both.slopes)


def covariance(both: Overlap) -> np.ndarray:
    """Covariance (2, 2) of the shift in pixels^2."""
    inverse = np.linalg.pinv(both.information, rcond=1e-12, hermitian=True)
    return inverse @ score_covariance(both) @ inverse


def noise_of_sums(both: Overlap, weights: np.ndarray) -> np.ndarray:
    """Covariance (n, n) of the sums of weights (n, h, w) times error, by the noise that the error itself shows.

    The noise may differ from place to place and be correlated between neighbours.
    """
    deviation = local_deviation(both.error)
    kernel = noise_correlation(both.error / deviation)
    scaled = weights * deviation
    spread = np.array([fftconvolve(weight, kernel, mode="same") for weight in scaled])
    result = np.einsum("ahw,bhw->ab", scaled, spread)
    # Without its mean, noise seems less correlated than it is, by its sum over size at each lag.
    return 0.5 * (result + result.T) / (1.0 - kernel.size / both.error.size)


def local_deviation(error: np.ndarray) -> np.ndarray:
    """Standard deviation of the error about each pixel, never 0."""
    variance = gaussian_filter(error**2, _LOCAL_PIXELS)
    return np.sqrt(np.maximum(variance, 1e-12 * max(float(variance.max()), np.finfo(float).tiny)))


def noise_correlation(white: np.ndarray) -> np.ndarray:
    """Correlation of an error of unit variance between neighbours, (2 r + 1,) * 2 about its middle."""
    reach = min(int(_CORRELATED_PIXELS), *(n // 3 for n in white.shape))
    lags = fftconvolve(white, white[::-1, ::-1], mode="full")
    middle_y, middle_x = (n - 1 for n in white.shape)
    return lags[middle_y - reach : middle_y + reach + 1, middle_x - reach : middle_x + reach + 1] / white.size


def correlated_pixels(both: Overlap) -> float:
    """How many pixels count as one where products of two noises are summed."""
    return max(1.0, float((noise_correlation(both.error / local_deviation(both.error)) ** 2).sum()))


def _both(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _inside(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)


def _common(size: int, moved: float) -> slice:
    first = MARGIN_PIXELS + max(0, int(np.ceil(-moved)))
    last = size - MARGIN_PIXELS - max(0, int(np.ceil(moved)))
    if last - first < LEAST_OVERLAP * size:
        raise ValueError("Too little of the two images overlaps.")
    return slice(first, last)


def _solve(information: np.ndarray, score: np.ndarray, along: np.ndarray | None) -> np.ndarray:
    """The step of Newton's method, in one direction where it is given."""
    if along is not None:
        energy = float(along @ information @ along)
        return along * (along @ score) / energy if energy > 0 else np.zeros(2)
    values, vectors = np.linalg.eigh(information)
    if not values[0] > 0:  # along the weak direction there is no slope to follow
        return np.zeros(2) if not values[1] > 0 else vectors[:, 1] * (vectors[:, 1] @ score) / values[1]
    return vectors @ ((vectors.T @ score) / values)
