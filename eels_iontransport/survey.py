"""The first pass over a spectrum image: noise, the zero-loss peak of every pixel, and what is summed of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .data.errors import UnusableInput
from .data.image import SpectrumImage
from .data.noise import NoiseModel
from .data.spectrum import EnergyAxis, Spectra
from .data.units import ev
from .decomposition.engine import Cancelled, Stop, never
from .measure import noise as noises
from .measure import zlp
from .measure.alignment import Aligned, RunningSum
from .prepared import Prepared, prepare
from .progress import Progress, silent

PARTS = 3  # across and down: tiles of the image whose sums are fitted together for the widths that all share
REACH_MEV = 30.0  # a sum is of pixels whose zeros lie this close to the middle one; jitter and drift move them less
SAMPLE, TRIED = 64, 1024  # pixels that stand for all, and how many are looked at for as many with a zero-loss peak


@dataclass(frozen=True, eq=False)
class Survey:
    """What the first pass found.

    position_ev, fwhm_ev, integral, saturated: of the zero-loss peaks of all pixels, (n,), row by row. parts: sums of
    aligned pixels, total: their sum.
    """

    noise: NoiseModel
    position_ev: np.ndarray
    fwhm_ev: np.ndarray
    integral: np.ndarray
    saturated: np.ndarray
    parts: tuple[Aligned, ...]
    total: Aligned

    @property
    def usable(self) -> np.ndarray:
        """The pixels with a zero, (n,)."""
        return np.isfinite(self.position_ev)

    def mean(self, metadata: Mapping[str, Any]) -> Prepared:
        """The total as one spectrum that has the noise of the pixels, with the metadata of the image."""
        energy_mev = self.total.energy_mev
        axis = EnergyAxis(ev(float(energy_mev[0])), ev(self.total.step_mev), energy_mev.size)
        return prepare(Spectra(self.total.counts, axis, np.ones(1, bool), metadata=metadata), self.noise)


def survey(image: SpectrumImage, block: int, should_stop: Stop = never, progress: Progress = silent) -> Survey:
    """Go through an image, so many pixels at a time.

    Raises UnusableInput where no pixel has a zero-loss peak, and Cancelled.
    """
    noise, middle_ev = _sample(image)
    position, fwhm, integral = np.full((3, image.pixels), np.nan)
    saturated = np.zeros(image.pixels, bool)
    sums = [RunningSum(image.energy) for _ in range(PARTS**2)]
    tile = _tiles(image.shape).ravel()
    for step in image.blocks(block):
        if should_stop():
            raise Cancelled
        progress(step.pixels.start, image.pixels, "Zero-loss peaks")
        prepared = prepare(_spectra(image, image.read(step)), noise)
        position[step.pixels], fwhm[step.pixels] = prepared.zero.position_ev, prepared.zero.fwhm_ev
        integral[step.pixels], saturated[step.pixels] = prepared.integral, prepared.zero.saturated
        rows = prepared.spectra.rows
        near = np.abs(prepared.zero.position_ev - middle_ev) <= ev(REACH_MEV)
        for number in np.unique(tile[step.pixels][near]):
            chosen = near & (tile[step.pixels] == number)
            sums[number].add(rows[chosen], prepared.zero.position_ev[chosen])
    parts = tuple(total for total in (one.aligned() for one in sums) if total is not None)
    total = _total(sums)
    if total is None:
        raise _without_peaks(image)
    return Survey(noise, position, fwhm, integral, saturated, parts, total)


def _tiles(shape: tuple[int, int]) -> np.ndarray:
    """The number of the tile in which each pixel lies, (height, width)."""
    down, across = (np.arange(length) * PARTS // length for length in shape)
    return np.add.outer(PARTS * down, across)


def _sample(image: SpectrumImage) -> tuple[NoiseModel, float]:
    """The noise model, and the middle zero in eV, of some pixels from all over the image."""
    tried = np.unique(np.linspace(0, image.pixels - 1, TRIED).astype(int))
    order = np.random.default_rng(0).permutation(tried)
    rows: list[np.ndarray] = []
    for pixel in order.tolist():
        rows += _with_peak(image, image.spectrum(pixel))
        if len(rows) == SAMPLE:
            break
    if not rows:
        raise _without_peaks(image)
    sample = _spectra(image, np.array(rows))
    return noises.for_spectra(sample), float(np.median(zlp.measure(sample).position_ev))


def _with_peak(image: SpectrumImage, counts: np.ndarray) -> list[np.ndarray]:
    return [counts] if zlp.measure(_spectra(image, counts[None])).found[0] else []


def _spectra(image: SpectrumImage, counts: np.ndarray) -> Spectra:
    """Some pixels (n, channels) as spectra; single channels without a number are for others to judge."""
    valid = np.isfinite(counts).any(axis=1)
    return Spectra(
        counts, image.energy, valid, saturation_level=image.saturation_level, noise=image.noise, name=image.name
    )


def _total(sums: list[RunningSum]) -> Aligned | None:
    """All parts together."""
    for other in sums[1:]:
        sums[0].take(other)
    return sums[0].aligned()


def _without_peaks(image: SpectrumImage) -> UnusableInput:
    label = f"'{image.name}'" if image.name else "The image"
    return UnusableInput(
        f"{label} has no spectrum with a zero-loss peak that is not saturated; "
        "give spectra recorded with the zero-loss peak."
    )
