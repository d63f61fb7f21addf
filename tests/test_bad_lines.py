"""Lines that nobody would want, through the whole analysis: an answer with a flag, or a sentence, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import eels_iontransport as eit
from benchmarks import referee_lines
from eels_iontransport import specification
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import given
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.session import Session

pytestmark = pytest.mark.filterwarnings("error")

RECIPES = {name: eit.material(name) for name in ("lco", "water_cnt")}
MODES = ("shared", "wide", "published")
PIXELS, STEP_NM = 3, 0.5  # of each region
ELSEWHERE = Region(100.0, 110.0)
REGIONS = Regions(Region(0.0, 1.0), Region(1.5, 2.5), Region(3.0, 4.0))
WITHOUT_SIGMA = ("/peaks", "/boundary/")  # what is held or at a limit, and a place that the user gave


@cache
def good():
    """A line of three pixels a region with ten times the usual dose, its aloof spectrum and vacuum ZLP."""
    taken = referee_lines.session(referee_lines.Condition(dose=10.0), 3)
    rows = np.concatenate([np.arange(first, first + PIXELS) for first in range(0, 30, 10)])
    return {**taken.inputs, "vibrational": with_counts(taken.line, taken.line.counts[rows])}


def with_counts(spectra, counts, **fields):
    return replace(spectra, counts=counts, valid=np.ones(len(np.atleast_2d(counts)), bool), **fields)


def changed(role, change):
    return lambda: {**good(), role: change(good()[role])}


def every(change):
    return lambda: {role: change(spectra) for role, spectra in good().items()}


def first_rows(count):
    return lambda line: with_counts(line, line.counts[:count])


def masked(first, last, value):
    def change(spectra):
        counts = spectra.counts.copy()
        counts[..., first:last] = value
        return with_counts(spectra, counts)

    return change


def without(*rows):
    def change(line):
        counts = line.counts.copy()
        counts[list(rows)] = np.nan
        return make_spectra(counts, line.energy, step_nm=line.step_nm, noise=line.noise, name=line.name)

    return change


def on_axis(offset_ev=0.0, factor=1.0):
    def change(spectra):
        axis = spectra.energy
        return replace(spectra, energy=EnergyAxis(axis.offset_ev + offset_ev, axis.step_ev * factor, axis.size))

    return change


def two_channels_as_one(spectra):
    axis, counts = spectra.energy, spectra.counts[..., : spectra.energy.size // 2 * 2]
    coarse = EnergyAxis(axis.offset_ev + axis.step_ev / 2, 2 * axis.step_ev, counts.shape[-1] // 2)
    return with_counts(spectra, counts[..., ::2] + counts[..., 1::2], energy=coarse)


def dark_subtracted(spectra):
    dark = np.random.default_rng(5).poisson(400, spectra.counts.shape) - 400.0
    return with_counts(spectra, spectra.counts + dark, noise=replace(given(1.0), floor=400.0))


def of_unknown_gain(spectra):
    return with_counts(spectra, 0.02 * spectra.counts, noise=None)


def correlated(spectra):
    """Each count spread over three channels, and the gain unknown."""
    kernel = np.array([0.25, 0.5, 0.25])
    counts = np.apply_along_axis(np.convolve, -1, spectra.counts, kernel, "same")
    return with_counts(spectra, counts, noise=None)


def broadened(spectra):
    """As a response of 25 meV gives it."""
    counts = gaussian_filter1d(spectra.counts, 10.06 / 0.4, axis=-1)
    return with_counts(spectra, np.random.default_rng(2).poisson(np.maximum(counts, 0.0)).astype(float))


def cut_at_the_top(part):
    return lambda spectra: with_counts(spectra, np.minimum(spectra.counts, part * spectra.counts.max()))


def valence(pixels):
    axis = EnergyAxis(-5.0, 0.05, 2000)
    energy = axis.energies_ev
    counts = 1e7 * np.exp(-0.5 * (energy / 0.1) ** 2) + 2e4 * np.exp(-0.5 * ((energy - 25) / 6) ** 2) + 10
    return make_spectra(np.tile(np.round(counts), (pixels, 1)), axis, step_nm=STEP_NM, noise=given(1.0), name="valence")


def core_loss(pixels):
    axis = EnergyAxis(30.0, 0.1, 600)
    energy = axis.energies_ev
    counts = (3e6 + 3e5 * (energy > 55) + 5e5 * (energy > 60)) * (energy / 40) ** -3.0
    noisy = np.random.default_rng(1).poisson(counts, (pixels, energy.size)).astype(float)
    return make_spectra(noisy, axis, step_nm=STEP_NM, noise=given(1.0), name="core loss")


def with_chemistry(of_valence, of_core_loss):
    return lambda: {**good(), "valence": valence(of_valence), "core_loss": core_loss(of_core_loss)}


GOOD = good
ONE_GRAIN = {"regions": Regions(REGIONS.grain_1, REGIONS.boundary, ELSEWHERE)}
AT_THE_END = {"regions": Regions(Region(0.0, 1.0), Region(1.5, 1.5), Region(2.0, 3.0))}
NO_REGIONS = {"regions": None}

# inputs, arguments of the session, and the flags of which one at least is told in every mode; () where nothing is odd
LINES = {
    "dark-subtracted": (every(dark_subtracted), {}, ()),
    "channels far below zero": (changed("vibrational", masked(540, 542, -3e5)), {}, ("CHANNELS_MASKED",)),
    "a window far below zero": (changed("vibrational", masked(500, 520, -1e6)), {}, ("CHANNELS_MASKED",)),
    "all below zero": (changed("vibrational", lambda s: with_counts(s, -s.counts)), {}, ("NO_ZLP",)),
    "too much subtracted": (changed("vibrational", lambda s: with_counts(s, s.counts - 2e5)), {}, ("NOT_DECOMPOSED",)),
    "unknown gain": (every(of_unknown_gain), {}, ()),
    "tiny counts": (every(lambda s: with_counts(s, 1e-12 * s.counts, noise=None)), {}, ()),
    "correlated channels": (every(correlated), {}, ()),
    "one grain": (GOOD, ONE_GRAIN, ("REGION_EMPTY",)),
    "only a grain": (GOOD, {"regions": Regions(REGIONS.grain_1, ELSEWHERE, ELSEWHERE)}, ("REGION_EMPTY",)),
    "regions off the line": (GOOD, {"regions": Regions(ELSEWHERE, ELSEWHERE, ELSEWHERE)}, ("REGION_EMPTY",)),
    "boundary at the end": (changed("vibrational", first_rows(4)), AT_THE_END, ("REGION_EMPTY",)),
    "one pixel": (changed("vibrational", first_rows(1)), {}, ("REGION_EMPTY",)),
    "one pixel, no regions": (changed("vibrational", first_rows(1)), NO_REGIONS, ("BOUNDARY_TOO_SHORT",)),
    "empty": (changed("vibrational", first_rows(0)), {}, ("REGION_EMPTY",)),
    "rows of nan": (changed("vibrational", without(0, 4, 8)), {}, ("ROWS_MISSING",)),
    "boundary of nan": (changed("vibrational", without(3, 4, 5)), {}, ("REGION_EMPTY",)),
    "all nan": (changed("vibrational", without(*range(9))), {}, ("ROWS_MISSING",)),
    "zeros": (changed("vibrational", lambda s: with_counts(s, 0 * s.counts)), {}, ("NO_ZLP",)),
    "saturated": (changed("vibrational", cut_at_the_top(0.5)), {}, ("ZLP_SATURATED",)),
    "cropped at 60 meV": (
        changed("vibrational", lambda s: with_counts(s, s.counts[:, :550], energy=replace(s.energy, size=550))),
        {},
        ("NOT_DECOMPOSED",),
    ),
    "aloof of another dispersion": (changed("aloof", two_channels_as_one), {}, ()),
    "vacuum of another dispersion": (changed("zlp", two_channels_as_one), {}, ()),
    "aloof zero 30 meV off": (changed("aloof", on_axis(offset_ev=0.03)), {}, ()),
    "aloof step twice as large": (changed("aloof", on_axis(factor=2.0)), {}, ("ALOOF_MISFIT",)),
    "line step twice as large": (changed("vibrational", on_axis(factor=2.0)), {}, ("MODEL_MISFIT",)),
    "aloof saturated": (changed("aloof", cut_at_the_top(0.5)), {}, ("NO_ALOOF",)),
    "chemistry of other lengths": (with_chemistry(4, 7), {}, ("PLURAL_PIXELS",)),
    "plural scattering of no pixel": (with_chemistry(9, 9), {}, ("PLURAL_UNKNOWN",)),
    "chemistry of one pixel": (with_chemistry(1, 1), {}, ("PLURAL_UNKNOWN",)),
}
UNCHANGED = ("dark-subtracted", "unknown gain", "tiny counts", "correlated channels", "aloof zero 30 meV off")


def evaluated(inputs, *, recipe="lco", mode="shared", settled=False, **arguments):
    session = Session(RECIPES[recipe], mode=mode, **{"regions": REGIONS, **arguments})
    session.update(**inputs())
    return session, session.evaluate(settled=settled).readout


def codes(readout):
    return {flag["code"] for flag in readout["flags"]}


def quantities(node, path=""):
    """Every quantity of a readout, with its place."""
    if isinstance(node, dict):
        if {"value", "sigma", "interval_68"} <= set(node):
            yield path, node
        node = node.items()
    elif isinstance(node, list):
        node = enumerate(node)
    else:
        return
    for key, part in node:
        yield from quantities(part, f"{path}/{key}")


def assert_honest(readout):
    """JSON; every quantity is null, or a number with what it is uncertain by, and an interval around it."""
    json.dumps(readout, allow_nan=False)
    for place, found in quantities(readout):
        if found["value"] is None:
            assert found["sigma"] is None and found["interval_68"] is None, place
        elif found["sigma"] is None:
            assert place.startswith(WITHOUT_SIGMA), place
        else:
            assert found["sigma"] >= 0, place
            low, high = found["interval_68"]
            assert low <= found["value"] <= high, place


def assert_silence_is_explained(readout):
    """A shift that is not given has a flag."""
    assert readout["ldo_peak"]["blue_shift_mev"]["value"] is not None or readout["flags"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", LINES)
def test_a_bad_line_gives_an_answer_with_a_flag(kind, mode):
    inputs, arguments, told = LINES[kind]
    _, readout = evaluated(inputs, mode=mode, **arguments)
    assert_honest(readout)
    assert_silence_is_explained(readout)
    assert not told or codes(readout) & set(told)


@pytest.mark.parametrize("kind", ["dark-subtracted", "one pixel", "all nan", "saturated", "line step twice as large"])
def test_a_recipe_whose_window_the_line_does_not_reach_gives_no_peak(kind):
    _, readout = evaluated(LINES[kind][0], recipe="water_cnt")
    assert_honest(readout)
    assert readout["peaks"] == [] and readout["flags"]


@pytest.mark.parametrize("kind", UNCHANGED)
def test_what_is_not_odd_changes_no_shift(kind):
    plain, found = (evaluated(inputs)[1]["ldo_peak"]["blue_shift_mev"] for inputs in (good, LINES[kind][0]))
    assert abs(found["value"] - plain["value"]) < plain["sigma"]
    assert found["sigma"] == pytest.approx(plain["sigma"], rel=0.3)


BACKGROUNDS = {
    "a window reversed": ((25.0, 20.0), (95.0, 105.0)),
    "windows in the other order": ((95.0, 105.0), (20.0, 25.0)),
    "a window of nan": ((20.0, np.nan), (95.0, 105.0)),
    "beyond the line": ((20.0, 25.0), (395.0, 405.0)),
    "over the zero-loss peak": ((-5.0, 5.0), (95.0, 105.0)),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_background_windows_that_cannot_be_used_are_refused(kind, mode):
    with pytest.raises(UnusableInput, match="window"):
        evaluated(good, mode=mode, background_mev=BACKGROUNDS[kind])


@pytest.mark.parametrize("mode", MODES)
def test_background_windows_over_a_feature_give_no_surer_shift(mode):
    _, readout = evaluated(good, mode=mode, background_mev=((30.0, 38.0), (70.0, 78.0)))
    assert_honest(readout)
    shift, plain = (r["ldo_peak"]["blue_shift_mev"] for r in (readout, evaluated(good, mode=mode)[1]))
    assert shift["value"] is None or "MODEL_MISFIT" in codes(readout) or shift["sigma"] > plain["sigma"]


@pytest.fixture
def _few_choices(monkeypatch):
    for name, steps in (("LOW", (0.0,)), ("HIGH", (0.0,)), ("ORDER", (0,)), ("WINDOW", (0.0,))):
        monkeypatch.setattr(specification, f"{name}_STEPS", steps)


ON_DEMAND = {"bootstrap": {"count": 20}, "specifications": {}, "sceptic": {}}


@pytest.mark.usefixtures("_few_choices")
@pytest.mark.parametrize("kind", ["only a grain", "one pixel", "empty", "all nan", "saturated", "cropped at 60 meV"])
def test_what_is_asked_for_a_shift_that_is_not_there(kind):
    inputs, arguments, _ = LINES[kind]
    session, _ = evaluated(inputs, **arguments)
    for name, asked in ON_DEMAND.items():
        try:
            readout = getattr(session, name)(**asked).readout
        except UnusableInput as fault:
            assert str(fault).endswith(".")
        else:
            assert_honest(readout)


@pytest.mark.usefixtures("_few_choices")
def test_what_is_asked_for_the_shift_against_one_grain():
    session, _ = evaluated(good, settled=True, **ONE_GRAIN)
    for name, asked in ON_DEMAND.items():
        readout = getattr(session, name)(**asked).readout
        assert_honest(readout)
    assert readout["ldo_peak"]["reference"] == "grain_1"
