"""A program that is killed loses at most the row in progress."""

from __future__ import annotations

import sys

import pytest

from .kills import ROWS, kills

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a killed program is one of POSIX here")


def test_every_acknowledged_row_outlives_the_program(tmp_path):
    results = kills(tmp_path, list(range(5)))
    assert [result.wrong for result in results] == [[]] * 5
    assert any(0 < result.acknowledged < ROWS for result in results)
