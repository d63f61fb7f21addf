"""Looks at the beam between rows."""

from __future__ import annotations

import math

import numpy as np

from .clock import Clock
from .port import Frames, Microscope, MicroscopeFault
from .site import Beam
from .watch import BeamState, BeamWatch
from .zero_follow import zero_position

ATTEMPTS = 3  # rows in which the beam flickers, one after the other, that are taken again
_NOISE = 6.0  # standard deviations by which the sums of two frames have to differ


class BeamGuard:
    """The beam's current and blanker, read where the site names their controls.

    watched: whether a run is to pause while the beam is lost; else the current is read for the record only.
    """

    def __init__(self, microscope: Microscope, beam: Beam, clock: Clock, watched: bool) -> None:
        self._microscope = microscope
        self._beam = beam
        self._clock = clock
        named = bool(beam.current_control or beam.blanker_control)
        self._watch = BeamWatch(beam) if watched and named else None
        self._flickers = 0
        self.current_pa: float | None = None

    @property
    def state(self) -> BeamState | None:
        """At the last look; None where the beam is not watched."""
        return self._watch.state if self._watch else None

    def read_current(self) -> float | None:
        """The current in pA, None where the site names no control. Raises MicroscopeFault."""
        name = self._beam.current_control
        self.current_pa = self._microscope.get_control(name) * self._beam.current_pa_per_unit if name else None
        return self.current_pa

    def look(self) -> bool:
        """Whether the beam is there, or not watched.

        Raises MicroscopeFault where it was given up, or a control cannot be read.
        """
        watch = self._watch
        if watch is None:
            return True
        blanker = self._beam.blanker_control
        blanked = bool(blanker and self._microscope.get_control(blanker))
        state = watch.look(self.read_current(), blanked, self._clock.now_s)
        if state is BeamState.GIVEN_UP:
            raise MicroscopeFault(self.sentence())
        return state is BeamState.OK

    def was_steady(self, parts: list[Frames]) -> bool:
        """Whether the beam was there in all of a row's frames, each of the parts at one place.

        The current is read between rows; a beam that is away and back meanwhile is seen in the frames alone. Raises
        MicroscopeFault where it flickers in row after row.
        """
        if self._watch is None or not any(is_uneven(part, self._beam.lost_below) for part in parts):
            self._flickers = 0
            return True
        self._flickers += 1
        if self._flickers >= ATTEMPTS:
            raise MicroscopeFault("The beam flickers from frame to frame; see why, then take the rest.")
        self._watch.look(0.0, False, self._clock.now_s)  # it counts as lost, and has to settle
        return False

    def sentence(self) -> str:
        """What the operator reads; empty while the beam is there."""
        return self._watch.sentence(self._clock.now_s) if self._watch else ""


def is_uneven(frames: Frames, lost_below: float) -> bool:
    """Whether one of the frames holds less than that part of the brightest, beyond their noise.

    Only frames with a zero-loss peak can tell: others may hold little but the dark level, which wanders. The noise of
    a frame's sum is that which neighbouring channels show, steps of the spectrum included.
    """
    totals = frames.counts.sum(axis=1, dtype=float)
    brightest = int(totals.argmax())
    spectrum = frames.counts[brightest].astype(float)
    if math.isnan(zero_position(spectrum, frames.energy)):
        return False
    noise = float(np.sqrt(0.5 * np.sum(np.diff(spectrum) ** 2)))
    missing = float(totals[brightest] - totals.min())
    return missing > max((1.0 - lost_below) * float(totals[brightest]), _NOISE * noise)
