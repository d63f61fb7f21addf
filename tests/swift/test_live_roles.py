"""Roles of items that were selected by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("nion.swift")

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from nionswift_plugin.iontransport import roles

VIBRATIONAL, VALENCE, CORE = EnergyAxis(-0.1, 0.0004, 64), EnergyAxis(-5.0, 0.05, 64), EnergyAxis(40.0, 0.1, 64)


class Item(SimpleNamespace):
    __hash__ = object.__hash__


def spectra(axis: EnergyAxis, *, line: bool = False, role: Role | None = None):
    metadata = Record(role, Status.COMPLETE, 4, 4).to_metadata() if role else {}
    return make_spectra(np.ones((4, 64) if line else 64), axis, step_nm=0.5 if line else None, metadata=metadata)


def planned(name: str, role: Role = Role.VIBRATIONAL):
    """Spectra of which the record tells the place."""
    plan = {"name": name, "line": {"pixels": 4}}
    metadata = Record(role, Status.COMPLETE, 4, 4, plan=plan).to_metadata()
    return make_spectra(np.ones((4, 64)), VIBRATIONAL, step_nm=0.5, metadata=metadata)


def assigned(selected) -> dict[Role, str]:
    found = roles.assign({Item(title=title): content for title, content in selected.items()})
    return {role: " + ".join(item.title for item in items) for role, items in found.items()}


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        ({"any": spectra(VALENCE)}, {Role.VIBRATIONAL: "any"}),
        ({"Vacuum": spectra(VIBRATIONAL)}, {Role.VIBRATIONAL: "Vacuum"}),
        (
            {
                "Line": spectra(VIBRATIONAL, line=True),
                "Aloof 65 nm": spectra(VIBRATIONAL),
                "ZLP in vacuum": spectra(VIBRATIONAL),
                "low loss": spectra(VALENCE, line=True),
                "Li K": spectra(CORE, line=True),
            },
            {
                Role.VIBRATIONAL: "Line",
                Role.ALOOF: "Aloof 65 nm",
                Role.ZLP: "ZLP in vacuum",
                Role.VALENCE: "low loss",
                Role.CORE_LOSS: "Li K",
            },
        ),
        (
            {"a": spectra(VIBRATIONAL, line=True, role=Role.ALOOF), "b": spectra(CORE, role=Role.VIBRATIONAL)},
            {Role.ALOOF: "a", Role.VIBRATIONAL: "b"},
        ),
        ({"p": spectra(VIBRATIONAL, line=True, role=Role.POINTS)}, {Role.VIBRATIONAL: "p"}),
        ({"1": planned("GB1"), "2": planned("GB1")}, {Role.VIBRATIONAL: "1 + 2"}),
    ],
)
def test_roles(selected, expected):
    assert assigned(selected) == expected


@pytest.mark.parametrize(
    ("selected", "sentence"),
    [
        ({"a": spectra(VIBRATIONAL), "b": spectra(VIBRATIONAL)}, "'a' and 'b' are both vibrational spectra"),
        ({"a": planned("GB1"), "b": planned("GB2")}, "'a' and 'b' are both vibrational spectra"),
        ({"a": planned("GB1", Role.ALOOF), "b": planned("GB1", Role.ALOOF)}, "'a' and 'b' are both aloof spectra"),
        ({"a": spectra(VALENCE), "b": spectra(CORE)}, "No vibrational spectra are among the selected items"),
        ({"a": spectra(CORE, role=Role.CORE_LOSS)}, "No vibrational spectra are among the selected items"),
    ],
)
def test_what_cannot_be_told_is_refused(selected, sentence):
    with pytest.raises(UnusableInput, match=sentence):
        assigned(selected)
