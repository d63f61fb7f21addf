"""What is remembered, and how a change of an input is noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra, sum_of_passes
from eels_iontransport.memory import Itself, Memory, Watch, digest

AXIS = EnergyAxis(-0.1, 0.001, 64)


def line(rows=5):
    return make_spectra(np.random.default_rng(0).uniform(size=(rows, AXIS.size)), AXIS, metadata={"a": 1})


def test_results_are_made_once_and_forgotten_after_two_evaluations_without_them():
    memory, made = Memory(), []

    def ask(key):
        return memory.recall(key, lambda: made.append(key) or key)

    ask("a"), ask("a"), ask("b")
    memory.turn()
    assert "a" in memory and ask("a") == "a" and made == ["a", "b"]
    memory.turn()
    memory.turn()
    assert "a" not in memory and "b" not in memory
    ask("a")
    assert made == ["a", "b", "a"]


def test_what_failed_is_tried_again():
    memory = Memory()
    with pytest.raises(ZeroDivisionError):
        memory.recall("a", lambda: 1 / 0)
    assert memory.recall("a", lambda: 2) == 2


def test_an_object_in_a_key_is_equal_to_itself_alone():
    one = [1]
    assert Itself(one) == Itself(one) and hash(Itself(one)) == hash(Itself(one))
    assert Itself(one) != Itself([1]) and Itself(one) != one


def test_an_unchanged_input_is_the_same():
    watch, spectra = Watch(), line()
    seen = watch.look(spectra)
    assert watch.look(spectra) is seen
    again = watch.look(replace(spectra, counts=spectra.counts.copy(), valid=spectra.valid.copy()))
    assert again is seen


@pytest.mark.parametrize("value", [7.0, np.nan, -0.0])
def test_a_row_that_changed_in_place_is_noticed_and_the_others_are_not(value):
    watch, spectra = Watch(), line()
    before = watch.look(spectra)
    spectra.counts[3, 10] = value
    after = watch.look(spectra)
    assert np.flatnonzero(after.version != before.version).tolist() == [3]
    assert after.token != before.token
    assert np.array_equal(after.spectra.counts, spectra.counts, equal_nan=True)
    assert before.spectra.counts[3, 10] != value or value == 0  # what was seen stays as it was
    assert watch.look(spectra) is after  # also with a channel that is equal to nothing


def test_a_row_that_becomes_valid_in_place_is_noticed():
    watch, spectra = Watch(), line().with_valid(np.arange(5) < 3)
    before = watch.look(spectra)
    spectra.valid[3] = True
    assert np.flatnonzero(watch.look(spectra).version != before.version).tolist() == [3]


@pytest.mark.parametrize(
    "change",
    [
        {"energy": EnergyAxis(-0.1, 0.002, 64)},
        {"noise": given(2.0)},
        {"saturation_level": 5.0},
        {"counts": line(6).counts, "valid": np.ones(6, bool)},
    ],
)
def test_what_all_rows_have_in_common_changes_them_all(change):
    watch, spectra = Watch(), line()
    before = watch.look(spectra)
    after = watch.look(replace(spectra, **change))
    assert not set(before.version) & set(after.version)


def test_a_new_name_changes_no_data():
    watch, spectra = Watch(), line()
    before = watch.look(spectra)
    after = watch.look(replace(spectra, name="other", metadata={"a": 2}))
    assert after.token == before.token and np.array_equal(after.version, before.version)
    assert after.spectra.name == "other" and after.spectra.metadata == {"a": 2}


def test_a_single_spectrum_is_watched_too():
    spectra = make_spectra(np.arange(64.0), AXIS)
    watch = Watch()
    before = watch.look(spectra)
    spectra.counts[5] = 0.5
    after = watch.look(spectra)
    assert after.token != before.token and after.spectra.counts[5] == 0.5 and after.spectra.counts.ndim == 1


def test_digests_tell_arrays_and_values_apart():
    assert digest(np.arange(3), 1.0) == digest(np.arange(3), 1.0)
    assert len({digest(np.arange(3)), digest(np.arange(4)), digest(1.0), digest(None)}) == 4


def test_passes_are_those_of_the_last_look_and_make_no_row_another():
    watch, passes = Watch(), np.random.default_rng(0).uniform(size=(2, 5, AXIS.size))
    before = watch.look(sum_of_passes(passes, AXIS))
    kept = passes[::-1].copy()
    after = watch.look(replace(sum_of_passes(passes, AXIS), passes=kept))
    assert after.spectra.passes is kept and after.token == before.token
    assert np.array_equal(after.version, before.version)
