"""What can go wrong, on which kinds of plan, when, and how the run has to end.

A fault strikes before one of the actions that a run of the plan is made of, which are counted in a run without it. Not
here, and why:

- a killed program: it has no end that could be judged from within; `kills.py` judges what it leaves.
- another user of the camera, a live computation that fails: the port knows of neither; tests/swift has them.
- drift in a vacuum ZLP, and in aloof steps alone: there is no specimen in the vacuum, so drift is not followed there.
- the zero-loss peak in valence and core-loss steps: only the vibrational setting has a window for it.
- a control refused in the middle of a step: controls are set between steps; a session has several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eels_iontransport.acquire.outcome import Ending, State
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.simulation.mishaps import BeamChange, Mishaps

from .kinds import KINDS
from .rig import Action, Ran, Rig

MOMENTS = ("first", "middle", "last")
LITTLE = 10**8  # bytes


def same(plan: Plan) -> Plan:
    return plan


def nothing(rig: Rig) -> None:
    pass


@dataclass(frozen=True)
class Fault:
    """does: what happens, before the first, middle or last of an action; `skip` leaves out its first ones.

    words: of the reason. strays: what cannot come home, which has to be said. prepare: before the run. checks: what
    else has to hold, given the run and one of the same plan in which nothing went wrong.
    """

    does: Action
    before: str = "frames"
    ending: Ending = Ending.FAULT
    words: str = ""
    kinds: tuple[str, ...] = tuple(KINDS)
    moments: tuple[str, ...] = MOMENTS
    skip: int = 0
    plan: Callable[[Plan], Plan] = same
    prepare: Action = nothing
    strays: tuple[str, ...] = ()
    checks: Callable[[Ran, Ran], list[str]] = lambda ran, quiet: []

    def nth(self, moment: str, count: int) -> int:
        """Which of `count` actions it strikes before, from 1."""
        first = self.skip + 1
        return {"first": first, "middle": (first + count + 1) // 2, "last": count}[moment]


def suffer(**mishaps: object) -> Action:
    return lambda rig: rig.microscope.suffer(Mishaps(**mishaps))


def raises(error: Exception) -> Action:
    def act(rig: Rig) -> None:
        raise error

    return act


def refuse(**errors: Exception) -> Action:
    """Actions that fail from now on; an underline stands for a space."""
    return lambda rig: rig.refuses.update({name.replace("_", " "): error for name, error in errors.items()})


def abort(rig: Rig) -> None:
    rig.runner.abort()


def pause_then(order: str) -> Action:
    def act(rig: Rig) -> None:
        rig.look = lambda progress: getattr(rig.runner, order)() if progress.state is State.PAUSED else None
        rig.runner.pause()

    return act


def fill_disk(rig: Rig) -> None:
    rig.disk_is_full = True


def leave_little(rig: Rig) -> None:
    rig.free_bytes = lambda: LITTLE


def start_another(rig: Rig) -> None:
    try:
        rig.runner.run(KINDS["aloof"])
    except RuntimeError as error:
        rig.said.append(str(error))


def as_bright(ran: Ran, quiet: Ran) -> list[str]:
    """No row was taken with less beam, or more."""
    wrong = []
    for item, other in zip(ran.items, quiet.items):
        ratio = item._counts.sum(axis=1) / other._counts.sum(axis=1)
        if not (abs(ratio - 1) < 0.1).all():
            wrong.append(f"the rows of {item.title} are {ratio.round(2)} as bright as without the fault")
    return wrong


def retaken(ran: Ran, quiet: Ran) -> list[str]:
    return as_bright(ran, quiet) + ([] if ran.outcome.retaken else ["no row was taken again"])


def saturated(ran: Ran, quiet: Ran) -> list[str]:
    counted = [step.saturated_frames for step in ran.outcome.steps]
    return [] if any(counted) else [f"saturated frames are counted as {counted}"]


def closed() -> Exception:
    return RuntimeError("the project is closed")


LOST = BeamChange(0.01, 5.0)
FAULTS: dict[str, Fault] = {
    "camera fault": Fault(suffer(camera_fault_at=0), words="stopped giving frames"),
    "camera silent for a while": Fault(suffer(camera_stall_at=0, camera_stall_s=3.0), ending=Ending.COMPLETE),
    "camera silent for good": Fault(suffer(camera_stall_at=0), words="did not answer for 5 s"),
    "abort": Fault(abort, ending=Ending.ABORTED, words="Aborted by the operator."),
    "project closed": Fault(
        refuse(row=closed(), item=closed(), item_end=closed()), before="row", words="can be recovered"
    ),
}
