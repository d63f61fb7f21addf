"""Rows prepared as they come against all of them prepared at once."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra, sum_of_passes
from eels_iontransport.measure import zlp
from eels_iontransport.memory import Watch, seen
from eels_iontransport.prepared import Preparer, prepare, prepare_all

AXIS = EnergyAxis(-0.2, 0.0004, 1200)
WINDOW_MEV = (22.0, 110.0)


def counts(rows, seed=0):
    """A zero-loss peak on a tail; each row has its own zero and height."""
    random = np.random.default_rng(seed)
    zero, height = random.normal(0.0, 2.0, (rows, 1)), random.uniform(0.5, 1.5, (rows, 1))
    energy = AXIS.energies_mev - zero
    mean = height * (2e6 * np.exp(-0.5 * (energy / 3.4) ** 2) + 4e4 / (1 + (energy / 20) ** 2))
    return random.poisson(mean).astype(float)


def assert_equal(one, other, normalised=True):
    assert one.noise == other.noise
    for name, values in vars(one.zero).items():
        assert np.array_equal(values, getattr(other.zero, name), equal_nan=True)
    assert np.array_equal(one.integral, other.integral, equal_nan=True)
    if normalised:
        assert np.array_equal(one.normalised, other.normalised, equal_nan=True)
    assert one.normalised_axis == other.normalised_axis


def fresh(spectra):
    return Preparer(WINDOW_MEV).prepare(seen(spectra))


@pytest.mark.parametrize("rows", [12, 70])  # with fewer rows than the noise is estimated from, and with more
def test_rows_that_come_in_any_order_end_as_if_all_had_been_there(rows):
    data, watch, preparer = counts(rows), Watch(), Preparer(WINDOW_MEV)
    valid = np.zeros(rows, bool)
    for some in np.array_split(np.random.default_rng(1).permutation(rows), 5):
        valid[some] = True
        spectra = make_spectra(data, AXIS, valid=valid)
        assert_equal(preparer.prepare(watch.look(spectra)), fresh(spectra))


def test_only_rows_that_changed_are_measured(monkeypatch):
    measured, original = [], zlp.find
    monkeypatch.setattr(zlp, "find", lambda rows, *a: measured.append(len(rows)) or original(rows, *a))
    spectra, watch, preparer = make_spectra(counts(80), AXIS), Watch(), Preparer(WINDOW_MEV)
    first = preparer.prepare(watch.look(spectra))
    assert measured == [80]
    assert preparer.prepare(watch.look(spectra)) is first and measured == [80]
    spectra.counts[[7, 75]] = counts(2, seed=5)
    second = preparer.prepare(watch.look(spectra))
    assert measured == [80, 2]
    assert_equal(second, fresh(spectra))
    assert first.zero.position_ev[7] != second.zero.position_ev[7]  # what was handed out stays as it was


def test_normalised_rows_are_counts_over_the_integral_at_their_own_zero():
    line = fresh(make_spectra(counts(3), AXIS))
    for row in range(3):
        own = AXIS.energies_ev - line.zero.position_ev[row]
        expected = np.interp(line.normalised_axis.energies_ev, own, line.spectra.rows[row]) / line.integral[row] / 0.4
        assert line.normalised[row] == pytest.approx(expected, rel=1e-9)


def test_without_a_window_nothing_is_normalised():
    assert prepare(make_spectra(counts(3), AXIS)).normalised is None
    short = make_spectra(counts(3)[:, :600], EnergyAxis(-0.2, 0.0004, 600))
    assert fresh(short).normalised is None


def zero_channel(line, row):
    return round((line.zero.position_ev[row] - AXIS.offset_ev) / AXIS.step_ev)


def test_a_lost_channel_leaves_the_row_unless_it_is_one_of_the_peak():
    data = counts(4)
    whole = fresh(make_spectra(data, AXIS))
    data[1, zero_channel(whole, 1)] = np.nan
    data[2, zero_channel(whole, 2) + 6] = np.inf
    data[3, 700] = np.nan
    found = fresh(make_spectra(data, AXIS))
    assert found.usable.tolist() == [True, False, False, True]
    assert found.zero.position_ev[3] == whole.zero.position_ev[3] and found.integral[3] == whole.integral[3]
    lost = np.isnan(found.normalised).sum(axis=1)
    assert lost[0] == 0 and 1 <= lost[3] <= 2  # interpolated, a channel shows in two places
    assert found.noise.variance_per_count == pytest.approx(whole.noise.variance_per_count, rel=0.1)


def test_a_peak_that_is_narrower_than_its_integral_needs_all_of_it():
    narrow = 2e6 * np.exp(-0.5 * (AXIS.energies_mev / 0.6) ** 2) + 100.0
    data = np.array([narrow, narrow])
    data[1, 505] = np.nan  # 2 meV from the zero
    found = fresh(make_spectra(data, AXIS))
    assert found.usable.tolist() == [True, False]


def test_counts_far_below_zero_are_lost_and_others_below_zero_are_not():
    data = counts(4)
    data[1, 700], data[2, 700] = -1e4, -2.0
    found = fresh(make_spectra(data, AXIS))
    assert np.isnan(found.spectra.rows).sum(axis=1).tolist() == [0, 1, 0, 0]
    assert np.isnan(found.spectra.rows[1, 700]) and found.usable.all()


def test_what_is_far_below_zero_is_judged_by_the_noise_of_all_rows():
    """The first rows seem quieter than the line is: a channel that was lost by their noise is found again."""
    data = counts(12)
    data[0, 700] = -15.0
    data[4:] *= 40.0
    watch, preparer, versions = Watch(), Preparer(WINDOW_MEV), []
    for rows in (4, 12):
        spectra = make_spectra(data, AXIS, valid=np.arange(12) < rows)
        found = preparer.prepare(watch.look(spectra))
        assert_equal(found, fresh(spectra))
        assert np.isnan(found.spectra.rows[0, 700]) == (rows == 4)
        versions.append(found.version)
    assert np.flatnonzero(versions[0] != versions[1])[:2].tolist() == [0, 4]


def test_few_rows_with_wide_gaps_take_no_part_in_sums_and_many_do():
    data = counts(5)
    data[1, 800:] = np.nan
    found = fresh(make_spectra(data, AXIS))
    assert found.usable.all() and found.summable.tolist() == [True, False, True, True, True]
    assert found.total().rows == 4 and np.isfinite(found.total().counts).all()
    assert found.total_integral(found.usable) == pytest.approx(np.delete(found.integral, 1).sum())
    data[:4, 800:] = np.nan
    found = fresh(make_spectra(data, AXIS))
    assert found.summable.all() and np.isnan(found.total().counts[-300:]).all()


def test_passes_take_no_part_but_stay():
    taken = counts(6)
    alone, kept = Preparer(WINDOW_MEV), Preparer(WINDOW_MEV)
    passes = np.stack([taken - 1.0, np.ones_like(taken)])
    one, other = alone.prepare(seen(make_spectra(taken, AXIS))), kept.prepare(seen(sum_of_passes(passes, AXIS)))
    assert_equal(one, other)
    assert one.spectra.passes is None and np.array_equal(other.spectra.passes, passes)


def frames_of_one_place(rows=20, gain=2.5, seed=3):
    return gain * counts(rows, seed)


def test_frames_of_the_vacuum_tell_the_noise_of_a_line_of_the_same_dispersion():
    line, vacuum = make_spectra(counts(12), AXIS, step_nm=0.5), make_spectra(frames_of_one_place(), AXIS)
    finer = make_spectra(counts(12), EnergyAxis(-0.2, 0.0003, 1200), step_nm=0.5)
    preparers = {"vibrational": Preparer(), "zlp": Preparer()}
    for spectra, source in ((line, "frames"), (finer, "estimated"), (line, "frames")):
        prepared = prepare_all(preparers, {"vibrational": seen(spectra), "zlp": seen(vacuum)})
        assert prepared["vibrational"].noise.source == source
        assert prepared["zlp"].noise.source == "frames"
    assert prepared["vibrational"].noise.smooth_variance_per_count == pytest.approx(2.5, rel=0.1)
    # The line has a gain of one: what the frames say is not true of it.
    assert [flag.code for flag in prepared["vibrational"].doubts] == ["NOISE_DISAGREES"]


def test_a_line_whose_rows_are_places_tells_no_noise_of_frames_and_a_known_gain_stays():
    line = make_spectra(counts(12), AXIS, step_nm=0.5)
    assert (
        prepare_all({"vibrational": Preparer()}, {"vibrational": seen(line)})["vibrational"].noise == fresh(line).noise
    )
    known = make_spectra(counts(12), AXIS, step_nm=0.5, noise=given(1.0))
    vacuum = make_spectra(counts(20, 3), AXIS)
    inputs = {"vibrational": seen(known), "zlp": seen(vacuum)}
    noise = prepare_all({"vibrational": Preparer(), "zlp": Preparer()}, inputs)["vibrational"].noise
    assert noise.source == "given" and noise.smooth_variance_per_count == pytest.approx(1.0)


def test_frames_that_come_while_a_line_grows_end_as_if_all_had_been_there():
    data, vacuum = counts(12), frames_of_one_place()
    watches, preparers = {r: Watch() for r in ("vibrational", "zlp")}, {r: Preparer() for r in ("vibrational", "zlp")}
    tokens = []
    for rows, of_vacuum in ((4, 5), (12, 5), (12, 12), (12, 20)):
        spectra = {
            "vibrational": make_spectra(data, AXIS, step_nm=0.5, valid=np.arange(12) < rows),
            "zlp": make_spectra(vacuum, AXIS, valid=np.arange(20) < of_vacuum),
        }
        found = prepare_all(preparers, {role: watches[role].look(s) for role, s in spectra.items()})
        at_once = prepare_all({r: Preparer() for r in spectra}, {r: seen(s) for r, s in spectra.items()})
        for role in spectra:
            assert_equal(found[role], at_once[role], normalised=False)
        tokens.append(found["vibrational"].token)
    assert len(set(tokens)) == 4  # what was made of the line with another noise is made again
