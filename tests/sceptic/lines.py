"""Line scans made without the code that fits them, with all that a sceptic suspects put in on purpose.

Intrinsic lines of scipy are convolved with the response of measured tails on a fine grid; a line that moves is the
same integral read elsewhere. Every pixel of every pass has an energy zero of its own, and Poisson noise.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.signal import fftconvolve
from scipy.special import voigt_profile

from eels_iontransport.data.noise import given
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis, Spectra, make_spectra, sum_of_passes
from eels_iontransport.simulation.response import response

AXIS = EnergyAxis(-0.15, 0.0004, 800)
STEP_NM = 0.5
FINE_MEV = 0.1
REACH_MEV = 400.0
LDO_MEV = 49.6
ELECTRONS = 7.5e7  # of the zero-loss peak of a pixel: the published dose

# Centre, sigma, gamma in meV, area per zero-loss electron.
POLARITONS = ((33.6, 2.2, 0.9, 2.8e-3), (54.6, 3.0, 1.1, 4.6e-4), (73.6, 3.4, 1.2, 3.4e-3))
PHONONS = ((40.6, 2.7, 0.8, 2.2e-3), (66.2, 2.6, 0.9, 4.5e-3), (80.6, 3.3, 1.0, 2.3e-3))
LDO = (LDO_MEV, 2.6, 0.8, 1.5e-3)


def line(
    shift_mev: np.ndarray | float = 0.0,
    seed: int = 0,
    *,
    pixels: int = 40,
    area: np.ndarray | float = 1.0,
    shift_at_boundary_mev: float = 0.0,
    dose: float = 4.0,
    passes: int = 1,
    fade: float = 0.0,
    zero_mev: float = 1.5,
) -> dict[str, Spectra]:
    """Spectra by role. The line has `pixels` rows, 4 of which, in the middle, are the boundary of `regions`.

    shift_mev, area: of the LDO line of each pixel, against LDO. fade: part of its area that is gone in the end.
    dose: of a pixel in all passes, 1 as published. zero_mev: standard deviation of the energy zero.
    """
    random = np.random.default_rng(seed)
    at = np.full(pixels, shift_mev, float) if np.ndim(shift_mev) == 0 else np.array(shift_mev, float)
    at[_boundary(pixels)] += shift_at_boundary_mev
    areas = np.broadcast_to(np.asarray(area, float), pixels)
    zeros = random.normal(0.0, zero_mev, pixels)  # of a pixel, and nearly the same in every pass
    counts = []
    for number in range(passes):
        left = 1.0 - fade * (number + 0.5) / passes
        mean = [expected(0.5, a * left, s, z) for a, s, z in zip(areas, at, zeros + random.normal(0.0, 0.2, pixels))]
        counts.append(random.poisson(dose / passes * ELECTRONS * np.array(mean)))
    aloof, vacuum = (
        random.poisson(n * expected(p, 0.0, 0.0, 0.0, phonons=0.0)) for n, p in ((3.7e9, 1.0), (1.2e9, 0.0))
    )
    taken = sum_of_passes(np.array(counts), AXIS, step_nm=STEP_NM, noise=given(1.0), name="line")
    references = {
        name: make_spectra(c, AXIS, noise=given(1.0), name=name) for name, c in (("aloof", aloof), ("zlp", vacuum))
    }
    return {"vibrational": taken, **references}


def regions(pixels: int = 40) -> Regions:
    """Grains up to the boundary of 4 pixels in the middle, one pixel beside it left out."""
    inside = _boundary(pixels)
    first, last = inside.start, inside.stop - 1
    ends = ((0, first - 2), (first, last), (last + 2, pixels - 1))
    return Regions(*(Region(STEP_NM * low, STEP_NM * high) for low, high in ends))


def _boundary(pixels: int) -> slice:
    return slice(pixels // 2 - 2, pixels // 2 + 2)


def expected(polaritons: float, ldo: float, shift_mev: float, zero_mev: float, phonons: float = 1.0) -> np.ndarray:
    """Electrons of each channel per zero-loss electron."""
    borders = 1e3 * (AXIS.offset_ev + AXIS.step_ev * (np.arange(AXIS.size + 1) - 0.5)) - zero_mev
    grid = _grid() + 0.5 * FINE_MEV
    seen, polariton, phonon, moving = _integrals()
    below = np.interp(borders, grid, seen + polaritons * polariton + phonons * phonon)
    below += ldo * np.interp(borders - shift_mev, grid, moving)
    return np.diff(below)


def _grid() -> np.ndarray:
    return np.arange(-REACH_MEV, REACH_MEV + FINE_MEV / 2, FINE_MEV)


@cache
def _integrals() -> tuple[np.ndarray, ...]:
    """Zero-loss peak, polaritons, phonons and the LDO line: electrons below each border of the grid."""
    energy = _grid()
    kernel = response(energy)
    kernel /= kernel.sum() * FINE_MEV

    def below(modes: tuple[tuple[float, float, float, float], ...]) -> np.ndarray:
        density = sum(a * voigt_profile(energy - c, s, g) for c, s, g, a in modes)
        return np.cumsum(fftconvolve(density, kernel, mode="same")) * FINE_MEV**2

    return np.cumsum(kernel) * FINE_MEV, below(POLARITONS), below(PHONONS), below((LDO,))
