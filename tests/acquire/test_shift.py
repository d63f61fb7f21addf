"""The shift between two images: right where it can be known, with its error, and refused where it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eels_iontransport.acquire.shift import Shift, measure_shift

from . import scenes


def measured(scene, shift, *, noise=0.03, seed=0, nm_per_pixel=0.5, limit_nm=8.0, electrons=None, **options) -> Shift:
    """Of an image that was moved by a shift in nm."""
    pixels = np.array(shift) / nm_per_pixel
    return measure_shift(
        scenes.image(scene, noise=noise, seed=2 * seed, electrons=electrons),
        scenes.image(scene, pixels, noise, 2 * seed + 1, electrons=electrons),
        nm_per_pixel,
        limit_nm=limit_nm,
        **options,
    )


def pulls(shift: Shift, truth) -> np.ndarray:
    """Error over its standard deviation, of two independent components."""
    yy, yx, xx = shift.covariance_nm2
    return np.linalg.solve(np.linalg.cholesky([[yy, yx], [yx, xx]]), np.array([shift.y_nm, shift.x_nm]) - truth)


@pytest.mark.parametrize("truth", [(0.0, 0.0), (0.11, -0.23), (3.0, -1.5), (-5.13, 4.07), (0.25, 0.25)])
def test_the_shift_without_noise(truth):
    found = measured(scenes.particles(4), truth, noise=0.0)
    assert not found.problem
    assert (found.y_nm, found.x_nm) == pytest.approx(truth, abs=2e-4)


@pytest.mark.parametrize("noise", [{"noise": 0.03}, {"noise": 0.3}, {"electrons": 50.0}], ids=str)
def test_the_error_is_as_large_as_it_says(noise):
    found = []
    for seed in range(5000, 5060):
        truth = np.random.default_rng(seed).uniform(-3, 3, 2)
        shift = measured(scenes.particles(seed), truth, seed=seed, **noise)
        assert not shift.problem
        found.append(pulls(shift, truth))
    assert abs(np.mean(found)) < 0.3
    assert 0.8 < np.std(found) < 1.2


@pytest.mark.parametrize("change", [lambda i: 3.0 * i + 7.0, lambda i: 0.2 * i], ids=["brighter", "darker"])
def test_brightness_does_not_matter(change):
    scene = scenes.particles(2)
    first, second = scenes.image(scene), scenes.image(scene, (2.0, -1.0), seed=1)
    plain, changed = (measure_shift(first, s, 1.0, limit_nm=9.0) for s in (second, change(second)))
    assert (changed.y_nm, changed.x_nm) == pytest.approx((plain.y_nm, plain.x_nm), abs=1e-6)
    assert changed.sigma_nm == pytest.approx(plain.sigma_nm, rel=1e-3)


@pytest.mark.parametrize("angle", [0.0, 0.6, math.pi / 2, 2.2])
def test_a_straight_edge_tells_the_shift_across_it_alone(angle):
    normal = np.array([math.sin(angle), math.cos(angle)])
    truth = 0.8 * normal + 1.3 * np.array([normal[1], -normal[0]])
    found = measured(scenes.edge(angle), truth)
    assert not found.problem and found.direction is not None
    assert abs(normal @ found.direction) > 0.999
    assert normal @ (found.y_nm, found.x_nm) == pytest.approx(0.8, abs=max(0.02, 4 * found.sigma_nm))
    assert found.sigma_nm < 0.05
    yy, _, xx = found.covariance_nm2
    assert math.sqrt(yy + xx) == pytest.approx(8.0, rel=0.01)  # along the edge anything goes


def test_a_limit_wider_than_the_image_does_no_harm():
    for seed in range(5000, 5010):
        found = measured(scenes.edge(0.0), (1.0, 1.0), seed=seed, limit_nm=100.0)
        assert not found.problem and found.x_nm == pytest.approx(1.0, abs=5 * found.sigma_nm)


def test_a_particle_beside_the_edge_tells_both():
    found = measured(scenes.both(scenes.edge(0.0), scenes.particles(3)), (1.1, -0.7))
    assert found.direction is None
    assert (found.y_nm, found.x_nm) == pytest.approx((1.1, -0.7), abs=5 * found.sigma_nm)


FEATURELESS, AMBIGUOUS, LARGE, JUMPED = "nothing to see", "several places", "more than the limit of", "jumped"
REFUSED = {
    "noise alone": (scenes.flat, (0.0, 0.0), {}, FEATURELESS),
    "nothing at all": (scenes.flat, (0.0, 0.0), {"noise": 0.0}, FEATURELESS),
    "a lattice moved by 0.6 periods": (scenes.lattice(8.0), (0.0, 2.4), {"lattice_nm": 4.0}, AMBIGUOUS),
    "the same, without being told": (scenes.lattice(8.0), (0.0, 2.4), {}, AMBIGUOUS),
    "a lattice that has not moved": (scenes.lattice(8.0), (0.0, 0.0), {}, AMBIGUOUS),
    "a lattice on a faint film": (
        scenes.both(scenes.lattice(8.0), lambda y, x: 0.01 * scenes.particles(1)(y, x)),
        (0.0, 2.4),
        {"noise": 0.3},
        AMBIGUOUS,
    ),
    "fringes": (scenes.fringes(8.0), (0.0, 2.4), {}, AMBIGUOUS),
    "beyond the limit": (scenes.particles(5), (0.0, 4.6), {"limit_nm": 4.0}, LARGE),
    "far beyond the limit": (scenes.particles(5), (0.0, 30.0), {"limit_nm": 4.0}, ""),
    "beyond half of the image": (scenes.particles(5), (20.0, 0.0), {"limit_nm": 50.0}, ""),
    "out of reach": (scenes.particles(5), (0.0, 3.0), {"near_nm": (0.0, 0.0), "reach_nm": 0.5}, ""),
    "just out of reach": (scenes.particles(5), (0.0, 1.0), {"near_nm": (0.0, 0.0), "reach_nm": 0.5}, JUMPED),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("seed", [5000, 5001, 5002, 5003])
def test_what_cannot_be_known_is_refused(case, seed):
    scene, truth, options, words = REFUSED[case]
    found = measured(scene, truth, seed=seed, **options)
    assert found.problem and words in found.problem
    assert found.problem.endswith(".") and found.problem.count(". ") == 0
    assert math.isnan(found.y_nm) and math.isnan(found.x_nm) and math.isnan(found.sigma_nm)


def test_images_of_two_places_are_refused():
    accepted = 0
    for seed in range(5000, 5020):
        first, second = (scenes.image(scenes.particles(s), seed=s) for s in (seed, seed + 100))
        accepted += measure_shift(first, second, 0.5, limit_nm=8.0).is_usable
    assert accepted <= 2  # that they look alike somewhere by chance


@pytest.mark.parametrize("truth", [(0.0, 0.9), (1.2, -0.8)])
def test_a_lattice_can_be_followed_within_less_than_half_a_period(truth):
    near = (truth[0] + 0.3, truth[1] - 0.4)
    found = measured(scenes.lattice(8.0), truth, near_nm=near, reach_nm=1.8, lattice_nm=4.0)
    assert not found.problem
    assert (found.y_nm, found.x_nm) == pytest.approx(truth, abs=5 * found.sigma_nm)


def test_a_lattice_is_no_obstacle_beside_a_particle():
    scene = scenes.both(scenes.lattice(8.0), scenes.particles(6))
    for seed in range(5000, 5010):
        found = measured(scene, (0.3, 2.4), seed=seed, lattice_nm=4.0)
        assert not found.problem
        assert (found.y_nm, found.x_nm) == pytest.approx((0.3, 2.4), abs=0.1)


def test_pixels_without_a_number():
    first = scenes.image(scenes.particles(1))
    second = first.copy()
    second[3, 4] = np.nan
    assert "without a number" in measure_shift(first, second, 1.0, limit_nm=5.0).problem


@pytest.mark.parametrize(
    ("first", "second", "nm_per_pixel"),
    [((64, 64), (64, 65), 1.0), ((64,), (64,), 1.0), ((16, 64), (16, 64), 1.0), ((64, 64), (64, 64), 0.0)],
)
def test_what_is_no_pair_of_images(first, second, nm_per_pixel):
    with pytest.raises(ValueError):
        measure_shift(np.ones(first), np.ones(second), nm_per_pixel, limit_nm=5.0)


def test_an_image_of_another_place_is_refused():
    """Of seeds 0 to 199, seven of these were taken for the same place by the maximum of their correlation alone."""
    for seed in (15, 22, 30, 32, 130, 174, 192, 0, 1, 2):
        reference = scenes.image(scenes.particles(seed), seed=seed)
        other = scenes.image(scenes.particles(seed + 1000), seed=seed + 1000)
        assert measure_shift(reference, other, 0.25, limit_nm=5.0).problem, seed
