"""How long a frame may be exposed, judged by a test frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

HEADROOM = 0.8  # part of full scale that the highest channel may reach: the ZLP sharpens and the current wanders
FULL = 0.98  # a channel above this part of full scale tells no more what it would have held
_LEAST_SIGNAL = 10.0  # the highest channel has to stand so many standard deviations above the others' noise
_ROUND_DIGITS = 2


@dataclass(frozen=True)
class Advice:
    """What a test frame says of the exposure; nan where it does not say."""

    fraction_of_full_scale: float
    longest_safe_exposure_s: float
    sentence: str

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.longest_safe_exposure_s)


def advise(
    counts: np.ndarray, exposure_s: float, saturation_counts: float | None, *, longest_s: float = 60.0
) -> Advice:
    """The longest exposure at which the highest channel stays below HEADROOM of full scale.

    counts: (channels,) of one frame or (frames, channels) of several, of which the highest counts. saturation_counts:
    where a channel of one frame is full; None where that is not known. longest_s: what the camera allows.
    """
    frames = np.atleast_2d(np.asarray(counts, float))
    if frames.size == 0 or not np.isfinite(frames).any():
        return Advice(math.nan, math.nan, "The test frame holds no counts; take it again.")
    peak = float(np.nanmax(frames))
    if saturation_counts is None or not saturation_counts > 0:
        return Advice(math.nan, math.nan, "The full scale of the camera is not known; name it in the site file.")
    fraction = peak / saturation_counts
    if fraction >= FULL:
        return Advice(fraction, math.nan, f"Saturated at {exposure_s:g} s; take a test frame of a tenth of that.")
    if not _has_signal(frames, peak):
        return Advice(fraction, math.nan, "There is no peak in the test frame; check beam, shutter and energy range.")
    longest = min(longest_s, _rounded_down(exposure_s * HEADROOM / fraction))
    return Advice(
        fraction,
        longest,
        f"Peak at {100 * fraction:.0f} % of full scale; longest safe exposure {longest:g} s."
        if fraction >= 0.01
        else f"Peak at {100 * fraction:.2g} % of full scale; longest safe exposure {longest:g} s.",
    )


def _has_signal(frames: np.ndarray, peak: float) -> bool:
    middle = float(np.nanmedian(frames))
    spread = 1.4826 * float(np.nanmedian(np.abs(frames - middle)))
    return peak - middle > _LEAST_SIGNAL * spread and peak > 0


def _rounded_down(seconds: float) -> float:
    scale = 10.0 ** (_ROUND_DIGITS - 1 - math.floor(math.log10(seconds)))
    return math.floor(seconds * scale + 1e-9) / scale
