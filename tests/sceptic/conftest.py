"""One sound line, its checks done once for all tests."""

from __future__ import annotations

import pytest

import eels_iontransport as eit
from eels_iontransport.scrutiny import _case
from eels_iontransport.session import Session

from . import lines

SHIFT_MEV = 1.8


def session(spectra, regions=None, mode="shared"):
    asked = Session(eit.material("lco"), mode=mode, regions=regions or lines.regions())
    asked.update(**spectra)
    return asked


def case_of(spectra, **options):
    """The shift of some spectra, as the checks see it, and the common fit."""
    asked = session(spectra, **options)
    asked.evaluate()
    return _case(asked._last)


@pytest.fixture(scope="session")
def sound():
    """A line with a shift and nothing else to object to, in six passes."""
    return lines.line(0.0, 1, passes=6, shift_at_boundary_mev=SHIFT_MEV)


@pytest.fixture(scope="session")
def evaluation(sound):
    return session(sound).sceptic()


@pytest.fixture(scope="session")
def page(evaluation):
    return evaluation.readout["sceptic"]


@pytest.fixture(scope="session")
def case(sound):
    return case_of(sound)[0]
