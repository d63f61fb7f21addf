"""From the parts that every item has - array, calibrations, metadata - to checked spectra and spectrum images.

Used for files and for items that are open in a host alike, so that both are judged by the same rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data import noise
from ..data.errors import UnusableInput
from ..data.image import SpectrumImage, require_image
from ..data.passes import fits, recorded_passes
from ..data.record import Record, Role
from ..data.spectrum import EnergyAxis, Spectra, make_spectra, sum_of_passes
from ..data.units import ev_per_unit

Calibration = tuple[float, float, str]  # offset, scale, units

_NM_PER_UNIT = {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "pm": 1e-3, "m": 1e9, "mm": 1e6, "a": 0.1, "å": 0.1}
_ROWS_ARE_FRAMES = (Role.ZLP, Role.ALOOF)


def spectra_from_parts(
    data: np.ndarray,
    calibrations: Sequence[Calibration],
    metadata: Mapping[str, Any],
    name: str,
    *,
    first_axis_is_passes: bool = False,
) -> Spectra:
    """Spectra from an array whose last axis is the energy and whose axis before it, if any, is the line.

    data: (channels,), (n, channels), or those with more axes of length 1. calibrations: one per axis, in the order of
    the axes. metadata: as Swift keeps it; an acquisition's `Record` in it says which rows are data. Without a record,
    rows of nothing but zeros at the end of a line count as never taken.
    first_axis_is_passes: the first of three axes or more counts the passes along one line, which are summed and kept.

    Raises UnusableInput that begins with the name.
    """
    counts = _counts(data, name)
    if len(calibrations) != counts.ndim:
        raise UnusableInput(
            f"'{name}' has {counts.ndim} axes but {len(calibrations)} calibrations; calibrate it again."
        )
    passes = None
    if first_axis_is_passes and counts.ndim > 2:
        passes, calibrations = _passes(counts, calibrations, name)
        counts = passes.sum(axis=0)
    counts, calibrations = _without_short_axes(counts, calibrations, name)
    energy = _energy_axis(calibrations[-1], counts.shape[-1], name)
    record = Record.from_metadata(metadata)
    frames_as_rows = record is not None and record.role in _ROWS_ARE_FRAMES
    hardware = _hardware(metadata)
    fields: dict[str, Any] = {
        "step_nm": _step_nm(calibrations[0]) if counts.ndim == 2 and not frames_as_rows else None,
        "exposure_s": _positive(record.exposure_s if record else hardware.get("exposure")),
        "noise": _noise(record, hardware),
        "name": name,
        "metadata": metadata,
    }
    if passes is not None and record is not None and fits(record, passes):
        return recorded_passes(passes, record, energy, **fields)
    make, given = (make_spectra, counts) if passes is None else (sum_of_passes, passes)
    frames, level = _in_sum(record, passes)
    return make(given, energy, valid=_valid(counts, record), saturation_level=level, frames=frames, **fields)


def image_from_parts(
    data: Any, calibrations: Sequence[Calibration], metadata: Mapping[str, Any], name: str
) -> SpectrumImage:
    """A spectrum image from an array (height, width, channels), or what gives arrays when it is sliced.

    calibrations, metadata: as for `spectra_from_parts`. Raises UnusableInput that begins with the name.
    """
    require_image(data, name)
    if len(calibrations) != 3:
        raise UnusableInput(f"'{name}' has 3 axes but {len(calibrations)} calibrations; calibrate it again.")
    record = Record.from_metadata(metadata)
    hardware = _hardware(metadata)
    down, across = _step_nm(calibrations[0]), _step_nm(calibrations[1])
    return SpectrumImage(
        data,
        _energy_axis(calibrations[2], np.shape(data)[2], name),
        step_nm=(down, across) if down is not None and across is not None else None,
        saturation_level=_positive(record.saturation_level) if record else None,
        exposure_s=_positive(record.exposure_s if record else hardware.get("exposure")),
        noise=_noise(record, hardware),
        name=name,
        metadata=metadata,
    )


def _hardware(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    hardware = metadata.get("hardware_source")
    return hardware if isinstance(hardware, Mapping) else {}


def _counts(data: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(data)
    if array.dtype.kind not in "iuf":
        raise UnusableInput(f"'{name}' holds {array.dtype} values, not counts; give a spectrum or a line of spectra.")
    if array.ndim == 0 or array.size == 0:
        raise UnusableInput(f"'{name}' is empty; give a spectrum or a line of spectra.")
    return array.astype(float)


def _without_short_axes(
    counts: np.ndarray, calibrations: Sequence[Calibration], name: str
) -> tuple[np.ndarray, Sequence[Calibration]]:
    """A line that a scan delivers as (1, n, channels) becomes (n, channels)."""
    if counts.ndim <= 2:
        return counts, calibrations
    kept = [i for i in range(counts.ndim - 1) if counts.shape[i] > 1] or [counts.ndim - 2]
    if len(kept) > 1:
        shape = " x ".join(str(length) for length in counts.shape)
        raise UnusableInput(f"'{name}' has {shape} values; give a spectrum or a line of spectra, not a map or a stack.")
    axis = kept[0]
    return counts.reshape(counts.shape[axis], counts.shape[-1]), [calibrations[axis], calibrations[-1]]


def _passes(
    counts: np.ndarray, calibrations: Sequence[Calibration], name: str
) -> tuple[np.ndarray, Sequence[Calibration]]:
    """Passes (P, n, channels) along a line, and the calibrations of one of them."""
    kept = [i for i in range(1, counts.ndim - 1) if counts.shape[i] > 1] or [counts.ndim - 2]
    if len(kept) > 1:
        shape = " x ".join(str(length) for length in counts.shape)
        raise UnusableInput(f"'{name}' is a sequence of maps ({shape} values); give passes along one line.")
    axis = kept[0]
    passes = counts.reshape(counts.shape[0], counts.shape[axis], counts.shape[-1])
    return passes, [calibrations[axis], calibrations[-1]]


def _energy_axis(calibration: Calibration, size: int, name: str) -> EnergyAxis:
    offset, scale, units = calibration
    ev = ev_per_unit(units or "")
    if ev is None:
        found = f"is in '{units}', which is no energy" if (units or "").strip() else "has no unit"
        raise UnusableInput(f"The last axis of '{name}' {found}; calibrate it as energy loss in eV or meV.")
    if not (math.isfinite(offset) and math.isfinite(scale)):
        raise UnusableInput(f"The energy axis of '{name}' is not finite; calibrate it again.")
    if scale <= 0:
        raise UnusableInput(f"The energy axis of '{name}' has a step of {scale:g} {units}; it needs a positive step.")
    return EnergyAxis(offset * ev, scale * ev, size)


def _step_nm(calibration: Calibration) -> float | None:
    _, scale, units = calibration
    unit = _NM_PER_UNIT.get((units or "").strip().lower())
    if unit is None or not math.isfinite(scale) or scale == 0:
        return None
    return abs(scale) * unit


def _valid(counts: np.ndarray, record: Record | None) -> np.ndarray:
    rows = np.atleast_2d(counts)
    if record is not None:
        return np.arange(len(rows)) < record.rows_valid
    if counts.ndim == 1:
        return np.ones(1, bool)
    taken = np.flatnonzero((rows != 0).any(axis=1))
    return np.arange(len(rows)) <= (taken[-1] if taken.size else -1)


def _in_sum(record: Record | None, passes: np.ndarray | None) -> tuple[int | None, float | None]:
    """Frames and full counts of a row that is a sum of passes; None where it is not known how many these are."""
    if record is None or (record.passes > 1 and passes is None):
        return None, None
    times, level = len(passes) if passes is not None and record.passes > 1 else 1, _positive(record.saturation_level)
    return None if record.frames is None else times * record.frames, None if level is None else times * level


def _noise(record: Record | None, hardware: Mapping[str, Any]) -> noise.NoiseModel | None:
    if record is not None and _positive(record.electrons_per_count):
        return noise.given(float(record.electrons_per_count))  # type: ignore[arg-type]
    counts_per_electron = _positive(hardware.get("counts_per_electron"))
    return noise.given(1.0 / counts_per_electron) if counts_per_electron else None


def _positive(value: Any) -> float | None:
    """The value as a float where it is a finite number above zero, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None
