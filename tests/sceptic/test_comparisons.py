"""Halves, first against last passes, and the fit without the shift: silent where all is well, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.spectrum import sum_of_passes
from eels_iontransport.sceptic.case import Estimate
from eels_iontransport.sceptic.halves import Halves, passes_apart, split_halves
from eels_iontransport.sceptic.passes import DoseChange, first_against_last
from eels_iontransport.sceptic.residuals import Residuals, with_and_without_shift

from . import lines
from .conftest import SHIFT_MEV, case_of


@pytest.mark.parametrize(("value", "sigma"), [(0.0, 1.0), (-1.3, 0.5), (3.0, 0.7)])
def test_the_p_value_of_an_estimate_is_that_of_a_gaussian(value, sigma):
    assert Estimate(value, sigma).p_value == pytest.approx(2 * norm.sf(abs(value) / sigma))


@pytest.mark.parametrize("estimate", [Estimate(), Estimate(1.0, np.nan), Estimate(np.nan, 1.0), Estimate(1.0, 0.0)])
def test_what_is_not_known_has_no_p_value(estimate):
    assert not estimate.is_known and np.isnan(estimate.p_value)
    assert Halves("passes", estimate, estimate, estimate).flags == ()


def flipped(steady, moved):
    """Passes of one line, every other one from another."""
    counts = steady["vibrational"].passes.copy()
    counts[1::2] = moved["vibrational"].passes[1::2]
    line = steady["vibrational"]
    return {**steady, "vibrational": sum_of_passes(counts, lines.AXIS, step_nm=line.step_nm, noise=line.noise)}


def test_both_halves_have_the_shift_of_a_sound_line(case):
    found = split_halves(case, passes_apart(case.line))
    for half in (found.odd_mev, found.even_mev):
        assert abs(half.value - SHIFT_MEV) < 4 * half.sigma and half.sigma < 0.3
    assert found.by == "passes" and found.flags == ()
    assert found.difference_mev.value == pytest.approx(found.even_mev.value - found.odd_mev.value)


def test_without_passes_the_pixels_are_halved(case):
    found = split_halves(case, None)
    assert found.by == "pixels" and found.difference_mev.is_known and found.flags == ()
    assert found.odd_mev.value != found.even_mev.value


def test_passes_that_disagree_are_told(sound):
    other = lines.line(0.0, 7, passes=6, shift_at_boundary_mev=0.0)
    case = case_of(flipped(sound, other))[0]
    (flag,) = split_halves(case, passes_apart(case.line)).flags
    assert flag.code == "HALVES_DISAGREE" and "even passes" in flag.message


def test_a_boundary_of_one_pixel_has_no_halves(case):
    one = {name: mask & (np.cumsum(mask) == 1) if name == "boundary" else mask for name, mask in case.masks.items()}
    with pytest.raises(UnusableInput, match="half of the pixels holds no spectrum of the boundary"):
        split_halves(replace(case, masks=one), None)


def test_passes_are_rows_with_zeros_of_their_own(case):
    apart = passes_apart(case.line)
    assert apart.usable.all() and apart.spectra.counts.shape == (6 * 40, lines.AXIS.size)
    assert np.std(apart.zero.position_ev.reshape(6, 40), axis=0).min() > 1e-5
    assert passes_apart(replace(case.line, spectra=replace(case.line.spectra, passes=None))) is None


def test_nothing_changes_in_a_sound_line(case):
    found = first_against_last(case, passes_apart(case.line))
    assert (found.first, found.last) == ((1, 2), (5, 6)) and found.flags == ()
    for change in (*found.area.values(), *found.zlp.values()):
        assert abs(change.value) < 4 * change.sigma
    # An area is known to a few parts in a hundred, a ZLP of 1e8 electrons to a few in ten thousand.
    assert all(0.001 < change.sigma < 0.06 for change in found.area.values())
    assert all(change.sigma < 1e-3 for change in found.zlp.values())


def test_a_line_that_fades_is_told():
    case = case_of(lines.line(0.0, 3, passes=6, shift_at_boundary_mev=SHIFT_MEV, fade=0.4))[0]
    found = first_against_last(case, passes_apart(case.line))
    (flag,) = found.flags
    assert flag.code == "CHANGES_WITH_DOSE" and "% in the boundary" in flag.message
    expected = (1 - 0.4 * 5 / 6) / (1 - 0.4 / 6) - 1  # in the middle of the last and the first two passes
    for change in found.area.values():
        assert abs(change.value - expected) < 4 * change.sigma


@pytest.mark.parametrize(
    ("shift", "areas", "p_value"),
    [
        (Estimate(0.0, 1.0), {}, 1.0),
        (Estimate(0.0, 1.0), {"boundary": Estimate(-3.0, 1.0)}, 2 * 2 * norm.sf(3.0)),
        (Estimate(), {"boundary": Estimate(-3.0, 1.0), "grain_1": Estimate()}, 2 * norm.sf(3.0)),
    ],
)
def test_the_least_of_several_p_values_counts_as_often_as_there_are_some(shift, areas, p_value):
    change = DoseChange("LDO", (1,), (2,), shift, shift, shift, areas, {})
    assert change.p_value == pytest.approx(p_value) and bool(change.flags) == (p_value < 0.01)


def test_the_spectra_need_a_shift_that_is_there(case):
    found = with_and_without_shift(case, case.sums())
    assert found.p_value < 1e-6 and found.flags == () and found.degrees == 2
    assert found.chi2_tied > found.chi2_free
    assert np.nanstd(found.free) == pytest.approx(1.0, abs=0.1)
    line = (found.energy_mev > 40) & (found.energy_mev < 60)
    boundary = np.arange(3)[:, None] == found.names.index("boundary")
    worse = np.nansum((found.tied**2 - found.free**2) * (line & boundary))
    assert worse > 0.3 * (found.chi2_tied - found.chi2_free)  # it shows where the line is


def test_the_spectra_do_not_need_a_shift_that_is_not_there():
    case = case_of(lines.line(0.0, 4))[0]
    assert with_and_without_shift(case, case.sums()).p_value > 1e-3


def test_a_shift_that_is_claimed_but_not_needed_is_told():
    arrays = (np.zeros((3, 2)),) * 3
    found = Residuals(("a", "b", "c"), *arrays, 100.0, 101.0, 6, 1.0, 2, 50.0, True)
    assert [flag.code for flag in found.flags] == ["SHIFT_NOT_NEEDED"]
    assert replace(found, is_shift=False).flags == () and replace(found, difference=50.0).flags == ()


def test_spectra_that_are_fitted_one_by_one_have_no_common_centre(sound):
    case = case_of(sound, mode="wide")[0]
    with pytest.raises(UnusableInput, match="no shift can be held"):
        with_and_without_shift(case, case.sums())
