"""What can go wrong, on which kinds of plan, when, and how the run has to end.

A fault strikes before one of the actions that a run of the plan is made of, which are counted in a run without it. Not
here, and why:

- a killed program: it has no end that could be judged from within; `kills.py` judges what it leaves.
- another user of the camera, a live computation that fails: the port knows of neither; tests/swift has them.
- drift in a vacuum ZLP, and in aloof steps alone: there is no specimen in the vacuum, so drift is not followed there.
- the zero-loss peak gone in the very last frame of frames that come together: the others show it.
- the zero-loss peak in valence and core-loss steps: only the vibrational setting has a window for it.
- the spectrometer touched before the first frames of an item: they tell its energy axis. Of a scan, the first pixels
  come together.
- a control refused in the middle of a step: controls are set between steps; a session has several.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from eels_iontransport.acquire.outcome import Ending, State
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.port import MicroscopeFault
from eels_iontransport.simulation.microscope import DISPERSION, ENERGY_OFFSET
from eels_iontransport.simulation.mishaps import BeamChange, Mishaps, flicker

from .kinds import KINDS, ON_SPECIMEN, followed, followed_slowly
from .rig import Action, Ran, Rig

MOMENTS = ("first", "middle", "last")
LITTLE = 10**8  # bytes


def same(plan: Plan) -> Plan:
    return plan


def nothing(rig: Rig) -> None:
    pass


@dataclass(frozen=True)
class Fault:
    """does: what happens, before the first, middle or last of an action; not before its first `skip` or last `spare`.

    ending, words: how the run has to end, and words of the reason. kinds, moments, without: where there is such a
    fault. strays: what may not come home, which has to be said then. prepare: before the run. checks: what else has to
    hold, given the run and one of the same plan in which nothing goes wrong.
    """

    does: Action
    before: str = "frames"
    ending: Ending = Ending.FAULT
    words: str = ""
    kinds: tuple[str, ...] = tuple(KINDS)
    moments: tuple[str, ...] = MOMENTS
    without: tuple[tuple[str, str], ...] = ()
    skip: int = 0
    spare: int = 0
    plan: Callable[[Plan], Plan] = same
    prepare: Action = nothing
    strays: tuple[str, ...] = ()
    checks: Callable[[Ran, Ran], list[str]] = lambda ran, quiet: []

    def nth(self, moment: str, count: int) -> int:
        """Which of `count` actions it strikes before, from 1."""
        first, last = self.skip + 1, count - self.spare
        return {"first": first, "middle": (first + last + 1) // 2, "last": last}[moment]


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


def followed_zero(ran: Ran, quiet: Ran) -> list[str]:
    moved = [note.zero_moved_ev for item in ran.items for note in item.notes]
    return [] if any(moved) else ["the zero-loss peak was not brought back"]


def said(ran: Ran, quiet: Ran) -> list[str]:
    return [] if ran.said else ["the operator was told nothing"]


def lattice_only(rig: Rig) -> None:
    """A specimen whose dark-field image shows the fringes of a lattice and nothing else."""
    specimen = rig.microscope.specimen
    phases = tuple(replace(phase, brightness=1.0) for phase in specimen.phases)
    rig.microscope.specimen = replace(
        specimen, phases=phases, thickness=(0.55, 0.55), relief=0.0, speckle=0.0, lattice_nm=2.4, lattice_contrast=0.5
    )


def block_journals(rig: Rig) -> None:
    """A file lies where the folder of the next run's journals would be."""
    (rig.folder / "0").write_text("")


def touch_offset(rig: Rig) -> None:
    rig.microscope.set(ENERGY_OFFSET, rig.microscope.get(ENERGY_OFFSET) + 5 * rig.microscope.get(DISPERSION))


def both(*actions: Action) -> Action:
    def act(rig: Rig) -> None:
        for action in actions:
            action(rig)

    return act


def closed() -> Exception:
    return RuntimeError("the project is closed")


def no_space() -> Exception:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken() -> Exception:
    return MicroscopeFault("The scan unit does not answer; check it.")


CONTROLS = (DISPERSION, ENERGY_OFFSET)
LOST = BeamChange(0.01, 5.0)
COMPLETE, ABORTED, REFUSED = Ending.COMPLETE, Ending.ABORTED, Ending.REFUSED
SCANNED = ("line, synchronized", "passes, synchronized")
FIRST_FRAMES = (*((kind, "first") for kind in SCANNED), ("session", "middle"))
LAST_FRAME = (*((kind, "last") for kind in SCANNED), ("passes, parked, strip", "last"))
NOT_CORE_LOSS = (("session", "last"),)

FAULTS: dict[str, Fault] = {
    # the camera
    "camera fault": Fault(suffer(camera_fault_at=0), words="stopped giving frames"),
    "camera silent for a while": Fault(suffer(camera_stall_at=0, camera_stall_s=3.0), ending=COMPLETE),
    "camera silent for good": Fault(suffer(camera_stall_at=0), words="did not answer for 5 s"),
    "a bug in the camera's driver": Fault(raises(ZeroDivisionError("division by zero")), words="unforeseen"),
    # the operator
    "abort": Fault(abort, ending=ABORTED, words="Aborted by the operator."),
    "pause and resume": Fault(pause_then("resume"), ending=COMPLETE, checks=as_bright),
    "pause and abort": Fault(pause_then("abort"), ending=ABORTED, moments=("first", "middle")),
    "second Acquire": Fault(start_another, ending=COMPLETE, checks=said),
    "spectrometer touched": Fault(
        touch_offset, skip=1, words="energy axis changed", without=FIRST_FRAMES
    ),
    # the beam
    "beam lost, back": Fault(suffer(beam=(LOST,)), ending=COMPLETE, checks=retaken),
    "beam lost for good": Fault(suffer(beam=(BeamChange(0.01),)), words="did not come back"),
    "beam flickers": Fault(suffer(beam=flicker(0.01, 8.0, 0.45)), ending=COMPLETE, checks=as_bright),
    "saturated ZLP": Fault(
        suffer(beam=(BeamChange(0.0, factor=30.0),)), ending=COMPLETE, without=NOT_CORE_LOSS, checks=saturated
    ),
    # drift of place and energy
    "drift beyond its limit": Fault(
        suffer(drift_nm=((0.0, 0.0, 12.0),)), "image", words="drift could not be followed", kinds=ON_SPECIMEN,
        plan=followed, skip=1, spare=1,
    ),
    "ambiguous drift": Fault(
        suffer(drift_nm=((0.0, 0.0, 1.4),)), "image", words="drift could not be followed", kinds=ON_SPECIMEN,
        plan=followed_slowly, skip=1, spare=1, prepare=lattice_only,
    ),
    "drift image fails": Fault(
        raises(broken()), "image", words="does not answer", kinds=ON_SPECIMEN, plan=followed, spare=1
    ),
    "energy drifts": Fault(
        suffer(energy_mev=((0.0, 0.0), (0.3, 45.0))), ending=COMPLETE, moments=("first",), checks=followed_zero
    ),
    "energy jumps off the detector": Fault(
        suffer(energy_mev=((0.0, -400.0),)), words="no zero-loss peak", without=(*NOT_CORE_LOSS, *LAST_FRAME)
    ),
    # controls, probe, home
    "control refused once": Fault(raises(broken()), "control", words="does not answer", spare=2),
    "control refused for good": Fault(
        suffer(refused=dict.fromkeys(CONTROLS, 0)), "control", words="refuses", spare=2, strays=CONTROLS
    ),
    "control not settling": Fault(
        suffer(stuck=dict.fromkeys(CONTROLS, 0)), "control", words="reads", spare=2, strays=CONTROLS
    ),
    "control slow": Fault(suffer(lag_s=dict.fromkeys(CONTROLS, 1.5)), "control", ending=COMPLETE, moments=("first",)),
    "probe refused": Fault(raises(broken()), "probe", words="does not answer", spare=1),
    "start refused": Fault(raises(broken()), "begin", words="does not answer"),
    "probe stays away": Fault(refuse(probe=broken()), ending=COMPLETE, moments=("last",), strays=("probe",)),
    "controls stay away": Fault(refuse(control=broken()), ending=COMPLETE, moments=("last",), strays=CONTROLS),
    "live views stay away": Fault(refuse(end=broken()), ending=COMPLETE, moments=("last",), strays=("live",)),
    "camera fault, live views stay away": Fault(
        both(suffer(camera_fault_at=0), refuse(end=broken())), words="stopped giving frames", strays=("live",)
    ),
    # disk, journal, items
    "no room at the start": Fault(leave_little, "disk", REFUSED, "make room", moments=("first",)),
    "disk nearly full": Fault(leave_little, "disk", words="nearly full", skip=1),
    "disk full": Fault(fill_disk, "write", words="No space left", spare=1),
    "journal cannot be made": Fault(block_journals, words="make the folder writable", moments=("first",)),
    "project closed": Fault(
        refuse(row=closed(), item=closed(), item_end=closed()), "row", words="can be recovered"
    ),
    "item deleted": Fault(refuse(row=closed(), item_end=closed()), "row", words="can be recovered"),
    "item cannot be made": Fault(raises(no_space()), "item", words="No space left"),
    "item cannot be closed": Fault(raises(no_space()), "item end", words="No space left"),
    # displays
    "progress display fails": Fault(raises(ZeroDivisionError("division by zero")), "progress", COMPLETE),
}  # fmt: skip
