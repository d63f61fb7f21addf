"""A line that was traversed several times, as far as its record says that it got."""

from __future__ import annotations

from typing import Any

import numpy as np

from .record import Record
from .spectrum import EnergyAxis, Spectra, sum_of_passes


def fits(record: Record | None, passes: np.ndarray) -> bool:
    """Whether a record tells of these passes (P, n, channels): not where the array is a part of what was recorded."""
    return record is not None and record.passes > 1 and passes.shape[:2] == (record.passes, record.pixels)


def recorded_passes(passes: np.ndarray, record: Record, energy: EnergyAxis, **fields: Any) -> Spectra:
    """Spectra of a line from its passes (P, n, channels), of which the first `rows_valid` pixels were taken.

    Passes that were never begun are left out. A pixel that a partial last pass has not reached is a sum of one pass
    fewer; one that no pass has reached is not valid. What stands in place of what was not taken does not matter.
    frames and saturation_level become those of the sum of the passes that were begun, so that a saturated peak goes
    unseen in pixels that have one pass fewer, while those that the last pass has reached show it.

    Raises UnusableInput as `make_spectra` does.
    """
    total, pixels = passes.shape[:2]
    taken = (np.arange(total * pixels) < record.rows_valid).reshape(total, pixels)
    begun = max(1, int(taken.any(axis=1).sum()))
    counts = np.where(taken[:begun, :, None], passes[:begun], 0.0)
    return sum_of_passes(
        counts,
        energy,
        valid=taken.any(axis=0),
        frames=None if record.frames is None else begun * record.frames,
        saturation_level=None if record.saturation_level is None else begun * record.saturation_level,
        **fields,
    )
