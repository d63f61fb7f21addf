"""What the panel knows at one moment. Pure: no host, no threads, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from eels_iontransport.acquire.estimate import Estimate
from eels_iontransport.acquire.outcome import Progress
from eels_iontransport.wording import Roles


class State(Enum):
    """State of the panel, as its first line says it."""

    NO_MICROSCOPE = "no microscope"
    IDLE = "idle"  # a microscope, but something is missing: the first blocker says what
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"  # for the drift to fall
    CHECK_ZLP = "check zlp"  # for the operator, between two settings
    PAUSED = "paused"  # by the operator, or because the beam is lost
    DONE = "done"
    ABORTED = "aborted"
    FAULT = "fault"


@dataclass(frozen=True)
class Microscope:
    """The instrument as the panel names it."""

    name: str
    high_tension_kv: float | None = None
    beam_current_pa: float | None = None

    def __str__(self) -> str:
        return self.name if self.high_tension_kv is None else f"{self.name} {self.high_tension_kv:.3g} kV"


@dataclass(frozen=True)
class ZeroLoss:
    """The zero-loss peak of frames that were only looked at; nan for what they do not tell."""

    fwhm_mev: float = math.nan
    fwhm_sigma_mev: float = math.nan
    position_mev: float = math.nan
    fraction_of_full_scale: float = math.nan
    saturated: bool = False


@dataclass(frozen=True)
class Survey:
    """A survey image that was taken: its field and the time of day."""

    label: str
    width_nm: float
    taken: str
    exists: bool = True  # False once its item was deleted

    def __str__(self) -> str:
        return f"{self.label} {self.width_nm:.0f} nm, {self.taken}"


@dataclass(frozen=True)
class Placed:
    """A labelled place on a survey, with what is worth knowing of it: "65 ± 2 nm off the edge"."""

    label: str
    note: str

    def __str__(self) -> str:
        return f"{self.label}  {self.note}" if self.note else self.label


@dataclass(frozen=True)
class Ended:
    """How the last run ended; `sentence` is what the operator reads."""

    state: State
    sentence: str


@dataclass(frozen=True)
class Situation:
    """All that the panel knows at one moment.

    blockers: sentences of plan, fields and microscope, in the order of the panel. progress: of the run, once it has
    said anything. pausing: the operator has asked for a pause. zero: of the frames that the run shows while it waits
    for the operator, else of the last test frame. drift_nm_per_min: as the last run saw it in the end. steps: titles of
    those of the last run that can be taken again. provisional: the readout is not yet that of all rows. notice: what
    went wrong with the last button.
    """

    microscope: Microscope | None = None
    surveys: tuple[Survey, ...] = ()
    places: tuple[Placed, ...] = ()
    estimate: Estimate | None = None
    free_bytes: int | None = None
    scanned: tuple[str, ...] = ()  # labels of the steps for which the scan runs along
    blockers: tuple[str, ...] = ()
    is_surveying: bool = False
    is_testing: bool = False
    is_running: bool = False
    progress: Progress | None = None
    is_line_known: bool = False  # all of the line under way was taken before, and this is more of it
    stopping: bool = False
    pausing: bool = False
    zero: ZeroLoss | None = None
    exposure_advice: str = ""
    drift_nm_per_min: float = math.nan
    ended: Ended | None = None
    steps: tuple[str, ...] = ()
    can_collect_off_axis: bool = False  # the site has a setting for it
    has_line_steps: bool = False  # the last run took passes of a line, and can take more
    leftover: str = ""  # what runs have left that ended with their program; empty where nothing
    roles: Roles = Roles()
    readout: Mapping[str, Any] | None = None
    provisional: bool = False
    notice: str = ""
