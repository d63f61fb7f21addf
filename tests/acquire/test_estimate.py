"""Time, size and dose against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from eels_iontransport.acquire.estimate import estimate
from eels_iontransport.acquire.plan import Plan, Step
from eels_iontransport.acquire.site import Beam, Camera, Setting
from eels_iontransport.data.record import Role

from .fake import line, plan, site


def test_ten_picoampere_for_half_a_second_are_thirty_one_million_electrons():
    one = plan(steps=(Step(Role.VIBRATIONAL, "vibrational", 0.5, 1),))
    cost = estimate(one, site(), beam_current_pa=10.0)
    assert cost.electrons_per_pixel == pytest.approx(3.12e7, rel=1e-3)
    probe_area = math.pi * 0.1**2  # pixels 2 nm apart, probe 0.2 nm wide
    assert cost.dose_per_nm2 == pytest.approx(3.12e7 / probe_area, rel=1e-3)


def test_the_dose_adds_over_the_steps_of_the_line_only():
    cost = estimate(plan(), site(), beam_current_pa=1.0)
    assert cost.electrons_per_pixel == pytest.approx((3 + 2 + 2) * 0.01 * 6.2415e6, rel=1e-4)


def test_pixels_closer_than_the_probe_share_their_electrons():
    fine = plan(line=line(100_000))  # 0.1 pm apart
    cost = estimate(fine, site(), beam_current_pa=1.0)
    assert cost.dose_per_nm2 == pytest.approx(cost.electrons_per_pixel / (1e-4 * 0.2))


def test_time_and_size():
    settings = {name: Setting(entry.controls, settle_s=3.0) for name, entry in site().settings.items()}
    the_site = site(settings=settings, overhead_s=0.01, probe_settle_s=0.02, camera=Camera(1000))
    cost = estimate(plan(), the_site)
    points = [4 * 0.01, 6 * 0.01, *[3 * 0.01] * 5, *[2 * 0.01] * 5, *[2 * 0.01] * 5]
    assert cost.seconds == pytest.approx(sum(points) + 0.03 * len(points) + 3 * 3.0)
    assert cost.exposure_s == pytest.approx(sum(points))
    assert cost.bytes == (4 + 6 + 5 + 5 + 5) * 1000 * 4
    assert math.isnan(cost.electrons_per_pixel) and "dose unknown" in cost.sentence()


def test_nothing_costs_nothing():
    cost = estimate(Plan("", "lco", ()), site(beam=Beam()), beam_current_pa=20.0)
    assert (cost.seconds, cost.bytes, cost.electrons_per_pixel) == (0.0, 0, 0.0)


@pytest.mark.parametrize("frames, words", [(10, "10 s - 1 kB - "), (200, "3.3 min - 1 kB - ")])
def test_the_sentence(frames, words):
    cost = estimate(plan(steps=(Step(Role.VIBRATIONAL, "vibrational", 0.2, frames),)), site(), 20.0)
    assert cost.sentence().startswith(words) and cost.sentence().endswith("e-/nm2 per pixel")
