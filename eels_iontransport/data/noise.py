"""How counts scatter: camera counts are not electrons, and neighbouring channels need not be independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NoiseModel:
    """Variance of a channel of a row = `variance_per_count` x counts + `floor`, with correlated neighbours.

    source: "given" (gain known), "frames" (from kept frames), "estimated" (from smooth parts of the spectra).
    electrons_per_count: None where the gain is unknown.
    correlation: 1 + 2 sum(rho_k), by which correlated channels widen the uncertainty of anything smooth.
    relative_sigma: standard deviation of variance_per_count x correlation as a part of it; 0 for a gain that was given,
    None where it is unknown.
    """

    source: str
    variance_per_count: float
    electrons_per_count: float | None = None
    correlation: float = 1.0
    floor: float = 0.0
    relative_sigma: float | None = None

    @property
    def smooth_variance_per_count(self) -> float:
        """Variance per count of anything that is smooth over neighbouring channels."""
        return self.variance_per_count * self.correlation

    def variance(self, counts: np.ndarray, rows: int | np.ndarray = 1) -> np.ndarray:
        """Variance of each channel of a sum of `rows` rows, shaped as `counts`; never below that of one electron."""
        one_electron = max(self.variance_per_count, 1e-300)
        return self.variance_per_count * np.maximum(counts, one_electron) + self.floor * rows

    def to_dict(self) -> dict:
        return {
            "source": self.source,
            "electrons_per_count": self.electrons_per_count,
            "variance_per_count": self.variance_per_count,
            "correlation": self.correlation,
            "relative_sigma": self.relative_sigma,
        }


def given(electrons_per_count: float) -> NoiseModel:
    """Poisson noise of electrons seen through a known gain."""
    return NoiseModel("given", 1.0 / electrons_per_count, electrons_per_count, relative_sigma=0.0)
