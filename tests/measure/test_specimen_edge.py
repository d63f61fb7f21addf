from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.measure.specimen_edge import find_edge

NM_PER_PIXEL = 0.5


def half_plane(shape: tuple[int, int], column: int, noise: float, seed: int = 3) -> np.ndarray:
    """Specimen to the right of `column`."""
    image = np.where(np.arange(shape[1]) >= column, 10.0, 1.0) * np.ones(shape)
    return image + np.random.default_rng(seed).normal(0.0, noise, shape)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("column, distance_nm", [(60, 10.0), (110, 35.0)])
def test_distance_from_a_straight_edge(column, distance_nm, noise):
    edge = find_edge(half_plane((128, 128), column, noise))
    x = (column - distance_nm / NM_PER_PIXEL + 0.5) / 128
    distance, error = edge.distance((0.5, x), NM_PER_PIXEL)
    assert distance == pytest.approx(distance_nm, abs=1.0)
    assert 0.0 < error <= 2.0


def test_offer_lies_at_the_distance_asked_for_and_near_the_middle():
    edge = find_edge(half_plane((128, 128), 90, 0.5))
    y, x = edge.offer(30.0, NM_PER_PIXEL)
    assert edge.distance((y, x), NM_PER_PIXEL)[0] == pytest.approx(30.0, abs=1.0)
    assert y == pytest.approx(0.5, abs=0.05)


def test_offer_in_a_narrow_vacuum_is_its_farthest_point():
    edge = find_edge(half_plane((128, 128), 24, 0.2))
    y, x = edge.offer(65.0, NM_PER_PIXEL)
    assert 5.0 < edge.distance((y, x), NM_PER_PIXEL)[0] < 12.0


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(1).normal(5.0, 1.0, (64, 64)),
        np.zeros((64, 64)),
        np.full((64, 64), np.nan),
        np.linspace(1.0, 2.0, 64) * np.ones((64, 1)),
        np.linspace(1.0, 2.0, 64),
    ],
    ids=["noise", "constant", "nan", "ramp", "one dimension"],
)
def test_no_edge_in_an_image_without_one(image):
    assert find_edge(image) is None


def test_a_point_on_the_specimen_has_no_distance():
    edge = find_edge(half_plane((64, 64), 20, 0.1))
    assert edge.distance((0.5, 0.8), NM_PER_PIXEL)[0] == 0.0
