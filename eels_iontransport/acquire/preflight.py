"""What stands in the way of a run, asked before anything is touched."""

from __future__ import annotations

import logging

from ..data.errors import UnusableInput
from .disk import shortage
from .disk_guard import FreeBytes
from .estimate import COPIES, size_bytes
from .plan import Plan, Step
from .port import Microscope, MicroscopeFault
from .site import Site
from .writer import StorageFault

_LOG = logging.getLogger(__name__)

EXPECTED = (MicroscopeFault, StorageFault, UnusableInput)  # errors whose message is a sentence for the operator


def sentence(error: BaseException) -> str:
    """What an error says to the operator."""
    if isinstance(error, EXPECTED):
        return str(error)
    return f"Something unforeseen happened ({error}); see the log for the details, and start again."


def blockers(microscope: Microscope, plan: Plan, site: Site, free_bytes: FreeBytes | None = None) -> list[str]:
    """One sentence for each thing that stands in the way of running the plan now; empty when it can run.

    free_bytes: tells the free bytes of the disk that the rows go to; None where nobody asks.
    """
    try:
        found = microscope.missing() or [
            *(plan.check(microscope.field(), site) or _unusable_controls(microscope, plan, site)),
            *_no_room(plan, site, free_bytes),
        ]
    except Exception as error:  # a microscope that cannot even be asked
        _LOG.warning("The microscope could not be asked", exc_info=not isinstance(error, EXPECTED))
        found = [sentence(error)]
    return found


def _unusable_controls(microscope: Microscope, plan: Plan, site: Site) -> list[str]:
    found = []
    beam = site.beam
    for name in [*controls_of(plan, site), *filter(None, (beam.current_control, beam.blanker_control))]:
        try:
            value = microscope.get_control(name)
        except MicroscopeFault as error:
            found.append(str(error))
            continue
        if name == beam.blanker_control and value:
            found.append(f"The beam is blanked (control '{name}' reads {value:g}); unblank it and start again.")
    return found


def _no_room(plan: Plan, site: Site, free_bytes: FreeBytes | None) -> list[str]:
    try:
        found = shortage(COPIES * size_bytes(plan, site), free_bytes()) if free_bytes else ""
    except OSError as error:
        found = f"The disk cannot be asked for its room ({error}); check the folder."
    return [found] if found else []


def controls_of(plan: Plan, site: Site) -> list[str]:
    """The controls that a plan may set, each once, in the order in which they are first set."""
    used = [c.control for step in plan.steps for c in site.settings[step.setting].controls]
    if any(zero_window_ev(plan, step, site) for step in plan.steps):
        used.append(site.energy_offset_control)
    return list(dict.fromkeys(used))


def zero_window_ev(plan: Plan, step: Step, site: Site) -> tuple[float, float] | None:
    """Where the zero-loss peak may be in a step that follows it; None where it is not followed."""
    wanted = plan.watching.follow_zero and bool(site.energy_offset_control)
    return site.settings[step.setting].zero_window_ev if wanted else None
