"""Counts of unknown gain are known up to a factor: no factor changes what is measured, nor how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

import eels_iontransport as eit
from eels_iontransport.data.record import Role
from eels_iontransport.data.spectrum import Spectra
from eels_iontransport.files import load
from eels_iontransport.session import Session
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import DEFAULT_EXPOSURES, acquire_all

FACTORS = (7.0, 1 / 50)
VIBRATIONS = (Role.VIBRATIONAL, Role.ALOOF, Role.ZLP)
MODES = ("shared", "wide", "published")
# A power of two rounds nothing but logarithms: long searches take nearly the same way, too.
ALIKE = 1 / 64
PRECISE, PRECISION = 1e-6, 1e-5  # of centres and compositions; of all else, the uncertainties of centres among them ...
OF_SIGMA = 1e-4  # ... and of the sigma of each, as the place of a minimum is found to a billionth of chi-squared
SIGMA_ITSELF = 1e-3  # of single rows, whose chi-squared may be flat
PRECISELY = ("/centre_mev/value", "/grain_1_mev/value", "/boundary_mev/value", "/li_to_co/", "/thickness/", "/zlp/")
COUNTS = ("/area/", "/variance_per_count")  # what is in counts, and scales with them


@cache
def simulated(dose: float = 1.0) -> dict[str, Spectra]:
    exposures = {
        role: (exposure * (dose if role in VIBRATIONS else 1.0), frames)
        for role, (exposure, frames) in DEFAULT_EXPOSURES.items()
    }
    found = acquire_all(SimulatedMicroscope(seed=3), exposures=exposures, gain_known=False)
    return {role.value: spectra for role, spectra in found.items()}


def scaled(spectra: Spectra, factor: float) -> Spectra:
    level = None if spectra.saturation_level is None else factor * spectra.saturation_level
    return replace(spectra, counts=factor * spectra.counts, saturation_level=level)


def evaluated(inputs: dict[str, Spectra], mode: str, factor: float = 1.0, recipe: str = "lco") -> Session:
    session = Session(eit.material(recipe), mode=mode)
    session.update(**{role: scaled(spectra, factor) for role, spectra in inputs.items()})
    session.evaluate()
    return session


def readout(session: Session) -> dict[str, Any]:
    evaluation = session.evaluate()
    return {name: content for name, content in evaluation.readout.items() if name != "provenance"}


def leaves(content: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for name, part in content.items():
            yield from leaves(part, f"{path}/{name}")
    elif isinstance(content, list):
        for i, part in enumerate(content):
            yield from leaves(part, f"{path}/{i}")
    else:
        yield path, content


def differences(one: dict[str, Any], other: dict[str, Any], factor: float) -> list[str]:
    """What is not the same in two readouts, but for what is in counts."""
    mine, theirs = dict(leaves(one)), dict(leaves(other))
    found = list(mine.keys() ^ theirs.keys())
    for path in mine.keys() & theirs.keys():
        a, b = mine[path], theirs[path]
        if isinstance(a, float) and isinstance(b, float):
            b /= factor if any(name in path for name in COUNTS) else 1.0
            if abs(b - a) > tolerance(path, a, mine):
                found.append(f"{path}: {a!r} became {b!r}")
        elif a != b:
            found.append(f"{path}: {a!r} became {b!r}")
    return found


def tolerance(path: str, value: float, values: dict[str, Any]) -> float:
    if any(name in path for name in PRECISELY) and not path.startswith("/li_to_co/edge_shapes"):
        return PRECISE * abs(value)
    if "/profiles/ldo_centre_sigma_mev" in path:
        return SIGMA_ITSELF * value
    sigma = path.replace("centre_mev", "centre_sigma_mev") if "/profiles/ldo_centre_mev" in path else ""
    for part in ("/value", "/interval_68"):
        if part in path:
            sigma = path[: path.rindex(part)] + "/sigma"
    return PRECISION * abs(value) + OF_SIGMA * (values.get(sigma) or 0.0)


@cache
def as_recorded(dose: float, mode: str) -> dict[str, Any]:
    return readout(evaluated(simulated(dose), mode))


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("mode", MODES)
def test_a_simulated_session(mode, factor):
    one, other = as_recorded(1.0, mode), readout(evaluated(simulated(), mode, factor))
    assert one["ldo_peak"]["blue_shift_mev"]["value"] is not None and one["li_to_co"]["boundary"]["value"] is not None
    assert differences(one, other, factor) == []
    assert other["noise"]["variance_per_count"] == pytest.approx(factor * one["noise"]["variance_per_count"])
    assert one["noise"]["electrons_per_count"] is None


@pytest.mark.parametrize("mode", ["shared", "wide"])  # what `published` subtracts goes through logarithms
@pytest.mark.parametrize("dose", [0.01, 0.0002])
def test_no_count_is_compared_with_a_number_of_counts(dose, mode):
    """At little dose thresholds decide: what is there, what is at a limit, what is far below zero."""
    one, other = as_recorded(dose, mode), readout(evaluated(simulated(dose), mode, ALIKE))
    assert differences(one, other, ALIKE) == []


@pytest.mark.parametrize("without", [("zlp",), ("core_loss", "valence")])
def test_a_session_that_lacks_inputs(without):
    inputs = {role: spectra for role, spectra in simulated().items() if role not in without}
    one, other = (readout(evaluated(inputs, "shared", f)) for f in (1.0, ALIKE))
    assert differences(one, other, ALIKE) == []


def test_bootstraps():
    one, other = (evaluated(simulated(), "shared", f).bootstrap(40).readout for f in (1.0, 7.0))
    sigmas = [found["ldo_peak"]["bootstrap"]["blue_shift_mev"]["sigma"] for found in (one, other)]
    assert sigmas[0] == pytest.approx(sigmas[1], rel=1e-4) and one["flags"] == other["flags"]


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["EmptyCNT_RT", "FilledCNT_1pt4nm_RT"])
def test_measured_spectra(measured, name, mode, factor):
    """Peaks that are there, and one that is not: presence and flags hang on no gain."""
    inputs = {"vibrational": load(measured / "hermes_cnt" / f"{name}.ndata1")}
    one, other = (readout(evaluated(inputs, mode, f, "water_cnt")) for f in (1.0, factor))
    assert one["peaks"] and differences(one, other, factor) == []


def test_what_lies_below_zero_is_judged_by_the_noise_and_not_by_counts():
    line = simulated(0.002)[Role.VIBRATIONAL.value]
    counts = line.counts.copy()
    counts[3, 900], counts[5, 950] = -40.0, -4000.0  # a little, and far below zero
    inputs = {**simulated(0.002), "vibrational": replace(line, counts=counts)}
    one, other = (readout(evaluated(inputs, "shared", f)) for f in (1.0, ALIKE))
    assert differences(one, other, ALIKE) == []
