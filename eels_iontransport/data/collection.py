"""On which side of the optical axis scattered electrons are collected, by the name of the spectrometer setting.

The setting of a collection off the axis has the name of the one on it with "_off_axis" after it.
"""

from __future__ import annotations

from enum import Enum

_SUFFIX = "_off_axis"


class Collection(str, Enum):
    """ON_AXIS: the cone of the beam enters the spectrometer. OFF_AXIS: it does not (dark field)."""

    ON_AXIS = "on axis"
    OFF_AXIS = "off axis"


def collection_of(setting: str) -> Collection:
    """How a setting collects, by its name."""
    return Collection.OFF_AXIS if setting.endswith(_SUFFIX) else Collection.ON_AXIS


def collecting(setting: str, collection: Collection) -> str:
    """The name of the setting that is like the given one but for its collection."""
    return setting.removesuffix(_SUFFIX) + (_SUFFIX if collection is Collection.OFF_AXIS else "")
