"""The least spread that an unbiased estimate of the shift can have with the model that is fitted: Cramer and Rao."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eels_iontransport.decomposition.engine import Fits, fit
from eels_iontransport.decomposition.fitting import Posed, Setup, fit_aloof, pose
from eels_iontransport.decomposition.information import information
from eels_iontransport.decomposition.layout import KnownShapes
from eels_iontransport.decomposition.response import from_vacuum
from eels_iontransport.materials import load
from eels_iontransport.prepared import prepare
from eels_iontransport.shift import MEAN, weights
from eels_iontransport.specification_curve import tail_of

from .referee_lines import AXIS, DOSE_1, PIXELS, POLARITONS, Condition, masks, regions, session


def bound(condition: Condition) -> float:
    """Standard deviation in meV, at the true parameters, no limit being in the way.

    What is known of the polaritons is what the fit of the aloof spectrum says; the background is the vacuum tail.
    """
    taken = session(condition, 0)
    prepared = {role: prepare(spectra) for role, spectra in taken.inputs.items()}
    line, aloof, vacuum = (prepared[role] for role in ("vibrational", "aloof", "zlp"))
    zero_loss, outside, spectra = vacuum.total(), aloof.total(), [line.total(mask) for mask in masks().values()]
    assert zero_loss is not None and outside is not None
    tail = tail_of(load("lco"), vacuum.noise, zero_loss)
    setup = Setup(load("lco"), "shared", line.noise, from_vacuum(zero_loss.energy_mev, zero_loss.counts), tail=tail)
    shapes = fit_aloof(replace(setup, noise=aloof.noise), outside)[1]
    truth = np.array([value for m in POLARITONS for value in (m.centre_mev, m.sigma_mev, m.gamma_mev)])
    setup = replace(setup, polaritons=KnownShapes(truth, shapes.covariance))
    posed = pose(setup, [spectrum for spectrum in spectra if spectrum is not None])
    told = information(posed.layout, posed.data, _at_truth(setup, posed, condition))
    row = weights(MEAN, list(masks()))
    assert row is not None
    shift = told.of_centres([peak.name for peak in setup.recipe.peaks].index("LDO"), row)
    assert shift is not None
    return told.sigma(shift)


def _at_truth(setup: Setup, posed: Posed, condition: Condition) -> Fits:
    """The fit as if it had ended in the true parameters."""
    fits, layout = fit(posed.layout, posed.data, posed.starts), posed.layout
    theta, areas = fits.theta.copy(), fits.areas.copy()
    for region, modes in enumerate(regions(condition, np.random.default_rng(0))):
        for line, mode in enumerate(modes):
            theta[0, layout.centre[region, line]] = mode.centre_mev
            theta[0, layout.sigma[region, line]] = mode.sigma_mev
            theta[0, layout.gamma[region, line]] = mode.gamma_mev
            areas[0, region, line] = mode.area * DOSE_1 * condition.dose * PIXELS * 1e3 * AXIS.step_ev
    theta[0, layout.offset[layout.offset >= 0]] = 0.0
    return replace(fits, theta=theta, areas=areas, railed=np.zeros_like(fits.railed))
