"""A line that was traversed several times, in one item or in several, as far as its record says that it got."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .errors import UnusableInput
from .record import Record, Role
from .spectrum import EnergyAxis, Spectra, sum_of_passes

SAME_STEP = 1e-4  # part of a step by which pixels and channels of the same line may lie apart
_OF_FRAMES = (Role.ZLP, Role.ALOOF)


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


def joined(parts: Sequence[Spectra]) -> Spectra:
    """The passes of all parts as those of one line, in the order of the parts; one part alone is as it is.

    An item without passes of its own is one pass. A row is valid where any part has it, and is a sum of the passes that
    have; parts that hold no row count for nothing. frames and saturation_level are those of the sum, as for
    `recorded_passes`. exposure_s and the noise model are None where the parts do not agree. The name and the metadata
    are those of the first part; `parts` has all of them.

    Raises UnusableInput where there is no part, and naming one that is of another line: no line at all, or with other
    pixels, another step or energy axis, collected otherwise, or planned at another place.
    """
    if not parts:
        raise UnusableInput("There are no spectra to put together; give at least one item.")
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts:
        _require_same_line(first, part)
    taken = [part for part in parts if part.valid.any()] or [first]
    whole = sum_of_passes(
        np.concatenate([_passes_of(part) for part in taken]),
        first.energy,
        valid=np.any([part.valid for part in taken], axis=0),
        step_nm=first.step_nm,
        saturation_level=_sum(part.saturation_level for part in taken),
        exposure_s=_common([part.exposure_s for part in taken]),
        frames=_sum(part.frames for part in taken),
        noise=_common([part.noise for part in taken]),
        name=first.name,
        metadata=first.metadata,
    )
    return replace(whole, parts=tuple(item for part in parts for item in part.sources))


def of_one_line(first: Spectra, part: Spectra) -> bool:
    """Whether the records of two items say that both are passes of one line."""
    records = [Record.from_metadata(spectra.metadata) for spectra in (first, part)]
    told = [(record.role, _place(record)) for record in records if record is not None and record.plan.get("line")]
    return len(told) == 2 and told[0] == told[1] and all(map(_is_line, (first, part))) and not _difference(first, part)


def _passes_of(part: Spectra) -> np.ndarray:
    """The passes (P, n, channels) of a part, zeros where a row was not taken."""
    passes = part.rows[None] if part.passes is None else part.passes
    return np.where(part.valid[None, :, None], passes, 0.0)


def _require_same_line(first: Spectra, part: Spectra) -> None:
    """Raises UnusableInput where a part is not of the line of the first one."""
    if not _is_line(part):
        raise UnusableInput(f"'{part.name}' is no line of spectra; only passes of a line are put together.")
    other = _difference(first, part)
    if other:
        raise UnusableInput(
            f"'{part.name}' has {other} '{first.name}', so it is no further pass of the same line; leave it out."
        )


def _is_line(spectra: Spectra) -> bool:
    """Whether rows are places, not frames of one."""
    record = Record.from_metadata(spectra.metadata)
    return spectra.is_line and (record is None or record.role not in _OF_FRAMES)


def _difference(first: Spectra, part: Spectra) -> str:
    """In what a part differs from a pass of the same line, as "another step along the line than"; empty where not."""
    if len(first.rows) != len(part.rows):
        return f"{len(part.rows)} pixels, not the {len(first.rows)} of"
    if not _same_axis(first.energy, part.energy):
        return "another energy axis than"
    if not np.isclose(first.step_nm or 0.0, part.step_nm or 0.0, rtol=SAME_STEP, atol=0.0):
        return "another step along the line than"
    records = [Record.from_metadata(spectra.metadata) for spectra in (first, part)]
    ours, theirs = ((record.is_off_axis, _place(record)) if record is not None else None for record in records)
    if ours is None or theirs is None:
        return ""
    if ours[0] != theirs[0]:
        return "another collection (on or off the axis) than"
    return "another place than" if ours[1] and theirs[1] and ours[1] != theirs[1] else ""


def _same_axis(ours: EnergyAxis, theirs: EnergyAxis) -> bool:
    ends = np.array([[axis.offset_ev, axis.end_ev] for axis in (ours, theirs)])
    return ours.size == theirs.size and bool(np.ptp(ends, axis=0).max() <= SAME_STEP * ours.step_ev)


def _place(record: Record) -> tuple[Any, Any] | None:
    """The name of the place and its line; None where the record does not tell."""
    return (record.plan.get("name"), record.plan.get("line")) if record.plan else None


def _sum(values: Iterable[float | None]) -> Any:
    """Of all values; None where one is not known."""
    known = list(values)
    return None if None in known else sum(known)  # type: ignore[arg-type]


def _common(values: Sequence[Any]) -> Any:
    """The value that all have; None where they differ."""
    return values[0] if all(value == values[0] for value in values) else None
