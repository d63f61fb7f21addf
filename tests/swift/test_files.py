"""Files written by Swift itself are read without it, with the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eels_iontransport import files
from eels_iontransport.data.record import Record, Role, Status

pytest.importorskip("nion.swift")

from nion.data import Calibration, DataAndMetadata  # noqa: E402
from nion.swift import Facade  # noqa: E402
from nion.swift.model import DataItem, ImportExportManager  # noqa: E402
from nion.swift.test import TestContext  # noqa: E402

ENERGY = Calibration.Calibration(-0.02, 0.0004, "eV")
LINE = Calibration.Calibration(0.0, 0.5, "nm")
RECORD = Record(
    Role.VIBRATIONAL, Status.ABORTED, 5, 3, "Stopped by the operator.", exposure_s=0.1, electrons_per_count=0.05
)


def spectrum() -> DataAndMetadata.DataAndMetadata:
    return DataAndMetadata.new_data_and_metadata(
        np.linspace(1.0, 2.0, 64),
        dimensional_calibrations=[ENERGY],
        data_descriptor=DataAndMetadata.DataDescriptor(False, 0, 1),
    )


def line() -> DataAndMetadata.DataAndMetadata:
    """As a line scan arrives: a collection of 1 x n spectra; with the record of an acquisition that was stopped."""
    return DataAndMetadata.new_data_and_metadata(
        np.random.default_rng(1).poisson(100.0, (1, 5, 64)).astype(np.float32),
        dimensional_calibrations=[Calibration.Calibration(), LINE, ENERGY],
        metadata={"hardware_source": {"exposure": 0.2}, **RECORD.to_metadata()},
        data_descriptor=DataAndMetadata.DataDescriptor(False, 2, 1),
    )


def frames() -> DataAndMetadata.DataAndMetadata:
    return DataAndMetadata.new_data_and_metadata(
        np.random.default_rng(2).poisson(50.0, (7, 64)).astype(np.int32),
        dimensional_calibrations=[Calibration.Calibration(0, 0.1, "s"), Calibration.Calibration(-20.0, 0.4, "meV")],
        metadata={"hardware_source": {"counts_per_electron": 20, "exposure": 0.1}},
        data_descriptor=DataAndMetadata.DataDescriptor(True, 0, 1),
    )


@pytest.fixture
def export(tmp_path):
    """Exports data through Swift's own writer of a kind of file, and returns the path."""
    Facade.initialize()
    setup = TestContext.TestSetup()

    def write(xdata, suffix: str) -> Path:
        with TestContext.create_memory_context() as context:
            document_model = context.create_document_model()
            item = DataItem.new_data_item(xdata)
            item.title = "GB1 line"
            document_model.append_data_item(item)
            display_item = document_model.get_display_item_for_data_item(item)
            manager = ImportExportManager.ImportExportManager()
            writer = next(handler for handler in manager.get_writers() if suffix in handler.extensions)
            path = tmp_path / f"exported.{suffix}"
            writer.write_display_item(display_item, path, suffix)
            return path

    yield write
    del setup


@pytest.mark.parametrize("suffix", ["ndata1", "nhdf", "npy"])
@pytest.mark.parametrize("make", [spectrum, line, frames])
def test_round_trip(export, make, suffix):
    xdata = make()
    spectra = files.load(export(xdata, suffix))
    np.testing.assert_array_equal(spectra.counts, np.squeeze(xdata.data))
    assert (spectra.energy.offset_ev, spectra.energy.step_ev) == pytest.approx((-0.02, 0.0004))
    assert spectra.name == f"exported.{suffix}"


@pytest.mark.parametrize("suffix", ["ndata1", "nhdf", "npy"])
def test_what_an_acquisition_says_of_itself_survives(export, suffix):
    spectra = files.load(export(line(), suffix))
    assert Record.from_metadata(spectra.metadata) == RECORD
    assert spectra.valid.tolist() == [True, True, True, False, False]
    assert (spectra.step_nm, spectra.exposure_s) == (0.5, 0.1)
    assert spectra.noise.electrons_per_count == 0.05
    kept = files.load(export(frames(), suffix))
    assert (kept.step_nm, kept.exposure_s, kept.noise.electrons_per_count) == (None, 0.1, 0.05)
    assert kept.valid.all()


def test_reading_needs_no_swift(export):
    path = export(line(), "nhdf")
    code = (
        "import sys, json; from eels_iontransport import files; s = files.load(sys.argv[1]);"
        "print(json.dumps([list(s.counts.shape), sorted(m for m in sys.modules if m.split('.')[0] == 'nion')]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert json.loads(result.stdout) == [[5, 64], []]
