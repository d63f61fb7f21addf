"""Where the specimen ends in a survey image, and how far from it a point lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SMOOTHING_PX = 2.0
SEPARATION = 0.8  # share of the variance that two levels must explain; plain noise reaches 2/pi, a ramp 0.75
LEVELS = (0.25, 0.5, 0.75)  # of the step from vacuum to specimen: the middle is the edge, the others its error


@dataclass(frozen=True, eq=False)
class Edge:
    """Distances from the specimen in pixels, (height, width), for three ideas of where it ends."""

    distance_px: tuple[np.ndarray, np.ndarray, np.ndarray]

    def distance(self, fraction: tuple[float, float], nm_per_pixel: float) -> tuple[float, float]:
        """(distance, error) in nm of a point at (y, x) fractions of the image; 0 on the specimen."""
        shape = self.distance_px[1].shape
        y, x = (min(max(int(part * size), 0), size - 1) for part, size in zip(fraction, shape))
        low, middle, high = (float(distance[y, x]) for distance in self.distance_px)
        return middle * nm_per_pixel, max(0.5 * abs(high - low), 0.5) * nm_per_pixel

    def offer(self, distance_nm: float, nm_per_pixel: float, margin: float = 0.03) -> tuple[float, float] | None:
        """The (y, x) fraction in the vacuum closest to `distance_nm` from the edge, nearest to the image's centre.

        None where the image has no vacuum inside its margin. Where the vacuum is narrower, its farthest point.
        """
        distance = self.distance_px[1] * nm_per_pixel
        height, width = distance.shape
        y, x = np.mgrid[0:height, 0:width]
        y, x = (y + 0.5) / height, (x + 0.5) / width
        inside = (np.minimum(y, 1 - y) > margin) & (np.minimum(x, 1 - x) > margin) & (distance > 0)
        if not inside.any():
            return None
        miss = np.abs(distance - distance_nm)
        best = miss[inside].min() + nm_per_pixel
        from_centre = np.where(inside & (miss <= best), np.hypot(y - 0.5, x - 0.5), np.inf)
        row, column = np.unravel_index(int(np.argmin(from_centre)), distance.shape)
        return float(y[row, column]), float(x[row, column])


def find_edge(image: np.ndarray) -> Edge | None:
    """The specimen's edge in a dark-vacuum (HAADF) image of shape (height, width); None where none is seen.

    Vacuum and specimen are the two classes that explain most of the variance (N. Otsu, IEEE Trans. Syst. Man Cybern.
    9 (1979) 62); an image that two levels do not explain has no edge.
    """
    smooth = ndimage.gaussian_filter(np.asarray(image, float), SMOOTHING_PX)
    if smooth.ndim != 2 or not np.isfinite(smooth).all() or np.ptp(smooth) == 0:
        return None
    vacuum, specimen, share = _two_levels(smooth)
    if share < SEPARATION:
        return None
    masks = [smooth > vacuum + level * (specimen - vacuum) for level in LEVELS]
    low, middle, high = (ndimage.distance_transform_edt(~mask) for mask in masks)
    return Edge((low, middle, high))


def _two_levels(image: np.ndarray) -> tuple[float, float, float]:
    """(lower mean, upper mean, explained share of the variance) of the best split into two classes."""
    counts, edges = np.histogram(image, bins=256)
    centres = 0.5 * (edges[1:] + edges[:-1])
    below, above = np.cumsum(counts), counts.sum() - np.cumsum(counts)
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / below, (sums[-1] - sums) / above
        between = below * above * (means[0] - means[1]) ** 2 / counts.sum() ** 2
    best = int(np.nanargmax(between))
    return float(means[0][best]), float(means[1][best]), float(between[best] / image.var())
