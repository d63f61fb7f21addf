"""Runs the table: each fault on each of its kinds of plan at each of its moments, and once more when it is mended."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.plan import Plan

from .faults import FAULTS, MOMENTS, Fault
from .invariant import violations
from .kinds import KINDS
from .rig import Action, Ran, Rig, Trigger, watchful

_IN_MEMORY = Path("/dev/shm")  # where a file system in memory is there, nothing waits for a disk
FOLDER = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None


@dataclass(frozen=True)
class Case:
    """How a fault was survived: what is wrong with the run and with the next one."""

    fault: str
    kind: str
    moment: str
    wrong: list[str] = field(default_factory=list)
    wrong_next: list[str] = field(default_factory=list)

    @property
    def is_survived(self) -> bool:
        return not self.wrong and not self.wrong_next


def cases(name: str) -> Iterator[Case]:
    """All cases of one fault."""
    fault = FAULTS[name]
    for kind in fault.kinds:
        struck: set[int] = set()
        for moment in MOMENTS:
            if moment not in fault.moments or (kind, moment) in fault.without:
                continue
            nth = fault.nth(moment, quiet(name, kind).actions[fault.before])
            if nth not in struck:
                struck.add(nth)
                yield case(name, kind, moment, nth)


def case(name: str, kind: str, moment: str, nth: int) -> Case:
    fault = FAULTS[name]
    plan = fault.plan(KINDS[kind])
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, watchful():
        rig = Rig(Path(folder))
        fault.prepare(rig)
        trigger = rig.trigger = Trigger(fault.before, nth, fault.does)
        ran = rig.run(plan)
        wrong = [*_judged(fault, rig, ran), *([] if trigger.done else [f"it never struck ({fault.before} {nth})"])]
        wrong += fault.checks(ran, quiet(name, kind))
        rig.mend()
        rig.bring_home(ran.found)
        again = rig.run(plan)
        wrong_next = violations(rig, again)
        if again.outcome.ending is not Ending.COMPLETE:
            wrong_next.append(f"the next run is {again.outcome.ending.value}: {again.outcome.reason}")
    return Case(name, kind, moment, wrong, wrong_next)


def _judged(fault: Fault, rig: Rig, ran: Ran) -> Iterator[str]:
    outcome = ran.outcome
    if outcome.ending is not fault.ending or fault.words not in outcome.reason:
        yield f"it ended {outcome.ending.value}: '{outcome.reason}'"
    yield from violations(rig, ran, fault.strays)


def quiet(name: str, kind: str) -> Ran:
    """The run of the same plan in which nothing goes wrong; its actions tell when a fault can strike."""
    fault = FAULTS[name]
    return _quiet(fault.plan, fault.prepare, kind)


@functools.cache
def _quiet(plan: Callable[[Plan], Plan], prepare: Action, kind: str) -> Ran:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, watchful():
        rig = Rig(Path(folder))
        prepare(rig)
        ran = rig.run(plan(KINDS[kind]))
        wrong = violations(rig, ran)
    assert ran.outcome.ending is Ending.COMPLETE and not wrong, f"{kind}: {ran.outcome.sentence()} {wrong}"
    return ran
