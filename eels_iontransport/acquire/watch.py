"""Whether the beam is there: lost, settling after it came back, or gone for good."""

from __future__ import annotations

import math
from enum import Enum

from .site import Beam


class BeamState(Enum):
    OK = "ok"
    LOST = "lost"
    SETTLING = "settling"  # back, and not yet trusted
    GIVEN_UP = "given up"


class BeamWatch:
    """Follows the beam from one look to the next.

    The beam is lost below `beam.lost_below` of the current at the start, or while it is blanked. It is back when the
    current has been above the higher `beam.back_above` for `beam.settle_s` without a break, so that a flickering beam
    does not count as back. `beam.give_up_s` after the loss the watch gives up, for good.

    start_pa: current at the start; None takes the first reading that is above zero.
    """

    def __init__(self, beam: Beam, start_pa: float | None = None) -> None:
        self._beam = beam
        self._start_pa = start_pa if start_pa is not None and start_pa > 0 else None
        self._state = BeamState.OK
        self._lost_s = math.nan  # when the beam was lost
        self._back_s = math.nan  # since when it has been back
        self._why = ""

    @property
    def state(self) -> BeamState:
        return self._state

    def look(self, current_pa: float | None, blanked: bool, time_s: float) -> BeamState:
        """The state at a time that does not run backwards, with the current in pA, None where it is not measured."""
        fraction = self._fraction(current_pa)
        if self._state is BeamState.GIVEN_UP:
            return self._state
        if self._state is BeamState.OK:
            if blanked or fraction < self._beam.lost_below:
                self._state, self._lost_s, self._back_s = BeamState.LOST, time_s, math.nan
        elif blanked or fraction < self._beam.back_above:
            self._state, self._back_s = BeamState.LOST, math.nan
        else:
            self._back_s = time_s if math.isnan(self._back_s) else self._back_s
            self._state = BeamState.OK if time_s - self._back_s >= self._beam.settle_s else BeamState.SETTLING
        if self._state is not BeamState.OK and time_s - self._lost_s >= self._beam.give_up_s:
            self._state = BeamState.GIVEN_UP
        self._why = "blanked" if blanked else f"{100 * fraction:.0f} % of its current at the start"
        return self._state

    def sentence(self, time_s: float) -> str:
        """What the operator reads at a time; empty while the beam is there."""
        if self._state is BeamState.OK:
            return ""
        seconds = max(0, round(time_s - self._lost_s))
        since = f"{seconds // 60:02d}:{seconds % 60:02d}"
        if self._state is BeamState.GIVEN_UP:
            return (
                f"The beam was lost and did not come back within {self._beam.give_up_s:.0f} s ({self._why}); bring it "
                "back and take the rest."
            )
        if self._state is BeamState.SETTLING:
            return f"Beam back, settling ({since} since it was lost)"
        return f"Beam lost {since} ({self._why})"

    def _fraction(self, current_pa: float | None) -> float:
        """The current over that at the start; 1 where it is not measured, 0 for a reading that is no number."""
        if current_pa is None:
            return 1.0
        if not math.isfinite(current_pa):
            return 0.0
        if self._start_pa is None and current_pa > 0:
            self._start_pa = current_pa
        return current_pa / self._start_pa if self._start_pa else 0.0
