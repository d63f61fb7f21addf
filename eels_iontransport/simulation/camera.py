"""The simulated EELS camera: electrons in, dark-subtracted counts out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

DARK_SEED = 20240


@dataclass(frozen=True)
class Camera:
    """Properties of the camera, all for one channel of one frame summed over the detector's height.

    counts_per_electron: gain. read_noise_counts: standard deviation. dark_level_counts: mean of the dark level, which
    has a fixed pattern and is subtracted. full_scale_counts: what the converter holds, dark level included.
    point_spread_channels: standard deviation of the spread of an electron's signal over channels; it correlates
    the noise of neighbours.
    """

    channels: int = 2048
    counts_per_electron: float = 2.5
    read_noise_counts: float = 6.0
    dark_level_counts: float = 400.0
    dark_pattern_counts: float = 8.0
    full_scale_counts: float = 4.0e6
    point_spread_channels: float = 0.3

    @property
    def saturation_level_counts(self) -> float:
        """Dark-subtracted counts at or above which a channel of a frame is full."""
        return self.full_scale_counts - float(np.max(self.dark_counts()))

    def dark_counts(self) -> np.ndarray:
        """The dark level with its fixed pattern, (channels,)."""
        pattern = np.random.default_rng(DARK_SEED).standard_normal(self.channels)
        return self.dark_level_counts + self.dark_pattern_counts * np.clip(pattern, -3.0, 3.0)

    def kernel(self) -> np.ndarray:
        """Share of an electron's signal in its own channel and its neighbours."""
        if self.point_spread_channels <= 0:
            return np.ones(1)
        reach = int(np.ceil(4 * self.point_spread_channels))
        edges = (np.arange(-reach, reach + 2) - 0.5) / self.point_spread_channels
        share = np.diff(ndtr(edges))
        return share / share.sum()


class Detector:
    """A camera ready to be exposed; keeps what does not change between frames."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._dark = camera.dark_counts()
        self._kernel = camera.kernel()

    def expose(self, expected_electrons: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Dark-subtracted counts of one frame from the expected electrons of each channel, (channels,) float32."""
        camera = self.camera
        signal = rng.poisson(np.maximum(expected_electrons, 0.0)).astype(float)
        if self._kernel.size > 1:
            signal = np.convolve(signal, self._kernel, mode="same")
        counts = camera.counts_per_electron * signal + self._dark
        if camera.read_noise_counts > 0:
            counts += camera.read_noise_counts * rng.standard_normal(counts.size, dtype=np.float32)
        return (np.minimum(counts, camera.full_scale_counts) - self._dark).astype(np.float32)
