"""The whole chain on the simulated instrument, on measured spectra, and on what can be wrong with an input."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport import chosen_fit, rows, vibrational, vibrational_model
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.regions import NAMES, Region, from_mapping
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.rows import TOLERATED, TRIED
from eels_iontransport.session import Session
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all
from eels_iontransport.simulation.specimen import SPECIMENS

LCO, WATER = eit.material("lco"), eit.material("water_cnt")
KEPT = replace(LCO, choose_background=False)  # so that what is fitted can be counted


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


def test_the_ratio_is_given_in_every_way(evaluation, boundary):
    ratio, true = evaluation.readout["li_to_co"], boundary[2]["li_to_co"]["relative_change"]
    for name in ("relative_change_vs_grain_1", "relative_change_vs_grain_2"):
        assert within(ratio[name], true)
    assert within(ratio["edge_shift_ev"], 0.0)
    assert ratio["edge_shapes"]["grains_differ"] is False and ratio["edge_shapes"]["boundary_like"] is None
    published, alternative = ratio["windows"]["published"], ratio["windows"]["alternative"]
    assert ratio["windows"]["better"] == "published"
    assert published["background_ev"] == [43.0, 45.0] and alternative["background_ev"] == [48.0, 53.0]
    assert published["relative_change"] == ratio["uncorrected_relative_change"]
    for windows in (published, alternative):
        assert within(windows["unmixed_relative_change"], true)
        assert abs(windows["pre_edge_residual"]["grain_1"]["value"]) < 0.01
        assert windows["boundary"]["value"] < windows["grain_1"]["value"]


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


@pytest.fixture
def fitted(monkeypatch):
    """What was fitted, by kind; of rows how many."""
    counts = Counter()

    def count(module, name, size=lambda *a: 1):
        original = getattr(module, name)

        def counted(*arguments, **options):
            counts[name] += size(*arguments)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, counted)

    for module, name in (
        (vibrational_model, "fit_aloof"),
        (chosen_fit, "fit_together"),
        (vibrational, "test_presence"),
    ):
        count(module, name)
    count(rows, "fit_peaks", lambda plan, given, *_: len(given.counts))
    return counts


def first_rows(spectra, count):
    return spectra.with_valid(np.arange(len(spectra.rows)) < count)


def vibrational_of(spectra):
    return {role: spectra[role] for role in ("vibrational", "aloof", "zlp")}


def test_a_second_evaluation_fits_nothing(boundary, fitted):
    session = Session(KEPT, regions=boundary[1])
    session.update(**boundary[0])
    first = session.evaluate().readout
    assert fitted == {"fit_aloof": 1, "fit_together": 1, "fit_peaks": 40}
    assert session.evaluate().readout == first
    session.update(**{role: replace(s, counts=s.counts.copy()) for role, s in boundary[0].items()})
    assert session.evaluate().readout == first
    assert fitted == {"fit_aloof": 1, "fit_together": 1, "fit_peaks": 40}


def test_a_dragged_region_fits_what_it_touched(boundary, fitted, monkeypatch):
    recipe = replace(KEPT, peaks=tuple(replace(peak, test_presence=peak.name == "LDO") for peak in LCO.peaks))
    session = Session(recipe, regions=boundary[1])
    session.update(**boundary[0])
    first = session.evaluate().readout
    assert fitted["test_presence"] == 3
    dragged = replace(boundary[1], boundary=Region(9.0, 11.0))
    session.regions = dragged
    second = session.evaluate().readout
    assert second["regions"]["boundary"]["pixels"] == [18, 22]
    assert second["ldo_peak"]["boundary_mev"]["value"] != first["ldo_peak"]["boundary_mev"]["value"]
    assert (fitted["fit_aloof"], fitted["fit_together"], fitted["test_presence"]) == (1, 2, 4)
    fresh = Session(recipe, regions=dragged)
    fresh.update(**boundary[0])
    assert fresh.evaluate().readout == second


def test_rows_stay_where_the_common_shapes_do(boundary, fitted, monkeypatch):
    session = Session(KEPT, regions=boundary[1])
    session.update(**vibrational_of(boundary[0]))
    session.evaluate()
    together = session._memory.last[("together", *NAMES)]
    monkeypatch.setattr(chosen_fit, "fit_together", lambda *a: together)
    session.regions = replace(boundary[1], boundary=Region(9.0, 11.0))
    session.evaluate()
    assert fitted["fit_peaks"] == 40
    values = {name: table + 0.02 for name, table in together.values.items()}
    monkeypatch.setattr(chosen_fit, "fit_together", lambda *a: replace(together, values=values))
    session.regions = boundary[1]
    session.evaluate()
    session.regions = replace(boundary[1], boundary=Region(9.5, 11.0))
    session.evaluate()
    assert fitted["fit_peaks"] == 80


def test_a_line_that_filled_in_any_order_settles_as_if_it_had_been_there_from_the_start(boundary):
    spectra, regions, _ = boundary
    line, session = spectra["vibrational"], Session(LCO, regions=regions)
    valid = np.zeros(40, bool)
    for some in np.array_split(np.random.default_rng(3).permutation(40), 8):
        valid[some] = True
        session.update(**{**spectra, "vibrational": replace(line, valid=valid)})
        session.evaluate(settled=False)
    fresh = Session(LCO, regions=regions)
    fresh.update(**spectra)
    assert session.evaluate().readout == fresh.evaluate().readout


def test_while_a_line_fills_a_row_costs_a_few(boundary, fitted, monkeypatch):
    spectra, regions, _ = boundary
    session = Session(KEPT, regions=regions)
    session.update(**{**spectra, "vibrational": first_rows(spectra["vibrational"], 34)})
    session.evaluate(settled=False)
    together = session._memory.last[("together", *NAMES)]
    monkeypatch.setattr(chosen_fit, "fit_together", lambda *a: together)
    for count in range(35, 41):
        before = fitted["fit_peaks"]
        session.update(**{**spectra, "vibrational": first_rows(spectra["vibrational"], count)})
        session.evaluate(settled=False)
        assert fitted["fit_peaks"] - before == 1 + TRIED
    assert fitted["fit_aloof"] == 1


def test_what_is_shown_while_a_line_fills_is_what_it_settles_to_within_a_part_of_its_error(boundary):
    spectra, regions, _ = boundary
    session = Session(LCO, regions=regions)
    for count in range(30, 41):
        session.update(**{**spectra, "vibrational": first_rows(spectra["vibrational"], count)})
        provisional = session.evaluate(settled=False).readout
    settled = session.evaluate().readout
    for name in NAMES:
        one, other = (readout["ldo_peak"][f"{name}_mev"] for readout in (provisional, settled))
        assert abs(one["value"] - other["value"]) < 0.05 * other["sigma"]
    centres = [np.array(readout["profiles"]["ldo_centre_mev"], float) for readout in (provisional, settled)]
    sigma = np.array(settled["profiles"]["ldo_centre_sigma_mev"], float)
    assert np.nanmax(np.abs(centres[0] - centres[1]) / sigma) < 2 * TOLERATED


def test_a_row_that_is_taken_again_in_place_counts(boundary, fitted):
    spectra, regions, _ = boundary
    line = replace(spectra["vibrational"], counts=spectra["vibrational"].counts.copy())
    session = Session(LCO, regions=regions)
    session.update(**{**vibrational_of(spectra), "vibrational": line})
    first = session.evaluate().readout
    line.counts[20] = line.counts[3]
    second = session.evaluate().readout
    assert second["ldo_peak"]["boundary_mev"]["value"] != first["ldo_peak"]["boundary_mev"]["value"]
    assert second["profiles"]["zlp_position_mev"][20] == first["profiles"]["zlp_position_mev"][3]
    assert second["provenance"]["inputs"] != first["provenance"]["inputs"]
    fresh = Session(LCO, regions=regions)
    fresh.update(**{**vibrational_of(spectra), "vibrational": line})
    assert fresh.evaluate().readout == second


def test_a_session_keeps_no_more_the_longer_it_goes_on(boundary):
    spectra, regions, _ = boundary
    session, sizes = Session(LCO), []
    for count in (*range(24, 41), *range(24, 41)):
        part = {role: first_rows(s, count) if s.step_nm else s for role, s in spectra.items()}
        session.update(**part)
        session.evaluate(settled=False)
        session.evaluate(fits=False, settled=False)
        sizes.append(len(session._memory._now) + len(session._memory._before) + len(session._of_scans._now))
    assert max(sizes[17:]) <= max(sizes[:17])


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
    "some nan": "CHANNELS_MASKED",
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


def with_lost_channels(spectra, role, rng):
    """Some spectra of a role with single channels lost, and one with a block; not those of a zero-loss peak."""
    counts = spectra[role].counts.copy()
    peak = np.argmax(counts, axis=1)
    lost = rng.uniform(size=counts.shape) < 0.004
    lost[np.abs(np.arange(counts.shape[1]) - peak[:, None]) < 60] = False
    lost[1, peak[1] + 100 : peak[1] + 106] = True
    counts[lost] = np.nan
    return {**spectra, role: make_spectra(counts, spectra[role].energy, **fields_of(spectra[role]))}, int(lost.sum())


def fields_of(spectra):
    names = ("step_nm", "saturation_level", "exposure_s", "frames", "noise", "name", "metadata")
    return {name: getattr(spectra, name) for name in names}


QUANTITIES = {
    "vibrational": ("ldo_peak", "blue_shift_mev"),
    "aloof": ("ldo_peak", "blue_shift_mev"),
    "zlp": ("ldo_peak", "blue_shift_mev"),
    "valence": ("thickness", "boundary"),
    "core_loss": ("li_to_co", "relative_change"),
}


@pytest.mark.parametrize("role", QUANTITIES)
def test_lost_channels_cost_these_channels_and_are_told(boundary, evaluation, role):
    spectra, _ = with_lost_channels(boundary[0], role, np.random.default_rng(5))
    session = Session(LCO, regions=boundary[1])
    session.update(**spectra)
    found = session.evaluate()
    section, name = QUANTITIES[role]
    whole, lossy = evaluation.readout[section][name], found.readout[section][name]
    assert abs(lossy["value"] - whole["value"]) < 0.5 * whole["sigma"]
    assert 0.9 < lossy["sigma"] / whole["sigma"] < 1.2
    codes = [flag["code"] for flag in found.readout["flags"]]
    assert codes == (["CHANNELS_MASKED"] if role not in ("aloof", "zlp") else [])
    assert evaluation.readout["flags"] == []
    json.dumps(found.readout, allow_nan=False)
    if role == "vibrational":
        assert np.isfinite(found.profiles["ldo_centre_mev"]).sum() == 40
    if role == "core_loss":
        assert np.isnan(found.core_loss).any() and np.isfinite(found.core_loss).mean() > 0.98


def test_a_channel_that_a_small_region_lost_is_modelled_in_its_bands(boundary, evaluation):
    counts = boundary[0]["vibrational"].counts.copy()
    counts[20, np.argmax(counts[20]) + 120] = np.nan  # at 48 meV
    spectra = {**boundary[0], "vibrational": replace(boundary[0]["vibrational"], counts=counts)}
    bands = [eit.analyze(LCO, regions=boundary[1], **spectra)["bands"], evaluation.readout["bands"]]
    for lossy, whole in zip(*bands):
        assert abs(lossy["boundary"]["value"] - whole["boundary"]["value"]) < 0.5 * whole["boundary"]["sigma"]


def test_a_row_of_zeros_is_left_out_and_the_others_are_not(boundary, evaluation):
    counts = boundary[0]["vibrational"].counts.copy()
    counts[3] = 0.0
    spectra = {**boundary[0], "vibrational": replace(boundary[0]["vibrational"], counts=counts)}
    readout = eit.analyze(LCO, regions=boundary[1], **spectra)
    assert [flag["code"] for flag in readout["flags"]] == ["NO_ZLP"]
    centres = np.array(readout["profiles"]["ldo_centre_mev"], float)
    before = evaluation.profiles["ldo_centre_mev"]
    assert np.flatnonzero(np.isnan(centres)).tolist() == [3]
    sigma = evaluation.profiles["ldo_centre_sigma_mev"]
    assert np.nanmax(np.abs(centres - before) / sigma) < 0.5


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
    assert (0, 40, "Fitting rows") in told and told[-1] == (40, 40, "Fitting rows")


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
