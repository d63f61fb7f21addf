"""Rows prepared as they come against all of them prepared at once."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.measure import zlp
from eels_iontransport.memory import Watch, seen
from eels_iontransport.prepared import Preparer, prepare

AXIS = EnergyAxis(-0.2, 0.0004, 1200)
WINDOW_MEV = (22.0, 110.0)


def counts(rows, seed=0):
    """A zero-loss peak on a tail; each row has its own zero and height."""
    random = np.random.default_rng(seed)
    zero, height = random.normal(0.0, 2.0, (rows, 1)), random.uniform(0.5, 1.5, (rows, 1))
    energy = AXIS.energies_mev - zero
    mean = height * (2e6 * np.exp(-0.5 * (energy / 3.4) ** 2) + 4e4 / (1 + (energy / 20) ** 2))
    return random.poisson(mean).astype(float)


def assert_equal(one, other):
    assert one.noise == other.noise
    for name, values in vars(one.zero).items():
        assert np.array_equal(values, getattr(other.zero, name), equal_nan=True)
    assert np.array_equal(one.integral, other.integral, equal_nan=True)
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
