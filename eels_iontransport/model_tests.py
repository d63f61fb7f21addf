"""Whether the recipe's model is the right one: the numbers of peaks, and the aloof areas as a prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .data.flags import Flag
from .decomposition.area_tie import tie_areas
from .decomposition.engine import Stop, never
from .decomposition.peak_count import count_aloof_peaks, count_phononic_peaks
from .prepared import Prepared
from .progress import Progress, silent
from .shift import shift_peak, weights
from .vibrational import Vibrations


def examine_model(
    vibrations: Vibrations,
    aloof: Prepared | None,
    reference: str,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    """The entry `model` of a readout, and the doubts about the model.

    aloof_peaks, phononic_peaks: what fits with other numbers of peaks say. area_tie: the shift if the polaritons kept
    the ratios of their aloof areas, where that is not rejected. null for what cannot be asked. Raises UnusableInput,
    and Cancelled when should_stop says so.
    """
    model, together = vibrations.model, vibrations.together
    row = weights(reference, tuple(vibrations.groups))
    entry: dict[str, Any] = {"aloof_peaks": None, "phononic_peaks": None, "area_tie": None}
    if model is None or together is None or model.setup.mode != "shared":
        return entry, ()
    setup, spectra = model.setup, list(vibrations.groups.values())
    phononic = count_phononic_peaks(setup, spectra, row, should_stop, progress)
    entry["phononic_peaks"], flags = phononic.to_dict(), [*phononic.flags]
    outside = aloof.total() if aloof is not None else None
    if aloof is None or outside is None or model.aloof is None:
        return entry, tuple(flags)
    polaritonic = count_aloof_peaks(setup, outside, aloof.noise, spectra, row, should_stop, progress)
    entry["aloof_peaks"] = polaritonic.to_dict()
    flags += polaritonic.flags
    if row is not None:
        tie, doubts = _tied(vibrations, row)
        entry["area_tie"] = tie
        flags += doubts
    return entry, tuple(flags)


def _tied(vibrations: Vibrations, row: np.ndarray) -> tuple[Mapping[str, Any], tuple[Flag, ...]]:
    model, together = vibrations.model, vibrations.together
    assert model is not None and model.aloof is not None and together is not None
    peak = shift_peak(model.setup.recipe)
    tie = tie_areas(model.setup, vibrations.groups, together, model.aloof, peak, row)
    return tie.to_dict(), tie.flags
