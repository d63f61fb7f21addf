"""Stretches of the grains that pose as boundaries: where they are, and what is found in them, moved or not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.materials.recipe import Bound
from eels_iontransport.measure.alignment import Aligned
from eels_iontransport.sceptic.case import Estimate
from eels_iontransport.sceptic.injection import Injection, inject, moved
from eels_iontransport.sceptic.pseudo_boundaries import PseudoBoundaries, empirical_p, slide
from eels_iontransport.sceptic.windows import interior, overlapping, slid_windows

from . import lines
from .conftest import SHIFT_MEV, case_of

KNOWN = [Estimate(v, 0.1) for v in (-0.5, -0.2, 0.1, 0.3)]


@pytest.mark.parametrize(
    ("observed", "shifts", "p_value"),
    [
        (0.25, KNOWN, 3 / 5),
        (-0.25, KNOWN, 3 / 5),
        (0.5, KNOWN, 2 / 5),
        (2.0, KNOWN, 1 / 5),
        (2.0, [*KNOWN, Estimate()], 2 / 6),
        (0.0, KNOWN, 1.0),
    ],
)
def test_the_empirical_p_value(observed, shifts, p_value):
    assert empirical_p(shifts, Estimate(observed, 0.1)) == pytest.approx(p_value)


def test_there_is_no_p_value_without_windows_or_shift():
    assert math.isnan(empirical_p([], Estimate(1.0, 0.1))) and math.isnan(empirical_p(KNOWN, Estimate()))


def test_windows_keep_away_from_the_boundary_and_from_gaps(case):
    boundary = np.flatnonzero(case.masks["boundary"])
    usable = case.masks["grain_1"].copy()
    usable[6] = False
    holed = replace(case, masks={**case.masks, "grain_1": usable})
    windows = slid_windows(holed)
    assert {window.grain for window in windows} == {"grain_1", "grain_2"}
    for window in windows:
        pixels = np.flatnonzero(window.mask)
        assert pixels.size == boundary.size and np.ptp(pixels) == boundary.size - 1
        assert np.abs(pixels[:, None] - boundary).min() > boundary.size // 2
        assert not window.mask[6] and not (window.mask & window.rest).any()
        assert ((window.mask | window.rest) == interior(holed, window.grain)).all()
    assert [w.first for w in windows if w.grain == "grain_1"] == [0, 1, 2, 7, 8, 9, 10, 11, 12]
    firsts = [group[0] for group in overlapping(windows)]
    assert not any((a.mask & b.mask).any() for a in firsts for b in firsts if a is not b)
    assert sum(len(group) for group in overlapping(windows)) == len(windows)


def test_no_stretch_of_sound_grains_looks_like_the_boundary(case):
    found = slide(case)
    assert found.p_value == 1 / 27 and found.flags == ()
    pulls = [shift.value / shift.sigma for shift in found.shifts_mev]
    assert 0.5 < np.std(pulls) < 1.6


def test_grains_that_vary_as_much_as_the_boundary_are_told():
    wave = 1.5 * np.sin(2 * np.pi * np.arange(40) / 11)
    wave[18:22] = 0.0
    case = case_of(lines.line(wave, 3, shift_at_boundary_mev=1.0))[0]
    assert "SHIFT_LIKE_GRAINS" in [flag.code for flag in slide(case).flags]


@pytest.mark.parametrize(("count", "few"), [(18, True), (19, False)])
def test_too_few_windows_are_told(count, few):
    shifts = (Estimate(0.0, 0.1),) * count
    own = (True, *(False for _ in range(count - 1)))
    found = PseudoBoundaries(4, ("grain_1",) * count, tuple(range(count)), shifts, own, Estimate(1.0, 0.1))
    assert ("PSEUDO_BOUNDARIES_FEW" in [flag.code for flag in found.flags]) == few
    assert found.independent_p_value == 0.5


def test_a_moved_line_is_where_it_was_put(case):
    """Against the line of scipy through the response on a fine grid, the one that the spectra are made of."""
    electrons, (centre, sigma, gamma, share) = 1e9, lines.LDO
    quiet = replace(case.setup, noise=replace(case.setup.noise, variance_per_count=0.0))
    zlp = Aligned(lines.AXIS.energies_mev, electrons * lines.expected(0.0, 0.0, 0.0, 0.0, phonons=0.0), 1)
    line = (centre, sigma, gamma, share * electrons * zlp.step_mev)
    added = moved(quiet, zlp, line, 1.8, np.random.default_rng(0)).counts - zlp.counts
    there, here = (electrons * lines.expected(0.0, 1.0, shift, 0.0, phonons=0.0) for shift in (1.8, 0.0))
    inside = (zlp.energy_mev > 25) & (zlp.energy_mev < 90)
    assert np.abs(added - (there - here))[inside].max() < 0.01 * np.abs(there - here).max()


def test_added_counts_bring_their_noise_and_others_do_not(case):
    spectrum, line = case.sums()[0], (49.6, 2.6, 0.8, 1e6)
    quiet = replace(case.setup, noise=replace(case.setup.noise, variance_per_count=0.0))
    added = moved(quiet, spectrum, line, 1.8, np.random.default_rng(0)).counts - spectrum.counts
    drawn = [moved(case.setup, spectrum, line, 1.8, np.random.default_rng(i)).counts for i in range(300)]
    variance = np.var(drawn, axis=0)
    more = added > 0.2 * added.max()
    scale = case.setup.noise.variance_per_count * case.setup.noise.correlation
    assert np.median(variance[more] / added[more]) == pytest.approx(scale, rel=0.1)
    assert variance[added < -0.2 * added.max()].max() < 1e-9 * variance.max()


def test_known_shifts_come_out_of_a_sound_line(case):
    found = inject(case)
    assert found.refused == 0 and found.flags == ()
    assert abs(found.slope.value - 1.0) < 0.05 and found.slope.sigma < 0.03
    assert len(found.grains) == 8 and found.recovered_mev.shape == (8, 7)


def test_limits_that_hold_the_peak_are_told(case):
    """Limits of the centre keep the peak from where it is put."""
    peaks = list(case.setup.recipe.peaks)
    at = [peak.name for peak in peaks].index("LDO")
    narrow = replace(peaks[at].wide, centre_mev=Bound(50.0, 48.0, 53.0))
    peaks[at] = replace(peaks[at], wide=narrow)
    held = replace(case, setup=replace(case.setup, recipe=replace(case.setup.recipe, peaks=tuple(peaks))))
    found = inject(held)
    assert np.isnan(found.recovered_mev[:, 0]).all() and np.isfinite(found.recovered_mev[:, -1]).all()
    assert [flag.code for flag in found.flags] == ["INJECTION_NOT_RECOVERED"]


@pytest.mark.parametrize(
    ("slope", "windows", "told"),
    [
        (Estimate(1.0, 0.01), 8, False),
        (Estimate(1.09, 0.05), 8, False),
        (Estimate(1.11, 0.05), 8, True),
        (Estimate(0.95, 0.01), 8, True),  # 5 sigma of 7 others
        (Estimate(0.95, 0.01), 3, False),  # a scatter of three says less
        (Estimate(0.95, math.nan), 2, False),
        (Estimate(0.85, math.nan), 2, True),
    ],
)
def test_what_counts_as_not_recovered(slope, windows, told):
    found = Injection(("g",) * windows, tuple(range(windows)), (1.0,), np.zeros((windows, 1)), slope, Estimate())
    assert bool(found.flags) == told


def test_answers_that_are_refused_are_told():
    recovered = np.where(np.arange(16).reshape(8, 2) < 2, np.nan, 0.0)
    found = Injection(("g",) * 8, tuple(range(8)), (0.0, 1.0), recovered, Estimate(1.0, 0.01), Estimate())
    assert "no answer for 2 of 16" in found.flags[0].message


def test_the_shift_is_the_one_put_in(case):
    assert abs(case.shift_mev.value - SHIFT_MEV) < 3 * case.shift_mev.sigma
