"""How much the counts of measured spectra scatter, estimated from the spectra themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..data.flags import Flag
from ..data.noise import NoiseModel
from ..data.spectrum import Spectra
from . import zlp
from .noise_blocks import BLOCK_CHANNELS, MAXIMUM_LAG, Blocks, averaged, blocks_of, frame_blocks, moments_of

LEAST_CORRELATION = 0.02  # of two channels; beyond the first that correlate less there is none to be seen
QUIET, QUIETER = 0.75, 0.5  # parts of the blocks that should hold no feature
ITERATIONS = 6
MAXIMUM_ROWS = 64  # more rows make the estimate no better than it needs to be
MINIMUM_FRAMES = 8  # fewer have no mean that is quieter than themselves
DISAGREEMENT = 0.1  # of the variance, that is 5 % of an uncertainty: less matters to nobody
SIGNIFICANT = 3.0  # sigma
FLOOR_SIGNIFICANT = 2.0  # a floor is expected; one that is too small is no harm
_FOURTH_SQUARES, _MEDIAN_SQUARE = 70.0, 0.455  # of white noise: sum of squared weights of a fourth difference; chi^2_1


def estimate(spectra: Spectra) -> NoiseModel:
    """Noise model of spectra of unknown gain: variance per count and correlation of neighbours, source "estimated".

    Blocks of channels outside the zero-loss peak are fitted with a cubic; what is left over is noise, whose variance is
    a part that grows with the counts and a floor (read noise). Blocks that stand out hold a feature and are left aside,
    as are those with a channel without a number. Spectra with no block to measure in have the variance that their
    differences from channel to channel show, and of unknown accuracy; those without counts have that of Poisson.
    """
    rows = spectra.rows[sampled_rows(spectra.valid)]
    return estimate_from([blocks_of(rows)]) or from_differences(rows)


def from_frames(spectra: Spectra) -> NoiseModel | None:
    """Noise model of frames of one place (f, m): variance and correlation of what sets them apart, source "frames".

    Frames are compared with their mean, so that features of the spectrum, which all of them have, are no noise. Their
    zeros are brought together by whole channels. Intensity and slope are free in each block of channels, which takes up
    what is left of the shift; a block where that does not do stands out, as one with a feature does in `estimate`.
    A pattern of the camera counts as noise as far as the zero moves over it. The floor is that of a frame.
    None for fewer than MINIMUM_FRAMES frames with a zero-loss peak, or with no block to measure in.
    """
    rows = spectra.rows[sampled_rows(spectra.valid)]
    if len(rows) < MINIMUM_FRAMES:
        return None
    peaks = zlp.find(rows, spectra.saturation_level)
    found = np.isfinite(peaks.position)
    if found.any():
        found &= peaks.height > 0.5 * np.median(peaks.height[found])  # none that the beam missed
    if found.sum() < MINIMUM_FRAMES:
        return None
    measured = estimate_from([frame_blocks(rows[found], peaks.position[found])])
    return None if measured is None else replace(measured, source="frames")


def sampled_rows(valid: np.ndarray) -> np.ndarray:
    """The rows, of those that are valid (n,), that an estimate is made from."""
    return np.flatnonzero(valid)[:MAXIMUM_ROWS]


def estimate_from(parts: Sequence[Blocks]) -> NoiseModel | None:
    """As `estimate`, from the blocks of its rows, however they are divided; None with no block to measure in.

    relative_sigma holds what chance does, and what taking fewer blocks would change, as features correlate, too.
    """
    whole = averaged(parts)
    if whole is None:
        return None
    levels, products, rows = whole
    order = parts[0].order
    moments, freedoms = moments_of(order), BLOCK_CHANNELS - order - 1
    variances = products[:, 0] / freedoms
    scale, floor = _scale_and_floor(variances, levels, rows, freedoms)
    if not scale > 0:
        return None
    expected = scale * levels + floor
    excess, alike, counting = variances / expected, products / expected[:, None], scale * levels / expected

    def among(quiet: np.ndarray) -> tuple[np.ndarray, float]:
        return _correlations(alike[quiet], counting[quiet], rows[quiet], moments)

    rho, sigma = among(excess <= np.quantile(excess, QUIET))
    fewer, _ = among(excess <= np.quantile(excess, QUIETER))
    # What a smooth fit takes away is smooth: of correlated noise more than its share.
    scale *= freedoms / float(moments[0] @ rho)
    correlation = 1 + 2 * float(rho[1:].sum())
    of_scale = _scale_sigma(scale * levels, floor, rows) * np.sqrt(2 * (1 + 2 * np.sum(rho[1:] ** 2)) / freedoms)
    choice = (1 + 2 * float(fewer[1:].sum())) / correlation - 1
    relative = float(np.sqrt(of_scale**2 + sigma**2 + choice**2))
    return NoiseModel("estimated", scale, None, correlation, floor, relative if np.isfinite(relative) else None)


def from_differences(rows: np.ndarray) -> NoiseModel:
    """Noise of spectra (r, m) without a block to measure in, from fourth differences of their channels.

    Of counts that are smooth nowhere it is too large. relative_sigma is None: nobody knows how good it is.
    """
    differences = np.diff(rows, 4, axis=1) ** 2 / _FOURTH_SQUARES
    levels = rows[:, 2 : 2 + differences.shape[1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(levels > 0, differences / levels, np.nan)
    scale = float(np.median(ratios[np.isfinite(ratios)])) / _MEDIAN_SQUARE if np.isfinite(ratios).any() else 0.0
    return NoiseModel("estimated", scale if scale > 0 else 1.0)


def for_spectra(spectra: Spectra) -> NoiseModel:
    """The noise model to analyse with: the spectra's own where the gain is known, else an estimate."""
    return reconciled(estimate(spectra), spectra.noise)


def reconciled(measured: NoiseModel, known: NoiseModel | None, frames: NoiseModel | None = None) -> NoiseModel:
    """The noise model to analyse with, from an estimate, what is known of the gain, and that of frames.

    With the gain known, the variance of a smooth feature is that of its electrons; the scatter of single channels,
    which a point spread lowers, still comes from the data, and the ratio of the two is the correlation. Else frames
    know more than smooth regions do. The floor is that of the spectra, whatever was summed in them.
    """
    better = measured if frames is None else replace(frames, floor=measured.floor)
    if known is None:
        return better
    per_channel = min(better.variance_per_count, known.variance_per_count)
    correlation = max(1.0, known.variance_per_count / per_channel)
    return replace(known, variance_per_count=per_channel, correlation=correlation, floor=measured.floor)


def doubts(measured: NoiseModel, used: NoiseModel) -> tuple[Flag, ...]:
    """What is odd about the noise model that is used, beside the estimate from smooth regions of the same spectra."""
    if used.source == "estimated" and used.relative_sigma is None:
        message = (
            "The noise of the spectra could not be measured; uncertainties come from differences between neighbouring "
            "channels. Give the gain of the camera, or keep the frames of the vacuum zero-loss peak."
        )
        return (Flag("NOISE_UNKNOWN", message),)
    if used.source != "frames" or measured.relative_sigma is None or used.relative_sigma is None:
        return ()
    ratio = measured.smooth_variance_per_count / used.smooth_variance_per_count
    error = ratio * float(np.hypot(measured.relative_sigma, used.relative_sigma))
    if abs(ratio - 1) <= max(DISAGREEMENT, SIGNIFICANT * error):
        return ()
    reason = (
        "a fixed pattern of the camera, or structure that passes for noise" if ratio > 1 else "drift between the frames"
    )
    message = (
        f"Smooth parts of the spectra have {ratio:.2g} times the variance that frames of one place have; this may be "
        f"{reason}. Uncertainties are those of the frames; check the gain reference, or give the gain."
    )
    return (Flag("NOISE_DISAGREES", message),)


def _correlations(
    products: np.ndarray, counting: np.ndarray, rows: np.ndarray, moments: np.ndarray
) -> tuple[np.ndarray, float]:
    """Correlation at each lag (lags + 1), 1 at none, of the noise that grows with counts; relative sigma of their sum.

    products: (b, lags + 1) over the expected variance, of blocks that were chosen for being quiet. counting: (b,) part
    of the variance that grows with the counts; read noise is taken to be white. rows: (b,) that the products are means
    of. sigma, after Bartlett (1950) of a spectral density at zero frequency, is infinite where nothing tells.
    """
    rho = np.zeros(MAXIMUM_LAG + 1)
    rho[0] = 1.0
    weight = rows * counting**2
    if not weight.sum() > 0:
        return rho, np.inf
    excess = products[:, 0] / moments[0, 0]
    seen = (rows * counting) @ (products - excess[:, None] * moments[:, 0]) / weight.sum()
    among_quiet = np.linalg.solve((moments - np.outer(moments[:, 0], moments[0]) / moments[0, 0])[1:, 1:], seen[1:])
    lacking = float(np.average(1 - excess, weights=weight))
    sigma = float(1 / np.sqrt(moments[0, 0] * weight.sum()))
    used = 0
    for _ in range(ITERATIONS):
        # The expected variance is that of residuals, of which a smooth fit took more where channels correlate.
        found = among_quiet * float(moments[0] @ rho) / moments[0, 0] + lacking * _slopes(rho)
        used = int(np.argmin(np.append(found, 0.0) >= max(LEAST_CORRELATION, sigma)))
        rho[1 : 1 + used], rho[1 + used :] = np.minimum(found[:used], 1.0), 0.0
    return rho, 2 * sigma * float(np.sqrt(max(used, 1)))


def _slopes(rho: np.ndarray) -> np.ndarray:
    """By how much the autocovariance at each lag but none (lags,) varies with the variance, from sample to sample.

    After Bartlett (1946): sum(rho_l rho_l+k) / sum(rho_l^2) over all l; blocks chosen for being quiet correlate less.
    """
    both_ways = np.concatenate([rho[:0:-1], rho])
    own = np.convolve(both_ways, both_ways)  # symmetric: a correlation is a convolution
    middle = both_ways.size - 1
    return own[middle + 1 : middle + rho.size] / own[middle]


def _scale_sigma(counting: np.ndarray, floor: float, rows: np.ndarray) -> float:
    """Relative standard deviation of the scale from blocks whose variances have one of 1 over the root of rows."""
    expected = counting + floor
    along, across = counting / expected, floor / expected
    known = float(rows @ along**2)
    if floor > 0:
        known -= float(rows @ (along * across)) ** 2 / float(rows @ across**2)  # what the floor could be instead
    return float(1 / np.sqrt(known)) if known > 0 else np.inf


def _scale_and_floor(variances: np.ndarray, levels: np.ndarray, rows: np.ndarray, freedoms: int) -> tuple[float, float]:
    """variance = scale level + floor, neither negative, over blocks (b,) of which some hold features.

    rows: (b,) that the variances are means of, each row with so many degrees of freedom.
    """
    outlier = 1 + SIGNIFICANT * np.sqrt(2 / (freedoms * rows))
    highest = levels.max()
    scale, floor = float(np.median(variances / levels)), 0.0
    for _ in range(ITERATIONS):
        expected = np.maximum(scale * levels + floor, 1e-300)
        plain = variances < outlier * expected
        if plain.sum() < 2:
            break
        weight = np.sqrt(rows[plain] * freedoms / 2) / expected[plain]
        design = np.stack([levels[plain], np.full(weight.size, highest)]) * weight  # both rows of one size
        scale, part = _simplest(design, variances[plain] * weight)
        floor = part * highest
    return scale, floor


def _simplest(design: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Coefficients of rows (2, b) by which they come closest to values (b,) of unit variance, neither negative.

    The second only where it makes a significant difference: at the ZLP, noise that does not grow with the counts would
    be none.
    """
    normal, target = design @ design.T, design @ values
    alone = float(target[0] / normal[0, 0])
    determinant = normal[0, 0] * normal[1, 1] - normal[0, 1] ** 2
    if determinant > 0:
        first = float((normal[1, 1] * target[0] - normal[0, 1] * target[1]) / determinant)
        second = float((normal[0, 0] * target[1] - normal[0, 1] * target[0]) / determinant)
        gain = second**2 * determinant / normal[0, 0]  # in chi-squared
        if first > 0 and second > 0 and gain > FLOOR_SIGNIFICANT**2:
            return first, second
    return alone, 0.0
