from __future__ import annotations

import logging
import sys
import warnings

import h5py
import numpy as np
import pytest

from eels_iontransport import files
from eels_iontransport.data.errors import UnusableInput

COUNTS = np.arange(5 * 64, dtype=np.float32).reshape(5, 64)
LINE = {"name": "x", "size": 5, "scale": 0.5, "offset": 0.0, "units": "nm", "navigate": True}
ENERGY = {"name": "Energy loss", "size": 64, "scale": 0.4, "offset": -10.0, "units": "meV", "navigate": False}


def write_hspy(path, axes=(LINE, ENERGY), data=COUNTS, chunks=None):
    """A file as HyperSpy lays it out."""
    with h5py.File(path, "w") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.3"
        experiment = file.create_group("Experiments/line")
        experiment.create_dataset("data", data=data, chunks=chunks)
        for number, axis in enumerate(axes):
            experiment.create_group(f"axis-{number}").attrs.update({"_type": "UniformDataAxis", **axis})
        for name in ("metadata/General", "metadata/Signal", "original_metadata", "learning_results"):
            experiment.create_group(name)
        detector = experiment.create_group("metadata/Acquisition_instrument/TEM/Detector/EELS")
        detector.attrs["exposure"] = 0.25


MSA = """#FORMAT      : EMSA/MAS Spectral Data File
#VERSION     : 1.0
#TITLE       : spectrum
#DATE        : 01-JAN-2024
#TIME        : 12:00
#OWNER       : somebody
#NPOINTS     : 64
#NCOLUMNS    : 1
#XUNITS      : {units}
#YUNITS      : counts
#DATATYPE    : Y
#XPERCHAN    : 0.4
#OFFSET      : -10.0
#SPECTRUM    : Spectral Data Starts Here
{values}
#ENDOFDATA   : end
"""


def write_msa(path, units="meV"):
    path.write_text(MSA.format(units=units, values="\n".join(f"{value:.1f}" for value in COUNTS[0])))


@pytest.mark.parametrize(
    "write, suffix, step_nm, exposure_s", [(write_hspy, ".hspy", 0.5, 0.25), (write_msa, ".msa", None, None)]
)
def test_a_file_of_another_program(tmp_path, write, suffix, step_nm, exposure_s):
    pytest.importorskip("rsciio")
    path = tmp_path / f"line{suffix}"
    write(path)
    spectra = files.load(path)
    np.testing.assert_allclose(spectra.counts, COUNTS if step_nm else COUNTS[0])
    assert (spectra.energy.offset_ev, spectra.energy.step_ev) == pytest.approx((-0.01, 0.0004))
    assert (spectra.step_nm, spectra.exposure_s) == (step_nm, exposure_s)
    assert len(spectra.metadata[files.SOURCE_KEY]["sha256"]) == 64


@pytest.mark.parametrize(
    "axes, words",
    [
        ((ENERGY | {"size": 5}, LINE | {"size": 64}), "in 'nm', which is no energy"),
        ((LINE, ENERGY | {"scale": -0.4}), "positive step"),
        ((LINE, ENERGY | {"units": ""}), "has no unit"),
    ],
)
def test_a_wrong_energy_axis_is_refused(tmp_path, axes, words):
    pytest.importorskip("rsciio")
    write_hspy(tmp_path / "line.hspy", axes)
    with pytest.raises(UnusableInput, match=words) as fault:
        files.load(tmp_path / "line.hspy")
    assert "line.hspy" in str(fault.value)


def test_an_axis_of_unequal_steps_is_refused(tmp_path):
    pytest.importorskip("rsciio")
    unequal = {
        "_type": "DataAxis",
        "name": "Energy loss",
        "units": "eV",
        "navigate": False,
        "axis": np.arange(64.0) ** 2,
    }
    write_hspy(tmp_path / "line.hspy", (LINE, unequal))
    with pytest.raises(UnusableInput, match="unequal steps"):
        files.load(tmp_path / "line.hspy")


@pytest.mark.parametrize("suffix", [".dm3", ".dm4", ".hspy", ".msa"])
@pytest.mark.parametrize("content", [b"", b"x", b"some text\nthat is no spectrum\n" * 20, bytes(range(256)) * 8])
def test_a_file_that_is_not_what_its_name_says(tmp_path, suffix, content):
    pytest.importorskip("rsciio")
    path = tmp_path / f"line{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnusableInput, match="empty|damaged") as fault:
        files.load(path)
    assert path.name in str(fault.value) and "\n" not in str(fault.value)


def test_without_the_reading_library_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rsciio", None)
    monkeypatch.setitem(sys.modules, "rsciio.hspy", None)
    (tmp_path / "line.hspy").write_bytes(b"content")
    with pytest.raises(UnusableInput, match=r"line.hspy.*rosettasciio.*\[files\]"):
        files.load(tmp_path / "line.hspy")


def test_what_the_reader_says_of_a_file_stays_off_the_terminal(tmp_path, monkeypatch, recwarn):
    reader = pytest.importorskip("rsciio.hspy")
    said: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", said.append)
    monkeypatch.setattr(logging.getLogger("rsciio"), "handlers", [handler])

    def complain(path):
        logging.getLogger("rsciio.hspy").error("Something is wrong with %s", path)
        warnings.warn("something else is wrong", stacklevel=1)
        raise ValueError("so wrong")

    monkeypatch.setattr(reader, "file_reader", complain)
    (tmp_path / "line.hspy").write_bytes(b"content")
    with pytest.raises(UnusableInput, match="damaged"):
        files.load(tmp_path / "line.hspy")
    assert not said and not recwarn.list
    logging.getLogger("rsciio.hspy").error("heard again")
    assert len(said) == 1


def test_measured_spectra(measured):
    pytest.importorskip("rsciio")
    line = files.load(measured / "lowloss" / "LSMO_linescan_low_loss.hspy")
    assert line.counts.shape == (40, 1024) and line.step_nm == pytest.approx(3.219, abs=1e-3)
    assert line.energy.step_ev == 0.5
    raw = files.load(measured / "lowloss" / "tio2_lowloss_raw.dm3")
    assert raw.counts.shape == (100, 1024) and raw.step_nm is None
    assert raw.energy.energies_ev[raw.counts[50].argmax()] == pytest.approx(-4.9, abs=0.3)


@pytest.mark.parametrize("name", ["stack_element", "pass"])
def test_lines_that_were_stacked_are_a_line_with_passes(tmp_path, name):
    pytest.importorskip("rsciio")
    stacked = {"name": name, "size": 2, "scale": 1.0, "offset": 0.0, "units": "", "navigate": True}
    write_hspy(tmp_path / "line.hspy", (stacked, LINE, ENERGY), np.stack([COUNTS, COUNTS + 1]))
    spectra = files.load(tmp_path / "line.hspy")
    np.testing.assert_allclose(spectra.passes, np.stack([COUNTS, COUNTS + 1]))
    np.testing.assert_allclose(spectra.counts, 2 * COUNTS + 1)
