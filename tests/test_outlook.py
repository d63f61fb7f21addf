"""The outlook against closed forms, against fits of more dose, and in words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.data.noise import NoiseModel
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra, sum_of_passes
from eels_iontransport.decomposition.engine import fit
from eels_iontransport.decomposition.fitting import fit_each, fit_together
from eels_iontransport.decomposition.forecast import forecast, solve
from eels_iontransport.decomposition.information import information
from eels_iontransport.decomposition.problem import Prior
from eels_iontransport.outlook import Taken, outlook, shift_outlook, taken, to_tell
from eels_iontransport.outlook_words import sentence

from .decomposition.test_information import CENTRE_VARIANCE, LDO, gaussians
from .decomposition.test_resampling import ALL, INDEPENDENT, SHIFT, expected, measured, simulated

DIFFERENCE = np.array([-1.0, 1.0])
SIGMA = np.sqrt(2 * CENTRE_VARIANCE)
REGIONS = ("grain_1", "boundary", "grain_2")
ONE = Taken(1.0, dict.fromkeys(REGIONS, 1.0), 1e8, 3.0)


def of_gaussians(passes=(1.0, 1.0), systematic_mev=0.0):
    """The forecast of the difference of two Gaussian lines, whose variance falls as the dose rises."""
    found = information(*gaussians(2, shared=False))
    return forecast([found], np.ones(1), 0, DIFFERENCE, np.array(passes), systematic_mev)


@pytest.mark.parametrize(
    ("target", "systematic", "factor"), [(0.5, 0.0, 4.0), (0.1, 0.0, 100.0), (0.5, 0.3, 1 / 0.16), (0.9, 0.0, 1 / 0.81)]
)
def test_a_dose_in_closed_form(target, systematic, factor):
    found = of_gaussians(systematic_mev=systematic * SIGMA)
    entry = outlook(found, ONE, (target * SIGMA,))
    (one,) = entry["targets"]
    assert entry["sigma_mev"]["value"] == pytest.approx(SIGMA * np.hypot(1, systematic))
    assert one["factor"] == pytest.approx(factor, rel=0.05) and not one["reached"] and one["reason"] is None
    assert one["electrons_per_pixel"] == pytest.approx(1e8 * one["factor"])
    assert one["passes"] == np.ceil(one["factor"] - 1.01) and one["minutes"] == 3.0 * one["passes"]


def test_a_target_that_is_reached_costs_nothing():
    (one,) = outlook(of_gaussians(), ONE, (1.01 * SIGMA,))["targets"]
    assert one["reached"] and one["factor"] is None and one["reason"] is None


def test_a_systematic_part_above_the_target_is_said():
    (one,) = outlook(of_gaussians(systematic_mev=0.6 * SIGMA), ONE, (0.5 * SIGMA,))["targets"]
    assert (one["factor"], one["passes"], one["minutes"]) == (None, None, None)
    assert one["reason"].startswith("the systematic part alone is")


def test_what_the_aloof_spectrum_limits_more_of_the_line_does_not_mend():
    """A line's place is known beforehand to 0.01 meV, its offset not at all: the spectra tell the sum of both."""
    layout, data, _ = gaussians()
    lower, upper = np.r_[layout.lower, -5.0], np.r_[layout.upper, 5.0]
    priors = (
        Prior(np.array([0]), np.zeros(1), np.array([[0.01**2]])),
        Prior(np.array([3]), np.zeros(1), np.array([[1.0]])),
    )
    with_offset = replace(layout, offset=np.array([3]), lower=lower, upper=upper, priors=priors)
    found = information(with_offset, data, fit(with_offset, data, np.array([[0.0, 4.0, 0.0, 0.0]])))
    one = outlook(forecast([found], np.ones(1), 0, np.ones(1), np.ones(1)), ONE, (0.005,))["targets"][0]
    assert one["factor"] is None and one["aloof_factor"] == pytest.approx(4.0, rel=0.05)
    assert one["reason"] == "more of the line leaves 0.01 meV, a longer aloof spectrum may help"


def test_regions_that_a_pass_has_not_filled_yet_catch_up():
    whole, half = of_gaussians(), of_gaussians(passes=(1.0, 0.5))
    assert half.now == pytest.approx(whole.now)
    assert half.after(1.0) == pytest.approx(np.sqrt(1.5 * CENTRE_VARIANCE), rel=1e-4)


def test_a_region_without_data_has_no_outlook():
    assert of_gaussians(passes=(1.0, 0.0)) is None
    entry = outlook(None, ONE)
    assert entry["sigma_mev"]["value"] is None and entry["targets"] == [] and sentence(entry) == ""


def test_more_dose_gives_what_was_forecast():
    """Forecasts of dose 1, against what a fit of four times the dose expects of itself; aloof spectra stay."""
    ratios = []
    for seed in range(6):
        setup, spectra = simulated(seed)
        random = np.random.default_rng(1000 + seed)
        longer = [measured(expected(ALL, r, 4 * 1.3e9), random, INDEPENDENT) for r in range(3)]
        one, four = (solve(setup, s, fit_together(setup, s)) for s in (spectra, longer))
        made = [forecast(s.informations, s.stretch, LDO, SHIFT, np.ones(3)) for s in (one, four)]
        if None not in made:
            ratios.append(made[0].after(4.0) / made[1].now)
    assert len(ratios) >= 5
    assert np.median(ratios) == pytest.approx(1.0, abs=0.25)
    assert np.all(np.abs(np.log(ratios)) < 3 * made[0].relative_spread)


@pytest.mark.parametrize("mode", ["shared", "wide"])
def test_an_entry_for_the_readout(mode):
    setup, spectra = simulated(1, mode=mode, dose=0.3)
    together = (fit_together if mode == "shared" else fit_each)(setup, spectra)
    entry, flags = shift_outlook(setup, dict(zip(REGIONS, spectra)), together, "mean", ONE, (5.0, 0.02))
    json.dumps(entry, allow_nan=False)
    assert flags == () and entry["sigma_mev"]["sigma"] > 0
    assert [one["reached"] for one in entry["targets"]] == [True, False]


def test_no_outlook_without_the_regions_of_the_reference():
    setup, spectra = simulated(1, dose=0.3)
    groups = dict(zip(REGIONS[:2], spectra))
    together = fit_together(setup, spectra[:2])
    assert shift_outlook(setup, groups, together, "mean", ONE)[0]["targets"] == []
    assert shift_outlook(setup, groups, together, "grain_1", ONE)[0]["targets"] != []


def test_a_misfit_that_noise_does_not_explain_is_flagged():
    setup, spectra = simulated(1, dose=0.3)
    for variance, codes in ((1.0, []), (0.5, ["OUTLOOK_OPTIMISTIC"])):
        other = replace(setup, noise=NoiseModel("given", variance))
        together = fit_together(other, spectra)
        _, flags = shift_outlook(other, dict(zip(REGIONS, spectra)), together, "mean", ONE)
        assert [flag.code for flag in flags] == codes


AXIS = EnergyAxis(-0.02, 0.001, 64)
EVERY = {"left": np.array([True, True, False, False]), "right": np.array([False, False, True, True])}


def line(rows_taken, **fields):
    """A line of four pixels with 100 counts each."""
    counts = np.zeros((4, 64))
    counts[:rows_taken, 20] = 100.0
    return make_spectra(counts, AXIS, valid=np.arange(4) < rows_taken, **fields)


def record(**fields):
    values = {"role": Role.VIBRATIONAL, "status": Status.RUNNING, "rows_planned": 4, "rows_valid": 3, **fields}
    return Record(**values).to_metadata()


@pytest.mark.parametrize(
    ("spectra", "electrons_per_count", "wanted"),
    [
        (line(4, exposure_s=0.5, frames=30), 2.0, Taken(1.0, {"left": 1.0, "right": 1.0}, 200.0, 1.0)),
        (line(4), None, Taken(1.0, {"left": 1.0, "right": 1.0}, None, None)),
        (line(3, exposure_s=0.5, frames=30), 2.0, Taken(0.75, {"left": 1.0, "right": 0.5}, 200.0, 1.0)),
        (
            line(3, exposure_s=0.5, frames=30, metadata=record(beam_current_pa=0.16021766)),
            None,
            Taken(0.75, {"left": 1.0, "right": 0.5}, 1.5e7, 1.0),
        ),
        (line(4, metadata=record(rows_planned=8)), None, Taken(0.5, {"left": 1.0, "right": 1.0}, None, None)),
    ],
)
def test_what_a_line_has_cost(spectra, electrons_per_count, wanted):
    found = taken(spectra, spectra.valid, EVERY, electrons_per_count)
    assert (found.passes, found.of_groups) == (wanted.passes, wanted.of_groups)
    for name in ("electrons_per_pass", "minutes_per_pass"):
        assert getattr(found, name) == (None if getattr(wanted, name) is None else pytest.approx(getattr(wanted, name)))


def test_passes_that_were_kept_are_counted_and_one_may_not_have_come_to_its_end():
    counts = np.zeros((3, 4, 64))
    counts[:, :, 20] = 100.0
    counts[2, 1:] = 0.0
    spectra = sum_of_passes(counts, AXIS, exposure_s=0.5, frames=30)
    found = taken(spectra, spectra.valid, EVERY, 1.0)
    assert found == Taken(2.25, {"left": 2.5, "right": 2.0}, 100.0, 0.5 * 10 * 4 / 60)


def test_the_rows_planned_of_a_line_with_passes_are_those_of_all_passes():
    counts = np.full((2, 4, 64), 1.0)
    spectra = sum_of_passes(counts, AXIS, metadata=record(rows_planned=32, passes=8))
    assert taken(spectra, spectra.valid, EVERY, None).passes == 2.0


def test_rows_that_are_of_no_use_are_not_waited_for():
    usable = np.array([True, False, True, True])
    assert taken(line(4), usable, EVERY, None).of_groups == {"left": 1.0, "right": 1.0}


def target(sigma_mev, **fields):
    names = ("factor", "passes", "electrons_per_pixel", "minutes", "aloof_factor", "reason")
    return {"target_sigma_mev": sigma_mev, "reached": False, **dict.fromkeys(names), **fields}


@pytest.mark.parametrize(
    ("passes", "targets", "said"),
    [
        (2.0, [target(0.3, factor=4.0, passes=6, minutes=18.0)], "2 passes; 0.3 meV needs about 6 more (18 min)"),
        (1.0, [target(0.3, factor=4.0, passes=3)], "1 pass; 0.3 meV needs about 3 more"),
        (0.6, [target(0.3, factor=4.0, passes=2, minutes=1.5)], "0.6 passes; 0.3 meV needs about 2 more (90 s)"),
        (1.0, [target(0.3, factor=90.0, passes=89, minutes=267.0)], "1 pass; 0.3 meV needs about 89 more (4.5 h)"),
        (
            4.0,
            [target(0.6, reached=True), target(0.3, reason="the systematic part alone is 0.4 meV")],
            "4 passes; 0.6 meV is reached; 0.3 meV is out of reach: the systematic part alone is 0.4 meV",
        ),
    ],
)
def test_in_the_operators_words(passes, targets, said):
    entry = {"sigma_mev": {"value": 0.58}, "passes": passes, "targets": targets}
    assert sentence(entry) == f"sigma 0.58 meV after {said}"


def test_a_shift_that_is_to_be_told_from_zero():
    assert to_tell(1.8) == pytest.approx(0.6) and to_tell(1.8, 5.0) == pytest.approx(0.36)
