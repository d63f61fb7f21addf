"""The checks on the command line: of a sequence of lines as Swift exports it, and of what has no shift."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from eels_iontransport import cli, specification
from eels_iontransport.sceptic import covariates, injection

from . import lines


@pytest.fixture(autouse=True)
def _thin(monkeypatch):
    for name in ("LOW", "HIGH", "WINDOW"):
        monkeypatch.setattr(specification, f"{name}_STEPS", (0.0,))
    monkeypatch.setattr(specification, "ORDER_STEPS", (0,))
    monkeypatch.setattr(covariates, "REPEATS", 2)
    monkeypatch.setattr(injection, "MOST_WINDOWS", 1)


def written(folder, name, spectra):
    """The spectra as a file that Swift exports, passes as a sequence."""
    stream, axis = io.BytesIO(), spectra.energy
    data = spectra.counts if spectra.passes is None else spectra.passes
    np.save(stream, data)
    plain, place = {"offset": 0.0, "scale": 1.0, "units": ""}, {"offset": 0.0, "scale": lines.STEP_NM, "units": "nm"}
    energy = {"offset": axis.offset_ev, "scale": axis.step_ev, "units": "eV"}
    properties = {
        "spatial_calibrations": [plain, place, energy][-data.ndim :],
        "is_sequence": data.ndim == 3,
        "collection_dimension_count": min(data.ndim - 1, 1),
        "datum_dimension_count": 1,
        "metadata": {"hardware_source": {"counts_per_electron": 1.0}},
    }
    path = folder / f"{name}.ndata1"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", stream.getvalue())
        archive.writestr("metadata.json", json.dumps(properties))
    return str(path)


def test_a_sequence_of_lines_is_checked_pass_by_pass(tmp_path, sound, capsys):
    files = [f"--{role}={written(tmp_path, role, spectra)}" for role, spectra in sound.items()]
    places = [f"--{n.replace('_', '-')}={r.start_nm}:{r.end_nm}" for n, r in lines.regions()]
    out = tmp_path / "out.json"
    assert cli.main(["analyze", "--material", "lco", *files, *places, "--sceptic", "--json", str(out)]) == 0
    readout, said = json.loads(out.read_text()), capsys.readouterr().out
    assert readout["sceptic"]["passes"]["first_passes"] == [1, 2] and readout["specification"]
    for words in ("Halves", "odd passes", "Pseudo-boundaries", "Injected shifts"):
        assert words in said


def test_a_single_spectrum_is_reported_without_checks(tmp_path, sound):
    line = sound["vibrational"]
    np_file = written(tmp_path, "one", lines.make_spectra(line.counts[0], lines.AXIS))
    out = tmp_path / "out.json"
    code = cli.main(["analyze", "--material", "lco", "--vibrational", np_file, "--sceptic", "--json", str(out)])
    page = json.loads(out.read_text())["sceptic"]
    assert code == 0 and page["halves"] is None and "single spectrum" in page["reasons"]["halves"]
