"""One step of a plan: what for, at which spectrometer setting, with which exposures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from ..data.collection import Collection, collection_of
from ..data.record import Role

LINE_ROLES = (Role.VIBRATIONAL, Role.VALENCE, Role.CORE_LOSS)
FRAME_ROLES = (Role.ZLP, Role.ALOOF)
SETTINGS = {
    Role.ZLP: "vibrational",
    Role.ALOOF: "vibrational",
    Role.POINTS: "vibrational",
    Role.VIBRATIONAL: "vibrational",
    Role.VALENCE: "valence",
    Role.CORE_LOSS: "core_loss",
    Role.IMAGE: "vibrational",
}
OFF_AXIS_ROLES = (Role.VIBRATIONAL, Role.POINTS, Role.IMAGE)  # may be collected off the axis, where a site can
LABELS = {
    Role.ZLP: "vacuum ZLP",
    Role.ALOOF: "A1 aloof",
    Role.POINTS: "points",
    Role.VIBRATIONAL: "L1 vibrational",
    Role.VALENCE: "L1 valence",
    Role.CORE_LOSS: "L1 core loss",
    Role.IMAGE: "spectrum image",
}


class Engine(str, Enum):
    """PARKED: the probe rests at each place for long exposures. SYNCHRONIZED: the scan runs along with the camera."""

    PARKED = "parked"
    SYNCHRONIZED = "synchronized"


@dataclass(frozen=True)
class Step:
    """One item to acquire. A vacuum ZLP or aloof spectrum has one row for each frame; points, lines and images have
    one row for each probe position and pass, its frames summed.

    take: counts the repetitions of a step, each of which makes an item of its own.
    """

    role: Role
    setting: str
    exposure_s: float
    frames: int = 1
    passes: int = 1
    engine: Engine = Engine.PARKED
    take: int = 1

    @property
    def rows_are_frames(self) -> bool:
        return self.role in FRAME_ROLES

    @property
    def is_off_axis(self) -> bool:
        return collection_of(self.setting) is Collection.OFF_AXIS

    @property
    def frames_of_a_row(self) -> int:
        return 1 if self.rows_are_frames else self.frames

    @property
    def exposure_of_a_place_s(self) -> float:
        """Exposure of one probe position, all passes together."""
        return self.exposure_s * self.frames * self.passes


@dataclass(frozen=True)
class Exposure:
    """Exposure of one frame and the number of frames for each row (or each item, where rows are frames)."""

    exposure_s: float
    frames: int


DEFAULT_EXPOSURES: Mapping[Role, Exposure] = {
    Role.ZLP: Exposure(0.1, 100),
    Role.ALOOF: Exposure(0.1, 300),
    Role.VIBRATIONAL: Exposure(0.1, 20),
    Role.VALENCE: Exposure(0.02, 5),
    Role.CORE_LOSS: Exposure(0.5, 4),
}
