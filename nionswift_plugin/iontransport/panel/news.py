"""When the operator is told by a notification what the panel says. Pure."""

from __future__ import annotations

from .situation import State

UNATTENDED_S = 120.0  # without a click or a key in the panel, nobody is taken to look at it

_ONCE_UNATTENDED = (State.DONE, State.CHECK_ZLP)


class News:
    """Follows the state from one look to the next, and the operator's hand."""

    def __init__(self) -> None:
        self._state = State.IDLE
        self._touched_s = 0.0

    def touched(self, now_s: float) -> None:
        """The operator has done something."""
        self._touched_s = now_s

    def heard(self, state: State, by_operator: bool, now_s: float) -> bool:
        """Whether what the first line says now is to be told; once for each time that the state comes up.

        by_operator: the state is a pause that the operator has asked for.
        """
        before, self._state = self._state, state
        if state is before:
            return False
        if state is State.FAULT or (state is State.PAUSED and not by_operator):
            return True
        return state in _ONCE_UNATTENDED and now_s - self._touched_s >= UNATTENDED_S
