"""The whole chain on the simulated instrument, on measured spectra, and on what can be wrong with an input."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.regions import NAMES, from_mapping
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.session import Session
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all
from eels_iontransport.simulation.specimen import SPECIMENS

LCO, WATER = eit.material("lco"), eit.material("water_cnt")


def acquired(specimen="lco_boundary", seed=50):
    """Spectra by role, the specimen's own regions, and the truth."""
    microscope = SimulatedMicroscope(specimen=SPECIMENS[specimen](), seed=seed)
    spectra = {role.value: s for role, s in acquire_all(microscope).items()}
    truth = microscope.truth(microscope.specimen.line(40, 20.0))
    regions = from_mapping({name: (r["start_nm"], r["end_nm"]) for name, r in truth["regions"].items()})
    return spectra, regions, truth


@pytest.fixture(scope="module")
def boundary():
    return acquired()


@pytest.fixture(scope="module")
def evaluation(boundary):
    session = Session(LCO, regions=boundary[1])
    session.update(**boundary[0])
    return session.evaluate()


def within(quantity, truth, sigmas=3.0):
    return abs(quantity["value"] - truth) < sigmas * quantity["sigma"]


def test_the_readout_agrees_with_the_truth(boundary, evaluation):
    readout, truth = evaluation.readout, boundary[2]
    for name in ("blue_shift_mev", "shift_vs_grain_1_mev", "shift_vs_grain_2_mev", "boundary_mev"):
        assert within(readout["ldo_peak"][name], truth["ldo_peak"][name])
    assert readout["ldo_peak"]["blue_shift_mev"]["value"] > 1.0
    assert within(readout["li_to_co"]["relative_change"], truth["li_to_co"]["relative_change"])
    assert readout["li_to_co"]["relative_change"]["value"] < readout["li_to_co"]["uncorrected_relative_change"]["value"]
    for name in NAMES:
        assert within(readout["thickness"][name], truth["thickness"][name])
    assert readout["flags"] == []


def test_a_twin_shows_no_shift_and_no_change():
    spectra, regions, _ = acquired("twin", seed=51)
    readout = eit.analyze(LCO, regions=regions, **spectra)
    assert within(readout["ldo_peak"]["blue_shift_mev"], 0.0)
    assert within(readout["li_to_co"]["relative_change"], 0.0)
    assert within(readout["activation_energy"]["relative_change"], 0.0)


def test_the_boundary_is_found_where_it_is(boundary):
    spectra, regions, _ = boundary
    for inputs in (spectra, {k: v for k, v in spectra.items() if k != "core_loss"}):
        found = eit.analyze(LCO, **inputs)["regions"]
        assert abs(found["boundary"]["start_nm"] - regions.boundary.start_nm) <= 0.5
        assert abs(found["boundary"]["end_nm"] - regions.boundary.end_nm) <= 0.5
        assert found["grain_1"]["end_nm"] < found["boundary"]["start_nm"] < found["grain_2"]["start_nm"]


def test_a_line_without_a_boundary_gets_none(boundary):
    spectra = boundary[0]["vibrational"]
    grain = replace(spectra, counts=spectra.counts[:16], valid=spectra.valid[:16])
    readout = eit.analyze(LCO, vibrational=grain, aloof=boundary[0]["aloof"])
    assert readout["regions"] is None
    assert readout["ldo_peak"]["blue_shift_mev"]["value"] is None
    assert "BOUNDARY_NOT_FOUND" in [flag["code"] for flag in readout["flags"]]
    assert np.isfinite(np.array(readout["profiles"]["ldo_centre_mev"], float)).sum() > 10


def test_the_readout_is_json_without_nan(evaluation):
    assert json.loads(json.dumps(evaluation.readout, allow_nan=False))["schema"] == "eels-iontransport/readout/1"


def test_components_and_profiles_for_the_displays(evaluation):
    assert set(evaluation.fits) == set(NAMES)
    for fit in evaluation.fits.values():
        total = fit.background + sum(fit.components.values())
        assert total + fit.residual == pytest.approx(fit.counts)
        assert fit.zlp_integral > 0
    assert evaluation.normalised.shape == (40, evaluation.normalised_axis.size)
    assert {len(profile) for profile in evaluation.profiles.values()} == {40}
    assert set(evaluation.profiles) >= {
        "ldo_centre_mev",
        "ldo_centre_sigma_mev",
        "li_to_co",
        "li_to_co_sigma",
        "thickness",
    }
    assert evaluation.core_loss.shape[0] == 40


def test_a_second_evaluation_remembers_and_a_moved_region_counts(boundary, monkeypatch):
    from eels_iontransport import vibrational

    fitted = []
    original = vibrational.fit_rows
    monkeypatch.setattr(vibrational, "fit_rows", lambda *a: fitted.append(1) or original(*a))
    spectra, regions, _ = boundary
    session = Session(LCO, regions=regions)
    session.update(vibrational=spectra["vibrational"], aloof=spectra["aloof"], zlp=spectra["zlp"])
    first = session.evaluate().readout
    assert len(fitted) == 40
    assert session.evaluate().readout == first and len(fitted) == 40
    moved = from_mapping({"grain_1": (0, 8), "boundary": (9.0, 11.0), "grain_2": (12, 19.5)})
    session.regions = moved
    second = session.evaluate().readout
    assert second["regions"]["boundary"]["pixels"] == [18, 22]
    assert second["ldo_peak"]["boundary_mev"]["value"] != first["ldo_peak"]["boundary_mev"]["value"]


@pytest.mark.parametrize("rows", [1, 5, 20, 30])
def test_a_line_that_has_only_begun(boundary, rows):
    spectra, regions, _ = boundary
    part = {name: s.with_valid(np.arange(40) < rows) if s.is_line and s.step_nm else s for name, s in spectra.items()}
    readout = eit.analyze(LCO, regions=regions, **part)
    reached = rows > 19
    assert (readout["ldo_peak"]["boundary_mev"]["value"] is not None) is reached
    assert (readout["ldo_peak"]["shift_vs_grain_1_mev"]["value"] is not None) is reached
    assert readout["ldo_peak"]["shift_vs_grain_2_mev"]["value"] is None or rows == 30
    assert ("REGION_EMPTY" in [f["code"] for f in readout["flags"]]) is (rows < 25)
    assert np.isnan(np.array(readout["profiles"]["ldo_centre_mev"], float)[rows:]).all()


def test_the_published_mode_reports_but_says_that_it_does_not_fit(boundary):
    readout = eit.analyze(LCO, regions=boundary[1], mode="published", **boundary[0])
    codes = [flag["code"] for flag in readout["flags"]]
    assert "MODEL_MISFIT" in codes
    assert readout["mode"] == "published"
    centres = [readout["ldo_peak"][f"{name}_mev"]["value"] for name in NAMES]
    assert any(c is not None for c in centres) or "LDO_RAILED" in codes


def test_without_an_aloof_spectrum_there_is_a_flag_and_an_answer(boundary):
    spectra = {name: s for name, s in boundary[0].items() if name != "aloof"}
    readout = eit.analyze(LCO, regions=boundary[1], **spectra)
    assert "NO_ALOOF" in [flag["code"] for flag in readout["flags"]]


def _line(counts, **fields):
    return make_spectra(counts, EnergyAxis(-0.2, 0.0004, counts.shape[-1]), step_nm=0.5, **fields)


def _poor(kind, good):
    rows = good.rows.copy()
    if kind == "zeros":
        return _line(np.zeros_like(rows))
    if kind == "nan":
        return _line(np.full_like(rows, np.nan))
    if kind == "negative":
        return _line(-rows)
    if kind == "one pixel":
        return _line(rows[:1])
    if kind == "saturated":
        return _line(np.minimum(rows, 0.5 * rows.max(axis=1, keepdims=True)))
    if kind == "some nan":
        rows[3, 700], rows[7] = np.nan, 0.0
        return _line(rows)
    if kind == "no ZLP":
        return make_spectra(rows[:, 600:], EnergyAxis(0.04, 0.0004, rows.shape[1] - 600), step_nm=0.5)
    if kind == "short":
        return _line(rows[:, :600])
    if kind == "coarse":
        return make_spectra(rows, EnergyAxis(-20.0, 0.04, rows.shape[1]), step_nm=0.5)
    raise ValueError(kind)


POOR = {
    "zeros": "NO_ZLP",
    "nan": "ROWS_MISSING",
    "negative": "NO_ZLP",
    "one pixel": None,
    "saturated": "ZLP_SATURATED",
    "some nan": "ROWS_MISSING",
    "no ZLP": "NO_ZLP",
    "short": "NOT_DECOMPOSED",
    "coarse": "NOT_DECOMPOSED",
}


@pytest.mark.parametrize("kind", POOR)
@pytest.mark.parametrize("mode", ["shared", "published"])
def test_poor_lines_give_flags_not_exceptions_and_never_a_number_from_nothing(boundary, kind, mode):
    line = _poor(kind, boundary[0]["vibrational"])
    readout = eit.analyze(LCO, vibrational=line, aloof=boundary[0]["aloof"], regions=boundary[1], mode=mode)
    codes = [flag["code"] for flag in readout["flags"]]
    if POOR[kind] is not None:
        assert POOR[kind] in codes
    if kind not in ("some nan",):
        assert readout["ldo_peak"]["blue_shift_mev"]["value"] is None
    json.dumps(readout, allow_nan=False)


@pytest.mark.parametrize("role", ["aloof", "zlp", "valence", "core_loss"])
@pytest.mark.parametrize("kind", ["zeros", "nan", "one pixel", "saturated", "short"])
def test_poor_companions_do_not_take_the_line_down(boundary, role, kind):
    spectra = dict(boundary[0])
    spectra[role] = _poor(kind, boundary[0]["vibrational"])
    readout = eit.analyze(LCO, regions=boundary[1], **spectra)
    assert readout["profiles"]["ldo_centre_mev"] is not None
    assert readout["zlp"]["position_mev"]["value"] is not None
    json.dumps(readout, allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "quick"}, "no mode 'quick'"),
        ({"background_mev": ((500.0, 510.0), (900.0, 910.0))}, "500-910 meV is not covered"),
    ],
)
def test_arguments_that_cannot_be_met(boundary, arguments, said):
    with pytest.raises(UnusableInput, match=said):
        eit.analyze(LCO, vibrational=boundary[0]["vibrational"], regions=boundary[1], **arguments)


def test_no_vibrational_spectrum_is_said():
    with pytest.raises(UnusableInput, match="no vibrational spectrum"):
        Session(LCO).evaluate()


def test_an_evaluation_can_be_stopped_and_asked_again(boundary):
    session = Session(LCO, regions=boundary[1])
    session.update(vibrational=boundary[0]["vibrational"], aloof=boundary[0]["aloof"])
    with pytest.raises(Cancelled):
        session.evaluate(should_stop=lambda: True)
    assert session.evaluate().readout["ldo_peak"]["blue_shift_mev"]["value"] is not None


def test_progress_is_told(boundary):
    told = []
    session = Session(LCO, regions=boundary[1])
    session.update(vibrational=boundary[0]["vibrational"], aloof=boundary[0]["aloof"])
    session.evaluate(progress=lambda done, total, text: told.append((done, total, text)))
    assert (39, 40, "Fitting rows") in told


@pytest.mark.parametrize(("name", "present"), [("FilledCNT_1pt4nm_RT", True), ("EmptyCNT_RT", False)])
def test_water_in_measured_nanotubes(measured, name, present):
    readout = eit.analyze(WATER, vibrational=eit.load(measured / "hermes_cnt" / f"{name}.ndata1"))
    centre = readout["peaks"][0]["centre_mev"]["value"]
    assert readout["zlp"]["fwhm_mev"]["value"] == pytest.approx(8.7, abs=0.3)
    assert "ldo_peak" not in readout and "li_to_co" not in readout
    if present:
        assert centre == pytest.approx(455.0, abs=3.0)
        assert readout["flags"] == []
    else:
        assert centre is None
        assert [flag["code"] for flag in readout["flags"]] == ["PEAK_NOT_FOUND"]


def test_decompose_hands_out_arrays_for_every_row(boundary):
    spectra = boundary[0]
    result = eit.decompose(spectra["vibrational"], LCO, aloof=spectra["aloof"], zlp=spectra["zlp"])
    centre, sigma = result.value("LDO", "centre_mev"), result.sigma("LDO", "centre_mev")
    assert centre.shape == sigma.shape == result.chi2.shape == (40,)
    assert result.polaritonic.shape == result.phononic.shape == result.residual.shape == (40, 220)
    assert np.median(centre[19:22]) - np.median(np.r_[centre[:16], centre[25:]]) > 1.0
    single = make_spectra(spectra["vibrational"].rows[4], spectra["vibrational"].energy)
    assert eit.decompose(single, LCO, aloof=spectra["aloof"]).value("LDO", "centre_mev").shape == (1,)


def test_decompose_refuses_what_holds_no_spectrum():
    with pytest.raises(UnusableInput):
        eit.decompose(_line(np.zeros((4, 2048))), LCO)
