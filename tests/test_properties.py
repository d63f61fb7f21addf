"""What holds of the readout whatever the recipe and the spectra: no number without an error, and no preferred unit."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eels_iontransport as eit
from benchmarks import referee_lines
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.session import Session

pytestmark = pytest.mark.filterwarnings("error")

LCO = eit.material("lco")
MODES = ("shared", "wide", "published")
ROWS_OF_A_REGION = 2
REGIONS = Regions(Region(0.0, 0.5), Region(1.0, 1.5), Region(2.0, 2.5))
SHIFTS = ("blue_shift_mev", "shift_vs_grain_1_mev", "shift_vs_grain_2_mev")
CENTRES = ("grain_1_mev", "boundary_mev", "grain_2_mev")

modes = st.sampled_from(MODES)
few = settings(max_examples=8)


@cache
def good():
    """Two pixels a region at ten times the usual dose, the aloof spectrum and the vacuum ZLP."""
    taken = referee_lines.session(referee_lines.Condition(dose=10.0), 4)
    rows = np.concatenate([np.arange(first, first + ROWS_OF_A_REGION) for first in range(0, 30, 10)])
    line = replace(taken.line, counts=taken.line.counts[rows], valid=np.ones(rows.size, bool))
    return {**taken.inputs, "vibrational": line}


@cache
def plain(mode, gain_known=True):
    return readout_of({r: s if gain_known else replace(s, noise=None) for r, s in good().items()}, mode)


def readout_of(inputs, mode, recipe=LCO):
    session = Session(recipe, mode=mode, regions=REGIONS)
    session.update(**inputs)
    return session.evaluate(settled=False).readout


def numbers(node):
    """Value and sigma of every quantity of a readout, interval included."""
    if isinstance(node, dict):
        if {"value", "sigma", "interval_68"} <= set(node):
            yield node
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from numbers(part)


def assert_numbers(readout):
    json.dumps(readout, allow_nan=False)
    for found in numbers(readout):
        if found["sigma"] is not None:
            low, high = found["interval_68"]
            assert found["sigma"] >= 0 and low <= found["value"] <= high
        else:
            assert found["interval_68"] is None
    for name in (*CENTRES, *SHIFTS) if "ldo_peak" in readout else ():
        found = readout["ldo_peak"][name]
        assert (found["value"] is None) == (found["sigma"] is None)


def assert_same(found, expected, names, tolerance):
    """Within a part of the error: the optimum is found to no better."""
    for name, other in zip(names, expected):
        a, b = found["ldo_peak"][name], other
        assert (a["value"] is None) == (b["value"] is None), name
        if b["value"] is not None:
            assert abs(a["value"] - b["value"]) < tolerance * b["sigma"], name


def entries(readout, names):
    return [readout["ldo_peak"][name] for name in names]


@given(modes, st.floats(-9.0, 9.0))
@few
def test_scaling_counts_of_unknown_gain_moves_nothing(mode, power):
    scaled = {r: replace(s, counts=10.0**power * s.counts, noise=None) for r, s in good().items()}
    expected = entries(plain(mode, gain_known=False), (*CENTRES, *SHIFTS))
    assert_same(readout_of(scaled, mode), expected, (*CENTRES, *SHIFTS), 0.02)


@given(modes, st.floats(-100.0, 100.0), st.floats(-100.0, 100.0))
@few
def test_where_the_axes_put_zero_moves_nothing(mode, line_mev, others_mev):
    moved = {}
    for role, spectra in good().items():
        axis, by_mev = spectra.energy, line_mev if role == "vibrational" else others_mev
        moved[role] = replace(spectra, energy=EnergyAxis(axis.offset_ev + 1e-3 * by_mev, axis.step_ev, axis.size))
    assert_same(readout_of(moved, mode), entries(plain(mode), (*CENTRES, *SHIFTS)), (*CENTRES, *SHIFTS), 0.02)


@pytest.mark.parametrize("mode", MODES)
def test_a_line_read_backwards_swaps_the_grains(mode):
    line = good()["vibrational"]
    backwards = {**good(), "vibrational": replace(line, counts=line.counts[::-1].copy())}
    swapped = ("grain_2_mev", "boundary_mev", "grain_1_mev", "blue_shift_mev", SHIFTS[2], SHIFTS[1])
    assert_same(readout_of(backwards, mode), entries(plain(mode), (*CENTRES, *SHIFTS)), swapped, 0.02)


@st.composite
def recipes(draw):
    """The recipe with some of its peaks, other limits, windows and orders."""
    kept = draw(st.lists(st.sampled_from(LCO.peaks), min_size=1, unique=True))
    peaks = tuple(jittered(draw, peak) for peak in LCO.peaks if peak in kept)
    low, high = draw(st.floats(18.0, 40.0)), draw(st.floats(70.0, 140.0))
    names = {peak.name for peak in peaks}
    return replace(
        LCO,
        peaks=peaks,
        shift_peak="LDO" if "LDO" in names else None,
        starts_mev=LCO.starts_mev if "LDO" in names else (),
        wide_window_mev=(low, high),
        fit_window_mev=(low + 3.0, high - 10.0),
        background_order=draw(st.integers(1, 5)),
        polariton_offset_prior_mev=draw(st.sampled_from([None, 0.3, 1.0])),
    )


def jittered(draw, peak):
    """The centre's limits moved, the start somewhere in them, ends included."""
    bound = peak.wide.centre_mev
    lower, upper = bound.lower + draw(st.floats(-3.0, 1.0)), bound.upper + draw(st.floats(-1.0, 3.0))
    initial = lower + draw(st.floats(0.0, 1.0)) * (upper - lower)
    return replace(peak, wide=replace(peak.wide, centre_mev=replace(bound, initial=initial, lower=lower, upper=upper)))


@st.composite
def spectra(draw):
    """The line with other gain, offset, noise and step, without some channels."""
    line = good()["vibrational"]
    random = np.random.default_rng(draw(st.integers(0, 99)))
    counts = line.counts * draw(st.sampled_from([1e-3, 1.0, 50.0]))
    counts = (
        counts
        + draw(st.sampled_from([0.0, 0.0, -5.0, 1e4]))
        + random.normal(0.0, draw(st.floats(0.0, 300.0)), counts.shape)
    )
    first, lost = draw(st.integers(0, 900)), draw(st.integers(0, 50))
    counts[draw(st.integers(0, len(counts) - 1)), first : first + lost] = np.nan
    step_ev = line.energy.step_ev * draw(st.sampled_from([0.5, 1.0, 1.0, 1.1, 3.0]))
    axis = EnergyAxis(line.energy.offset_ev, step_ev, line.energy.size)
    return replace(line, counts=counts, energy=axis, noise=draw(st.sampled_from([None, line.noise])))


@given(modes, recipes(), spectra(), st.sets(st.sampled_from(["aloof", "zlp"])))
@settings(max_examples=20)
def test_any_recipe_and_any_line_give_numbers_or_a_sentence(mode, recipe, line, companions):
    inputs = {"vibrational": line, **{role: good()[role] for role in companions}}
    try:
        readout = readout_of(inputs, mode, recipe)
    except UnusableInput as fault:
        assert str(fault).endswith(".")
    else:
        assert_numbers(readout)
