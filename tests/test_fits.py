"""What the readout says about how the fits went, and about responses that cannot be used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.fits import fit_flags, fit_report
from eels_iontransport.memory import Memory
from eels_iontransport.prepared import prepare
from eels_iontransport.session import Session, line_masks
from eels_iontransport.vibrational import measure_vibrations

from .decomposition import synthetic

LCO = eit.material("lco")
ELECTRONS = 3e8


def spectra(lines, seed, rows=None):
    """One spectrum, or a line of them, in electrons."""
    expected = synthetic.spectrum(lines, ELECTRONS)
    axis = EnergyAxis(expected.energy_mev[0] / 1e3, synthetic.STEP_MEV / 1e3, expected.counts.size)
    shape = expected.counts.shape if rows is None else (rows, expected.counts.size)
    counts = np.random.default_rng(seed).poisson(np.broadcast_to(expected.counts, shape)).astype(float)
    return make_spectra(counts, axis, noise=given(1.0), step_nm=0.5 if rows else None)


@pytest.fixture(scope="module")
def inputs():
    return {
        "vibrational": spectra(synthetic.grain(), 1, 12),
        "aloof": spectra(synthetic.POLARITONS, 2),
        "zlp": spectra((), 3),
    }


def codes(readout):
    return [flag["code"] for flag in readout["flags"]]


def evaluated(inputs):
    session = Session(LCO)
    session.update(**inputs)
    return session.evaluate().readout


def test_sound_fits_are_told_of_without_a_flag(inputs):
    readout = evaluated(inputs)
    assert not {"CHANNELS_MASKED", "FIT_FAILED", "RESPONSE_UNUSABLE", "RESPONSE_COARSE"} & set(codes(readout))
    assert len(readout["fits"]["groups"]) == 3
    for group in readout["fits"]["groups"].values():
        assert 0.7 < group["reduced_chi2"] < 1.4 and group["optima"] >= 1 and group["masked_channels"] == 0
    assert readout["fits"]["rows"]["fitted"] == 12


def test_a_channel_far_below_zero_is_counted_and_flagged(inputs):
    line = inputs["vibrational"]
    counts = line.counts.copy()
    counts[4, 600:603] = -1e9
    readout = evaluated({**inputs, "vibrational": replace(line, counts=counts)})
    assert readout["fits"]["rows"]["masked_channels"] >= 3
    assert "CHANNELS_MASKED" in codes(readout)


def test_a_vacuum_peak_without_a_width_gives_way_to_the_gain_side(inputs):
    vacuum = inputs["zlp"]
    peak = int(vacuum.counts.argmax())
    needle = np.where(np.abs(np.arange(vacuum.counts.size) - peak) < 12, vacuum.counts, 0.0)[peak - 14 : peak + 15]
    axis = EnergyAxis(vacuum.energy.offset_ev + (peak - 14) * vacuum.energy.step_ev, vacuum.energy.step_ev, needle.size)
    readout = evaluated({**inputs, "zlp": make_spectra(needle, axis, noise=given(1.0))})
    assert readout["provenance"]["parameters"]["response"] == "gain side"
    assert "RESPONSE_UNUSABLE" in codes(readout)


def test_a_response_of_few_counts_is_called_coarse(inputs):
    vacuum = inputs["zlp"]
    few = np.random.default_rng(5).poisson(vacuum.counts * 4e-5).astype(float)
    readout = evaluated({**inputs, "zlp": replace(vacuum, counts=few)})
    assert "RESPONSE_COARSE" in codes(readout)


def test_a_fit_that_came_to_no_end_is_flagged(inputs):
    prepared = {role: prepare(s) for role, s in inputs.items()}
    masks = line_masks(prepared["vibrational"], None)
    found = measure_vibrations(LCO, "shared", None, prepared, masks, Memory())
    assert fit_flags(found) == []
    unfinished = replace(found, together=replace(found.together, optima=np.array([0, 1, 1])))
    assert [flag.code for flag in fit_flags(unfinished)] == ["FIT_FAILED"]
    assert fit_report(unfinished)["groups"]["stretch_1"]["optima"] == 0
