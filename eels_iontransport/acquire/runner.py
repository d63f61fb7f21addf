"""Runs plans on a microscope, one at a time, and takes the operator's orders."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .clock import Clock, WallClock
from .disk_guard import FreeBytes
from .drift_reference import DriftReference
from .orders import Orders
from .outcome import OnProgress, Outcome
from .plan import Plan
from .port import Microscope, Recorder
from .preflight import blockers
from .run import Bench, Run
from .site import Site


class Runner:
    """Runs plans on one microscope, one at a time, in the caller's thread; orders may come from any thread.

    clock: the time that waits, drift and beam go by; None for that of the wall. free_bytes: tells the free bytes of
    the disk that the rows go to; None where nobody asks. journal: tells where the rows are journaled.
    """

    def __init__(
        self,
        microscope: Microscope,
        recorder: Recorder,
        site: Site,
        *,
        clock: Clock | None = None,
        free_bytes: FreeBytes | None = None,
        journal: Callable[[], str] = str,
    ) -> None:
        self._orders = Orders()
        self._bench = Bench(microscope, recorder, site, self._orders, clock or WallClock(), free_bytes, journal)
        self._lock = threading.Lock()
        self._claimed = False

    @property
    def is_running(self) -> bool:
        return self._claimed

    @property
    def is_paused(self) -> bool:
        """Whether the operator has asked for a pause; the run pauses at the end of its row."""
        return self._claimed and self._orders.is_paused

    def blockers(self, plan: Plan) -> list[str]:
        """One sentence for each thing that stands in the way of running the plan now."""
        return blockers(self._bench.microscope, plan, self._bench.site, self._bench.free_bytes)

    def claim(self) -> None:
        """Reserve the runner for the next `run`, so that an `abort` counts from now on.

        Raises RuntimeError where a run is under way.
        """
        with self._lock:
            if self._claimed:
                raise RuntimeError("A run is under way already; wait for its end or abort it.")
            self._orders.clear()
            self._claimed = True

    def abort(self) -> None:
        """End the run as soon as the camera can; rows already taken are kept. Without a run, nothing happens."""
        if self._order(self._orders.ask_abort):
            self._bench.microscope.cancel()

    def pause(self) -> None:
        """Stop at the end of the row, until `resume`. Without a run, nothing happens."""
        self._order(lambda: self._orders.ask_pause(True))

    def resume(self) -> None:
        self._order(lambda: self._orders.ask_pause(False))

    def proceed(self) -> None:
        """Go on from where the run waits for the drift, or for the operator to check the ZLP."""
        self._order(self._orders.ask_proceed)

    def run(
        self,
        plan: Plan,
        on_progress: OnProgress | None = None,
        *,
        claimed: bool = False,
        reference: DriftReference | None = None,
    ) -> Outcome:
        """Acquire all steps of the plan; returns how it ended, whatever happened, with the microscope home.

        `claimed`: the caller has called `claim`. reference: that of the outcome of an earlier run, whose places are
        taken again; they are found on the specimen, or the run ends with a fault before its first row.

        Raises RuntimeError where another run is under way.
        """
        if not claimed:
            self.claim()
        try:
            return Run(self._bench, plan, on_progress, reference).run()
        finally:
            with self._lock:
                self._claimed = False

    def _order(self, give: Callable[[], None]) -> bool:
        """Whether there is a run that the order was given to."""
        with self._lock:
            if self._claimed:
                give()
            return self._claimed
