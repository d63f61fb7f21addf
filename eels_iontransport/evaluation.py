"""What an analysis hands over: the readout, and the arrays that displays and figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .data.flags import Flag
from .data.regions import Regions
from .data.spectrum import EnergyAxis
from .decomposition.result import Decomposition


@dataclass(frozen=True, eq=False)
class FittedSpectrum:
    """One spectrum and its decomposition, in counts over energy_mev (m,).

    components: peak name -> (m,), without background. zlp_integral: counts of the ZLP by which to normalise.
    """

    energy_mev: np.ndarray
    counts: np.ndarray
    background: np.ndarray
    components: Mapping[str, np.ndarray]
    polaritonic: np.ndarray
    phononic: np.ndarray
    zlp_integral: float
    chi2: float

    @property
    def model(self) -> np.ndarray:
        return self.background + self.polaritonic + self.phononic

    @property
    def residual(self) -> np.ndarray:
        return self.counts - self.model


def fitted_spectrum(decomposition: Decomposition, row: int, zlp_integral: float) -> FittedSpectrum:
    """One row of a decomposition."""
    d = decomposition
    return FittedSpectrum(
        d.energy_mev[row],
        d.counts[row],
        d.background[row],
        {peak.name: d.lines[row, k] for k, peak in enumerate(d.peaks)},
        d.polaritonic[row],
        d.phononic[row],
        zlp_integral,
        float(d.chi2[row]),
    )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything known of a line scan, or of one spectrum, at the moment of asking; nan where a row has no data.

    readout: as readout.json holds it. position_nm, valid: (n,). normalised: (n, m) counts over ZLP integral, in 1/meV,
    on normalised_axis. fits: region name -> fit, "spectrum" for a single one. profiles: name -> (n,).
    core_loss: (n, k) background-subtracted counts on core_loss_axis.
    """

    readout: dict[str, Any]
    position_nm: np.ndarray
    valid: np.ndarray
    regions: Regions | None = None
    normalised: np.ndarray | None = None
    normalised_axis: EnergyAxis | None = None
    fits: Mapping[str, FittedSpectrum] = field(default_factory=dict)
    aloof_fit: FittedSpectrum | None = None
    profiles: Mapping[str, np.ndarray] = field(default_factory=dict)
    shift_peak: str | None = None
    core_loss: np.ndarray | None = None
    core_loss_axis: EnergyAxis | None = None
    flags: tuple[Flag, ...] = ()
