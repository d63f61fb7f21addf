"""The shift of a simulated session against the plain solver, which convolves with the response as measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eels_iontransport import materials
from eels_iontransport.data.record import Role
from eels_iontransport.decomposition import fitting
from eels_iontransport.decomposition.layout import KnownShapes, Sharing, lay_out
from eels_iontransport.memory import Memory
from eels_iontransport.prepared import prepare
from eels_iontransport.session import Session, line_masks
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from eels_iontransport.simulation.specimen import lco_boundary
from eels_iontransport.vibrational_model import build_model

from . import plain
from .plain_lines import ConvolvedVoigts

RECIPE = materials.load("lco")
WEIGHTS = np.array([-0.5, 1.0, -0.5])


def seen(setup, spectra, data):
    """Lines convolved with the measured response, widened to each spectrum's own zero-loss peak."""
    widths = [setup.response.broadening(s.fwhm_mev) for s in spectra]
    return [ConvolvedVoigts(e, setup.response, w) for e, w in zip(data.energy_mev[0], widths)]


def plain_polaritons(setup, aloof):
    peaks = RECIPE.aloof_peaks
    posed = fitting.pose(replace(setup, mode="wide", recipe=replace(RECIPE, peaks=peaks), polaritons=None), [aloof])
    layout, start = lay_out(peaks, {p.name: p.wide for p in peaks}, 1, Sharing())
    found = plain.fit(plain.problem(layout, posed.data, 0, seen(setup, [aloof], posed.data)), [start])
    indices = np.stack([layout.centre[0], layout.sigma[0], layout.gamma[0]], axis=-1).ravel()
    stretch = max(1.0, found.reduced_chi2 * setup.noise.correlation)
    return KnownShapes(found.theta[indices], found.covariance[np.ix_(indices, indices)] * stretch)


def test_the_readout_is_that_of_the_plain_solver_within_a_tenth_of_its_sigma():
    microscope = SimulatedMicroscope(lco_boundary(), 3)
    spectra = acquire_all(microscope, default_places(microscope))
    session = Session(replace(RECIPE, choose_background=False))
    session.update(**{role.value: s for role, s in spectra.items()})
    evaluation = session.evaluate()
    reported = evaluation.readout["ldo_peak"]["blue_shift_mev"]

    line, aloof, vacuum = (prepare(spectra[role]) for role in (Role.VIBRATIONAL, Role.ALOOF, Role.ZLP))
    groups = [line.total(mask & line.usable) for mask in line_masks(line, evaluation.regions).values()]
    setup = build_model(RECIPE, "shared", None, line, aloof, vacuum, Memory()).setup
    polaritons = plain_polaritons(replace(setup, noise=aloof.noise), aloof.total())
    posed = fitting.pose(replace(setup, polaritons=polaritons), groups)
    starts = posed.starts.reshape(-1, posed.starts.shape[-1])
    found = plain.fit(plain.problem(posed.layout, posed.data, 0, seen(setup, groups, posed.data)), starts)
    centres = posed.layout.centre[:, [p.name for p in RECIPE.peaks].index("LDO")]
    stretch = max(1.0, found.reduced_chi2 * setup.noise.correlation)
    sigma = np.sqrt(WEIGHTS @ found.covariance[np.ix_(centres, centres)] @ WEIGHTS * stretch)
    assert abs(WEIGHTS @ found.theta[centres] - reported["value"]) < 0.1 * sigma
    ours = fitting.fit_together(replace(setup, polaritons=polaritons), groups).centre_covariance("LDO")
    assert abs(np.sqrt(WEIGHTS @ ours @ WEIGHTS) / sigma - 1) < 0.1
    # The readout quotes bootstraps, which know of limits that the curvature does not see, and other parts.
    assert 0.5 < reported["sigma"] / sigma < 2.0
