"""The uncertainty of the shift against lines that other code made: it is neither halved nor doubled unnoticed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.referee_lines import REGIONS, Condition, session
from eels_iontransport.data.regions import Regions
from eels_iontransport.materials import load
from eels_iontransport.session import Session

SEEDS = range(10)


def readout_of(condition: Condition, seed: int, regions: Regions | None = REGIONS, **inputs) -> dict:
    analysis = Session(load("lco"), regions=regions)
    analysis.update(**{**session(condition, seed).inputs, **inputs})
    return analysis.evaluate().readout


@pytest.fixture(scope="module")
def readouts() -> list[dict]:
    return [readout_of(Condition(0.9, 10.0), seed) for seed in SEEDS]


def test_pulls_scatter_by_about_one(readouts):
    """A sigma of half or twice its size, a wrong slope or a missing background would throw them out."""
    shifts = [r["ldo_peak"]["blue_shift_mev"] for r in readouts]
    pulls = np.array([(s["value"] - 0.9) / s["sigma"] for s in shifts])
    assert 0.6 < np.sqrt(np.mean(pulls**2)) < 1.6
    assert abs(np.mean([s["value"] for s in shifts]) - 0.9) < 0.1


def test_counting_noise_is_what_bootstraps_from_all_starts_say():
    analysis = Session(load("lco"), regions=REGIONS)
    analysis.update(**session(Condition(0.9, 10.0), 0).inputs)
    quoted = analysis.evaluate().readout["ldo_peak"]["uncertainty"]["statistical_mev"]
    drawn = analysis.bootstrap(100, seed=1).readout["ldo_peak"]["bootstrap"]["blue_shift_mev"]["sigma"]
    assert quoted == pytest.approx(drawn, rel=0.35)  # either is known to 7 %, and optima may differ


def test_the_parts_make_up_the_sigma(readouts):
    for found in readouts:
        peak = found["ldo_peak"]
        parts = peak["uncertainty"]
        systematic = math.sqrt(sum(part**2 for part in parts["parts_mev"].values()))
        assert parts["systematic_mev"] == pytest.approx(systematic)
        assert peak["blue_shift_mev"]["sigma"] == pytest.approx(math.hypot(parts["statistical_mev"], systematic))
        assert set(parts["parts_mev"]) == {"background", "response"}  # the regions were given
        assert parts["parts_mev"]["response"] > 0


def test_common_widths_pass_and_scattered_ones_are_flagged():
    common = [r["flags"] for r in (readout_of(Condition(1.8, 1.0), seed) for seed in range(4))]
    apart = [r["flags"] for r in (readout_of(Condition(1.8, 1.0, width_scatter=0.1), seed) for seed in range(2))]
    told = [sum(any(f["code"] == "WIDTHS_DIFFER" for f in flags) for flags in lines) for lines in (common, apart)]
    assert told[0] <= 1 and told[1] == 2


def test_the_temperature_is_that_of_the_specimen(readouts):
    found = [r["temperature"]["temperature_k"] for r in readouts[:5]]
    assert all(abs(t["value"] - 298.0) < 4 * t["sigma"] and t["sigma"] < 20 for t in found)


def test_without_vacuum_and_aloof_there_is_a_shift_all_the_same():
    found = readout_of(Condition(0.0, 10.0), 1, zlp=None, aloof=None)
    parts = found["ldo_peak"]["uncertainty"]
    assert set(parts["parts_mev"]) == {"background"}
    assert all(choice["background"] == "polynomial" for choice in parts["backgrounds"])


def test_a_boundary_that_was_found_carries_the_error_of_its_place():
    condition = Condition(2.6, 10.0)
    found = readout_of(condition, 2, regions=None)
    assert found["boundary"]["source"] in ("vibrational spectra", "zero-loss profile")
    parts = found["ldo_peak"]["uncertainty"]["parts_mev"]
    error_nm = found["boundary"]["centre_nm"]["sigma"]
    assert ("regions" in parts) == (error_nm >= 0.1 * 0.5)  # a tenth of a pixel moves none of them


def test_one_grain_alone_is_a_reference():
    taken = session(Condition(1.8, 10.0), 3)
    valid = taken.line.valid.copy()
    valid[20:] = False
    found = readout_of(Condition(1.8, 10.0), 3, vibrational=replace(taken.line, valid=valid))
    assert found["ldo_peak"]["reference"] == "grain_1"
    assert found["ldo_peak"]["blue_shift_mev"] == found["ldo_peak"]["shift_vs_grain_1_mev"]
    assert abs(found["ldo_peak"]["blue_shift_mev"]["value"] - 1.85) < 4 * found["ldo_peak"]["blue_shift_mev"]["sigma"]
