"""Stretches of a line scan: grain 1, boundary, grain 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .errors import UnusableInput

GRAIN_1, BOUNDARY, GRAIN_2 = "grain_1", "boundary", "grain_2"
NAMES = (GRAIN_1, BOUNDARY, GRAIN_2)
SPECTRUM = "spectrum"  # the region of an input that is one spectrum


@dataclass(frozen=True)
class Region:
    """A stretch of the line in nm, ends included."""

    start_nm: float
    end_nm: float

    def mask(self, position_nm: np.ndarray) -> np.ndarray:
        """True for the pixels whose centre lies in the region; shape (n,)."""
        tolerance = 1e-9 * max(1.0, abs(self.end_nm))
        return (position_nm >= self.start_nm - tolerance) & (position_nm <= self.end_nm + tolerance)


@dataclass(frozen=True)
class Regions:
    """The three regions of a line across a boundary, in the order met along the line."""

    grain_1: Region
    boundary: Region
    grain_2: Region

    def __iter__(self) -> Iterator[tuple[str, Region]]:
        return ((name, getattr(self, name)) for name in NAMES)

    def to_dict(self, position_nm: np.ndarray) -> dict[str, dict]:
        """As `readout.json` holds them; `pixels` is the inclusive range of pixels, or null if none lies inside."""
        result = {}
        for name, region in self:
            inside = np.flatnonzero(region.mask(position_nm))
            pixels = [int(inside[0]), int(inside[-1])] if inside.size else None
            result[name] = {"start_nm": region.start_nm, "end_nm": region.end_nm, "pixels": pixels}
        return result


NEGLIGIBLE_PIXELS = 0.1  # an error of the place below this moves no pixel from one region to another


@dataclass(frozen=True)
class Moved:
    """Regions as they would be with the boundary one error before and after where it is, by whole pixels.

    part: of a change between the regions and these, what the error itself would have made; it is 0 where the error is
    far below a pixel and the regions are the same.
    """

    before: Regions
    after: Regions
    part: float


def moved(regions: Regions, position_nm: np.ndarray, centre_sigma_nm: float) -> Moved:
    """The boundary and the grains' ends beside it moved by an error, at least by a pixel; the line's ends stay.

    A grain keeps a pixel at least. An error that is not known (nan) moves nothing.
    """
    step = float(np.median(np.diff(position_nm))) if len(position_nm) > 1 else np.nan
    if not centre_sigma_nm >= NEGLIGIBLE_PIXELS * step:
        return Moved(regions, regions, 0.0)
    pixels = max(1, round(centre_sigma_nm / step))
    before = min(pixels, _spare(regions.grain_1, position_nm))
    after = min(pixels, _spare(regions.grain_2, position_nm))
    if min(before, after) < 1:
        return Moved(regions, regions, 0.0)
    part = centre_sigma_nm / (0.5 * (before + after) * step)
    return Moved(_shifted(regions, -before * step), _shifted(regions, after * step), part)


def _spare(grain: Region, position_nm: np.ndarray) -> int:
    """Pixels that a grain can lose."""
    return int(grain.mask(position_nm).sum()) - 1


def _shifted(regions: Regions, by_nm: float) -> Regions:
    one, at, two = regions.grain_1, regions.boundary, regions.grain_2
    return Regions(
        Region(one.start_nm, one.end_nm + by_nm),
        Region(at.start_nm + by_nm, at.end_nm + by_nm),
        Region(two.start_nm + by_nm, two.end_nm),
    )


def parse_region(text: str, name: str) -> Region:
    """A region from "A:B" in nm. Raises UnusableInput."""
    try:
        start, end = (float(part) for part in text.split(":"))
    except ValueError:
        raise UnusableInput(f"The {name} region '{text}' is not of the form A:B in nm, such as 9:11.") from None
    if not end >= start:
        raise UnusableInput(f"The {name} region {text} ends before it starts; give the smaller position first.")
    return Region(start, end)


def from_mapping(regions: Mapping[str, Region | tuple[float, float]]) -> Regions:
    """Regions from a mapping with the keys grain_1, boundary and grain_2. Raises UnusableInput."""
    missing = [name for name in NAMES if name not in regions]
    if missing:
        raise UnusableInput(f"The region {missing[0]} is missing; give all of {', '.join(NAMES)}.")
    return Regions(*(r if isinstance(r, Region) else Region(*r) for r in (regions[name] for name in NAMES)))
