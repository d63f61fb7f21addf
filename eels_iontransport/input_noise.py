"""The noise of an input that is asked for again and again as its rows come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .data.noise import NoiseModel
from .data.spectrum import EnergyAxis
from .measure import noise as noises
from .memory import Seen

SAME_DISPERSION = 1e-3  # two settings of a spectrometer differ by more than this part

Key = tuple[int, int]  # a row and its version


class InputNoise:
    """Keeps what was measured on rows that are as they were."""

    def __init__(self) -> None:
        self._blocks: dict[Key, noises.Blocks] = {}
        self._estimated: NoiseModel | None = None
        self._of_frames: tuple[list[Key], NoiseModel | None] | None = None

    def estimated(self, given: Seen) -> NoiseModel:
        """The estimate from smooth regions; only blocks of new rows are looked at."""
        sample, keys = _sample(given)
        if self._estimated is None or keys != list(self._blocks):
            new = [key for key in keys if key not in self._blocks]
            blocks = noises.blocks_of(given.spectra.rows[[row for row, _ in new]])
            found = {key: noises.Blocks(blocks.level[i], blocks.products[i]) for i, key in enumerate(new)}
            self._blocks = {key: found.get(key) or self._blocks[key] for key in keys}
            measured = noises.estimate_from(list(self._blocks.values()))
            self._estimated = measured or noises.from_differences(given.spectra.rows[sample])
        return self._estimated

    def of_frames(self, given: Seen) -> NoiseModel | None:
        """The noise that sets frames of one place apart, where the rows are such; see `measure.noise.from_frames`."""
        if not given.spectra.is_line or given.spectra.step_nm is not None:
            return None
        keys = _sample(given)[1]
        if self._of_frames is None or self._of_frames[0] != keys:
            self._of_frames = keys, noises.from_frames(given.spectra)
        return self._of_frames[1]


def surest(energy: EnergyAxis, told: Sequence[tuple[EnergyAxis, NoiseModel | None]]) -> NoiseModel | None:
    """The noise model of the smallest uncertainty of those of the same dispersion."""
    same = [m for other, m in told if m is not None and abs(other.step_ev / energy.step_ev - 1) < SAME_DISPERSION]
    return min(same, key=lambda model: model.relative_sigma or np.inf, default=None)


def _sample(given: Seen) -> tuple[np.ndarray, list[Key]]:
    """The rows that a noise model is made from, and a key for each that changes with it."""
    rows = noises.sampled_rows(given.spectra.valid)
    return rows, [(int(row), int(given.version[row])) for row in rows]
