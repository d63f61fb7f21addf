"""The published model against lmfit, with its own Voigt lines and its own bounds."""

from __future__ import annotations

import numpy as np
import pytest
from lmfit.models import VoigtModel

from eels_iontransport import materials
from eels_iontransport.decomposition import engine
from eels_iontransport.decomposition.layout import Sharing, lay_out
from eels_iontransport.decomposition.lines import PlainVoigts
from eels_iontransport.decomposition.problem import Block

ENERGY = np.arange(30.0, 95.2, 0.4)
PEAKS = materials.load("lco").phononic_peaks
TRUE = {"out_of_plane": (40.6, 4.6, 0.7), "LDO": (50.4, 4.4, 0.7), "CoO6": (66.2, 4.4, 0.8), "P81": (80.6, 5.0, 0.8)}
AREAS = (6.5e4, 4.5e4, 1.35e5, 7e4)


def lmfit_chi2(counts, sigma, start):
    """Chi-squared of lmfit's least_squares with the recipe's bounds, from given centres and widths."""
    model, parameters = None, None
    for k, peak in enumerate(PEAKS):
        line = VoigtModel(prefix=f"p{k}_")
        guess = line.make_params(amplitude=start[k][3], center=start[k][0], sigma=start[k][1], gamma=start[k][2])
        for name, bound in (("center", peak.centre_mev), ("sigma", peak.sigma_mev), ("gamma", peak.gamma_mev)):
            guess[f"p{k}_{name}"].set(min=bound.lower, max=bound.upper, expr="")
        guess[f"p{k}_amplitude"].set(min=0)
        model = line if model is None else model + line
        parameters = guess if parameters is None else parameters + guess
    fit = model.fit(counts, parameters, x=ENERGY, weights=1 / sigma, method="least_squares")
    return fit.chisqr


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_good_an_optimum_as_that_of_lmfit(seed):
    basis = PlainVoigts(ENERGY)(*np.array(list(TRUE.values())).T)[0]
    counts = np.random.default_rng(seed).poisson(np.array(AREAS) @ basis).astype(float)
    sigma = np.sqrt(np.maximum(counts, 1.0))
    block = Block(ENERGY, counts, sigma, PlainVoigts(ENERGY), np.empty((0, ENERGY.size)))
    problem, start = lay_out(PEAKS, {p.name: p.published for p in PEAKS}, [block], Sharing(common_widths=False))
    found = engine.fit(problem, [start])
    centre, width, gamma = problem.line_parameters(found.theta, 0)
    starts = (
        [(*TRUE[p.name], area) for p, area in zip(PEAKS, AREAS)],
        list(zip(centre, width, gamma, found.blocks[0].areas)),
    )
    best = min(lmfit_chi2(counts, sigma, s) for s in starts)
    assert found.chi2 <= best + 0.01
    assert found.chi2 >= best - 0.1  # and no better than possible: the same model, the same bounds
