"""Spectra of a scanned area, read bit by bit: their counts may lie in a file that is larger than the memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .errors import UnusableInput
from .noise import NoiseModel
from .spectrum import MINIMUM_CHANNELS, EnergyAxis


class Block(NamedTuple):
    """Pixels that are read at once: whole rows of an image, or a part of one. pixels: their numbers, row by row."""

    rows: slice
    columns: slice
    pixels: slice


@dataclass(frozen=True, eq=False)
class SpectrumImage:
    """Spectra of height x width pixels, in raw camera counts.

    counts: (height, width, channels), an array or what gives arrays when it is sliced, such as a memory-mapped array
    or an HDF5 dataset, which is read block by block. step_nm: distance of pixels (down, across), None where unknown.
    saturation_level, exposure_s, noise: as those of `Spectra`. Raises UnusableInput for anything else than counts of
    three axes of which the last has the length of the energy axis.
    """

    counts: Any
    energy: EnergyAxis
    step_nm: tuple[float, float] | None = None
    saturation_level: float | None = None
    exposure_s: float | None = None
    noise: NoiseModel | None = None
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_image(self.counts, self.name)
        channels = np.shape(self.counts)[2]
        if channels != self.energy.size:
            label, size = _label(self.name), self.energy.size
            raise UnusableInput(f"{label} has {channels} channels but its energy axis has {size}.")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width, _ = np.shape(self.counts)
        return height, width

    @property
    def pixels(self) -> int:
        return self.shape[0] * self.shape[1]

    def blocks(self, pixels: int) -> Iterator[Block]:
        """The image in blocks of so many pixels at most, row by row; of whole chunks where the file is made of such."""
        height, width = self.shape
        rows, columns = max(1, pixels // width), min(width, pixels)
        rows -= rows % min(rows, _chunk_rows(self.counts))  # a chunk that is cut is unpacked twice
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            for left in range(0, width, columns):
                right = min(left + columns, width)
                first = top * width + left
                last = (bottom - 1) * width + right
                yield Block(slice(top, bottom), slice(left, right), slice(first, last))

    def read(self, block: Block) -> np.ndarray:
        """Counts of the pixels of a block, (n, channels)."""
        counts = np.array(self.counts[block.rows, block.columns], dtype=float)
        self._let_go()
        return counts.reshape(-1, self.energy.size)

    def spectrum(self, pixel: int) -> np.ndarray:
        """Counts (channels,) of one pixel, numbered row by row."""
        row, column = divmod(pixel, self.shape[1])
        return np.array(self.counts[row, column], dtype=float)

    def _let_go(self) -> None:
        """Of a mapped file, what has been read would else stay in memory until something else needs it."""
        mapped = getattr(self.counts, "_mmap", None)
        if isinstance(mapped, mmap.mmap) and getattr(self.counts, "mode", "") == "r" and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _chunk_rows(counts: Any) -> int:
    """Rows of the chunks of an HDF5 dataset, or of an array of dask's; 1 where there are none."""
    chunks = getattr(counts, "chunks", None)
    if not chunks:
        return 1
    return chunks[0] if isinstance(chunks[0], int) else max(chunks[0])


def require_image(counts: Any, name: str) -> None:
    """Raises UnusableInput where an array is not one of spectra over an area."""
    label, shape = _label(name), tuple(np.shape(counts))
    dtype = np.dtype(getattr(counts, "dtype", float))
    if len(shape) != 3:
        found = {1: "a single spectrum", 2: "a line of spectra"}.get(len(shape), f"an array of {len(shape)} axes")
        raise UnusableInput(f"{label} is {found}; give a spectrum image, of height x width x energy.")
    if dtype.kind not in "iuf":
        raise UnusableInput(f"{label} holds {dtype} values, not counts; give a spectrum image.")
    if 0 in shape or shape[2] < MINIMUM_CHANNELS:
        size = " x ".join(str(length) for length in shape)
        raise UnusableInput(f"{label} has {size} values; spectra need at least {MINIMUM_CHANNELS} channels.")


def _label(name: str) -> str:
    return f"'{name}'" if name else "The data"
