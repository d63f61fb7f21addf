"""What a readout says of inputs whose acquisition has ended early, or not."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.provenance import partial_inputs, provenance

AXIS = EnergyAxis(-0.01, 0.001, 16)
ABORTED = "Aborted by the operator."


def spectra(record: Record | None):
    metadata = record.to_metadata() if record is not None else {}
    return make_spectra(np.ones((40, 16)), AXIS, metadata=metadata, name="line")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, None),
        (Record(Role.VIBRATIONAL, Status.RUNNING, 40, 26), None),
        (Record(Role.VIBRATIONAL, Status.COMPLETE, 40, 40), None),
        (
            Record(Role.VIBRATIONAL, Status.ABORTED, 40, 26, ABORTED),
            f"Of the core loss spectra 26 of 40 rows were taken: {ABORTED}",
        ),
        (Record(Role.VIBRATIONAL, Status.FAULT, 40, 0), "Of the core loss spectra 0 of 40 rows were taken: fault"),
    ],
)
def test_only_an_acquisition_that_ended_early_is_flagged(record, message):
    flags = partial_inputs({"vibrational": spectra(None), "core_loss": spectra(record)})
    assert [(flag.code, flag.message) for flag in flags] == ([("PARTIAL_INPUT", message)] if message else [])


def test_provenance_tells_how_an_input_ended():
    record = Record(Role.VIBRATIONAL, Status.ABORTED, 40, 26, ABORTED)
    told = provenance({"vibrational": spectra(record), "aloof": spectra(None)}, {})["inputs"]
    assert set(told[0]) == {"role", "name", "sha256"}
    assert {key: told[1][key] for key in ("status", "reason", "rows_planned", "rows_valid")} == {
        "status": "aborted", "reason": ABORTED, "rows_planned": 40, "rows_valid": 26,
    }  # fmt: skip
