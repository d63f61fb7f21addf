"""The specification curve on the simulated instrument: each point against the same analysis asked for alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport import specification_curve as curves
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Role
from eels_iontransport.data.regions import from_mapping
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.prepared import prepare
from eels_iontransport.session import line_masks
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from eels_iontransport.simulation.specimen import SPECIMENS
from eels_iontransport.specification import Choices, Result, Specification, by_shift, default_choices, entry
from eels_iontransport.specification_curve import add_up, specification_curve

LCO = eit.material("lco")
ROLES = (Role.ZLP, Role.ALOOF, Role.VIBRATIONAL)
PIXELS = 12


@pytest.fixture(scope="module")
def acquired():
    """Spectra of a short line by role, and the truth."""
    microscope = SimulatedMicroscope(specimen=SPECIMENS["lco_boundary"](), seed=50)
    places = default_places(microscope, PIXELS, 20.0)
    exposures = {Role.ZLP: (0.1, 20), Role.ALOOF: (0.1, 40), Role.VIBRATIONAL: (0.1, 60)}
    taken = acquire_all(microscope, places, exposures=exposures, roles=ROLES)
    return {role.value: spectra for role, spectra in taken.items()}, microscope.truth(places.line)


@pytest.fixture(scope="module")
def spectra(acquired):
    return acquired[0]


@pytest.fixture(scope="module")
def regions(acquired):
    return from_mapping({name: (r["start_nm"], r["end_nm"]) for name, r in acquired[1]["regions"].items()})


@pytest.fixture(scope="module")
def prepared(spectra):
    return {role: prepare(s) for role, s in spectra.items()}


@pytest.fixture(scope="module")
def masks(prepared, regions):
    return line_masks(prepared["vibrational"], regions)


@pytest.fixture(scope="module")
def sums(prepared, masks):
    return add_up(LCO, prepared, masks)


@pytest.fixture(scope="module")
def results(sums):
    """All of the default curve but a middle value of each window."""
    inside, published = default_choices(LCO, list(sums.responses), True)
    thinner = replace(inside, low_mev=inside.low_mev[::2], high_mev=inside.high_mev[:1])
    return specification_curve(sums, [*thinner, *published])


def alone(specification, spectra, regions):
    """The shift of the readout of an analysis that was asked for this specification and no other."""
    recipe = replace(LCO, choose_background=False)
    if specification.background_order is not None:
        recipe = replace(recipe, background_order=specification.background_order)
    if specification.offset_prior is False:
        recipe = replace(recipe, polariton_offset_prior_mev=None)
    low, high = specification.window_mev
    published = specification.mode == "published"
    windows = ((low, 25.0), (95.0, high)) if published else ((low, low), (high, high))
    given = {role: s for role, s in spectra.items() if role != "zlp" or specification.response != "gain side"}
    readout = eit.analyze(recipe, regions=regions, mode=specification.mode, background_mev=windows, **given)
    shift = readout["ldo_peak"]
    if specification.reference != "mean":
        return shift[f"shift_vs_{specification.reference}_mev"]
    return shift["blue_shift_mev"] if shift["reference"] == "mean" else {"value": None}


CHOSEN = [
    Specification("shared", "mean", (22.0, 110.0), 3, "vacuum ZLP", True),
    Specification("shared", "grain_2", (26.4, 110.0), 4, "gain side", True),
    Specification("shared", "grain_1", (22.0, 110.0), 2, "vacuum ZLP", False),
    Specification("wide", "mean", (26.4, 110.0), 3, "gain side", False),
    Specification("wide", "grain_1", (22.0, 110.0), 4, "vacuum ZLP", True),
    Specification("published", "mean", (20.0, 105.0)),
    Specification("published", "grain_2", (18.0, 109.0)),
]


@pytest.mark.parametrize("specification", CHOSEN, ids=lambda s: f"{s.mode}-{s.reference}")
def test_a_point_of_the_curve_is_the_analysis_asked_for_alone(results, spectra, regions, specification):
    (result,) = [r for r in results if r.specification == specification]
    expected = alone(specification, spectra, regions)
    if expected["value"] is None:
        assert np.isnan(result.shift_mev) and result.reason
    else:
        # Session takes the noise from frames, of which it may have fewer here than the curve.
        assert result.shift_mev == pytest.approx(expected["value"], abs=2e-3)
        sigma = np.nan if expected["sigma"] is None else expected["sigma"]
        # The readout of the common fit quotes its bootstraps, the curve the curvature at the optimum.
        assert result.sigma_mev == pytest.approx(
            sigma, rel=0.2 if specification.mode == "shared" else 0.05, nan_ok=True
        )


def test_the_curve_lies_about_the_truth_and_says_why_where_it_has_gaps(results, acquired):
    shared = np.array([r.shift_mev for r in results if r.specification.mode == "shared"])
    assert np.isfinite(shared).mean() > 0.5
    assert np.nanmedian(shared) == pytest.approx(acquired[1]["ldo_peak"]["blue_shift_mev"], abs=0.4)
    assert all(bool(r.reason) == np.isnan(r.shift_mev) for r in results)


def test_what_a_fit_does_not_describe_has_a_shift_in_the_published_mode_only(results):
    refused = [r for r in results if not r.described and r.specification.mode != "published"]
    assert refused and all(np.isnan(r.shift_mev) and "does not describe" in r.reason for r in refused)
    published = [r for r in results if r.specification.mode == "published"]
    assert not any(r.described for r in published) and min(r.chi2 for r in published) > 1.5
    for result in published:
        assert bool(result.railed) == np.isnan(result.shift_mev)
        assert not result.railed or "at its limit in " + result.railed[0].replace("_", " ") in result.reason


def test_windows_that_the_spectra_do_not_cover_are_reasons_not_exceptions(sums):
    outside = Choices(("shared", "wide"), (22.0, -5.0), (110.0, 5000.0), (3,), ("vacuum ZLP",), (True,), ("mean",))
    published = Choices(("published",), (24.9,), (105.0, 5000.0), references=("mean",))
    found = {r.specification.window_mev: r for r in specification_curve(sums, [*outside, *published])}
    for window in ((22.0, 5000.0), (-5.0, 110.0), (24.9, 105.0), (24.9, 5000.0)):
        assert np.isnan(found[window].shift_mev) and "not covered" in found[window].reason
        assert entry(found[window], False)["chi2"] is None
    assert found[22.0, 110.0].reason == ""


def test_a_response_that_was_not_measured_is_a_reason(prepared, masks):
    without = add_up(LCO, {role: p for role, p in prepared.items() if role != "zlp"}, masks)
    assert list(without.responses) == ["gain side"]
    (result,) = specification_curve(without, [CHOSEN[0]])
    assert np.isnan(result.shift_mev) and "no response from the vacuum ZLP" in result.reason


def test_a_region_without_rows_takes_its_references_with_it(prepared, masks):
    partial = add_up(LCO, prepared, {**masks, "grain_2": np.zeros(PIXELS, bool)})
    one = [replace(CHOSEN[0], reference=name) for name in ("mean", "grain_1", "grain_2")]
    mean, first, second = specification_curve(partial, one)
    assert np.isnan([mean.shift_mev, second.shift_mev]).all() and "no usable row" in mean.reason
    assert 0.5 < first.shift_mev < 3.0


def test_a_peak_that_is_known_not_to_be_there_has_no_shift(prepared, masks):
    told = add_up(LCO, prepared, masks, absent=["grain_1"])
    mean, second = specification_curve(told, [CHOSEN[0], replace(CHOSEN[0], reference="grain_2")])
    assert np.isnan(mean.shift_mev) and mean.reason == "No LDO peak was found in grain 1."
    assert np.isfinite(second.shift_mev)


def test_what_does_not_change_is_fitted_once(sums, monkeypatch):
    calls = []
    for name in ("fit_aloof", "fit_together"):
        original = getattr(curves, name)
        monkeypatch.setattr(curves, name, lambda *a, n=name, f=original: calls.append(n) or f(*a))
    choices = Choices(("shared", "wide"), (22.0,), (110.0,), (3, 4), ("vacuum ZLP",), (True, False))
    assert len(specification_curve(sums, list(choices))) == 24
    assert (calls.count("fit_aloof"), calls.count("fit_together")) == (2, 8)


def test_modes_do_not_share_their_aloof_fits(sums):
    """Also where choices that mean nothing to the published mode are the same."""
    shared = CHOSEN[0]
    published = replace(shared, mode="published", reference="grain_1")
    _, beside = specification_curve(sums, [shared, published])
    (single,) = specification_curve(sums, [published])
    assert (beside.chi2, beside.railed) == (single.chi2, single.railed)


def test_it_can_be_stopped(sums):
    for allowed in (0, 5):
        asked = iter(range(1000))
        with pytest.raises(Cancelled):
            specification_curve(sums, CHOSEN, lambda n=allowed, a=asked: next(a) >= n)


def test_progress_rises_to_the_end(sums):
    told = []
    specification_curve(sums, CHOSEN[:2], progress=lambda *a: told.append(a))
    assert told == [(done, 4, "Specifications") for done in range(5)]  # two aloof fits, two of the regions


def test_choices_are_multiplied_each_once_and_begin_with_the_recipe():
    inside, published = default_choices(LCO, ["vacuum ZLP", "gain side"], True)
    assert len(list(inside)) == len(set(inside)) == 2 * 3 * 3 * 3 * 2 * 2 * 3
    assert next(iter(inside)) == CHOSEN[0] and next(iter(published)) == CHOSEN[5]
    assert len(set(published)) == 27
    assert min(s.window_mev[0] for s in inside) == LCO.wide_window_mev[0]
    assert {s.background_order for s in inside} == {2, 3, 4}
    other, _ = default_choices(LCO, ["gain side"], False, ((24.0, 26.0), (96.0, 104.0)))
    assert next(iter(other)) == Specification("shared", "mean", (24.0, 104.0), 3, "gain side", None)


def test_the_curve_is_sorted_with_what_has_no_shift_at_its_end():
    shifts = [0.3, np.nan, -1.0, 2.0, np.nan]
    results = [Result(CHOSEN[0], shift) for shift in shifts]
    assert [r.shift_mev for r in by_shift(results)] == pytest.approx([-1.0, 0.3, 2.0, np.nan, np.nan], nan_ok=True)


def test_a_recipe_without_a_shift_has_no_curve(prepared, masks):
    with pytest.raises(UnusableInput, match="water_cnt has no shift peak"):
        add_up(eit.material("water_cnt"), prepared, masks)
