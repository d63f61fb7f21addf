"""The page as a whole: what it holds, what it leaves out with a reason, and that it stays out of the evaluation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.data.regions import from_mapping
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.sceptic import covariates, injection
from eels_iontransport.sceptic.page import CHECKS
from eels_iontransport.sceptic.words import lines as words

from . import lines
from .conftest import session

OURS = ("HALVES_", "CHANGES_", "PSEUDO_", "SHIFT_", "LDO_FOLLOWS", "INJECTION_")


@pytest.fixture(autouse=True)
def _thin(monkeypatch):
    """A page of less work; the one of the sound line is done before."""
    monkeypatch.setattr(covariates, "REPEATS", 2)
    monkeypatch.setattr(injection, "MOST_WINDOWS", 1)


def ours(evaluation):
    """Codes of the flags that the checks raise."""
    return [flag["code"] for flag in evaluation.readout["flags"] if flag["code"].startswith(OURS)]


def test_a_sound_line_passes_every_check_in_silence(evaluation, page):
    assert set(page) == {*CHECKS, "reasons"} and page["reasons"] == {}
    assert ours(evaluation) == []
    json.dumps(page, allow_nan=False)


def test_every_check_is_a_line_of_the_report(page):
    told = dict(words(page))
    assert len(told) == len(CHECKS) and "p = " in told["Halves"] and "not" not in " ".join(told.values())


def test_passes_take_no_part_in_the_evaluation(sound):
    alone = replace(sound["vibrational"], passes=None)
    one, other = (session({**sound, "vibrational": line}).evaluate().readout for line in (alone, sound["vibrational"]))
    for readout in (one, other):
        del readout["ldo_peak"]["outlook"]  # which counts them
    assert one == other


def test_asking_twice_says_nothing_twice():
    asked = session(lines.line(0.0, 2, passes=3, fade=0.6, pixels=30), lines.regions(30))
    once, twice = asked.sceptic(), asked.sceptic()
    assert ours(once) == ours(twice) != [] and once.readout["sceptic"] == twice.readout["sceptic"]


def single(spectra):
    line = spectra["vibrational"]
    return {**spectra, "vibrational": replace(line, counts=line.counts[0], valid=line.valid[:1], passes=None)}, None


def without_boundary(spectra):
    return spectra, from_mapping({"grain_1": (0, 8), "boundary": (100, 101), "grain_2": (10, 19)})


def one_pass(spectra):
    return {**spectra, "vibrational": replace(spectra["vibrational"], passes=None)}, None


def one_grain(spectra):
    line = spectra["vibrational"]
    reached = line.position_nm <= lines.regions().boundary.end_nm
    return {**spectra, "vibrational": line.with_valid(reached)}, None


def short_grains(spectra):
    return spectra, from_mapping({"grain_1": (6, 8), "boundary": (9, 10.5), "grain_2": (11.5, 13.5)})


@pytest.mark.parametrize(
    ("spoil", "missing"),
    [
        (single, dict.fromkeys(CHECKS, "single spectrum")),
        (without_boundary, dict.fromkeys(CHECKS, "no shift to check")),
        (one_pass, {"passes": "were not kept apart"}),
        (one_grain, {}),
        (short_grains, {"pseudo_boundaries": "long enough", "injection": "long enough"}),
    ],
)
def test_what_cannot_be_checked_is_null_with_the_reason(sound, spoil, missing):
    spectra, regions = spoil(sound)
    page = session(spectra, regions).sceptic().readout["sceptic"]
    assert {name for name in CHECKS if page[name] is None} == set(page["reasons"]) == set(missing)
    assert all(word in page["reasons"][name] for name, word in missing.items())
    told = dict(words(page))
    assert len(told) == (1 if len(missing) == len(CHECKS) else len(CHECKS))


def test_a_recipe_without_a_shift_has_nothing_to_check(sound):
    import eels_iontransport as eit
    from eels_iontransport.session import Session

    asked = Session(replace(eit.material("lco"), shift_peak=None), regions=lines.regions())
    asked.update(**sound)
    assert all(asked.sceptic().readout["sceptic"][name] is None for name in CHECKS)


def test_it_can_be_stopped_and_tells_how_far_it_is(sound):
    told = []

    def tell(done, total, text):
        told.append((text, done / total))

    asked = session(sound)
    asked.evaluate()
    with pytest.raises(Cancelled):
        asked.sceptic(should_stop=lambda: len(told) > 5, progress=tell)
    assert told[0] == ("Pseudo-boundaries", 0.0) and told[-1][1] < 1.0
    assert "sceptic" not in asked._last.evaluation.readout


def test_rows_that_hold_nothing_change_no_check(sound):
    """A line that goes on to be taken."""
    line = sound["vibrational"]
    more = np.zeros((6, 5, lines.AXIS.size))
    passes = np.concatenate([line.passes, more], axis=1)
    longer = replace(line, counts=passes.sum(0), passes=passes, valid=np.arange(45) < 40)
    page = session({**sound, "vibrational": longer}).sceptic().readout["sceptic"]
    assert page["reasons"] == {} and page["pseudo_boundaries"]["count"] == 26
