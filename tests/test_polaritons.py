"""An offset of the polaritons from the aloof ones is found, told, and silent where there is none."""

from __future__ import annotations

import pytest

from benchmarks.referee_lines import REGIONS, Condition, session
from eels_iontransport.materials import load
from eels_iontransport.session import Session


@pytest.mark.parametrize(("offset_mev", "flagged"), [(0.0, False), (-1.0, True), (0.7, True)])
def test_an_offset_is_told_where_there_is_one(offset_mev, flagged):
    analysis = Session(load("lco"), regions=REGIONS)
    analysis.update(**session(Condition(0.0, 1.0, polariton_offset_mev=offset_mev), 4).inputs)
    readout = analysis.evaluate().readout
    found = readout["ldo_peak"]["polariton_offset_mev"]
    assert abs(found["value"] - offset_mev) < 3 * found["sigma"] < 0.9
    assert any(flag["code"] == "POLARITONS_OFFSET" for flag in readout["flags"]) is flagged


def test_without_an_aloof_spectrum_there_is_none():
    analysis = Session(load("lco"), regions=REGIONS)
    analysis.update(**{**session(Condition(0.0, 1.0), 4).inputs, "aloof": None})
    readout = analysis.evaluate().readout
    assert not any(flag["code"] == "POLARITONS_OFFSET" for flag in readout["flags"])
