"""Core-loss lines whose edges are drawn anew for every seed, from forms that are not fitted.

Onsets are arctangents, hyperbolic tangents or error functions; lines have the tails of anything between a Gaussian and
nearly a Lorentzian; place, width and height of everything scatter, and each edge has a weak line more than the recipe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import erf

from eels_iontransport.data.noise import given
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis, Spectra, make_spectra

AXIS = EnergyAxis(20.0, 0.1, 1024)
STEP_NM, PIXELS = 0.5, 40
REGIONS = Regions(Region(0.0, 8.0), Region(9.5, 10.5), Region(12.0, 19.5))
CHANGE = -0.27  # half of it in Li, half in Co
COUNTS = 2e4  # of a channel at 43 eV in a pixel: the published dose is ten times that
EDGE_PART = 0.15  # of the background there, for an edge of height 1

# Standard deviations: eV of places, ln of widths and heights, of the exponent; height of the additional line.
_PLACE_EV, _WIDTH, _HEIGHT, _DECAY, _ADDITIONAL = 0.2, 0.2, 0.2, 0.5, 0.05
_ONSETS = ("arctangent", "hyperbolic tangent", "error function")
_TAILS = (2.5, 4.0, np.inf)
_FINE_EV = 0.02


@dataclass(frozen=True)
class Form:
    """An edge. lines: (centre, FWHM, height), the last one Gaussian; tails: exponent of the others."""

    onset: str
    tails: float
    onset_ev: float
    width_ev: float
    decay: float
    lines: tuple[tuple[float, float, float], ...]


_LITHIUM = Form("", 0.0, 55.3, 0.8, 3.0, ((55.6, 1.5, 0.5), (61.0, 2.6, 2.0)))
_COBALT = Form("", 0.0, 60.3, 1.5, 3.0, ((59.0, 1.6, 0.3), (64.5, 5.2, 1.6)))


def line(seed: int, shift_ev: float = 0.0, *, fine_structure: float = 0.0) -> Spectra:
    """A line whose boundary has edges shift_ev higher; Poisson noise.

    fine_structure: how much the edges of grain 2 differ from those of grain 1 and boundary, in units of 0.3 eV, 35 %
    of widths and 65 % of heights (standard deviations).
    """
    random = np.random.default_rng(seed)
    own = [_drawn(edge, random) for edge in (_LITHIUM, _COBALT)]
    other = [_changed(form, fine_structure, random) for form in own]
    exponent, root = 3.2 + 0.1 * random.standard_normal(), float(np.sqrt(1 + CHANGE))
    grain_1 = _expected(own, (1.0, 1.0), 0.0, exponent)
    boundary = 1.05 * _expected(own, (root, 1 / root), shift_ev, exponent)
    grain_2 = 0.93 * _expected(other, (1.0, 1.0), 0.0, exponent + 0.05)
    position = STEP_NM * np.arange(PIXELS)
    rows = np.where((position < 10)[:, None], grain_1, grain_2)
    rows[np.abs(position - 10) < 1] = boundary
    return make_spectra(random.poisson(COUNTS * rows).astype(float), AXIS, step_nm=STEP_NM, noise=given(1.0))


def _drawn(mean: Form, random: np.random.Generator) -> Form:
    onset_ev = mean.onset_ev + _PLACE_EV * random.standard_normal()
    lines = [
        (
            centre + _PLACE_EV * random.standard_normal(),
            fwhm * np.exp(_WIDTH * random.standard_normal()),
            height * np.exp(_HEIGHT * random.standard_normal()),
        )
        for centre, fwhm, height in mean.lines
    ]
    lines.append((random.uniform(onset_ev + 1, 72.0), random.uniform(1.5, 4.0), _ADDITIONAL * random.standard_normal()))
    width_ev = mean.width_ev * np.exp(_WIDTH * random.standard_normal())
    decay = mean.decay + _DECAY * random.standard_normal()
    return Form(str(random.choice(_ONSETS)), float(random.choice(_TAILS)), onset_ev, width_ev, decay, tuple(lines))


def _changed(form: Form, size: float, random: np.random.Generator) -> Form:
    """Other lines at the same onset."""
    lines = [
        (
            centre + size * 0.3 * random.standard_normal(),
            fwhm * np.exp(size * 0.3 * random.standard_normal()),
            height * np.exp(size * 0.5 * random.standard_normal()),
        )
        for centre, fwhm, height in form.lines
    ]
    return replace(form, lines=tuple(lines))


def _expected(forms: list[Form], amounts: tuple[float, float], shift_ev: float, exponent: float) -> np.ndarray:
    """Mean of each channel, 1 at 43 eV without edges: a power law that bends a little, and the edges."""
    energy = np.arange(AXIS.offset_ev, AXIS.end_ev + 2.0, _FINE_EV)
    background = (energy / 43) ** -exponent * np.exp(0.3 * np.log(energy / 43) ** 2)
    edges = sum(amount * _edge(form, energy - shift_ev) for form, amount in zip(forms, amounts))
    total = np.concatenate([[0.0], np.cumsum(background + EDGE_PART * edges) * _FINE_EV])
    borders = AXIS.offset_ev + AXIS.step_ev * (np.arange(AXIS.size + 1) - 0.5)
    return np.diff(np.interp(borders, np.append(energy, energy[-1] + _FINE_EV) - 0.5 * _FINE_EV, total)) / AXIS.step_ev


def _edge(form: Form, energy: np.ndarray) -> np.ndarray:
    beyond = energy - form.onset_ev
    step = {
        "arctangent": lambda: 0.5 + np.arctan(2 * beyond / form.width_ev) / np.pi,
        "hyperbolic tangent": lambda: 0.5 + 0.5 * np.tanh(beyond / (0.567 * form.width_ev)),
        "error function": lambda: 0.5 + 0.5 * erf(beyond / (0.6 * form.width_ev)),
    }[form.onset]()
    # Nothing is lost far below the onset, where an arctangent and a Lorentzian have not ended yet.
    gate = 1 / (1 + np.exp(-(beyond + 3 * form.width_ev) / 0.3)) if form.onset == "arctangent" else 1.0
    result = step * (energy / form.onset_ev) ** -form.decay
    for k, (centre, fwhm, height) in enumerate(form.lines):
        result = result + height * _line(energy - centre, fwhm, form.tails if k < len(form.lines) - 1 else np.inf)
    return gate * result


def _line(distance: np.ndarray, fwhm: float, tails: float) -> np.ndarray:
    """A line of height 1 that falls as its distance to the power of -2 tails; a Gaussian where that is infinite."""
    if np.isinf(tails):
        return np.exp(-4 * np.log(2) * (distance / fwhm) ** 2)
    return (1 + 4 * (2 ** (1 / tails) - 1) * (distance / fwhm) ** 2) ** -tails
