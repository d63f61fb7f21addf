"""Leaves the microscope's settings for a run, and brings them home."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterable
from functools import partial

from ..data.geometry import Point
from .clock import Clock
from .port import Microscope, MicroscopeFault

_LOG = logging.getLogger(__name__)
RETURN_TIMEOUT_S = 5.0
_POLL_S = 0.02


class Home:
    """Where the probe, the controls and the live views were before a run.

    Only what the run has touched is brought back, and each thing whatever becomes of the others. What will not be
    moved and is where it was is no problem.
    """

    def __init__(self, microscope: Microscope, clock: Clock) -> None:
        self._microscope = microscope
        self._clock = clock
        self._begun = False
        self._probe_known = False
        self._probe: Point | None = None
        self._values: dict[str, float] = {}
        self._touched: list[str] = []

    def leave(self, controls: Iterable[str]) -> None:
        """Begin the run and read what will have to come back. Raises MicroscopeFault."""
        self._begun = True
        self._microscope.begin()
        self._probe = self._microscope.get_probe()
        self._probe_known = True
        for name in controls:
            self._values[name] = self._microscope.get_control(name)

    def value(self, name: str) -> float:
        """What a control that was read in `leave` read then."""
        return self._values[name]

    def set_control(self, name: str, value: float) -> None:
        """Set a control that was read in `leave`. Raises MicroscopeFault."""
        if name not in self._touched:
            self._touched.append(name)
        self._microscope.set_control(name, value)

    def bring(self) -> list[str]:
        """Bring everything back; one sentence for each thing that would not come."""
        if not self._begun:
            return []
        problems: list[str] = []
        for name in self._touched:
            value = self._values[name]
            action, is_there = partial(self._return_control, name, value), partial(self._is_at, name, value)
            self._attempt(problems, f"control '{name}' back to {value:g}", action, is_there)
        if self._probe_known:
            back = partial(self._microscope.set_probe, self._probe)
            self._attempt(problems, "the probe back", back, self._is_probe_there)
        self._attempt(problems, "the live views back", self._microscope.end)
        return problems

    def _return_control(self, name: str, value: float) -> None:
        self._microscope.set_control(name, value)
        deadline = self._clock.now_s + RETURN_TIMEOUT_S
        while not self._is_at(name, value):
            if self._clock.now_s >= deadline:
                raise MicroscopeFault(f"it reads {self._microscope.get_control(name):g}")
            self._clock.wait(_POLL_S)

    def _is_at(self, name: str, value: float) -> bool:
        return math.isclose(self._microscope.get_control(name), value, rel_tol=1e-3, abs_tol=1e-9)

    def _is_probe_there(self) -> bool:
        return self._microscope.get_probe() == self._probe

    def _attempt(
        self, problems: list[str], what: str, action: Callable[[], None], is_there: Callable[[], bool] = lambda: False
    ) -> None:
        try:
            action()
        except Exception as error:
            _LOG.warning("Could not bring %s", what, exc_info=not isinstance(error, MicroscopeFault))
            with contextlib.suppress(Exception):
                if is_there():
                    return
            problems.append(f"Could not bring {what}: {str(error).rstrip('.')}; do it by hand.")
