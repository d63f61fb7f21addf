"""Leaves the microscope's settings for a run, and brings them home."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from functools import partial

from ..data.geometry import Point
from .port import Microscope, MicroscopeFault

_LOG = logging.getLogger(__name__)
RETURN_TIMEOUT_S = 5.0
_POLL_S = 0.02


class Home:
    """Where the probe, the controls and the live views were before a run.

    Only what the run has touched is brought back, and each thing whatever becomes of the others.
    """

    def __init__(self, microscope: Microscope) -> None:
        self._microscope = microscope
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
            self._attempt(problems, f"control '{name}' back to {value:g}", partial(self._return_control, name, value))
        if self._probe_known:
            self._attempt(problems, "the probe back", partial(self._microscope.set_probe, self._probe))
        self._attempt(problems, "the live views back", self._microscope.end)
        return problems

    def _return_control(self, name: str, value: float) -> None:
        self._microscope.set_control(name, value)
        deadline = time.monotonic() + RETURN_TIMEOUT_S
        while not math.isclose(reading := self._microscope.get_control(name), value, rel_tol=1e-3, abs_tol=1e-9):
            if time.monotonic() >= deadline:
                raise MicroscopeFault(f"it reads {reading:g}")
            time.sleep(_POLL_S)

    def _attempt(self, problems: list[str], what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            _LOG.warning("Could not bring %s", what, exc_info=not isinstance(error, MicroscopeFault))
            problems.append(f"Could not bring {what}: {str(error).rstrip('.')}; do it by hand.")
