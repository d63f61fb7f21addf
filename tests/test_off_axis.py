"""What was collected off the axis: its shift is right, its polaritons are nearly gone, and the readout says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.image import SpectrumImage
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.decompose import decompose
from eels_iontransport.image import decompose_image
from eels_iontransport.materials import load
from eels_iontransport.materials.recipe import PHONONIC
from eels_iontransport.provenance import off_axis_inputs, provenance
from eels_iontransport.session import Session
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places

OFF_AXIS = "vibrational_off_axis"
ROLES = (Role.ZLP, Role.ALOOF, Role.VIBRATIONAL, Role.CORE_LOSS)


def record(setting: str, role: Role = Role.VIBRATIONAL) -> Record:
    return Record(role, Status.COMPLETE, 40, 40, setting=setting)


def line(setting: str):
    return make_spectra(np.ones((40, 16)), EnergyAxis(-0.01, 0.001, 16), metadata=record(setting).to_metadata())


@pytest.mark.parametrize(
    ("role", "setting", "words"),
    [
        ("vibrational", "vibrational", []),
        ("vibrational", "", []),
        ("vibrational", OFF_AXIS, ["The vibrational spectra were collected off", "energies are as on the axis"]),
        ("spectrum_image", OFF_AXIS, ["The spectrum image spectra were collected off", "energies are as on the axis"]),
        ("core_loss", "core_loss_off_axis", ["The core loss spectra were collected off", "take them on it"]),
    ],
)
def test_what_was_collected_off_the_axis_is_flagged(role, setting, words):
    flags = off_axis_inputs({role: line(setting), "aloof": line("vibrational")})
    assert [flag.code for flag in flags] == ["OFF_AXIS"] * bool(words)
    assert all(word in flags[0].message for word in words)


def test_provenance_names_the_setting():
    (told,) = provenance({"vibrational": line(OFF_AXIS)}, {})["inputs"]
    assert told["setting"] == OFF_AXIS


@pytest.fixture(scope="module")
def inputs():
    """Of the same line on and off the axis: spectra by role, and the shift's truth."""
    found = {}
    for side, setting in (((), "vibrational"), ({Role.VIBRATIONAL}, OFF_AXIS)):
        microscope = SimulatedMicroscope(seed=4)
        places = default_places(microscope)
        taken = acquire_all(microscope, places, roles=ROLES, off_axis=side)
        taken[Role.VIBRATIONAL] = replace(taken[Role.VIBRATIONAL], metadata=record(setting).to_metadata())
        found[setting] = taken, microscope.truth(places.line)["ldo_peak"]
    return found


@pytest.fixture(scope="module")
def readouts(inputs):
    found = {}
    for setting, (taken, truth) in inputs.items():
        analysis = Session(load("lco"))
        analysis.update(**{role.value: spectra for role, spectra in taken.items()})
        found[setting] = analysis.evaluate().readout, truth
    return found


def test_the_shift_off_the_axis_is_that_of_the_specimen(readouts):
    readout, truth = readouts[OFF_AXIS]
    shift = readout["ldo_peak"]["blue_shift_mev"]
    assert abs(shift["value"] - truth["blue_shift_mev"]) < 3 * shift["sigma"] and 0.1 < shift["sigma"] < 0.6


def test_polaritons_fade_off_the_axis(readouts):
    def share(readout) -> float:
        """Area of the polaritons of the grains over that of the phonons."""
        peaks = [peak for peak in readout["peaks"] if peak["region"] != "boundary"]
        areas = [sum(p["area"]["value"] for p in peaks if p["component"] == c) for c in ("polaritonic", "phononic")]
        return areas[0] / areas[1]

    on, off = (share(readouts[setting][0]) for setting in ("vibrational", OFF_AXIS))
    assert on > 0.2 and off < 0.4 * on


@pytest.mark.parametrize(("setting", "alone"), [("vibrational", True), (OFF_AXIS, False)])
def test_off_the_axis_the_line_is_not_taken_apart_without_an_aloof_spectrum(inputs, setting, alone):
    line, recipe = inputs[setting][0][Role.VIBRATIONAL], load("lco")
    analysis = Session(recipe)
    analysis.update(vibrational=line)
    readout = analysis.evaluate().readout
    flags = {flag["code"]: flag["message"] for flag in readout["flags"]}
    assert ("NOT_DECOMPOSED" not in flags) is bool(readout.get("peaks")) is alone
    assert alone or "there is no usable aloof spectrum" in flags["NOT_DECOMPOSED"]
    if not alone:
        with pytest.raises(UnusableInput, match="collected off the axis and there is no usable aloof"):
            decompose(line, recipe)
        image = SpectrumImage(line.counts.reshape(5, 8, -1), line.energy, noise=line.noise, metadata=line.metadata)
        with pytest.raises(UnusableInput, match="collected off the axis and there is no usable aloof"):
            decompose_image(image, recipe)


def test_a_recipe_without_polaritons_needs_no_aloof_spectrum(inputs):
    taken, truth = inputs[OFF_AXIS]
    recipe = load("lco")
    analysis = Session(replace(recipe, peaks=tuple(p for p in recipe.peaks if p.component == PHONONIC)))
    analysis.update(vibrational=taken[Role.VIBRATIONAL], zlp=taken[Role.ZLP], core_loss=taken[Role.CORE_LOSS])
    shift = analysis.evaluate().readout["ldo_peak"]["blue_shift_mev"]
    assert shift["value"] == pytest.approx(truth["blue_shift_mev"], abs=0.4)  # what is left of the polaritons moves it


def test_only_the_readout_off_the_axis_says_so(readouts):
    for setting, (readout, _) in readouts.items():
        assert ("OFF_AXIS" in {flag["code"] for flag in readout["flags"]}) is (setting == OFF_AXIS)
