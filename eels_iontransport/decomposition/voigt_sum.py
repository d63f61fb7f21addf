"""A zero-loss peak described by a sum of few Voigts, added one by one where they help most."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import voigt_profile

from .engine import fit
from .problem import Data, Layout

MOST = 6
DESCRIBED = 5e-4  # misfit with which no further Voigt is added: a centre moves by about 0.02 meV for it
LINE_SIGMA_MEV = 2.0  # of the line, as wide as lines of solids are, through which the misfit is seen

# Deviations count in parts of this. A line is fitted on a background that is noisier than its tails: what matters is
# how far it is off in parts of its height. Noise is below this for any peak of more than some thousand counts.
_RELATIVE, _OF_MAXIMUM = 0.02, 3e-3
_CORE_FWHM, _GROWTH = 2.0, 1.1  # channels are binned further than this from the zero, in bins that grow by this factor

# Offset and sigma of the Voigts that are tried, in parts of the sigma that a Gaussian of the peak's FWHM has.
_CANDIDATES = np.array([(k * s, s) for s in (0.5, 1, 2, 4, 8) for k in range(-3, 4) if abs(k * s) < 15])
_GAMMA = 0.1
_LOWER = (-12.0, 0.2, 1e-3)  # offset, sigma, gamma in the same unit
_UPPER = (12.0, 20.0, 20.0)


def describe(
    energy_mev: np.ndarray, density: np.ndarray, fwhm_mev: float, start: np.ndarray | None = None
) -> np.ndarray:
    """Voigts (j, 4) whose sum is a peak of unit area: weight, offset_mev, sigma_mev, gamma_mev; weights sum to 1.

    energy_mev, density: (r,), an even grid, about 0. No more Voigts than a misfit of DESCRIBED takes, and MOST at most.
    start: the Voigts of a peak that differs from this one in its noise only; as many are fitted from there on.
    """
    unit = fwhm_mev / np.sqrt(8 * np.log(2))
    energy, values = _binned(energy_mev, density, _CORE_FWHM * fwhm_mev)
    tolerance = np.hypot(_RELATIVE * values, _OF_MAXIMUM * values.max())
    if start is not None:
        return _normalised(_fitted(start[:, 1:], energy, values, tolerance, unit))
    candidates = np.column_stack([unit * _CANDIDATES, np.full(len(_CANDIDATES), _GAMMA * unit)])
    tried = _profiles(energy, candidates) / tolerance
    voigts = np.empty((0, 4))
    while len(voigts) < MOST:
        there = _profiles(energy, voigts[:, 1:]) / tolerance
        new = candidates[_most_helpful(tried, there, values / tolerance - voigts[:, 0] @ there)]
        found = _fitted(np.vstack([voigts[:, 1:], new]), energy, values, tolerance, unit)
        if len(found) <= len(voigts):  # none is missing anywhere
            break
        voigts = found
        if misfit(energy_mev, density, voigts) <= DESCRIBED:
            break
    return _normalised(voigts)


def _normalised(voigts: np.ndarray) -> np.ndarray:
    return np.column_stack([voigts[:, 0] / voigts[:, 0].sum(), voigts[:, 1:]])


def misfit(energy_mev: np.ndarray, density: np.ndarray, voigts: np.ndarray) -> float:
    """Largest deviation of a line seen through the Voigts from the line seen through the density, over its maximum.

    The area of the line through the Voigts is the best one: areas are free in every fit.
    """
    width = LINE_SIGMA_MEV / (energy_mev[1] - energy_mev[0])
    seen, described = (
        gaussian_filter1d(curve, width, mode="constant") for curve in (density, total(energy_mev, voigts))
    )
    area = (seen @ described) / (described @ described)
    return float(np.abs(area * described - seen).max() / seen.max())


def total(energy_mev: np.ndarray, voigts: np.ndarray) -> np.ndarray:
    """The sum of Voigts (j, 4) at energy_mev (m,)."""
    return voigts[:, 0] @ _profiles(energy_mev, voigts[:, 1:])


def _profiles(energy: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    offset, sigma, gamma = shapes.T[:, :, None]
    return voigt_profile(energy - offset, sigma, gamma)


def _binned(energy: np.ndarray, density: np.ndarray, core_mev: float) -> tuple[np.ndarray, np.ndarray]:
    """Means over single channels in the core and over growing bins in the tails, which bend little and are noisy."""
    zero, core = int(np.abs(energy).argmin()), max(3, int(core_mev / (energy[1] - energy[0])))
    growing = core * _GROWTH ** np.arange(1, 1 + np.log(max(energy.size / core, 1.0)) / np.log(_GROWTH))
    distance = np.concatenate([np.arange(core + 1), np.rint(growing).astype(int)])
    edges = np.unique(np.concatenate([zero - distance, zero + distance]))
    edges = edges[(edges >= 0) & (edges <= energy.size)]
    widths = np.diff(edges)
    means = np.add.reduceat(np.stack([energy, density])[:, : edges[-1]], edges[:-1], axis=1) / widths
    return means[0], means[1]


def _most_helpful(tried: np.ndarray, there: np.ndarray, residual: np.ndarray) -> int:
    """Which of the tried lines (c, m) takes away most of the residual (m,) if those there (j, m) may change in area."""
    basis, _ = np.linalg.qr(there.T)
    new = tried - tried @ basis @ basis.T
    # One that the lines make up already has no direction of its own, only rounding.
    length = (new**2).sum(axis=1) + 1e-9 * (tried**2).sum(axis=1)
    return int(np.argmax(np.maximum(new @ residual, 0.0) ** 2 / length))


def _fitted(
    shapes: np.ndarray, energy: np.ndarray, values: np.ndarray, tolerance: np.ndarray, unit: float
) -> np.ndarray:
    """Voigts (j, 4) fitted from the shapes (j, 3) on, less those without area."""
    count = len(shapes)
    lower, upper = (unit * np.repeat(limits, count) for limits in (_LOWER, _UPPER))
    centre, sigma, gamma = np.arange(3 * count).reshape(3, 1, count)
    layout = Layout(centre, sigma, gamma, np.full(count, -1), lower, upper)
    plain = np.array([1.0, 0.0, 0.0, 0.0])[None, None, None]
    none = np.empty((1, 1, 0, energy.size))
    data = Data(energy[None, None], values[None, None], tolerance[None, None], none, plain)
    found = fit(layout, data, np.clip(shapes.T.ravel(), lower, upper)[None])
    voigts = np.column_stack([found.areas[0, 0], found.theta[0].reshape(3, count).T])
    return voigts[voigts[:, 0] > 0]
