"""Transport estimate against closed forms and the published worked example (1.8 meV at 50 meV, 27 % less Li)."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.measure.transport import Alternatives, Assumptions, estimate
from eels_iontransport.transport_entry import transport_entry

PUBLISHED = (1.8, 0.2, 50.0, -0.27, 0.03)


def published(**assumptions):
    return estimate(*PUBLISHED, Assumptions(**assumptions))


@pytest.mark.parametrize(("exponent", "percent"), [(2.0, 7.33), (1.0, 3.6)])
def test_activation_energy_of_the_published_shift(exponent, percent):
    change = published(frequency_exponent=exponent).activation_energy_change
    assert 100 * change.value == pytest.approx(percent, abs=0.005)


def test_activation_energy_error_is_four_points_per_mev():
    change = published().activation_energy_change
    assert change.sigma == pytest.approx(2 * 51.8 / 50**2 * 0.2, rel=0.03)
    low, high = change.interval_68
    assert high - low == pytest.approx(2 * change.sigma, rel=0.05)
    assert low < change.value < high


@pytest.mark.parametrize(("ea_ev", "percent"), [(0.2, -58), (0.3, -68), (0.4, -76)])
@pytest.mark.parametrize("attempt_frequency", [False, True])
def test_conductivity_of_the_published_numbers(ea_ev, percent, attempt_frequency):
    result = published(bulk_activation_energy_ev=ea_ev, attempt_frequency=attempt_frequency)
    assert 100 * result.conductivity_change.value == pytest.approx(percent, abs=1.0)


def test_mobility_by_hand():
    # 0.3 eV x 7.3296 % = 21.989 meV; kT(300 K) = 25.852 meV; exp(-0.85057) = 0.42717
    assert published().mobility_factor.value == pytest.approx(0.42717, abs=2e-5)
    assert published(attempt_frequency=True).mobility_factor.value == pytest.approx(0.42717 * 1.036, abs=2e-5)


def test_meyer_neldel_energy_of_kt_cancels_the_barrier():
    thermal_ev = 8.617333262e-5 * 300
    assert published(meyer_neldel_ev=thermal_ev).mobility_factor.value == pytest.approx(1.0)
    assert published(meyer_neldel_ev=2 * thermal_ev).mobility_factor.value == pytest.approx(
        math.sqrt(0.42717), abs=2e-5
    )


def test_carrier_models_disagree_even_in_sign():
    assert published().carrier_factor.value == pytest.approx(0.73)
    # 0.95 x 0.73 = 0.6935;  0.6935 (1 - 0.6935) / (0.95 x 0.05) = 4.475
    assert published(carrier_model="vacancies").carrier_factor.value == pytest.approx(4.475, abs=1e-3)


def test_conductivity_error_is_that_of_a_product_of_lognormals():
    result = published()
    slope = -0.3 / (8.617333262e-5 * 300) * 2 * 51.8 / 2500  # d ln(mobility) / d shift, per meV
    relative = math.hypot(slope * 0.2, 0.03 / 0.73)
    assert result.conductivity_change.sigma == pytest.approx(
        (1 + result.conductivity_change.value) * relative, rel=0.06
    )


def test_spread_covers_every_combination():
    at_300_k = Alternatives(meyer_neldel_ev=(None,), temperature_k=(300.0,))
    spread = estimate(*PUBLISHED, alternatives=at_300_k).spread
    assert spread.combinations == 3 * 2 * 2 * 2
    # lowest: 0.4 eV, p = 2, no attempt frequency, carriers ~ Li; highest: 0.2 eV, p = 1, attempt frequency, vacancies
    assert spread.low == pytest.approx(-0.765, abs=0.002)
    highest = 4.475 * 1.036 * math.exp(-0.2 * 0.036 / (8.617333262e-5 * 300)) - 1
    assert spread.high == pytest.approx(highest, abs=0.002)
    assert spread.low < spread.interval_68[0] < spread.interval_68[1] < spread.high


def test_spread_without_alternatives_is_the_estimate():
    one = Alternatives((0.3,), (2.0,), (False,), (None,), ("proportional",), (300.0,))
    result = estimate(*PUBLISHED, alternatives=one)
    assert result.spread.combinations == 1
    assert result.spread.low == result.spread.high == result.conductivity_change.value


def test_temperature_and_compensation_widen_the_spread():
    spread = published().spread
    assert spread.combinations == 3 * 2 * 2 * 2 * 2 * 3
    per_ev = 1 / (8.617333262e-5 * 270)  # the coldest: the barrier costs most
    assert spread.low == pytest.approx(0.73 * math.exp(-0.4 * 0.073296 * per_ev) - 1, abs=1e-4)
    per_ev = 1 / (8.617333262e-5 * 330) - 1 / 0.05
    assert spread.high == pytest.approx(4.475 * 1.036 * math.exp(-0.2 * 0.036 * per_ev) - 1, abs=2e-3)


def test_the_spread_over_assumptions_is_that_of_drawing_them_too():
    """By hand: every combination at the measured numbers, and the normal errors of these, added as variances."""
    found = estimate(*PUBLISHED, draws=40000)
    changes = []
    for ea, p, attempt, mn, model, kelvin in itertools.product(
        (0.2, 0.3, 0.4), (1, 2), (0, 1), (0.0, 1 / 0.05), (0.73, 4.4751), (270, 300, 330)
    ):
        per_ev = 1 / (8.617333262e-5 * kelvin) - mn
        changes.append(math.log(model) + attempt * math.log(1.036) - ea * (1.036**p - 1) * per_ev)
    between = np.std(changes)
    assert between < found.spread.ln_sigma < 1.05 * between  # errors of the measurement matter little beside
    assert found.spread.ln_sigma == pytest.approx(math.hypot(between, 0.15), rel=0.03)


def test_the_logarithm_has_the_errors_of_a_sum():
    found = published().ln_conductivity
    slope = -0.3 / (8.617333262e-5 * 300) * 2 * 51.8 / 2500
    assert found.value == pytest.approx(math.log(0.42717 * 0.73), abs=1e-4)
    assert found.sigma == pytest.approx(math.hypot(slope * 0.2, 0.03 / 0.73), rel=0.03)


def test_which_assumption_matters_how_much():
    """One at a time, by hand: carriers 0.73 or 4.475; 0.2 to 0.4 eV of 7.33 % at kT = 25.85 meV; the rest less."""
    found = {one.assumption: one for one in published().spread.by_assumption}
    assert list(found)[:2] == ["carrier_model", "bulk_activation_energy_ev"]
    assert found["carrier_model"].ln_range == pytest.approx(math.log(4.4751 / 0.73), abs=1e-3)
    assert found["bulk_activation_energy_ev"].ln_range == pytest.approx(0.2 * 0.073296 / 0.025852, abs=1e-3)
    assert found["attempt_frequency"].ln_range == pytest.approx(math.log(1.036), abs=1e-6)
    assert found["frequency_exponent"].high == pytest.approx(0.73 * math.exp(-0.3 * 0.036 / 0.025852) - 1, abs=1e-4)
    assert found["meyer_neldel_ev"].choices == (None, 0.05)
    assert found["temperature_k"].low < -0.6886 < found["temperature_k"].high


def test_an_assumption_that_the_operator_made_is_one_of_the_choices():
    found = {one.assumption: one for one in published(bulk_activation_energy_ev=0.5).spread.by_assumption}
    assert found["bulk_activation_energy_ev"].choices == (0.5, 0.2, 0.3, 0.4)
    assert found["bulk_activation_energy_ev"].low == published(bulk_activation_energy_ev=0.5).conductivity_change.value


def test_what_is_not_known_is_said():
    entry = transport_entry(published(), eit.material("lco").transport.not_known)
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    told = entry["conductivity"]["not_known"]
    assert "0.30 eV is assumed" in told[0]
    assert any("-27 % if all ions are, by +347 %" in one and "even the sign" in one for one in told)
    assert any("-29 %" in one and "-68 %" in one for one in told)
    assert all(one.endswith(".") for one in told)


def test_the_sign_of_the_carriers_is_no_question_where_both_models_agree_on_it():
    half = transport_entry(estimate(0.0, 0.1, 50.0, -0.27, 0.03, Assumptions(lithium_content=0.4)))
    assert not any("sign" in one for one in half["conductivity"]["not_known"])


def test_an_unknown_conductivity_has_no_spread():
    entry = transport_entry(estimate(None, None, None, -0.27, 0.03))
    assert entry["conductivity"]["over_assumptions"] is None
    assert entry["conductivity"]["ln_factor"]["value"] is None
    assert json.dumps(entry, allow_nan=False)


def test_a_shift_that_is_hardly_known_has_no_tail_for_an_uncertainty():
    """The standard deviation of e^x is made by its far tail; half of the interval is what most draws do."""
    change = estimate(0.9, 8.5, 50.0, -0.27, 0.03).conductivity_change
    low, high = change.interval_68
    assert change.sigma == pytest.approx(0.5 * (high - low)) and change.sigma < 100


def test_seed_decides_the_draws():
    assert estimate(*PUBLISHED, seed=3) == estimate(*PUBLISHED, seed=3)
    assert estimate(*PUBLISHED, seed=3).mobility_factor.sigma != estimate(*PUBLISHED, seed=4).mobility_factor.sigma


def test_nothing_changes_where_nothing_shifts():
    result = estimate(0.0, 0.0, 50.0, 0.0, 0.0)
    assert result.conductivity_change == (0.0, 0.0, (0.0, 0.0))
    assert result.spread.low == result.spread.high == 0.0


@pytest.mark.parametrize(
    ("shift", "centre", "lithium", "known"),
    [
        (None, 50.0, -0.27, {"carriers"}),
        (math.nan, 50.0, -0.27, {"carriers"}),
        (1.8, None, -0.27, {"carriers"}),
        (1.8, 0.0, -0.27, {"carriers"}),
        (-60.0, 50.0, -0.27, {"carriers"}),
        (1.8, 50.0, None, {"activation", "mobility"}),
        (1.8, 50.0, -1.2, {"activation", "mobility"}),
        (None, None, None, set()),
    ],
)
def test_unknown_input_leaves_only_what_depends_on_it_unknown(shift, centre, lithium, known):
    result = estimate(shift, 0.2, centre, lithium, 0.03)
    values = {
        "activation": result.activation_energy_change,
        "mobility": result.mobility_factor,
        "carriers": result.carrier_factor,
        "conductivity": result.conductivity_change,
    }
    assert {name for name, quantity in values.items() if np.isfinite(quantity.value)} == known
    assert {name for name, quantity in values.items() if np.isfinite(quantity.sigma)} == known
    assert math.isnan(result.spread.low) and math.isnan(result.spread.interval_68[1])


@pytest.mark.parametrize("sigma", [None, math.nan, -1.0])
def test_unknown_error_is_no_error_of_zero(sigma):
    change = estimate(1.8, sigma, 50.0, -0.27, 0.03).activation_energy_change
    assert change.value == pytest.approx(0.0733, abs=1e-4)
    assert math.isnan(change.sigma) and math.isnan(change.interval_68[0])


def test_vacancy_model_beyond_full_lithium_is_flagged():
    result = estimate(0.0, 0.1, 50.0, 0.10, 0.03, Assumptions(carrier_model="vacancies"))
    assert [flag.code for flag in result.flags] == ["NO_VACANCIES"]
    assert result.carrier_factor.value == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature_k": 0.0},
        {"bulk_activation_energy_ev": -0.3},
        {"bulk_activation_energy_ev": math.nan},
        {"meyer_neldel_ev": 0.0},
        {"frequency_exponent": math.inf},
        {"lithium_content": 1.0},
        {"carrier_model": "holes"},
    ],
)
def test_impossible_assumptions_are_refused_by_name(wrong):
    with pytest.raises(UnusableInput, match=next(iter(wrong))):
        Assumptions(**wrong)
