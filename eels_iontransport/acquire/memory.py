"""A recorder that keeps what a run acquires as spectra in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..data.noise import given
from ..data.passes import recorded_passes
from ..data.record import Record, Role
from ..data.spectrum import EnergyAxis, Spectra, make_spectra
from .port import RowNote


class MemorySink:
    """One step's rows; rows not written stay nan and are not valid."""

    def __init__(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> None:
        self.record = record
        self.title = title
        self.finished = False
        self.notes: list[RowNote] = []
        self._energy = energy
        self._step_nm = step_nm
        self._counts = np.full((record.rows_planned, energy.size), np.nan)

    def write(self, index: int, counts: np.ndarray, note: RowNote) -> None:
        self._counts[index] = counts
        self.notes.append(note)
        self.record = replace(self.record, rows_valid=index + 1)

    def finish(self, record: Record) -> None:
        self.record = record
        self.finished = True

    def spectra(self) -> Spectra:
        """The rows so far, with everything that the record knows of them."""
        rows = self._counts[: self.record.rows_valid]
        return spectra_of_rows(rows, self.record, self._energy, self._step_nm, self.title)


def spectra_of_rows(rows: np.ndarray, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> Spectra:
    """Spectra from the rows (n, channels) that a step has taken, in the order in which they were taken.

    Pixels that were never taken are nan, or zero where there are passes, and not valid; of those that a partial last
    pass has not reached there is one pass fewer. The pixels of a spectrum image come as one line.
    """
    noise = None if record.electrons_per_count is None else given(record.electrons_per_count)
    fields: dict[str, Any] = {
        "step_nm": step_nm, "exposure_s": record.exposure_s, "noise": noise, "name": title,
        "metadata": record.to_metadata(),
    }  # fmt: skip
    counts = np.full((record.passes * record.pixels, energy.size), np.nan)
    counts[: len(rows)] = rows
    if record.passes > 1:
        passes = counts.reshape(record.passes, record.pixels, energy.size)
        return recorded_passes(passes, replace(record, rows_valid=len(rows)), energy, **fields)
    return make_spectra(
        counts,
        energy,
        valid=np.arange(len(counts)) < len(rows),
        frames=record.frames,
        saturation_level=record.saturation_level,
        **fields,
    )


class MemoryRecorder:
    """Keeps the sinks of a run in order; `spectra` gives the latest of each role."""

    def __init__(self) -> None:
        self.sinks: list[MemorySink] = []

    def begin(self, record: Record, energy: EnergyAxis, step_nm: float | None, title: str) -> MemorySink:
        sink = MemorySink(record, energy, step_nm, title)
        self.sinks.append(sink)
        return sink

    def spectra(self) -> dict[Role, Spectra]:
        return {sink.record.role: sink.spectra() for sink in self.sinks}
