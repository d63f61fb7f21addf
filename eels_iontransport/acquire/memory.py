"""A recorder that keeps what a run acquires as spectra in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.noise import given
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
        record = self.record
        return make_spectra(
            self._counts.copy(),
            self._energy,
            valid=np.arange(record.rows_planned) < record.rows_valid,
            step_nm=self._step_nm,
            saturation_level=record.saturation_level,
            exposure_s=record.exposure_s,
            frames=record.frames,
            noise=None if record.electrons_per_count is None else given(record.electrons_per_count),
            name=self.title,
            metadata=record.to_metadata(),
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
