"""Time, size and dose against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from eels_iontransport.acquire.drift import DriftSettings
from eels_iontransport.acquire.estimate import estimate
from eels_iontransport.acquire.plan import Engine, Plan, Step
from eels_iontransport.acquire.site import Beam, Camera, Setting
from eels_iontransport.data.geometry import Area, Field
from eels_iontransport.data.record import Role

from .fake import CHANNELS, line, plan, site


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


SCANNED = Step(Role.VIBRATIONAL, "vibrational", 0.002, passes=50, engine=Engine.SYNCHRONIZED)


def test_passes_cost_time_room_and_dose():
    one = Step(Role.VIBRATIONAL, "vibrational", 0.01, 3)
    the_site = site(overhead_s=0.01)
    once, often = (estimate(plan(steps=(replace(one, passes=n),)), the_site, 1.0) for n in (1, 4))
    assert often.seconds == pytest.approx(4 * once.seconds) == pytest.approx(4 * 5 * 0.04)
    assert often.bytes == 4 * once.bytes and often.dose_per_nm2 == pytest.approx(4 * once.dose_per_nm2)
    scanned = estimate(plan(steps=(SCANNED,)), the_site)
    assert scanned.seconds == pytest.approx(50 * (5 * 0.002 + 0.01)) and scanned.exposure_s == pytest.approx(0.5)


def test_an_image_of_passes():
    image = Step(Role.IMAGE, "vibrational", 0.01, 2, passes=3)
    cost = estimate(plan(steps=(image,), area=Area(Field(6.0, 8.0), 3, 4)), site(overhead_s=0.0), 1.0)
    assert cost.exposure_s == pytest.approx(3 * 12 * 0.02) and cost.bytes == 36 * CHANNELS * 4


# strip in nm, frames, passes; area over which the electrons of a pixel go, in units of probe width x probe height
STRIPS = {
    "no strip": (0.0, 10, 1, 1.0),
    "places far apart": (4.0, 5, 2, 10.0),
    "places that overlap": (1.0, 50, 2, 5.0),
    "a strip narrower than the probe": (0.1, 10, 1, 1.0),
    "one frame": (4.0, 1, 1, 1.0),
}


@pytest.mark.parametrize("case", STRIPS)
def test_a_strip_spreads_the_dose(case):
    strip_nm, frames, passes, areas = STRIPS[case]
    the_plan = plan(strip_nm=strip_nm, steps=(Step(Role.VIBRATIONAL, "vibrational", 0.1, frames, passes),))
    cost = estimate(the_plan, site(), beam_current_pa=10.0)
    probe_nm2 = (math.pi * 0.2 / 4) * 0.2
    assert cost.dose_per_nm2 == pytest.approx(cost.electrons_per_pixel / (areas * probe_nm2))


def test_a_strip_costs_a_move_for_each_frame():
    one = Step(Role.VIBRATIONAL, "vibrational", 0.01, 3)
    assert estimate(plan(strip_nm=2.0, steps=(one,)), site(overhead_s=0.01)).seconds == pytest.approx(15 * 0.02)


def test_drift_images_cost_time():
    one = Step(Role.VIBRATIONAL, "vibrational", 1.0, 10)
    still, followed = (
        estimate(plan(steps=(one,), drift=drift), site())
        for drift in (
            None,
            DriftSettings(every_rows=0, every_s=9.9),
        )
    )
    assert followed.seconds - still.seconds == pytest.approx(followed.drift_s) == pytest.approx(0.1 * 6)
    by_rows = estimate(plan(steps=(one,), drift=DriftSettings(every_rows=1, every_s=0)), site())
    assert by_rows.drift_s == pytest.approx(0.1 * 6) and still.drift_s == 0.0


@pytest.mark.parametrize("free, words", [(410_200_000_000, "- free 410 GB -"), (1_230_000_000, "- free 1.2 GB -")])
def test_the_sentence_says_what_is_free(free, words):
    assert words in estimate(plan(), site(), 20.0).sentence(free)


@pytest.mark.parametrize("frames, words", [(10, "10 s - 1 kB - "), (200, "3.3 min - 1 kB - ")])
def test_the_sentence(frames, words):
    cost = estimate(plan(steps=(Step(Role.VIBRATIONAL, "vibrational", 0.2, frames),)), site(), 20.0)
    assert cost.sentence().startswith(words) and cost.sentence().endswith("e-/nm2 per pixel")
