"""Spectra as they were recorded: raw counts, energy axis, and which rows are real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .errors import UnusableInput
from .noise import NoiseModel
from .units import mev

MINIMUM_CHANNELS = 16
MINIMUM_FINITE = 0.5  # part of the channels of a row that have to hold a number


@dataclass(frozen=True)
class EnergyAxis:
    """Energy loss of channel i: offset_ev + i step_ev."""

    offset_ev: float
    step_ev: float
    size: int

    def __post_init__(self) -> None:
        if not (np.isfinite(self.offset_ev) and np.isfinite(self.step_ev) and self.step_ev > 0):
            raise UnusableInput("The energy axis needs a finite offset and a positive step in eV; calibrate it first.")

    @property
    def energies_ev(self) -> np.ndarray:
        return self.offset_ev + self.step_ev * np.arange(self.size)

    @property
    def energies_mev(self) -> np.ndarray:
        return mev(self.energies_ev)

    @property
    def end_ev(self) -> float:
        """Energy of the last channel."""
        return self.offset_ev + self.step_ev * (self.size - 1)

    def channels(self, low_ev: float, high_ev: float) -> slice:
        """Channels whose centre lies in [low, high], as a slice; empty where none does."""
        first = int(np.ceil((low_ev - self.offset_ev) / self.step_ev - 1e-9))
        last = int(np.floor((high_ev - self.offset_ev) / self.step_ev + 1e-9))
        first = min(max(first, 0), self.size)
        return slice(first, max(first, min(last + 1, self.size)))


@dataclass(frozen=True, eq=False)
class Spectra:
    """One spectrum, shape (channels,), or a line of them, shape (n, channels), in raw camera counts.

    A channel of nan was lost and says nothing; the rest of its row does.
    valid: (n,) bool, the rows that were acquired and hold numbers; (1,) for a single spectrum. Rows that are not
    valid hold no data, whatever their numbers say.
    step_nm: distance between rows along the line; None where the rows are frames or the distance is unknown.
    saturation_level: counts at which a channel of this item is full; None where unknown.
    exposure_s, frames: exposure of one frame, frames summed into each row; None where unknown.
    noise: the noise model where the gain is known; None means that it is to be estimated.
    passes: (P, n, channels), the counts of each traversal of a line that was traversed P times, whose sum is `counts`,
    as they are or brought to one zero (`measure.passes`); None where they were not kept. Zeros where a traversal took
    nothing.
    parts: the items that were put together to these spectra (`data.passes.joined`); empty where it is one item.
    """

    counts: np.ndarray
    energy: EnergyAxis
    valid: np.ndarray
    step_nm: float | None = None
    saturation_level: float | None = None
    exposure_s: float | None = None
    frames: int | None = None
    noise: NoiseModel | None = None
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    passes: np.ndarray | None = None
    parts: tuple[Spectra, ...] = ()

    @property
    def sources(self) -> tuple[Spectra, ...]:
        """The spectra of each item that is in these, the only one where they are one item."""
        return self.parts or (self,)

    @property
    def rows(self) -> np.ndarray:
        """Counts as (n, channels), also for a single spectrum."""
        return np.atleast_2d(self.counts)

    @property
    def is_line(self) -> bool:
        return self.counts.ndim == 2

    @property
    def position_nm(self) -> np.ndarray:
        """Distance along the line of every row, (n,); in pixels where the step is unknown."""
        return np.arange(len(self.rows)) * (self.step_nm if self.step_nm else 1.0)

    @property
    def traversals(self) -> np.ndarray:
        """How many passes each row is a sum of, (n,); 1 where the passes were not kept apart."""
        if self.passes is None:
            return np.ones(len(self.rows), int)
        return (np.nan_to_num(self.passes) != 0).any(axis=2).sum(axis=0)

    def with_valid(self, valid: np.ndarray) -> Spectra:
        return replace(self, valid=np.asarray(valid, bool) & self.valid)


def make_spectra(counts: np.ndarray, energy: EnergyAxis, *, valid: np.ndarray | None = None, **fields: Any) -> Spectra:
    """Checked spectra; counts may be negative (dark-subtracted).

    Values that are not finite become nan; rows of which these are more than half are not valid.

    Raises UnusableInput for an empty array, a wrong number of dimensions, or an axis of another length.
    """
    counts = np.asarray(counts, dtype=float)
    label = f"'{fields['name']}'" if fields.get("name") else "The data"
    if counts.ndim not in (1, 2):
        raise UnusableInput(f"{label} has {counts.ndim} dimensions; give a spectrum or a line of spectra.")
    if counts.size == 0 or counts.shape[-1] < MINIMUM_CHANNELS:
        raise UnusableInput(f"{label} has shape {counts.shape}; a spectrum needs at least {MINIMUM_CHANNELS} channels.")
    if counts.shape[-1] != energy.size:
        raise UnusableInput(f"{label} has {counts.shape[-1]} channels but its energy axis has {energy.size}.")
    finite = np.isfinite(counts)
    if not finite.all():
        counts = np.where(finite, counts, np.nan)
    enough = np.atleast_2d(finite).mean(axis=1) >= MINIMUM_FINITE
    valid = enough if valid is None else enough & np.asarray(valid, bool)
    return Spectra(counts, energy, valid, **fields)


def sum_of_passes(passes: np.ndarray, energy: EnergyAxis, **fields: Any) -> Spectra:
    """Checked spectra of a line that was traversed P times, passes (P, n, channels), which are kept beside their sum.

    One pass is a line like any other. Raises UnusableInput as `make_spectra` does.
    """
    passes = np.asarray(passes, dtype=float)
    if passes.ndim != 3 or not len(passes):
        raise UnusableInput(f"The passes of a line have 3 axes (pass, pixel, channel), not the shape {passes.shape}.")
    spectra = make_spectra(passes.sum(axis=0), energy, **fields)
    return spectra if len(passes) == 1 else replace(spectra, passes=np.where(np.isfinite(passes), passes, np.nan))
