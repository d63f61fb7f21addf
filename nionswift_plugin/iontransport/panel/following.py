"""What can follow the run that has ended: more passes of its line, one of its steps again. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from eels_iontransport.acquire import follow_ups
from eels_iontransport.acquire.drift_reference import DriftReference
from eels_iontransport.acquire.outcome import Ending, Outcome
from eels_iontransport.acquire.plan import LINE_ROLES, Plan
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Role, Status

from .form import ROW_LABELS, count_or_none


@dataclass(frozen=True)
class Following:
    """A plan and how its run ended."""

    plan: Plan
    outcome: Outcome

    @property
    def _begun(self) -> list[int]:
        """Indices of the steps of which there is an item; the others are taken by Acquire."""
        if self.outcome.ending is Ending.REFUSED:
            return []
        return [index for index, step in enumerate(self.outcome.steps) if step.status is not None]

    @property
    def steps(self) -> tuple[str, ...]:
        """Labels of the steps that can be taken again."""
        return tuple(ROW_LABELS[self.plan.steps[index].role] for index in self._begun)

    @property
    def doubtful(self) -> int:
        """Which of `steps` will most likely be taken again: the first that is not complete, else the last."""
        states = [self.outcome.steps[index].status for index in self._begun]
        partial = [place for place, status in enumerate(states) if status is not Status.COMPLETE]
        return partial[0] if partial else max(0, len(states) - 1)

    @property
    def has_line(self) -> bool:
        return any(self.plan.steps[index].role in LINE_ROLES for index in self._begun)

    @property
    def reference(self) -> DriftReference | None:
        """By which the places of the plan are found again; None where drift was not followed."""
        return self.outcome.reference

    def redo(self, which: int, titles: Collection[str]) -> Plan:
        """That one of `steps` once more. titles: of items that exist. Raises UnusableInput."""
        if not 0 <= which < len(self._begun):
            raise UnusableInput("Redo: choose a step of the last run.")
        return follow_ups.redo(self.plan, self._begun[which], titles)

    def more_passes(self, typed: str, titles: Collection[str]) -> Plan:
        """So many passes more: of the vibrational line, of which more are most often missing, else of all lines.

        Raises UnusableInput.
        """
        passes = count_or_none(typed)
        if passes is None:
            raise UnusableInput(f"Passes: '{typed}' is not a whole number of passes, such as 4.")
        has_vibrational = any(step.role is Role.VIBRATIONAL for step in self.plan.steps)
        roles = (Role.VIBRATIONAL,) if has_vibrational else LINE_ROLES
        return follow_ups.more_passes(self.plan, passes, roles=roles, titles=titles)
