"""Looks at the beam between rows."""

from __future__ import annotations

from .clock import Clock
from .port import Microscope, MicroscopeFault
from .site import Beam
from .watch import BeamState, BeamWatch


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

    def sentence(self) -> str:
        """What the operator reads; empty while the beam is there."""
        return self._watch.sentence(self._clock.now_s) if self._watch else ""
