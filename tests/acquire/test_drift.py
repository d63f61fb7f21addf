"""The drift lock: places stay where they are on the specimen, images that cannot be believed change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from eels_iontransport.acquire.drift import DriftLock, DriftSettings

from . import scenes

PIXEL_NM = 0.5
Path = Callable[[float], tuple[float, float]]  # displacement (y, x) in nm at a time in s


def still(t: float) -> tuple[float, float]:
    return 0.0, 0.0


def fast(t: float) -> tuple[float, float]:
    return 0.3 * t, 0.265 * t  # 0.4 nm/s


def slow(t: float) -> tuple[float, float]:
    return 0.4 / 60 * t, -0.3 / 60 * t  # 0.5 nm/min


def relaxing(t: float) -> tuple[float, float]:
    return 3 * (1 - math.exp(-t / 40)), 0.0


def swinging(t: float) -> tuple[float, float]:
    return 0.0, 1.5 * math.sin(t / 15)


def jumping(t: float) -> tuple[float, float]:
    return float(t > 21), 0.0


class Bench:
    """A specimen that moves, imaged where the lock believes it to be."""

    def __init__(self, path: Path, seed: int, scene=None, rotation: float = 0.0, noise: float = 0.05, **settings):
        self.path, self.seed, self.noise = path, seed, noise
        self.scene = scene or scenes.particles(seed)
        c, s = math.cos(rotation), math.sin(rotation)
        self.to_image = np.array([[c, s], [-s, c]])
        self.images = 0
        self.lock = DriftLock(self.image(0.0), PIXEL_NM, DriftSettings(**{"limit_nm": 80.0, **settings}), 0.0, rotation)

    def image(self, t: float, moved=(0.0, 0.0)) -> np.ndarray:
        self.images += 1
        shift = self.to_image @ (np.array(self.path(t)) - moved) / PIXEL_NM
        return scenes.image(self.scene, shift, self.noise, 1000 * self.seed + self.images)

    def look(self, t: float, follow: bool = True):
        moved = self.lock.correction_at(t) if follow else (0.0, 0.0)
        return self.lock.update(self.image(t, moved), t, moved)

    def residual(self, t: float) -> float:
        return float(np.hypot(*np.subtract(self.lock.correction_at(t), self.path(t))))

    def line(self, every_s: float, end_s: float = 120.0, begin_s: float = 0.0) -> np.ndarray:
        """Residuals of places taken all the time between images, from the last image before `begin_s` on."""
        found = []
        for start in np.arange(0.0, end_s, every_s):
            if start:
                self.look(float(start))
            if start >= begin_s:
                found += [self.residual(t) for t in np.arange(start, start + every_s, every_s / 8)]
        return np.array(found)


@pytest.mark.parametrize(
    ("path", "every_s", "worst_nm"),
    [(still, 10, 0.1), (fast, 10, 0.3), (fast, 5, 0.3), (slow, 10, 0.3), (slow, 30, 0.3), (relaxing, 5, 0.3)],
)
@pytest.mark.parametrize("seed", [5000, 5001])
def test_places_stay_on_the_specimen(path, every_s, worst_nm, seed):
    # Two images are taken before the line, as a run does that waits for its drift to fall.
    residual = Bench(path, seed).line(every_s, begin_s=2 * every_s)
    assert residual.max() < worst_nm


@pytest.mark.parametrize("path", [still, fast, slow, relaxing, swinging, jumping])
@pytest.mark.parametrize("every_s", [2.5, 10.0])
def test_following_the_rate_makes_nothing_worse(path, every_s):
    following, holding = (Bench(path, 5002, predict=p).line(every_s) for p in (True, False))
    assert np.sqrt((following**2).mean()) < np.sqrt((holding**2).mean()) + 0.02
    assert following.max() < holding.max() + 0.05


def test_errors_do_not_add_up():
    bench = Bench(still, 5003)
    for t in range(1, 60):
        bench.look(10.0 * t)
    assert bench.residual(600.0) < 0.05


def test_the_rate_has_its_error():
    pulls = []
    for seed in range(5000, 5030):
        bench = Bench(slow, seed)
        for t in (4.0, 8.0, 12.0):
            bench.look(t)
        rate = bench.lock.rate
        pulls += [(rate.y_nm_per_min - 0.4) / rate.sigma_nm_per_min, (rate.x_nm_per_min + 0.3) / rate.sigma_nm_per_min]
    assert abs(np.mean(pulls)) < 0.35
    assert 0.6 < np.std(pulls) < 1.2  # the error given is that of the worse direction


def test_a_rate_needs_two_images():
    bench = Bench(slow, 5004)
    assert math.isnan(bench.lock.rate_nm_per_min) and bench.lock.correction_nm == (0.0, 0.0)
    bench.look(20.0)
    assert bench.lock.rate_nm_per_min == pytest.approx(0.5, abs=0.3)


@pytest.mark.parametrize(
    ("path", "times", "until_s"),
    [
        (fast, (5.0, 10.0), 17.5),  # half as long again as the images are apart
        (fast, (0.3, 0.6), 15.6),  # the plan's 10 s, as the drift is far above its error
        (fast, (20.0, 40.0), 70.0),
    ],
)
def test_the_rate_is_followed_no_further_than_the_images_reach(path, times, until_s):
    bench = Bench(path, 5005, every_s=10.0 if times[0] < 1 else 0.0)
    for t in times:
        bench.look(t)
    last = bench.lock.correction_at(until_s)
    assert bench.lock.correction_at(until_s - 0.3) != last
    assert bench.lock.correction_at(1000.0) == last


def test_a_rate_from_images_that_are_close_in_time_is_not_followed_far():
    """Of a specimen that is still: noise over 0.2 s looks like a drift that would carry far in 10 s."""
    for seed in range(5000, 5030):
        bench = Bench(still, seed, noise=0.3, every_s=10.0)
        shift = bench.look(0.2)
        carried = np.subtract(bench.lock.correction_at(10.2), bench.lock.correction_nm)
        assert np.hypot(*carried) < 5 * shift.sigma_nm


@pytest.mark.parametrize("rotation", [0.0, 0.7, -2.0])
def test_displacements_are_those_of_the_scan(rotation):
    bench = Bench(lambda t: (0.1 * t, 0.25 * t), 5006, rotation=rotation)
    shift = bench.look(10.0, follow=False)
    assert (shift.y_nm, shift.x_nm) == pytest.approx((1.0, 2.5), abs=0.1)
    assert bench.lock.correction_nm == pytest.approx((1.0, 2.5), abs=0.1)


@pytest.mark.parametrize("rotation", [0.0, 0.7])
def test_along_an_edge_nothing_is_moved(rotation):
    bench = Bench(lambda t: (0.05 * t, 0.1 * t), 5007, scene=scenes.edge(0.0), rotation=rotation)
    normal = np.array([math.sin(0.0), math.cos(0.0)]) @ bench.to_image
    along = np.array([normal[1], -normal[0]])
    for t in (5.0, 10.0, 15.0, 20.0):
        shift = bench.look(t, follow=False)
        assert not shift.problem and abs(np.dot(shift.direction, normal)) > 0.99
    assert normal @ bench.lock.correction_nm == pytest.approx(normal @ bench.path(20.0), abs=0.1)
    assert along @ bench.lock.correction_nm == pytest.approx(0.0, abs=0.05)


def test_an_image_that_cannot_be_used_changes_the_log_alone():
    bench = Bench(slow, 5008)
    for t in (10.0, 20.0):
        bench.look(t)
    before = bench.lock.correction_at(25.0)
    blank = scenes.image(scenes.flat, noise=0.05, seed=1)
    assert "nothing to see" in bench.lock.update(blank, 25.0).problem
    assert bench.lock.correction_at(25.0) == before
    entry = bench.lock.log[-1]
    assert not entry.used and entry.problem and math.isnan(entry.y_nm) and entry.time_s == 25.0
    assert bench.look(30.0).is_usable and bench.residual(30.0) < 0.1
    assert [entry.used for entry in bench.lock.log] == [True, True, False, True]


@pytest.mark.parametrize("path", [lambda t: (8.0 * (t > 5), 0.0), lambda t: (0.0, 5.0 * (t > 5))])
def test_a_jump_that_no_drift_makes_is_not_believed_at_once(path):
    bench = Bench(path, 5009, fastest_nm_per_min=10.0)
    bench.look(5.0)
    assert bench.look(10.0).problem
    assert bench.lock.correction_nm == pytest.approx((0.0, 0.0), abs=0.1)
    assert bench.look(70.0).is_usable  # by now it may have drifted so far
    assert bench.residual(70.0) < 0.1


def test_beyond_the_limit_the_lock_gives_no_number():
    bench = Bench(fast, 5010, limit_nm=3.0)
    problems = [bench.look(t).problem for t in (2.0, 4.0, 6.0, 8.0, 10.0)]
    assert problems[:3] == ["", "", ""]
    assert "more than the limit of 3.0 nm" in problems[-1]


def test_a_lattice_is_followed_while_it_moves_by_less_than_half_a_period():
    """Period 4 nm: at 0.02 nm/s and an image every 10 s there is one place within reach; at 0.4 nm/s there are more."""

    def creeping(t: float) -> tuple[float, float]:
        return 0.02 * t, 0.0

    bench = Bench(creeping, 5011, scene=scenes.lattice(8.0), fastest_nm_per_min=6.0, lattice_nm=4.0)
    assert bench.line(10.0, 300.0, begin_s=20.0).max() < 0.1  # 6 nm in all, more than a period
    bench = Bench(fast, 5011, scene=scenes.lattice(8.0), fastest_nm_per_min=60.0, lattice_nm=4.0)
    assert "several places" in bench.look(10.0).problem


@pytest.mark.parametrize(
    ("rows", "seconds", "due"), [(0, 0.0, False), (4, 1.0, False), (5, 0.0, True), (0, 9.9, False), (0, 10.0, True)]
)
def test_when_an_image_is_due(rows, seconds, due):
    assert DriftSettings(every_rows=5, every_s=10.0).is_due(rows, seconds) is due


def test_images_can_be_switched_off():
    assert not DriftSettings(every_rows=0, every_s=0.0).is_due(10**6, 1e6)
