"""Every kind of fit that is asked of the engine, against lmfit on all parameters at once.

The spectra are made by brute-force convolution. What is compared is what `fitting` asks the engine for in each mode,
for the shipped recipes and for one of a user's: same starts, same limits, same knowledge beforehand.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from lmfit.models import VoigtModel
from scipy.special import voigt_profile

from eels_iontransport import materials
from eels_iontransport.data.noise import given
from eels_iontransport.decomposition import engine, fitting, reference
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_each, fit_rows, fit_together
from eels_iontransport.decomposition.layout import Sharing, lay_out
from eels_iontransport.decomposition.problem import Data
from eels_iontransport.decomposition.response import from_gain_side, from_vacuum
from eels_iontransport.materials.recipe import PHONONIC, POLARITONIC, Bound, LineShape, Peak, Recipe

from . import synthetic

LCO, WATER = materials.load("lco"), materials.load("water_cnt")
ELECTRONS = 1e9


def own_peak(name, component, centre, reach):
    centre_mev = Bound(centre, centre - reach, centre + reach)
    wide = LineShape(centre_mev, Bound(2.0, 0.5, 6.0), Bound(1.0, 0.2, 6.0))
    return Peak(name, component, Bound(1.0, 0.0, np.inf), centre_mev, Bound(4.5, 3.1, 8.0), Bound(1.0, 0.1, 4.0), wide)


OWN = Recipe(
    name="own",
    title="A user's",
    description="",
    source="",
    peaks=(
        own_peak("34 meV", POLARITONIC, 34.5, 4),
        own_peak("low", PHONONIC, 47, 7),
        own_peak("high", PHONONIC, 71, 8),
    ),
    background_windows_mev=((20.0, 25.0), (95.0, 105.0)),
    fit_window_mev=(26.0, 95.0),
    wide_window_mev=(24.0, 100.0),
    background_order=2,
)
OWN_LINES = ((33.6, 2.0, 1.0, 2.6e-3), (49.6, 2.4, 0.9, 1.6e-3), (68.0, 2.6, 1.2, 4.5e-3))


@cache
def measured_scene(recipe):
    """(response, aloof spectrum, two spectra) of a recipe."""
    random = np.random.default_rng(1)

    def spectrum(lines):
        return synthetic.noisy(synthetic.spectrum(lines, ELECTRONS), random)

    if recipe is WATER:
        energy = np.arange(-200.0, 620.0, 0.945)
        mean = 4e7 * np.exp(-0.5 * (energy / 3.7) ** 2) + 3e7 / (1 + (np.abs(energy) / 8) ** 2.3)
        bumps = [a * np.exp(-0.5 * ((energy - c) / 16) ** 2) for a, c in ((2e3, 448), (3e3, 453))]
        water = [synthetic.Aligned(energy, random.poisson(mean + bump).astype(float), 1) for bump in bumps]
        return from_gain_side(energy, water[0].counts), None, water
    zlp, aloof = spectrum(()), spectrum(OWN_LINES[:1] if recipe is OWN else synthetic.POLARITONS)
    moved = [(c + 1.5, s, g, a) for c, s, g, a in OWN_LINES]
    grains = (OWN_LINES, moved) if recipe is OWN else (synthetic.grain(), synthetic.grain(1.8, 1.3))
    return from_vacuum(zlp.energy_mev, zlp.counts), aloof, [spectrum(lines) for lines in grains]


def last_fit(monkeypatch, recipe, mode, step):
    """layout, data and start of the last fit that a step asks the engine for, with the first of its problems only."""
    asked = []

    def record(layout, data, starts, *args, **kwargs):
        asked.append((layout, data, np.broadcast_to(starts, (len(data.counts), *starts.shape[-2:]))[0, 0]))
        return engine.fit(layout, data, starts, *args, **kwargs)

    monkeypatch.setattr(fitting, "fit", record)
    response, aloof, spectra = measured_scene(recipe)
    setup = Setup(recipe, mode, given(1.0), response)
    if aloof is not None:
        setup = replace(setup, polaritons=fit_aloof(setup, aloof)[1])
    if step == "rows":
        fit_rows(setup, fit_together(setup, spectra), spectra)
    elif step != "aloof":
        {"each": fit_each, "together": fit_together}[step](setup, spectra)
    layout, data, start = asked[-1]
    arrays = (data.energy_mev, data.counts, data.sigma, data.background, data.response)
    return layout, Data(*(array[:1] for array in arrays)), start


def fit_both(layout, data, start):
    names = [f"peak{k}" for k in range(layout.centre.shape[1])]
    return engine.fit(layout, data, start[None]), reference.fit(layout, data, start[None], names)


def sigmas(fits, layout):
    """Standard deviations of theta (p,) that the engine gives, from a spectrum that the parameter is of."""
    every = np.arange(layout.lower.size)
    variances = np.array([np.diag(fits.covariance(b, every)[0]) for b in range(len(layout.centre))])
    return np.sqrt(np.where(np.isfinite(variances), variances, 0).max(axis=0))


def holding_railed(layout, found):
    """The layout with what railed held where it ended: lmfit's standard errors know nothing of limits."""
    lower, upper = (np.where(found.railed[0], found.theta[0], limit) for limit in (layout.lower, layout.upper))
    return replace(layout, lower=lower, upper=upper)


CASES = [
    *((LCO, mode, step) for mode in ("published", "wide") for step in ("aloof", "each")),
    *((LCO, "shared", step) for step in ("together", "rows")),
    *((WATER, mode, step) for mode, step in (("published", "each"), ("wide", "each"), ("shared", "together"))),
    *((OWN, mode, step) for mode, step in (("published", "each"), ("shared", "together"), ("shared", "rows"))),
]
IDS = [f"{recipe.name}-{mode}-{step}" for recipe, mode, step in CASES]


@pytest.mark.parametrize(("recipe", "mode", "step"), CASES, ids=IDS)
def test_optimum_and_uncertainties_are_those_of_lmfit(monkeypatch, recipe, mode, step):
    layout, data, start = last_fit(monkeypatch, recipe, mode, step)
    found, theirs = fit_both(layout, data, start)
    assert found.cost[0] == pytest.approx(theirs.cost, abs=1e-4)
    assert found.chi2[0] == pytest.approx(theirs.chi2, abs=1e-2)
    assert min(found.areas.min(), theirs.areas.min()) >= 0
    assert found.areas[0] == pytest.approx(theirs.areas, rel=1e-3, abs=1e-3 * theirs.areas.max())
    sigma = sigmas(found, layout)
    assert np.any(sigma > 0)
    assert np.all(np.abs(found.theta[0] - theirs.theta)[sigma > 0] < 0.01 * sigma[sigma > 0])
    if found.areas.min() > 0:  # a line without area is as uncertain as its sign allows, which lmfit does not know
        assert_same_uncertainties(holding_railed(layout, found), data, found.theta[0])


def assert_same_uncertainties(layout, data, start):
    found, theirs = fit_both(layout, data, start)
    assert not found.railed.any()
    assert sigmas(found, layout)[layout.free] == pytest.approx(theirs.sigma()[layout.free], rel=0.05)
    errors = [theirs.result.params[name].stderr for name in theirs.minimizer.userfcn.names.area.ravel()]
    assert found.area_sigma[0].ravel() == pytest.approx(errors, rel=0.05)


ENERGY = np.arange(30.0, 95.2, 0.4)
TRUE = {
    "out_of_plane": (40.6, 4.6, 0.7, 6.5e4),
    "LDO": (50.4, 4.4, 0.7, 4.5e4),
    "CoO6": (66.2, 4.4, 0.8, 1.35e5),
    "P81": (80.6, 5.0, 0.8, 7e4),
}


def voigts(lines):
    return sum(area * voigt_profile(ENERGY - centre, sigma, gamma) for centre, sigma, gamma, area in lines.values())


def published_problem(counts, sigma, held_widths=None):
    """The phononic peaks as recorded, without background, limits on FWHM or a response."""
    peaks = LCO.phononic_peaks
    sharing = Sharing(common_widths=False, held_widths=held_widths)
    layout, start = lay_out(peaks, {p.name: p.published for p in peaks}, 1, sharing)
    arrays = (ENERGY, counts, sigma, np.empty((0, ENERGY.size)), np.array([[1.0, 0.0, 0.0, 0.0]]))
    return layout, Data(*(array[None, None] for array in arrays)), start


def test_a_line_that_is_not_there_has_no_area():
    mean = voigts(TRUE)
    dent = TRUE | {"LDO": (50.4, 4.4, 0.7, -2e4)}
    widths = {name: line[1:3] for name, line in TRUE.items()}
    layout, data, start = published_problem(voigts(dent), np.sqrt(mean), widths)
    found, theirs = fit_both(layout, data, start)
    assert found.areas[0, 0, 1] == 0
    assert theirs.areas[0, 1] == pytest.approx(0, abs=1.0)
    assert found.cost[0] == pytest.approx(theirs.cost, abs=1e-4)


def voigt_models_chi2(counts, sigma, lines):
    """Chi-squared of lmfit's own lines within the recipe's limits, from centres, widths and areas by peak."""
    model = sum((VoigtModel(prefix=f"{name}_") for name in list(lines)[1:]), VoigtModel(prefix=f"{next(iter(lines))}_"))
    parameters = model.make_params()
    for name, (centre, width, gamma, area) in lines.items():
        peak = LCO.peak(name)
        parameters[f"{name}_amplitude"].set(value=area, min=0)
        for quantity, value, bound in (
            ("center", centre, peak.centre_mev),
            ("sigma", width, peak.sigma_mev),
            ("gamma", gamma, peak.gamma_mev),
        ):
            parameters[f"{name}_{quantity}"].set(value=value, vary=True, expr="", min=bound.lower, max=bound.upper)
    options = {"x_scale": "jac", "ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12}
    return model.fit(counts, parameters, x=ENERGY, weights=1 / sigma, method="least_squares", fit_kws=options).chisqr


@pytest.mark.parametrize("seed", range(2))
def test_the_optimum_is_that_of_the_voigt_models_of_lmfit(seed):
    counts = np.random.default_rng(seed).poisson(voigts(TRUE)).astype(float)
    sigma = np.sqrt(np.maximum(counts, 1.0))
    layout, data, start = published_problem(counts, sigma)
    found, theirs = fit_both(layout, data, start)
    ended = {name: (*found.theta[0, 3 * k : 3 * k + 3], found.areas[0, 0, k]) for k, name in enumerate(TRUE)}
    best = min(voigt_models_chi2(counts, sigma, lines) for lines in (TRUE, ended))
    assert found.cost[0] == pytest.approx(best, abs=1e-3)
    assert theirs.cost == pytest.approx(best, abs=1e-3)
