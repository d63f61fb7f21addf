"""Lost channels, counted and bridged."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.measure.gaps import bridged, widest_gap

NAN = np.nan
ROWS = np.array(
    [
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
        [NAN, 1.0, NAN, NAN, 7.0, NAN],
        [NAN, NAN, NAN, 3.0, NAN, 5.0],
        [NAN, NAN, NAN, NAN, NAN, NAN],
    ]
)


def test_lines_are_drawn_between_neighbours_and_ends_go_on():
    found = bridged(ROWS)
    assert found[:3].tolist() == [ROWS[0].tolist(), [1.0, 1.0, 3.0, 5.0, 7.0, 7.0], [3.0, 3.0, 3.0, 3.0, 4.0, 5.0]]
    assert np.isnan(found[3]).all()
    assert np.isnan(ROWS[1, 0])  # what was given stays as it was


def test_widest_gap():
    assert widest_gap(ROWS).tolist() == [0, 2, 3, 6]


@pytest.mark.parametrize("shape", [(0, 5), (3, 5)])
def test_nothing_lost(shape):
    assert np.array_equal(bridged(np.ones(shape)), np.ones(shape)) and not widest_gap(np.ones(shape)).any()
