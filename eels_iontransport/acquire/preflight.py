"""What stands in the way of a run, asked before anything is touched."""

from __future__ import annotations

import logging

from ..data.errors import UnusableInput
from .plan import Plan
from .port import Microscope, MicroscopeFault
from .site import Site
from .writer import StorageFault

_LOG = logging.getLogger(__name__)

EXPECTED = (MicroscopeFault, StorageFault, UnusableInput)  # errors whose message is a sentence for the operator


def sentence(error: BaseException) -> str:
    """What an error says to the operator."""
    if isinstance(error, EXPECTED):
        return str(error)
    return f"Something unforeseen happened ({type(error).__name__}: {error}); the log has the details."


def blockers(microscope: Microscope, plan: Plan, site: Site) -> list[str]:
    """One sentence for each thing that stands in the way of running the plan now; empty when it can run."""
    try:
        found = (
            microscope.missing() or plan.check(microscope.field(), site) or _unusable_controls(microscope, plan, site)
        )
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


def controls_of(plan: Plan, site: Site) -> list[str]:
    """The controls that a plan sets, each once, in the order in which they are first set."""
    used = (c.control for step in plan.steps for c in site.settings[step.setting].controls)
    return list(dict.fromkeys(used))
