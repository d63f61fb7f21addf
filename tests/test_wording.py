"""The readout in words: never a number without its uncertainty, never a number where there is none."""

from __future__ import annotations

import pytest

from eels_iontransport.wording import (
    NO_DATA,
    Roles,
    duration,
    flag_lines,
    number,
    percent,
    readout_text,
    size,
    transport_text,
    with_sigma,
)

LCO = Roles("LDO", ("Li", "Co"))


def q(value, sigma=None, unit="meV"):
    return {"value": value, "sigma": sigma, "interval_68": None, "unit": unit}


def shift(value, sigma, **more):
    return {"ldo_peak": {"blue_shift_mev": q(value, sigma), **more}, "flags": []}


@pytest.mark.parametrize(
    "value, sigma, text",
    [
        (1.83, 0.31, "+1.8 ± 0.3"),
        (-1.83, 0.031, "−1.83 ± 0.03"),
        (1.83, 0.096, "+1.8 ± 0.1"),
        (-0.004, 0.1, "+0.0 ± 0.1"),
        (27.4, 2.1, "+27 ± 2"),
        (127.4, 13.0, "+127 ± 13"),
        (1.83, None, "+1.8 (uncertainty unknown)"),
        (1.83, float("nan"), "+1.8 (uncertainty unknown)"),
    ],
)
def test_a_value_is_rounded_to_the_first_digit_of_its_uncertainty(value, sigma, text):
    assert with_sigma(value, sigma, signed=True) == text


def test_numbers_have_a_true_minus_and_no_negative_zero():
    assert [number(v, 1) for v in (-1.25, -0.04, 0.04)] == ["−1.2", "0.0", "0.0"]


@pytest.mark.parametrize(
    "quantity, expected",
    [
        (q(-0.27, 0.02, ""), (-27.0, 2.0)),
        (q(-27.0, 2.0, "%"), (-27.0, 2.0)),
        (q(None), None),
        (q(-0.27, None, "1"), (-27.0, None)),
        (None, None),
    ],
)
def test_percent(quantity, expected):
    assert percent(quantity) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    "readout, text",
    [
        (None, NO_DATA),
        (shift(1.8, 0.3), "+1.8 ± 0.3 meV"),
        (shift(0.1, 0.2), "No shift seen: +0.1 ± 0.2 meV (68 %)"),
        (shift(-0.5, 0.26), "No shift seen: −0.5 ± 0.3 meV (68 %)"),
        (shift(None, None), "not determined"),
        ({}, NO_DATA),
        ({"flags": []}, "not determined"),
    ],
)
def test_shift(readout, text):
    assert readout_text(readout, LCO).shift == text


def test_why_a_shift_is_not_determined_is_its_own_flag():
    readout = shift(None, None)
    readout["flags"] = [
        {"code": "SATURATED", "message": "Two spectra are saturated."},
        {"code": "LDO_RAILED", "message": "LDO peak at its bound in 3 of 3 regions."},
    ]
    text = readout_text(readout, LCO)
    assert text.shift == "not determined: LDO peak at its bound in 3 of 3 regions"
    assert text.flags == "2 flags: Two spectra are saturated." and text.flags_tooltip.count("\n") == 1


def test_a_boundary_not_reached_has_no_number_even_if_there_is_one():
    readout = shift(1.8, 0.3)
    readout["regions"] = {"boundary": {"pixels": [18, 21]}}
    text = readout_text(readout, LCO, pixel=14, pixels=40)
    assert text.shift == text.ratio == "boundary not reached (pixel 14 of 40)" and text.transport == ""
    assert readout_text(readout, LCO, pixel=22, pixels=40).shift == "+1.8 ± 0.3 meV"
    readout["regions"] = {"boundary": {"pixels": None}}
    assert readout_text(readout, LCO, pixel=22, pixels=40).shift == "boundary not found yet (pixel 22 of 40)"


def test_only_the_ratio_waits_for_core_loss():
    readout = shift(1.8, 0.3)
    readout["regions"] = {"boundary": {"pixels": [18, 21]}}
    text = readout_text(readout, LCO, pixel=14, pixels=40, is_core_loss=True)
    assert (text.shift, text.ratio) == ("+1.8 ± 0.3 meV", "boundary not reached (pixel 14 of 40)")


def test_a_flag_about_something_else_is_no_reason():
    readout = shift(None, None) | {"li_to_co": {"relative_change": q(None)}}
    readout["flags"] = [
        {"code": "PRE_EDGE_RESIDUAL", "message": "The background misses the counts."},
        {"code": "BOUNDARY_NOT_FOUND", "message": "No boundary stands out."},
        {"code": "CORE_LOSS_REFUSED", "message": "The edges are not described."},
    ]
    text = readout_text(readout, LCO)
    assert text.shift == "not determined: No boundary stands out"
    assert text.ratio == "not determined: The edges are not described"
    readout["flags"] = readout["flags"][:1]
    assert readout_text(readout, LCO).shift == readout_text(readout, LCO).ratio == "not determined"


def test_the_centres_behind_the_shift():
    readout = shift(1.8, 0.3, grain_1_mev=q(49.96, 0.1), boundary_mev=q(51.8, 0.3), grain_2_mev=q(50.1, 0.1))
    assert readout_text(readout, LCO).shift_detail == "50.0 ± 0.1 → 51.8 ± 0.3 → 50.1 ± 0.1 meV"
    readout["ldo_peak"]["grain_2_mev"] = q(None)
    assert readout_text(readout, LCO).shift_detail == ""


@pytest.mark.parametrize(
    "ratio, text",
    [
        (None, "no core-loss scan yet"),
        (q(-0.269, 0.021, ""), "−27 ± 2 %"),
        (q(0.01, 0.02, ""), "No change seen: +1 ± 2 % (68 %)"),
        (q(None, None, ""), "not determined"),
    ],
)
def test_ratio(ratio, text):
    readout = shift(1.8, 0.3)
    if ratio is not None:
        readout["li_to_co"] = {"relative_change": ratio}
    assert readout_text(readout, LCO).ratio == text


@pytest.mark.parametrize(
    "peak, text",
    [
        (q(455.2, 1.2), "455 ± 1 meV"),
        (q(None), "not determined: No OH peak stands out of the background"),
    ],
)
def test_a_recipe_without_a_shift_shows_its_first_peak(peak, text):
    flags = [{"code": "OH_ABSENT", "message": "No OH peak stands out of the background."}]
    readout = {"peaks": [{"name": "OH", "component": "phononic", "centre_mev": peak}], "flags": flags}
    words = readout_text(readout, Roles())
    assert (words.shift_label, words.shift, words.ratio, words.ratio_label) == ("OH peak", text, "", "")


ASSUMPTIONS = {"bulk_activation_energy_ev": 0.3, "temperature_k": 300.0, "carrier_model": "proportional"}


@pytest.mark.parametrize(
    "conductivity, text",
    [
        (
            {"relative_change": q(-0.68, 0.05, "")},
            "Conductivity −68 ± 5 % if bulk Ea 0.30 eV, 300 K, carriers proportional",
        ),
        (
            {"relative_change": q(-0.68, 0.05, ""), "over_assumptions": {"low": -0.8, "high": 0.12}},
            "Conductivity −68 ± 5 % if bulk Ea 0.30 eV, 300 K, carriers proportional; "
            "−80 to +12 % over other assumptions",
        ),
        ({"relative_change": q(None)}, ""),
        (None, ""),
    ],
)
def test_conductivity_never_goes_without_its_assumptions(conductivity, text):
    assert transport_text({"conductivity": conductivity, "assumptions": ASSUMPTIONS}) == text


def test_flag_lines():
    assert flag_lines([]) == ("", "")
    assert flag_lines([{"message": "A."}]) == ("1 flag: A.", "A.")


@pytest.mark.parametrize(
    "seconds, text", [(-1.0, "0 s"), (45.4, "45 s"), (102.0, "1:42"), (3599.0, "59:59"), (7500.0, "2 h 05 min")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("count, text", [(900, "900 B"), (4_260_000, "4.26 MB"), (41e6, "41 MB"), (2.5e9, "2.5 GB")])
def test_size(count, text):
    assert size(count) == text
