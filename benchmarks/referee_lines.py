"""Line scans made without any code of the analysis: intrinsic lines convolved on a fine grid, with known shifts.

The response has the tails fitted to measured spectra. The intrinsic lines are Lorentzians convolved with Gaussians, by
scipy, with their gains at room temperature. Every pixel has an energy zero of its own, and as many electrons as Poisson
gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial

import numpy as np
from scipy.signal import fftconvolve
from scipy.special import voigt_profile

from eels_iontransport.data.noise import given
from eels_iontransport.data.regions import BOUNDARY, GRAIN_1, GRAIN_2, Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis, Spectra, make_spectra
from eels_iontransport.simulation.response import response

PIXELS = 10  # of each region
STEP_NM = 0.5
DOSE_1 = 7.5e7  # zero-loss electrons of a pixel: the LDO line is 3600 high on a tail of 5300
VACUUM_ELECTRONS, ALOOF_ELECTRONS = 1.25e9, 3.7e9  # 10 and 30 s at 20 pA
ZERO_MEV = 2.0  # standard deviation of the energy zero of a pixel
AXIS = EnergyAxis(-0.16, 0.0004, 950)
REGIONS = Regions(*(Region(STEP_NM * PIXELS * i, STEP_NM * (PIXELS * (i + 1) - 0.5)) for i in range(3)))
GRAINS_MEV = (49.55, 49.65)  # LDO centres of the grains
LDO = 1  # of the phonons

THERMAL_MEV = 0.0861733 * 298.0  # k T

_FINE_MEV, _FROM_MEV, _TO_MEV = 0.05, -300.0, 400.0


@dataclass(frozen=True)
class Mode:
    """An intrinsic line: centre, sigma and gamma (half width) in meV, and area of the losses per zero-loss electron."""

    centre_mev: float
    sigma_mev: float
    gamma_mev: float
    area: float


POLARITONS = (Mode(33.6, 2.2, 0.9, 2.8e-3), Mode(54.6, 3.0, 1.1, 4.6e-4), Mode(73.6, 3.4, 1.2, 3.4e-3))
PHONONS = (
    Mode(40.6, 2.7, 0.8, 2.2e-3),
    Mode(49.6, 2.6, 0.8, 1.5e-3),
    Mode(66.2, 2.6, 0.9, 4.5e-3),
    Mode(80.6, 3.3, 1.0, 2.3e-3),
)
# Strengths in grain 1, boundary and grain 2, relative to the aloof polaritons and the phonons above.
POLARITON_STRENGTHS = ((0.50, 0.50, 0.50), (0.38, 0.60, 0.60), (0.18, 0.50, 0.50))
PHONON_STRENGTHS = ((1.0, 1.0, 1.0, 1.0), (1.1, 1.3, 1.3, 1.3), (0.7, 1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Condition:
    """shift_mev: of the LDO line at the boundary against the mean of the grains. dose: of a pixel, in DOSE_1.

    width_scatter: relative standard deviation of every width in every region. polariton_offset_mev: of the polaritons
    in transmission against the aloof ones. fwhm_mev: of the response.
    """

    shift_mev: float = 1.8
    dose: float = 1.0
    width_scatter: float = 0.0
    polariton_offset_mev: float = 0.0
    fwhm_mev: float = 8.0


@dataclass(frozen=True, eq=False)
class Session:
    """What a session would have taken, and the true shift against the mean of the grains."""

    line: Spectra
    aloof: Spectra
    vacuum: Spectra
    shift_mev: float

    @property
    def inputs(self) -> dict[str, Spectra]:
        return {"vibrational": self.line, "aloof": self.aloof, "zlp": self.vacuum}


def session(condition: Condition, seed: int) -> Session:
    """One session, the same for the same seed."""
    random = np.random.default_rng(seed)
    expect = partial(_expected, fwhm_mev=condition.fwhm_mev)
    rows = [
        random.poisson(condition.dose * DOSE_1 * expect(modes, random.normal(0.0, ZERO_MEV)))
        for modes in regions(condition, random)
        for _ in range(PIXELS)
    ]
    aloof = random.poisson(ALOOF_ELECTRONS * expect(POLARITONS, 0.0))
    vacuum = random.poisson(VACUUM_ELECTRONS * expect((), 0.0))
    return Session(
        _spectra(np.array(rows), "line", STEP_NM),
        _spectra(aloof, "aloof"),
        _spectra(vacuum, "zlp"),
        condition.shift_mev,
    )


def masks() -> dict[str, np.ndarray]:
    """The rows of each region, (n,) bool."""
    owner = np.repeat(np.arange(3), PIXELS)
    return {name: owner == i for i, name in enumerate((GRAIN_1, BOUNDARY, GRAIN_2))}


def regions(condition: Condition, random: np.random.Generator) -> list[tuple[Mode, ...]]:
    """The lines of grain 1, boundary and grain 2, all of one width unless widths scatter."""
    boundary = sum(GRAINS_MEV) / 2 + condition.shift_mev
    regions = []
    for i, ldo_mev in enumerate((GRAINS_MEV[0], boundary, GRAINS_MEV[1])):
        modes = [
            Mode(m.centre_mev + condition.polariton_offset_mev, m.sigma_mev, m.gamma_mev, strength * m.area)
            for m, strength in zip(POLARITONS, POLARITON_STRENGTHS[i])
        ]
        for k, (m, strength) in enumerate(zip(PHONONS, PHONON_STRENGTHS[i])):
            broader = 1 + condition.width_scatter * random.standard_normal(2)
            centre = ldo_mev if k == LDO else m.centre_mev
            modes.append(Mode(centre, m.sigma_mev * broader[0], m.gamma_mev * broader[1], strength * m.area))
        regions.append(tuple(modes))
    return regions


def _expected(modes: Sequence[Mode], zero_mev: float, fwhm_mev: float) -> np.ndarray:
    """Electrons of each channel per zero-loss electron."""
    total = _integral(None, fwhm_mev) + sum(m.area * _integral(_unit(m), fwhm_mev) for m in modes)
    edges = 1e3 * (AXIS.offset_ev + AXIS.step_ev * (np.arange(AXIS.size + 1) - 0.5)) - zero_mev
    return np.diff(np.interp(edges, _borders(), total))


def _unit(mode: Mode) -> Mode:
    return Mode(mode.centre_mev, mode.sigma_mev, mode.gamma_mev, 1.0)


def _borders() -> np.ndarray:
    return np.arange(_FROM_MEV, _TO_MEV, _FINE_MEV) + 0.5 * _FINE_MEV


@cache
def _seen(fwhm_mev: float) -> np.ndarray:
    """The response, unit area, on a fine grid of an odd number of points around zero."""
    half = round((_TO_MEV - _FROM_MEV) / 2 / _FINE_MEV)
    density = response(_FINE_MEV * np.arange(-half, half + 1), fwhm_mev)
    return density / (density.sum() * _FINE_MEV)


@lru_cache(maxsize=64)
def _integral(mode: Mode | None, fwhm_mev: float) -> np.ndarray:
    """Share of a line's electrons below each border; of the zero-loss peak without a mode."""
    energy = np.arange(_FROM_MEV, _TO_MEV, _FINE_MEV)
    seen = _seen(fwhm_mev)
    if mode is None:
        density = np.interp(energy, _FINE_MEV * (np.arange(seen.size) - seen.size // 2), seen)
    else:
        line = voigt_profile(energy - mode.centre_mev, mode.sigma_mev, mode.gamma_mev)
        gain = voigt_profile(energy + mode.centre_mev, mode.sigma_mev, mode.gamma_mev)
        line = line + gain * np.exp(np.minimum(energy, 0.0) / THERMAL_MEV)
        density = fftconvolve(line, seen, mode="same") * _FINE_MEV
    return np.cumsum(density) * _FINE_MEV


def _spectra(counts: np.ndarray, name: str, step_nm: float | None = None) -> Spectra:
    return make_spectra(counts.astype(float), AXIS, step_nm=step_nm, noise=given(1.0), name=name)
