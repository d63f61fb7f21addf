"""What a run looks after by itself, as a part of the plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Watching:
    """What a run does beyond taking rows.

    beam: pause while the beam is lost. follow_zero: bring the zero-loss peak back with the site's energy offset
    control before it leaves its window. check_zlp: wait for the operator between two spectrometer settings.
    blank_at_end: blank the beam when the run is complete or ends with a fault; after an abort the operator is there.
    """

    beam: bool = True
    follow_zero: bool = True
    check_zlp: bool = False
    blank_at_end: bool = False
