"""A run in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .drift_reference import DriftReference
from .outcome import OnProgress, Outcome
from .plan import Plan
from .runner import Runner

OnDone = Callable[[Outcome], None]


class RunHandle:
    """A run in its own thread."""

    def __init__(
        self,
        runner: Runner,
        plan: Plan,
        on_progress: OnProgress | None,
        on_done: OnDone | None,
        reference: DriftReference | None = None,
    ) -> None:
        self._runner = runner
        self._outcome: Outcome | None = None
        self._thread = threading.Thread(
            target=self._work,
            args=(plan, on_progress, on_done, reference),
            name="ion transport acquisition",
            daemon=True,
        )

    @property
    def outcome(self) -> Outcome | None:
        """How the run ended; None while it goes on."""
        return self._outcome

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def abort(self) -> None:
        """End the run; returns at once."""
        self._runner.abort()

    def pause(self) -> None:
        """Stop at the end of the row, until `resume`."""
        self._runner.pause()

    def resume(self) -> None:
        self._runner.resume()

    def proceed(self) -> None:
        """Go on from where the run waits for the drift, or for the operator to check the ZLP."""
        self._runner.proceed()

    def join(self, timeout_s: float | None = None) -> Outcome | None:
        """Wait for the end of the run; None where it has not ended in time."""
        self._thread.join(timeout_s)
        return self._outcome

    def _work(
        self, plan: Plan, on_progress: OnProgress | None, on_done: OnDone | None, reference: DriftReference | None
    ) -> None:
        self._outcome = self._runner.run(plan, on_progress, claimed=True, reference=reference)
        if on_done is not None:
            on_done(self._outcome)


def start_in_thread(
    runner: Runner,
    plan: Plan,
    on_progress: OnProgress | None = None,
    on_done: OnDone | None = None,
    reference: DriftReference | None = None,
) -> RunHandle:
    """Run a plan in a thread of its own; the callbacks come from that thread. reference: as of `Runner.run`.

    Raises RuntimeError where the runner is busy.
    """
    runner.claim()
    handle = RunHandle(runner, plan, on_progress, on_done, reference)
    handle.start()
    return handle
