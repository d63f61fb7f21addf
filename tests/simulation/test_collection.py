"""On and off the axis: what reaches the spectrometer of the simulated microscope."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.acquire import site as sites
from eels_iontransport.data.geometry import Point
from eels_iontransport.data.record import Role
from eels_iontransport.simulation.camera import Camera
from eels_iontransport.simulation.collection import OFF_AXIS_RAD, ON_AXIS, Shares, shares
from eels_iontransport.simulation.microscope import PATTERN_SHIFT, SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from eels_iontransport.simulation.specimen import lco_boundary
from eels_iontransport.simulation.spectra import component_weights
from eels_iontransport.simulation.stability import STILL

SPECIMEN = lco_boundary()
POLARITONS, PHONONS = slice(1, 7), slice(7, 19)
GRAIN_NM, ALOOF_NM = 10.0, -95.0


@pytest.mark.parametrize(
    ("deflection_rad", "direct"), [(0.0, 1.0), (0.004, 1.0), (0.025, 0.5), (-0.025, 0.5), (0.046, 0.0), (0.06, 0.0)]
)
def test_the_cone_of_the_beam_leaves_the_entrance(deflection_rad, direct):
    assert shares(deflection_rad).direct == pytest.approx(direct)


def test_without_a_deflection_everything_is_as_it_is_on_the_axis():
    assert shares(0.0) == ON_AXIS
    assert ON_AXIS.weighting(0.7) == (1.0, 1.0)


def test_off_the_axis_polaritons_fade_before_the_phonons_do():
    on = component_weights(SPECIMEN, GRAIN_NM)
    off = component_weights(SPECIMEN, GRAIN_NM, shares(OFF_AXIS_RAD))
    kept = off[PHONONS].sum() / on[PHONONS].sum()
    assert kept > 0.05 and off[0] < 0.02 * on[0]
    assert off[POLARITONS].sum() / on[POLARITONS].sum() < 0.2 * kept
    # an electron that is scattered elastically loses energy to dipoles as often as one that is not
    assert off[POLARITONS].sum() / off[0] == pytest.approx(on[POLARITONS].sum() / on[0])


def test_the_shares_are_those_of_what_they_are_of():
    on, half = (component_weights(SPECIMEN, GRAIN_NM, Shares(d, e, i)) for d, e, i in ((1, 0, 0), (0, 0.2, 0.5)))
    thickness = SPECIMEN.t_over_lambda(np.array([GRAIN_NM]))[0] / 0.55
    assert half[PHONONS] == pytest.approx(0.5 * on[PHONONS])
    assert np.delete(half, PHONONS) == pytest.approx(0.2 * thickness * np.delete(on, PHONONS))


@pytest.mark.parametrize("x_nm", [ALOOF_NM, -180.0])
def test_in_the_vacuum_nothing_is_off_the_axis(x_nm):
    assert not component_weights(SPECIMEN, x_nm, shares(OFF_AXIS_RAD)).any()
    assert component_weights(SPECIMEN, x_nm).sum() > 0.5


def test_the_control_deflects_what_the_camera_sees():
    camera = Camera(counts_per_electron=1.0, read_noise_counts=0.0, point_spread_channels=0.0)
    microscope = SimulatedMicroscope(seed=2, camera=camera, stability=STILL)
    on = microscope.frames(0.1, 1, Point(0.0, GRAIN_NM)).sum()
    microscope.set(PATTERN_SHIFT, OFF_AXIS_RAD)
    assert microscope.frames(0.1, 1, Point(0.0, ALOOF_NM)).sum() == 0.0
    assert 0.001 * on < microscope.frames(0.1, 1, Point(0.0, GRAIN_NM)).sum() < 0.1 * on
    microscope.use("vibrational")
    assert microscope.frames(0.1, 1, Point(0.0, GRAIN_NM)).sum() == pytest.approx(on, rel=0.01)


def test_the_site_of_the_simulator_deflects_as_far_as_the_simulation_does():
    controls = sites.load("simulator").settings["vibrational_off_axis"].controls
    assert {c.control: c.value for c in controls}[PATTERN_SHIFT] == OFF_AXIS_RAD


def test_a_session_off_the_axis_and_its_truth():
    microscope = SimulatedMicroscope(seed=3)
    places = default_places(microscope, 4)
    line, exposures = Role.VIBRATIONAL, {Role.VIBRATIONAL: (0.1, 2), Role.ZLP: (0.1, 2)}
    taken = [acquire_all(microscope, places, exposures=exposures, roles=exposures, off_axis=o) for o in ((), {line})]
    assert taken[1][line].counts.sum() < 0.1 * taken[0][line].counts.sum()
    assert taken[1][Role.ZLP].counts.sum() == pytest.approx(taken[0][Role.ZLP].counts.sum(), rel=0.01)
    on, off = (microscope.truth(places.line, off_axis=roles) for roles in ((), [line.value]))
    assert on["off_axis"] == {} and off["off_axis"]["vibrational"]["direct"] == 0.0
    assert replace(shares(OFF_AXIS_RAD), **off["off_axis"]["vibrational"]) == shares(OFF_AXIS_RAD)
    assert off["ldo_peak"] == on["ldo_peak"]
