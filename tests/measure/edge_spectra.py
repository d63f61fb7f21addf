"""Core-loss spectra of our own making: arctangent onsets and lines that are no Gaussians, unlike those that are fitted.

Li K at 55.2 eV (weak part 55.6, main peak 61 eV) and Co M2,3 at 60.5 eV (weak 59, main 64.5 eV) on a power law.
"""

from __future__ import annotations

import numpy as np

from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis, Spectra, make_spectra

AXIS = EnergyAxis(20.0, 0.1, 1024)
STEP_NM = 0.5
REGIONS = Regions(Region(0.0, 7.5), Region(9.5, 10.5), Region(12.5, 19.5))


def _line(energy, centre, width):
    """A line between a Gaussian and a Lorentzian in its tails."""
    return (1 + ((energy - centre) / width) ** 2 / 3) ** -3.0


def lithium(energy):
    step = (0.5 + np.arctan((energy - 55.2) / 0.2) / np.pi) / (1 + np.exp(-(energy - 54.0) / 0.2))
    return step * (energy / 55) ** -3.4 + 0.5 * _line(energy, 55.6, 0.65) + 1.7 * _line(energy, 61.0, 1.2)


def cobalt(energy):
    step = (0.5 + np.arctan((energy - 60.5) / 0.4) / np.pi) / (1 + np.exp(-(energy - 58.5) / 0.3))
    return step * (energy / 60) ** -2.6 + 0.3 * _line(energy, 59.0, 0.7) + 1.5 * _line(energy, 64.5, 2.3)


def expected(n_lithium=1.0, n_cobalt=1.0, shift_ev=0.0, exponent=3.2, level=4e4):
    energy = AXIS.energies_ev
    edges = n_lithium * lithium(energy - shift_ev) + n_cobalt * cobalt(energy - shift_ev)
    return level * ((energy / 43) ** -exponent + 0.15 * edges)


def line(seed, change=-0.27, shift_ev=0.0, pixels=40, **fields) -> Spectra:
    """A line with a boundary at 9.2..10.8 nm whose Li:Co is 1 + change, half of it in Li and half in Co; Poisson noise.

    shift_ev moves the edges of the boundary. seed None: without noise.
    """
    position = STEP_NM * np.arange(pixels)
    root = np.sqrt(1 + change)
    at_boundary = expected(root, 1 / root, shift_ev, level=4.3e4)
    grain_1, grain_2 = expected(), expected(exponent=3.25, level=3.7e4)
    rows = np.where((position < 10)[:, None], grain_1, grain_2)
    rows[np.abs(position - 10) < 1] = at_boundary
    if seed is not None:
        rows = np.random.default_rng(seed).poisson(rows).astype(float)
    return make_spectra(rows, AXIS, step_nm=STEP_NM, **fields)
