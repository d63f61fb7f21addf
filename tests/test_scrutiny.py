"""Bootstraps and the specification curve as an operator asks for them: of a session, and on the command line."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport import cli, figures, specification
from eels_iontransport.bootstrap import bootstrap_shift
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import from_mapping
from eels_iontransport.data.spectrum import make_spectra
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.session import Session
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from eels_iontransport.simulation.specimen import SPECIMENS
from eels_iontransport.terminal import Reporter

LCO = eit.material("lco")
SHIFTS = ("blue_shift_mev", "shift_vs_grain_1_mev", "shift_vs_grain_2_mev")
PIXELS = 12


@pytest.fixture(scope="module")
def acquired():
    """Spectra of a short line by role, and the regions of the truth."""
    microscope = SimulatedMicroscope(specimen=SPECIMENS["lco_boundary"](), seed=50)
    places = default_places(microscope, PIXELS, 20.0)
    exposures = {Role.ZLP: (0.1, 20), Role.ALOOF: (0.1, 40), Role.VIBRATIONAL: (0.1, 60)}
    taken = acquire_all(microscope, places, exposures=exposures, roles=tuple(exposures))
    truth = microscope.truth(places.line)["regions"]
    regions = from_mapping({name: (r["start_nm"], r["end_nm"]) for name, r in truth.items()})
    return {role.value: spectra for role, spectra in taken.items()}, regions


@pytest.fixture(scope="module", autouse=True)
def _few_choices():
    """Of windows and orders; the others are left as they are."""
    with pytest.MonkeyPatch.context() as patch:
        for name, steps in (("LOW", (0.0,)), ("HIGH", (0.0,)), ("ORDER", (0, -1)), ("WINDOW", (0.0,))):
            patch.setattr(specification, f"{name}_STEPS", steps)
        yield


def session(acquired, mode="shared", **changes):
    spectra, regions = acquired
    asked = Session(LCO, mode=mode, regions=regions)
    asked.update(**{**spectra, **changes})
    return asked


@pytest.fixture(scope="module")
def asked(acquired):
    """Readouts before, with bootstraps, and with the curve as well."""
    one = session(acquired)
    return [one.evaluate().readout, one.bootstrap(60, seed=5).readout, one.specifications().readout]


def test_nothing_is_there_that_was_not_asked_for(asked):
    before, with_bootstrap, with_both = asked
    assert "bootstrap" not in before["ldo_peak"] and "specification" not in before
    assert "specification" not in with_bootstrap
    assert with_both["ldo_peak"] == with_bootstrap["ldo_peak"]
    added = {"ldo_peak": before["ldo_peak"]}
    assert {**with_bootstrap, **added} == before


def test_the_bootstrap_repeats_the_shifts_with_uncertainties_of_its_own(asked):
    shift = asked[1]["ldo_peak"]
    found = shift["bootstrap"]
    assert (found["count"], found["seed"], found["failed"]) == (60, 5, 0)
    for key in SHIFTS:
        assert found[key]["value"] == shift[key]["value"] and found[key]["unit"] == "meV"
        assert 0.5 * shift[key]["sigma"] < found[key]["sigma"] < 2.0 * shift[key]["sigma"]
        low, high = found[key]["interval_68"]
        assert high - low == pytest.approx(2 * found[key]["sigma"], rel=0.5)
        assert abs(0.5 * (low + high) - found[key]["value"]) > 1e-6  # percentiles are not symmetric
    json.dumps(asked[2], allow_nan=False)


def test_the_curve_is_sorted_and_holds_what_the_readout_reports(asked):
    curve = asked[2]["specification"]
    shifts = [entry["shift_mev"]["value"] for entry in curve]
    known = [shift for shift in shifts if shift is not None]
    assert known == sorted(known) and shifts[: len(known)] == known and len(known) > 0.5 * len(curve)
    (main,) = [entry for entry in curve if entry["main"]]
    assert main["shift_mev"]["value"] == pytest.approx(asked[0]["ldo_peak"]["blue_shift_mev"]["value"], abs=1e-4)
    assert (main["mode"], main["reference"], main["window_mev"]) == ("shared", "mean", [22.0, 110.0])
    assert all((entry["reason"] is None) == (entry["shift_mev"]["value"] is not None) for entry in curve)


def test_a_shift_that_is_not_known_gets_no_uncertainty(acquired):
    regions = from_mapping({"grain_1": (0, 8), "boundary": (100, 101), "grain_2": (102, 103)})
    one = session((acquired[0], regions))
    entry = one.bootstrap(20).readout["ldo_peak"]["bootstrap"]
    assert all(entry[key]["value"] is None and entry[key]["sigma"] is None for key in SHIFTS)
    assert one.specifications().readout["specification"] == []


def test_a_grain_that_was_not_reached_leaves_the_other(acquired):
    spectra, regions = acquired
    line = spectra["vibrational"]
    reached = line.position_nm <= regions.boundary.end_nm
    one = session(acquired, vibrational=line.with_valid(reached))
    shift = one.bootstrap(20).readout["ldo_peak"]
    assert shift["reference"] == "grain_1"
    assert shift["bootstrap"]["blue_shift_mev"] == shift["bootstrap"]["shift_vs_grain_1_mev"]
    assert shift["bootstrap"]["blue_shift_mev"]["sigma"] > 0
    assert shift["bootstrap"]["shift_vs_grain_2_mev"]["value"] is None
    assert {entry["reference"] for entry in one.specifications().readout["specification"]} == {"grain_1"}


def test_bootstraps_that_fail_are_counted_and_flagged(acquired):
    """In the published mode centres reach their limits in many bootstraps of a fit whose own centres do not."""
    one = session(acquired, "published")
    shift = one.evaluate().readout["ldo_peak"]
    evaluation = one.bootstrap(40)
    found = evaluation.readout["ldo_peak"]["bootstrap"]
    assert any(shift[key]["value"] is not None for key in SHIFTS) and found["failed"] > 4
    assert all(found[key]["value"] is None for key in SHIFTS)
    assert "BOOTSTRAPS_FAILED" in [flag["code"] for flag in evaluation.readout["flags"]]
    assert "BOOTSTRAPS_FAILED" in [flag.code for flag in evaluation.flags]


@pytest.mark.parametrize("ask", ["bootstrap", "specifications"])
def test_asking_where_there_is_no_shift_is_refused(acquired, ask):
    with pytest.raises(UnusableInput, match="no vibrational spectrum"):
        getattr(Session(LCO), ask)()
    water = Session(eit.material("water_cnt"))
    water.update(vibrational=acquired[0]["vibrational"])
    with pytest.raises(UnusableInput, match="water_cnt has no shift peak"):
        getattr(water, ask)()
    line = acquired[0]["vibrational"]
    single = Session(LCO)
    single.update(vibrational=make_spectra(line.rows[3], line.energy, name="one"))
    with pytest.raises(UnusableInput, match="'one' is a single spectrum"):
        getattr(single, ask)()


@pytest.mark.parametrize("ask", ["bootstrap", "specifications"])
def test_asking_can_be_stopped_and_repeated(acquired, ask):
    one = session(acquired)
    before = one.evaluate().readout
    calls = iter(range(1000))
    with pytest.raises(Cancelled):
        getattr(one, ask)(should_stop=lambda: next(calls) > 3)
    assert one.evaluate().readout == before


def test_progress_rises_to_the_end(acquired):
    one, told = session(acquired), []
    one.bootstrap(60, progress=lambda *a: told.append(a))
    counted = [(done, total) for done, total, text in told if text == "Bootstraps"]
    assert counted == [(0, 60), (40, 60), (60, 60)]


def test_the_figure_shows_every_shift_and_what_was_chosen(asked, acquired):
    evaluation = session(acquired).specifications()
    figure = dict(figures.draw(evaluation, LCO))["specification_curve"]()
    above, below = figure.axes
    known = [entry for entry in asked[2]["specification"] if entry["shift_mev"]["value"] is not None]
    drawn = sorted(y for line in above.lines if line.get_marker() == "." for y in line.get_ydata())
    assert drawn == pytest.approx([entry["shift_mev"]["value"] for entry in known], abs=1e-4)
    rows = [label.get_text() for label in below.get_yticklabels()]
    chosen = below.images[0].get_array() < 0.5
    assert chosen.shape == (len(rows), len(known)) and chosen.any(axis=1).all()
    assert list(chosen[rows.index("wide")]) == [entry["mode"] == "wide" for entry in known]
    assert f"{len(known)} of {len(asked[2]['specification'])}" in above.get_title()
    assert "specification_curve" not in dict(figures.draw(session(acquired).evaluate(), LCO))


def written(folder, name, spectra):
    """The spectra as a file that Swift exports."""
    stream, axis = io.BytesIO(), spectra.energy
    np.save(stream, spectra.counts)
    energy = {"offset": axis.offset_ev, "scale": axis.step_ev, "units": "eV"}
    place = {"offset": 0.0, "scale": spectra.step_nm or 1.0, "units": "nm" if spectra.step_nm else ""}
    properties = {
        "spatial_calibrations": [place, energy],
        "metadata": {"hardware_source": {"counts_per_electron": 2.5}},
    }
    with zipfile.ZipFile(folder / f"{name}.ndata1", "w") as archive:
        archive.writestr("metadata.json", json.dumps(properties))
        archive.writestr("data.npy", stream.getvalue())
    return str(folder / f"{name}.ndata1")


@pytest.fixture
def command(acquired, tmp_path):
    spectra, regions = acquired
    places = [f"--{name.replace('_', '-')}={r.start_nm}:{r.end_nm}" for name, r in regions]
    files = [f"--{role}={written(tmp_path, role, s)}" for role, s in spectra.items()]
    return ["analyze", "--material", "lco", *files, *places, "--json", str(tmp_path / "out.json")]


def test_the_command_writes_both_and_tells_its_progress(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Reporter, "AFTER_S", 0.0)
    monkeypatch.setattr(Reporter, "ELSEWHERE_S", 0.0)
    code = cli.main([*command, "--bootstraps", "20", "--specifications", "--figures", str(tmp_path / "figures")])
    out, err = capsys.readouterr()
    readout = json.loads((tmp_path / "out.json").read_text())
    total = len(readout["specification"])
    said = err.splitlines()
    assert code == 0 and said[:2] == ["Bootstraps ... 0%", "Bootstraps ... 100%"]
    assert said[2] == "Specifications ... 0%" and said[-1] == "Specifications ... 100%"
    assert readout["ldo_peak"]["bootstrap"]["count"] == 20
    assert (tmp_path / "figures" / "specification_curve.png").stat().st_size > 5000
    assert "20 bootstraps" in out and f"of {total} have a shift" in out


@pytest.mark.parametrize(("given", "said"), [("5", "5 bootstraps are too few"), ("many", "--bootstraps")])
def test_the_command_refuses_what_gives_no_interval(command, tmp_path, capsys, given, said):
    assert cli.main([*command, "--bootstraps", given]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and not (tmp_path / "out.json").exists()


def test_an_entry_without_a_fit_is_null():
    shift = {key: {"value": 1.0} for key in SHIFTS} | {"reference": "mean"}
    entry, flags = bootstrap_shift(None, {}, shift)
    assert entry["failed"] is None and flags == () and all(entry[key]["value"] is None for key in SHIFTS)
