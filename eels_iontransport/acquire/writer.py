"""Turns the camera's frames into one step's rows, and keeps the account of what was stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.record import Record, Status
from ..data.spectrum import EnergyAxis
from .plan import Plan, Step
from .port import Frames, MicroscopeFault, Recorder, RowNote, RowSink


def cause(error: BaseException) -> str:
    """What an error says, without the number that the operating system puts before its words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def no_item(title: str, error: BaseException) -> str:
    """What the operator reads where an item could not be made."""
    return f"No item could be made for {title} ({cause(error)}); check the disk and the project."


def not_complete(title: str, error: BaseException) -> str:
    """What the operator reads where an item could not be closed."""
    return f"{title} could not be stored completely ({cause(error)}); check the disk."


class StorageFault(RuntimeError):
    """Rows could not be stored; the message is one sentence for the operator.

    row_is_kept: the row that was being written is safe nevertheless, and counts as valid.
    """

    def __init__(self, message: str, *, row_is_kept: bool = False) -> None:
        super().__init__(message)
        self.row_is_kept = row_is_kept


class StepWriter:
    """Rows of one step: single frames, or sums of `step.frames` frames. Only whole rows are written.

    The sink is made with the first frames, because only they tell the energy axis.
    """

    def __init__(self, recorder: Recorder, plan: Plan, step: Step, record: Record) -> None:
        self._recorder = recorder
        self._step = step
        self._title = plan.title(step)
        self._step_nm = plan.step_nm(step)
        self._record = record
        self._sink: RowSink | None = None
        self._energy: EnergyAxis | None = None
        self._sum: np.ndarray | None = None
        self._summed = 0

    @property
    def rows_valid(self) -> int:
        return self._record.rows_valid

    @property
    def saturated_frames(self) -> int | None:
        return self._record.saturated_frames

    def add(self, frames: Frames, note: RowNote) -> None:
        """Take frames in; `note` is that of the row which they complete.

        Raises MicroscopeFault where they do not fit the step, StorageFault where a row is lost.
        """
        self._check(frames)
        if self._sink is None:
            self._begin(frames)
        if self._step.rows_are_frames:
            for counts in frames.counts:
                self._count_saturated(counts[None], frames.saturation_level)
                self._write(counts, note)
            return
        self._count_saturated(frames.counts, frames.saturation_level)
        total = frames.counts.sum(axis=0, dtype=float)
        self._sum = total if self._sum is None else self._sum + total
        self._summed += len(frames.counts)
        if self._summed == self._step.frames:
            self._write(self._sum, note)
            self._sum, self._summed = None, 0

    def finish(self, status: Status, reason: str) -> Record:
        """Close the item with how the step ended; returns its record. Raises StorageFault."""
        self._record = replace(self._record, status=status, reason=reason)
        if self._sink is not None:
            sink, self._sink = self._sink, None
            try:
                sink.finish(self._record)
            except StorageFault:
                self._record = replace(self._record, status=Status.FAULT)
                raise
            except Exception as error:
                self._record = replace(self._record, status=Status.FAULT)
                raise StorageFault(not_complete(self._title, error)) from error
        return self._record

    @property
    def record(self) -> Record:
        return self._record

    def _begin(self, frames: Frames) -> None:
        level = frames.saturation_level
        summed = 1 if self._step.rows_are_frames else self._step.frames
        self._record = replace(
            self._record,
            saturation_level=None if level is None else level * summed,
            saturated_frames=None if level is None else 0,
            electrons_per_count=frames.electrons_per_count,
        )
        self._energy = frames.energy
        try:
            self._sink = self._recorder.begin(self._record, frames.energy, self._step_nm, self._title)
        except StorageFault:
            raise
        except Exception as error:
            raise StorageFault(no_item(self._title, error)) from error

    def _count_saturated(self, counts: np.ndarray, level: float | None) -> None:
        if level is not None:
            full = int(np.count_nonzero((counts >= level).any(axis=1)))
            self._record = replace(self._record, saturated_frames=(self._record.saturated_frames or 0) + full)

    def _write(self, counts: np.ndarray, note: RowNote) -> None:
        assert self._sink is not None
        note = replace(note, saturated_frames=self._record.saturated_frames)
        try:
            self._sink.write(self._record.rows_valid, counts, note)
        except StorageFault as error:
            if error.row_is_kept:
                self._record = replace(self._record, rows_valid=self._record.rows_valid + 1)
            raise
        except Exception as error:
            raise StorageFault(
                f"Row {self._record.rows_valid} of {self._title} could not be stored ({cause(error)}); check the disk."
            ) from error
        self._record = replace(self._record, rows_valid=self._record.rows_valid + 1)

    def _check(self, frames: Frames) -> None:
        counts, energy = frames.counts, frames.energy
        if counts.ndim != 2 or counts.shape[1] != energy.size:
            raise MicroscopeFault(
                f"The camera gave data of shape {counts.shape} for {energy.size} channels; set it to give one spectrum "
                "for each frame."
            )
        first = self._energy
        if first is not None and not _same(first, energy):
            raise MicroscopeFault(
                f"The energy axis changed during {self._title}: from {first.step_ev:g} eV per channel at "
                f"{first.offset_ev:g} eV to {energy.step_ev:g} at {energy.offset_ev:g}; leave the spectrometer alone "
                "during a run."
            )


def _same(first: EnergyAxis, second: EnergyAxis) -> bool:
    """Equal to a hundredth of the step and half a channel of offset, which readings of controls may scatter by."""
    return (
        first.size == second.size
        and abs(first.step_ev - second.step_ev) <= 0.01 * first.step_ev
        and abs(first.offset_ev - second.offset_ev) <= 0.5 * first.step_ev
    )
