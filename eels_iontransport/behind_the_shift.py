"""What stands behind the shift of every evaluation: its uncertainty, whether widths are shared, and how long still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .data.errors import UnusableInput
from .data.flags import Flag
from .outlook import shift_outlook, taken
from .prepared import Prepared
from .quantity import quantity
from .shift_study import ShiftStudy
from .shift_uncertainty import ShiftUncertainty, references


@dataclass(frozen=True, eq=False)
class BehindTheShift:
    """How uncertain the shift is, whether the regions share their widths (None: not to be told), and how long still."""

    uncertainty: ShiftUncertainty
    widths: Mapping[str, Any] | None
    outlook: Mapping[str, Any]
    flags: tuple[Flag, ...]


def behind_the_shift(study: ShiftStudy, line: Prepared, masks: Mapping[str, np.ndarray]) -> BehindTheShift:
    """All of it for the shift of a study. masks: group -> (n,) bool, the rows of the line that it sums."""
    uncertainty = study.uncertainty()
    reference = references(tuple(study.groups))[0]
    shift = uncertainty.of_shift(reference)
    so_far = taken(line.spectra, line.summable, masks, line.noise.electrons_per_count)
    systematic = shift.systematic if shift is not None else 0.0
    outlook, doubts = shift_outlook(
        study.setup, study.groups, study.together, reference, so_far, systematic_mev=systematic
    )
    widths, more = _widths(study, reference)
    return BehindTheShift(uncertainty, widths, outlook, (*doubts, *more, *_unknown(uncertainty, reference)))


def _unknown(uncertainty: ShiftUncertainty, reference: str) -> tuple[Flag, ...]:
    """A flag for what the uncertainty of the shift leaves out."""
    parts = uncertainty.unknown(reference)
    if not parts:
        return ()
    message = (
        f"What {' and '.join(parts)} leave uncertain in the shift could not be determined, and is not in its "
        "uncertainty: a peak reaches its limit where they are varied."
    )
    return (Flag("UNCERTAINTY_INCOMPLETE", message),)


def _widths(study: ShiftStudy, reference: str) -> tuple[dict[str, Any] | None, tuple[Flag, ...]]:
    """Whether the regions share their widths, with the shift without sharing where not, for JSON; and the doubts."""
    try:
        found = study.widths
    except UnusableInput:
        return None, ()
    own = study.shift_with_own_widths(reference) if found.differ else (None, None)
    return {**found.to_dict(), "shift_with_own_widths_mev": quantity(own[0], own[1], "meV")}, found.flags
