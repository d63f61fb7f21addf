"""How uncertain the response itself is: responses as other counts of the same zero-loss peak would have made them.

Kept frames are drawn anew, with replacement (Efron 1979); of a single spectrum, or few frames, counts are drawn around
the measured ones with the noise that they have. Each draw is described afresh by its sum of Voigts, so that the choice
of these is part of the spread. What is wrong with the response otherwise, such as a vacuum that is none, does not show
in its counts; compare with the response of the gain side for that.

Sums of Voigts that are equally close to a response can differ by 0.1 meV in what they do to a shift; spectra put
`through_voigts` tell for the one that is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from scipy.special import voigt_profile

from ..data.errors import UnusableInput
from ..data.noise import NoiseModel
from ..data.spectrum import Spectra
from ..measure.alignment import Aligned, aligned_sum
from . import voigt_sum
from .response import Response, from_vacuum
from .result import Decomposition

COUNT = 24  # draws; a standard deviation of so many is good to 15 %
MINIMUM_FRAMES = 12  # draws of fewer frames scatter less than the frames do

_T = TypeVar("_T")
Measure = Callable[[np.ndarray, np.ndarray], _T]  # energy_mev (m,), counts (m,) -> what is made of a zero-loss peak


def response_ensemble(
    spectra: Spectra,
    zero_ev: np.ndarray,
    noise: NoiseModel,
    count: int = COUNT,
    seed: int = 0,
    measure: Measure[_T] = from_vacuum,  # type: ignore[assignment]
) -> list[_T]:
    """Responses from frames drawn anew where enough were kept, else from counts drawn around their sum.

    zero_ev: (n,) zeros of the spectra, nan for those without. Raises UnusableInput where none has one.
    """
    usable = spectra.valid & np.isfinite(zero_ev)
    if usable.sum() >= MINIMUM_FRAMES:
        return draw_frames(spectra, zero_ev, count, seed, measure)
    total = aligned_sum(spectra, usable, zero_ev)
    if total is None:
        raise UnusableInput("There is no zero-loss peak to draw a response from; record one that is not saturated.")
    return draw_counts(total, noise, count, seed, measure)


def draw_frames(
    frames: Spectra,
    zero_ev: np.ndarray,
    count: int = COUNT,
    seed: int = 0,
    measure: Measure[_T] = from_vacuum,  # type: ignore[assignment]
) -> list[_T]:
    """Responses of frames (f, m) drawn with replacement, whose zeros lie at zero_ev (f,), nan for one without.

    Raises UnusableInput for fewer than MINIMUM_FRAMES frames with a zero; see `draw_counts` for these.
    """
    usable = np.flatnonzero(frames.valid & np.isfinite(zero_ev))
    if usable.size < MINIMUM_FRAMES:
        raise UnusableInput(f"{usable.size} frames are too few to be drawn anew; keep {MINIMUM_FRAMES} at least.")
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        chosen = random.choice(usable, usable.size)
        again = replace(frames, counts=frames.rows[chosen], valid=np.ones(chosen.size, bool), passes=None)
        total = aligned_sum(again, again.valid, zero_ev[chosen])
        if total is not None:
            drawn.append(measure(total.energy_mev, total.counts))
    return drawn


def draw_counts(
    total: Aligned,
    noise: NoiseModel,
    count: int = COUNT,
    seed: int = 0,
    measure: Measure[_T] = from_vacuum,  # type: ignore[assignment]
) -> list[_T]:
    """Responses of one spectrum, or a sum, with counts drawn around its own.

    Each channel has the variance that anything smooth sees, neighbours that correlate included.
    """
    random = np.random.default_rng(seed)
    sigma = np.sqrt(noise.variance(total.counts, total.rows) * noise.correlation)
    return [measure(total.energy_mev, total.counts + sigma * random.standard_normal(sigma.size)) for _ in range(count)]


def through_voigts(fitted: Decomposition, spectra: Sequence[Aligned], response: Response) -> list[Aligned]:
    """The spectra as they would be if the response were what its Voigts are, by the fitted lines."""
    return [
        replace(spectrum, counts=spectrum.counts + _through_voigts_less_measured(fitted, row, spectrum, response))
        for row, spectrum in enumerate(spectra)
    ]


def _through_voigts_less_measured(fitted: Decomposition, row: int, spectrum: Aligned, response: Response) -> np.ndarray:
    """Counts (m,) by which the lines of a fitted spectrum differ when seen through the Voigts of the response."""
    step = spectrum.step_mev
    energy = np.nan_to_num(spectrum.energy_mev)
    reach = np.arange(-int(response.energy_mev[-1] / step), int(response.energy_mev[-1] / step) + 1) * step
    wrong = voigt_sum.total(reach, response.components) - np.interp(reach, response.energy_mev, response.density)
    area, centre, sigma, gamma = (fitted.values[name][row] for name in ("area", "centre_mev", "sigma_mev", "gamma_mev"))
    there = np.isfinite(area * centre) & (area > 0)
    lines = voigt_profile(energy[:, None] - centre[there], sigma[there], gamma[there]) @ area[there]
    half = reach.size // 2  # of what may be longer than the spectrum
    return np.convolve(lines, wrong)[half : half + lines.size] * step
