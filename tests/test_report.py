from __future__ import annotations

import pytest

from eels_iontransport import materials, report

REGION = {"start_nm": 0.0, "end_nm": 8.5, "pixels": [0, 17]}


def q(value, sigma=None, unit="meV"):
    return {"value": value, "sigma": sigma, "interval_68": None, "unit": unit}


def readout(**changes):
    content = {
        "material": "lco",
        "mode": "shared",
        "regions": dict.fromkeys(("grain_1", "boundary", "grain_2"), REGION),
        "zlp": {
            "position_mev": q(0.02, 0.01),
            "fwhm_mev": q(8.1, 0.1),
            "shift_rms_mev": q(1.5, 0.2),
            "saturated_spectra": 0,
        },
        "ldo_peak": {
            "grain_1_mev": q(50.0, 0.1),
            "boundary_mev": q(51.8, 0.3),
            "grain_2_mev": q(50.1, 0.1),
            "blue_shift_mev": q(1.8, 0.3),
            "shift_vs_grain_1_mev": q(1.8, 0.3),
            "shift_vs_grain_2_mev": q(1.7, 0.3),
            "reference": "mean",
        },
        "li_to_co": {"relative_change": q(-0.27, 0.02, ""), "uncorrected_relative_change": q(-0.2, 0.02, "")},
        "thickness": {"grain_1": q(0.5, 0.02, ""), "boundary": q(None, None, ""), "grain_2": q(0.6, 0.02, "")},
        "activation_energy": {"relative_change": q(0.073, 0.012, "")},
        "conductivity": {"relative_change": q(-0.68, 0.1, "")},
        "assumptions": {"temperature_k": 300.0, "bulk_activation_energy_ev": 0.3, "carrier_model": "proportional"},
        "bands": [{"name": "valley", "relative_change": q(0.3, 0.02, "")}],
        "peaks": [],
        "flags": [{"code": "GRAINS_DIFFER", "message": "The grains differ."}],
    }
    return content | changes


def page(content, material="lco"):
    return "\n".join(report.lines(content, materials.load(material)))


@pytest.mark.parametrize(
    "words",
    [
        "LiCoO2, mode shared",
        "grain 1 0.0-8.5 nm (pixels 0-17)",
        "FWHM 8.1 ± 0.1 meV",
        "LDO blue shift        +1.8 ± 0.3 meV",
        "grain 1 50.0 ± 0.1, boundary 51.8 ± 0.3, grain 2 50.1 ± 0.1 meV",
        "against grain 2: +1.7 ± 0.3 meV",
        "Li:Co at boundary     −27 ± 2 %",
        "−20 ± 2 % without the correction",
        "grain 1 0.50 ± 0.02, boundary not determined, grain 2 0.60 ± 0.02",
        "Band valley           +30 ± 2 % at boundary",
        "bulk Ea 0.30 eV, 300 K",
        "activation energy +7 ± 1 %",
        "! The grains differ.",
    ],
)
def test_a_whole_readout(words):
    assert words in page(readout())


def test_lines_fit_a_terminal():
    long = readout(flags=[{"code": "X", "message": "many words " * 40}])
    assert max(len(line) for line in report.lines(long, materials.load("lco"))) <= 110


@pytest.mark.parametrize(
    "changes, present, absent",
    [
        ({"ldo_peak": {"blue_shift_mev": q(0.1, 0.2)}}, "No shift seen: +0.1 ± 0.2 meV (68 %)", "blue shift  +0.1"),
        (
            {
                "ldo_peak": {"blue_shift_mev": q(None), "boundary_mev": q(49.0, 0.1)},
                "flags": [{"code": "LDO_RAILED", "message": "LDO peak at its bound in 3 of 3 regions."}],
            },
            "not determined: LDO peak at its bound in 3 of 3 regions",
            "49.0",
        ),
        ({"li_to_co": {"relative_change": q(None, None, "")}}, "Li:Co at boundary     not determined", "−27"),
        ({"conductivity": {"relative_change": q(None, None, "")}}, "LiCoO2", "Transport"),
        ({"regions": None}, "LiCoO2", "Regions"),
        (
            {"zlp": {"position_mev": q(None), "fwhm_mev": q(None), "saturated_spectra": 40}},
            "40 spectra saturated",
            "nan",
        ),
    ],
)
def test_what_is_not_known_is_said_and_no_number_made_up(changes, present, absent):
    text = page(readout(**changes))
    assert present in text and absent not in text


@pytest.mark.parametrize(
    "peak, words",
    [
        ((q(455.9, 0.6), q(45.0, 2.0)), "OH peak               455.9 ± 0.6 meV, FWHM 45 ± 2 meV (spectrum)"),
        ((q(None), q(None)), "OH peak               not determined: No OH peak"),
    ],
)
def test_a_recipe_without_a_shift_lists_its_peaks(peak, words):
    content = {
        "material": "water_cnt",
        "mode": "shared",
        "zlp": {"position_mev": q(0.0, 0.1), "fwhm_mev": q(8.7, 0.1)},
        "peaks": [{"name": "OH", "region": "spectrum", "centre_mev": peak[0], "fwhm_mev": peak[1]}],
        "flags": [{"code": "PEAK_NOT_FOUND", "message": "No OH peak stands out."}] if peak[0]["value"] is None else [],
    }
    assert words in page(content, "water_cnt")
