"""Where one image looks like another: the correlation at all whole-pixel shifts, and its peaks."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import maximum_filter


def correlation(reference: np.ndarray, image: np.ndarray, reach: int) -> np.ndarray:
    """Pearson's correlation of reference(p) with image(p + s) over the pixels p that both have, (2 reach + 1,) * 2.

    Index (reach + y, reach + x) is the shift s = (y, x). As mean and variance are those of the overlap at each shift,
    a smaller overlap pulls the peak nowhere (Padfield, IEEE Trans. Image Process. 21 (2012) 2706). 0 where one
    of the two is constant.
    """
    shape = reference.shape
    size = tuple(next_fast_len(n + reach, real=True) for n in shape)
    first, second = reference - reference.mean(), image - image.mean()

    def transform(values: np.ndarray) -> np.ndarray:
        return rfft2(values, size)

    def sums(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        lags = irfft2(np.conj(one) * other, size)
        rows, columns = (np.arange(-reach, reach + 1) % n for n in size)
        return lags[np.ix_(rows, columns)]

    ones, f, g = transform(np.ones(shape)), transform(first), transform(second)
    count = np.maximum(sums(ones, ones), 1.0)
    mean_f, mean_g = sums(f, ones) / count, sums(ones, g) / count
    variance_f = sums(transform(first**2), ones) / count - mean_f**2
    variance_g = sums(ones, transform(second**2)) / count - mean_g**2
    covariance = sums(f, g) / count - mean_f * mean_g
    floor = 1e-12 * max(first.var() * second.var(), np.finfo(float).tiny)
    product = variance_f * variance_g
    return np.where(product > floor, covariance / np.sqrt(np.maximum(product, floor)), 0.0)


def peaks(values: np.ndarray, allowed: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The highest local maxima among the allowed shifts, highest first, as shifts (y, x) from the middle."""
    tops = allowed & (values == maximum_filter(values, 3)) & (values > 0)
    places = np.argwhere(tops)
    order = np.argsort(values[tops])[::-1][:count]
    reach = values.shape[0] // 2
    return [(int(y) - reach, int(x) - reach) for y, x in places[order]]
