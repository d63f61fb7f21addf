"""The three modes on spectra made by brute-force convolution on a realistic tail, and on measured ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import referee_lines
from benchmarks.referee_lines import Condition
from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import NoiseModel, given
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_each, fit_rows, fit_together
from eels_iontransport.decomposition.presence import test_presence as presence_of
from eels_iontransport.decomposition.response import from_gain_side, from_vacuum
from eels_iontransport.files import load
from eels_iontransport.prepared import prepare

from . import synthetic

RECIPE = materials.load("lco")
ELECTRONS = 4e9


def setup_with_aloof(mode, seed, noise=None, gain=1.0):
    random = np.random.default_rng(seed)
    zlp = synthetic.noisy(synthetic.spectrum((), ELECTRONS), random)
    aloof = synthetic.noisy(synthetic.spectrum(synthetic.POLARITONS, ELECTRONS), random)
    aloof = type(aloof)(aloof.energy_mev, gain * aloof.counts, 1)
    setup = Setup(RECIPE, mode, noise or given(1.0), from_vacuum(zlp.energy_mev, zlp.counts))
    result, shapes = fit_aloof(setup, aloof)
    return Setup(RECIPE, mode, setup.noise, setup.response, None, shapes), result, random


def regions(random, shift_mev, electrons=1.3e9, gain=1.0):
    parts = [(0.0, 1.0), (shift_mev, 1.3), (0.0, 0.9)]
    spectra = [synthetic.noisy(synthetic.spectrum(synthetic.grain(d, s), electrons), random) for d, s in parts]
    return [type(s)(s.energy_mev, gain * s.counts, 1) for s in spectra]


def shift_of(d):
    value = d.value("LDO", "centre_mev")
    weights = np.array([-0.5, 1.0, -0.5])
    covariance = d.centre_covariance("LDO")
    return weights @ value, np.sqrt(weights @ covariance @ weights)


@pytest.mark.parametrize("shift_mev", [0.0, 1.8])
def test_shared_finds_the_shift_and_says_how_well(shift_mev):
    pulls, sigmas = [], []
    for seed in range(6):
        setup, aloof, random = setup_with_aloof("shared", seed)
        value, sigma = shift_of(fit_together(setup, regions(random, shift_mev)))
        pulls.append((value - shift_mev) / sigma)
        sigmas.append(sigma)
        assert aloof.described[0]
    assert np.median(sigmas) < 0.4
    assert abs(np.mean(pulls)) < 1.5 and np.max(np.abs(pulls)) < 3.5


def test_components_add_up_to_the_model_and_the_residual_is_noise():
    setup, _, random = setup_with_aloof("shared", 7)
    found = fit_together(setup, regions(random, 1.8))
    assert found.polaritonic.shape == found.residual.shape == (3, 220)
    assert found.background + found.polaritonic + found.phononic + found.residual == pytest.approx(found.counts)
    assert np.all(found.chi2 < 1.3) and np.all(found.chi2 > 0.7)
    assert np.all(np.abs(found.residual.mean(axis=1)) < 0.01 * found.phononic.mean(axis=1))


@pytest.mark.parametrize("gain", [7.0, 0.02])
def test_counts_of_unknown_gain_change_no_centre_and_no_uncertainty(gain):
    results = []
    for g in (1.0, gain):
        noise = NoiseModel("estimated", g)
        setup, _, random = setup_with_aloof("shared", 3, noise, g)
        results.append(shift_of(fit_together(setup, regions(random, 1.8, gain=g))))
    assert results[0] == pytest.approx(results[1], abs=2e-3)


def test_rows_follow_the_shift():
    setup, _, random = setup_with_aloof("shared", 5)
    together = fit_together(setup, regions(random, 1.8))
    rows = fit_rows(setup, together, regions(random, 1.8, 3e8))
    centre, sigma = rows.value("LDO", "centre_mev"), rows.sigma("LDO", "centre_mev")
    assert centre[1] - centre[0] == pytest.approx(1.8, abs=4 * np.hypot(*sigma[:2]))
    assert np.all(rows.sigmas["fwhm_mev"][:, 3:] != rows.sigmas["fwhm_mev"][:, 3:])  # widths are held: nan


def test_the_published_mode_subtracts_two_windows_and_keeps_the_aloof_shapes():
    setup, aloof, random = setup_with_aloof("published", 1)
    found = fit_each(setup, regions(random, 1.8))
    for peak in RECIPE.aloof_peaks:
        assert np.allclose(
            found.value(peak.name, "centre_mev"), aloof.value(peak.name, "centre_mev")[0], equal_nan=True
        )
    widths = found.values["fwhm_mev"][np.isfinite(found.values["fwhm_mev"])]
    assert widths.min() >= 8 - 1e-6 and widths.max() <= 20 + 1e-6
    energy = found.energy_mev[0]
    law = np.polyfit(np.log(energy), np.log(found.background[0]), 1)
    assert np.log(found.background[0]) == pytest.approx(np.polyval(law, np.log(energy)), abs=1e-9)


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        (((500.0, 510.0), (600.0, 700.0)), "500-700 meV is not covered"),
        (((-10.0, 5.0), (100.0, 110.0)), "-10-110 meV is not covered"),
        (((30.0, 30.5), (31.0, 32.0)), "holds 5 channels of 0.4 meV and needs 12"),
    ],
)
def test_windows_that_cannot_be_fitted(windows, said):
    zlp = synthetic.spectrum((), ELECTRONS)
    setup = Setup(RECIPE, "wide", given(1.0), from_vacuum(zlp.energy_mev, zlp.counts), windows)
    with pytest.raises(UnusableInput, match=said):
        fit_each(setup, [zlp])


def test_an_unknown_mode_is_refused():
    with pytest.raises(UnusableInput, match="no mode 'fast'"):
        Setup(RECIPE, "fast", given(1.0), None)


WATER = materials.load("water_cnt")


def presence_in(bump, seed):
    energy = np.arange(-200.0, 620.0, 0.945)
    tail = 4e7 * np.exp(-0.5 * (energy / 3.7) ** 2) + 3e7 / (1 + (np.abs(energy) / 8) ** 2.3)
    mean = tail + bump * np.exp(-0.5 * ((energy - 450) / 16) ** 2)
    spectrum = synthetic.Aligned(energy, np.random.default_rng(seed).poisson(mean).astype(float), 1)
    response = from_gain_side(spectrum.energy_mev, spectrum.counts)
    return presence_of(Setup(WATER, "shared", given(1.0), response), spectrum, "OH")


def test_a_peak_that_is_not_there_is_not_found_and_one_that_is_there_is():
    assert sum(presence_in(0.0, seed).present for seed in range(12)) == 0
    assert sum(presence_in(600.0, seed).present for seed in range(12)) >= 11


@pytest.mark.parametrize(("name", "present"), [("FilledCNT_1pt4nm_RT", True), ("EmptyCNT_RT", False)])
def test_water_in_measured_nanotubes(measured, name, present):
    prepared = prepare(load(measured / "hermes_cnt" / f"{name}.ndata1"))
    total = prepared.total()
    setup = Setup(WATER, "shared", prepared.noise, from_gain_side(total.energy_mev, total.counts))
    assert presence_of(setup, total, "OH").present is present
    if present:
        assert fit_together(setup, [total]).value("OH", "centre_mev")[0] == pytest.approx(455, abs=3)


@pytest.mark.parametrize("seed", [20, 44])
def test_a_boundary_whose_peak_lies_apart_keeps_it(seed):
    """From one centre for all regions, and nowhere else, these lost the boundary's peak to a neighbouring line."""
    taken = referee_lines.session(Condition(2.6, 1.0), seed)
    prepared = {role: prepare(spectra) for role, spectra in taken.inputs.items()}
    line, aloof, vacuum = (prepared[role] for role in ("vibrational", "aloof", "zlp"))
    total = vacuum.total()
    setup = Setup(RECIPE, "shared", line.noise, from_vacuum(total.energy_mev, total.counts))
    setup = replace(setup, polaritons=fit_aloof(replace(setup, noise=aloof.noise), aloof.total())[1])
    together = fit_together(setup, [line.total(mask) for mask in referee_lines.masks().values()])
    centres = together.value("LDO", "centre_mev")
    assert centres == pytest.approx([49.55, 52.2, 49.65], abs=1.0)
    assert (together.chi2 < 1.2).all()
