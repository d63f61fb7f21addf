"""What an acquired item says of itself: role, how far it got, and why it ended.

Stored under one key in the item's metadata, so that a partial item can never pass as a whole one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

from .collection import Collection, collection_of

METADATA_KEY = "eels_iontransport"


class Status(str, Enum):
    RUNNING = "running"
    COMPLETE = "complete"
    ABORTED = "aborted"
    FAULT = "fault"


class Role(str, Enum):
    """What a spectrum is for; the names of the inputs of an analysis."""

    ZLP = "zlp"
    ALOOF = "aloof"
    POINTS = "points"
    VIBRATIONAL = "vibrational"
    VALENCE = "valence"
    CORE_LOSS = "core_loss"
    IMAGE = "spectrum_image"


@dataclass(frozen=True)
class Record:
    """State of an acquired item. Rows 0..rows_valid-1 are data; the rest was never taken.

    Rows are counted in the order in which they are taken: pass by pass, row = pass * pixels + pixel, with
    rows_planned = passes * pixels; the pixels of a spectrum image line by line.
    """

    role: Role
    status: Status
    rows_planned: int
    rows_valid: int
    reason: str = ""  # one sentence: why it ended, empty while running or complete
    exposure_s: float | None = None
    frames: int | None = None
    saturation_level: float | None = None  # counts of a row (summed frames)
    saturated_frames: int | None = None  # frames with a full channel, seen before summing; None: level unknown
    electrons_per_count: float | None = None
    beam_current_pa: float | None = None
    settings: Mapping[str, float] = field(default_factory=dict)  # control values read back, of all that the plan sets
    plan: Mapping[str, Any] = field(default_factory=dict)  # the plan as JSON-ready data
    passes: int = 1
    columns: int | None = None  # pixels of one line of a spectrum image; None where the item is none
    line_step_nm: float | None = None  # distance between the lines of a spectrum image
    setting: str = ""  # name of the spectrometer setting

    @property
    def is_off_axis(self) -> bool:
        return collection_of(self.setting) is Collection.OFF_AXIS

    @property
    def pixels(self) -> int:
        """Rows of one pass."""
        return self.rows_planned // self.passes

    @property
    def shape(self) -> tuple[int, ...]:
        """The item's axes before the energy: (pixels,) or (lines, columns), with the passes before them."""
        pixels = (self.pixels,) if self.columns is None else (self.pixels // self.columns, self.columns)
        return pixels if self.passes == 1 else (self.passes, *pixels)

    def to_metadata(self) -> dict[str, Any]:
        """{METADATA_KEY: ...}, ready for JSON."""
        content = asdict(self)
        content["role"], content["status"] = self.role.value, self.status.value
        return {METADATA_KEY: content}

    @staticmethod
    def from_metadata(metadata: Mapping[str, Any]) -> Record | None:
        """The record in an item's metadata; None where there is none or it cannot be read."""
        content = metadata.get(METADATA_KEY)
        if not isinstance(content, Mapping):
            return None
        known = {f.name for f in fields(Record)}
        try:
            values = {key: value for key, value in content.items() if key in known}
            values["role"], values["status"] = Role(values["role"]), Status(values["status"])
            return Record(**values)
        except (KeyError, ValueError, TypeError):
            return None
