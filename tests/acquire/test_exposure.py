"""Advice on the exposure by a test frame."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eels_iontransport.acquire.exposure import HEADROOM, advise

FULL = 1e6


def frame(peak: float, noise: float = 6.0, seed: int = 5000) -> np.ndarray:
    counts = np.random.default_rng(seed).normal(0.0, noise, 2048)
    counts[495:506] += peak * np.exp(-(np.arange(-5, 6) ** 2) / 8)
    return counts


@pytest.mark.parametrize(
    ("peak", "exposure_s", "longest_s"),
    [(0.62 * FULL, 0.1, 0.12), (0.8 * FULL, 0.1, 0.099), (0.1 * FULL, 0.02, 0.15), (0.9 * FULL, 0.5, 0.44)],
)
def test_the_longest_safe_exposure(peak, exposure_s, longest_s):
    advice = advise(frame(peak), exposure_s, FULL)
    assert advice.fraction_of_full_scale == pytest.approx(peak / FULL, abs=1e-4)
    assert advice.longest_safe_exposure_s == longest_s
    assert peak / FULL * advice.longest_safe_exposure_s / exposure_s <= HEADROOM + 1e-9


def test_the_sentence_of_the_panel():
    assert advise(frame(0.62 * FULL), 0.1, FULL).sentence == (
        "Peak at 62 % of full scale; longest safe exposure 0.12 s."
    )


def test_the_highest_of_several_frames_counts():
    frames = np.array([frame(p * FULL) for p in (0.2, 0.4, 0.3)])
    assert advise(frames, 0.1, FULL).fraction_of_full_scale == pytest.approx(0.4, abs=1e-4)


def test_no_longer_than_the_camera_allows():
    assert advise(frame(1000.0), 0.1, FULL, longest_s=2.0).longest_safe_exposure_s == 2.0


UNKNOWN = {
    "saturated": (frame(1.0 * FULL), FULL, "Saturated at 0.1 s; take a test frame of a tenth"),
    "beyond full scale": (frame(2.0 * FULL), FULL, "Saturated"),
    "nearly saturated": (frame(0.985 * FULL), FULL, "Saturated"),
    "noise alone": (frame(0.0), FULL, "no peak"),
    "dark": (np.zeros(2048), FULL, "no peak"),
    "full scale not known": (frame(1000.0), None, "full scale of the camera is not known"),
    "no channels": (np.zeros((0, 2048)), FULL, "no counts"),
    "no numbers": (np.full(2048, np.nan), FULL, "no counts"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_a_frame_does_not_say(case):
    counts, full, words = UNKNOWN[case]
    advice = advise(counts, 0.1, full)
    assert words in advice.sentence and not advice.is_known
    assert math.isnan(advice.longest_safe_exposure_s)
