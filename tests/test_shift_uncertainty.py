"""The parts of the shift's uncertainty, also where one of them is not known."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.background_scan import BackgroundScan
from eels_iontransport.behind_the_shift import _unknown
from eels_iontransport.shift_uncertainty import ShiftUncertainty
from eels_iontransport.specification import Specification

NAMES = ("grain_1", "boundary", "grain_2")
MAIN = Specification("shared", "", (22.0, 110.0), 3)
SUMS = 3 + 3  # centres, and shifts against the mean and each grain


def uncertainty(**parts: float) -> ShiftUncertainty:
    scan = BackgroundScan(MAIN, np.full(3, 50.0), 1.0, ())
    known = {name: np.full(SUMS, value) for name, value in parts.items()}
    return ShiftUncertainty(NAMES, np.zeros(SUMS), np.full(SUMS, 0.3), np.zeros(SUMS, bool), scan, known)


def test_parts_add_in_quadrature():
    shift = uncertainty(background=0.3, response=0.4).of_shift("mean")
    assert shift.systematic == pytest.approx(0.5)
    assert shift.sigma == pytest.approx(np.sqrt(0.34))


def test_a_part_that_is_not_known_is_told_and_no_number():
    found = uncertainty(background=0.4, response=np.nan)
    assert found.unknown("mean") == ("response",)
    assert found.of_shift("mean").systematic == pytest.approx(0.4)
    assert found.to_dict("mean")["parts_mev"] == {"background": pytest.approx(0.4), "response": None}
    flags = _unknown(found, "mean")
    assert [f.code for f in flags] == ["UNCERTAINTY_INCOMPLETE"] and "response" in flags[0].message


def test_where_all_parts_are_known_the_flag_is_silent():
    assert _unknown(uncertainty(background=0.0, response=0.1), "mean") == ()
    assert uncertainty().of_shift("mean").systematic == 0.0
