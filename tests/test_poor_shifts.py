"""Shifts that the data do not carry are none, and say why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.referee_lines import REGIONS, Condition, session
from eels_iontransport.data.regions import Region
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.materials import load
from eels_iontransport.session import Session


def readout_of(inputs, regions=REGIONS) -> dict:
    analysis = Session(load("lco"), regions=regions)
    analysis.update(**inputs)
    return analysis.evaluate().readout


def codes(readout) -> set[str]:
    return {flag["code"] for flag in readout["flags"]}


@pytest.fixture(scope="module")
def inputs():
    return session(Condition(1.8, 1.0), 3).inputs


def test_with_hardly_an_electron_no_number_goes_without_its_error():
    for seed in range(2):
        readout = readout_of(session(Condition(1.8, 1e-4), seed).inputs)
        for key, quantity in readout["ldo_peak"].items():
            if key.endswith("_mev"):
                assert (quantity["value"] is None) == (quantity["sigma"] is None)
        if readout["ldo_peak"]["blue_shift_mev"]["value"] is None:
            assert readout["activation_energy"]["relative_change"]["value"] is None
            assert codes(readout)


def test_a_line_that_is_shorter_than_the_response_reaches(inputs):
    channels = slice(300, 700)
    axis = inputs["vibrational"].energy
    cut = EnergyAxis(axis.offset_ev + 300 * axis.step_ev, axis.step_ev, 400)
    line = inputs["vibrational"]
    short = make_spectra(line.counts[:, channels], cut, step_nm=line.step_nm, noise=line.noise, name="short")
    shift = readout_of({**inputs, "vibrational": short})["ldo_peak"]["blue_shift_mev"]
    assert abs(shift["value"] - 1.8) < 4 * shift["sigma"]


def test_a_saturated_vacuum_is_told(inputs):
    vacuum = replace(inputs["zlp"], saturation_level=0.5 * float(np.max(inputs["zlp"].counts)))
    assert "RESPONSE_UNUSABLE" in codes(readout_of({**inputs, "zlp": vacuum}))
    assert "RESPONSE_UNUSABLE" not in codes(readout_of(inputs))


def test_regions_that_overlap_are_told(inputs):
    over = replace(REGIONS, boundary=Region(4.0, 9.5))
    assert "REGIONS_OVERLAP" in codes(readout_of(inputs, over))
    assert "REGIONS_OVERLAP" not in codes(readout_of(inputs))
