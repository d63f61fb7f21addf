"""What happens between two rows: orders are followed, beam, drift, energy and disk looked after."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from ..data.geometry import Point
from .beam_guard import BeamGuard
from .clock import Clock
from .disk_guard import DiskGuard
from .drift_tracker import DriftTracker
from .orders import Orders
from .outcome import State
from .port import Frames, Microscope, MicroscopeFault, RowNote
from .reporter import Reporter
from .zero_tracker import ZeroTracker

PAUSED_BY_OPERATOR = "Paused by you."
_BEAM_POLL_S = 0.2
_REPORT_S = 1.0  # between two reports of how long the beam has been away


class Boundary:
    """The end of one row and the start of the next, for whatever engine takes them.

    rest: where the probe waits in the vacuum while no rows are taken, so that it does not burn the specimen; None
    leaves it where it is. `drift` and `zero` are set while they are followed.
    """

    def __init__(
        self,
        microscope: Microscope,
        orders: Orders,
        reporter: Reporter,
        clock: Clock,
        beam: BeamGuard,
        disk: DiskGuard,
        rest: Point | None,
    ) -> None:
        self._microscope = microscope
        self._orders = orders
        self._reporter = reporter
        self._clock = clock
        self._beam = beam
        self._disk = disk
        self._rest = rest
        self._beam_is_fresh = False
        self.drift: DriftTracker | None = None
        self.zero: ZeroTracker | None = None
        self.retaken = 0

    def before_row(self) -> None:
        """Wait until the next row may be taken. Raises Aborted, MicroscopeFault, StorageFault."""
        self._disk.look()
        while True:
            self._orders.check_abort()
            if self._orders.is_paused:
                self._wait_for_operator()
            elif not (self._beam_is_fresh or self._beam.look()):
                self._wait_until_back()
            elif self.drift is not None and self.drift.is_due():
                self.look_at_drift()
                self._beam_is_fresh = False
            else:
                break
        self._beam_is_fresh = False
        if self.zero is not None:
            self.zero.bring_back(self._clock, self._orders)

    def wait_for_beam(self) -> None:
        """Wait until the beam is there. Raises Aborted, MicroscopeFault where it is given up."""
        if not self._beam.look():
            self._wait_until_back()
        self._beam_is_fresh = True

    def look_at_drift(self) -> None:
        """Follow the drift by an image, taken again where the beam was lost. Raises Aborted, MicroscopeFault."""
        while self.drift is not None:
            try:
                return self.drift.look()
            except MicroscopeFault:
                if self._beam.look():
                    raise
                self._wait_until_back()
        return None

    def is_wanted(self) -> bool:
        """Whether rows that come by themselves must stop for what happens between rows."""
        drift = self.drift is not None and self.drift.is_due()
        zero = self.zero is not None and self.zero.is_due
        return drift or zero or self._orders.is_paused or self._orders.is_aborted

    def accept(self, frames: list[Frames], *, one_place: bool = False) -> list[Frames] | None:
        """Frames of one row, or of rows that came together, as they are to be stored; None: take them again.

        They are not stored where the beam was lost meanwhile or holds no zero-loss peak. one_place: whether each of
        the parts was taken at one place, so that its frames are as bright as each other. Raises MicroscopeFault.
        """
        self._beam_is_fresh = self._beam.look()
        kept = frames if self._beam_is_fresh else None
        if kept and one_place and not self._beam.was_steady(kept):
            kept, self._beam_is_fresh = None, False
        if kept and self.zero is not None:
            kept = self.zero.take(kept)
        if kept is None:
            self.retaken += 1
        return kept

    def correction_nm(self, ahead_s: float = 0.0) -> tuple[float, float]:
        """(y, x) to add to places of the plan now, or so many seconds ahead."""
        return self.drift.correction_nm(ahead_s) if self.drift is not None else (0.0, 0.0)

    def motion_nm(self, seconds: float) -> tuple[float, float]:
        """(y, x) by which the specimen will move in so many seconds from now, as far as that is known."""
        return self.drift.during(seconds) if self.drift is not None else (0.0, 0.0)

    @property
    def still_s(self) -> float:
        """How long the specimen may be taken to stay in place."""
        return self.drift.still_s if self.drift is not None else math.inf

    def note(self, place: Point, drift_nm: tuple[float, float], age_s: float = 0.0) -> RowNote:
        """The note of a row that ended so long ago."""
        if self.drift is not None:
            self.drift.count_row()
        time = datetime.now(UTC) - timedelta(seconds=age_s)
        drift = drift_nm if self.drift is not None else None
        moved = self.zero.moved_ev if self.zero is not None else None
        return RowNote(time.isoformat(), place, drift, self._beam.current_pa, zero_moved_ev=moved)

    def rest(self) -> None:
        """Let the probe wait in the vacuum. Raises MicroscopeFault."""
        if self._rest is not None:
            self._microscope.set_probe(self._rest)

    def _wait_for_operator(self) -> None:
        self.rest()
        with self._reporter.waiting(State.PAUSED):
            self._reporter.report(PAUSED_BY_OPERATOR)
            while self._orders.is_paused:
                self._orders.wait_for_order()
        self._beam_is_fresh = False
        self._reporter.report()

    def _wait_until_back(self) -> None:
        self.rest()
        with self._reporter.waiting(State.PAUSED):
            reported = -_REPORT_S
            there = False
            while not there:
                if self._clock.now_s - reported >= _REPORT_S:
                    reported = self._clock.now_s
                    self._reporter.report(f"Paused: {_uncapitalised(self._beam.sentence())}")
                self._orders.wait(self._clock, _BEAM_POLL_S)
                there = self._beam.look()
        self._beam_is_fresh = True
        self._reporter.report()


def _uncapitalised(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
