"""Room on the disk."""

from __future__ import annotations

import pytest

from eels_iontransport.acquire.disk import free_bytes, shortage


def test_free_bytes_of_a_folder_that_is_not_yet_there(tmp_path):
    assert free_bytes(tmp_path / "a" / "b" / "rows.npy") == pytest.approx(free_bytes(tmp_path), rel=0.01)
    assert free_bytes(tmp_path) > 0


@pytest.mark.parametrize(
    ("needed", "free", "reserve", "short"),
    [(10, 100, 90, False), (11, 100, 90, True), (0, 89, 90, True), (10**9, 3 * 10**9, 10**9, False)],
)
def test_the_reserve_stays_free(needed, free, reserve, short):
    assert bool(shortage(needed, free, reserve)) is short


def test_the_sentence():
    assert shortage(2_500_000_000, 3_000_000_000) == (
        "The disk has 3.0 GB free and the run needs 2.50 GB, with 1.0 GB left over; make room or choose another folder."
    )
