"""The microscope: dose, noise, saturation, blanker, movement, time, repeatability."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from eels_iontransport.data.geometry import Field, Point
from eels_iontransport.data.record import Role
from eels_iontransport.simulation.camera import Camera, Detector
from eels_iontransport.simulation.clock import Clock
from eels_iontransport.simulation.microscope import SETTINGS, SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from eels_iontransport.simulation.specimen import lco_boundary, twin
from eels_iontransport.simulation.stability import STILL, Stability

VACUUM = Point(0.0, -190.0)
GRAIN = Point(0.0, 10.0)
PLAIN = Camera(counts_per_electron=1.0, read_noise_counts=0.0, point_spread_channels=0.0)


def _still(camera: Camera = PLAIN, **options) -> SimulatedMicroscope:
    return SimulatedMicroscope(seed=2, camera=camera, stability=STILL, **options)


def test_electrons_follow_from_current_exposure_and_frames():
    microscope = _still(beam_current_a=10e-12)
    assert microscope.dose(0.5) == pytest.approx(3.1e7, rel=0.01)
    counts = microscope.frames(0.1, 5, VACUUM)
    assert counts.sum() == pytest.approx(microscope.dose(0.1, 5), rel=0.02)


def test_counts_are_electrons_times_the_gain():
    ones, tens = (
        _still(Camera(counts_per_electron=g, read_noise_counts=0.0, full_scale_counts=1e9)) for g in (1.0, 10.0)
    )
    ratio = tens.frames(0.1, 3, VACUUM).sum() / ones.frames(0.1, 3, VACUUM).sum()
    assert ratio == pytest.approx(10.0, rel=1e-3)


@pytest.mark.parametrize("gain", [1.0, 2.5, 40.0])
def test_noise_is_that_of_electrons_seen_through_the_gain(gain):
    camera = Camera(counts_per_electron=gain, read_noise_counts=0.0, point_spread_channels=0.0, full_scale_counts=1e9)
    rng, detector = np.random.default_rng(1), Detector(camera)
    counts = np.array([detector.expose(np.full(2048, 900.0), rng) for _ in range(200)])
    assert counts.mean() == pytest.approx(900.0 * gain, rel=0.002)
    assert counts.var() / counts.mean() == pytest.approx(gain, rel=0.02)


@pytest.mark.parametrize("spread", [0.3, 0.5, 0.8])
def test_the_point_spread_correlates_neighbours_and_keeps_the_sum(spread):
    camera = Camera(counts_per_electron=1.0, read_noise_counts=0.0, point_spread_channels=spread)
    kernel = camera.kernel()
    assert kernel.sum() == pytest.approx(1.0)
    rng, detector = np.random.default_rng(1), Detector(camera)
    noise = np.array([detector.expose(np.full(2048, 1e4), rng) for _ in range(100)])[:, 10:-10]
    noise = noise - noise.mean(axis=0)
    squares = (kernel**2).sum()
    assert noise.var() == pytest.approx(1e4 * squares, rel=0.03)
    neighbours = (noise[:, 1:] * noise[:, :-1]).mean() / noise.var()
    assert neighbours == pytest.approx((kernel[1:] * kernel[:-1]).sum() / squares, abs=0.02)


def test_read_noise_alone_is_left_of_a_blanked_frame():
    microscope = _still(Camera(read_noise_counts=6.0))
    microscope.set("C_Blank", 1.0)
    counts = microscope.frames(0.1, 50, GRAIN)
    assert counts.mean() == pytest.approx(0.0, abs=0.1)  # the dark level is subtracted
    assert counts.std() == pytest.approx(6.0, rel=0.02)
    assert counts.min() < 0


def test_a_channel_saturates_at_the_level_that_the_camera_states():
    microscope = _still(Camera())
    counts = microscope.frames(1.0, 1, VACUUM)[0]
    level = microscope.camera.saturation_level_counts
    full = counts >= level
    assert 1 < full.sum() < 60
    assert counts.max() < 1.001 * level
    assert not (microscope.frames(0.1, 1, VACUUM) >= level).any()


def test_the_zero_loss_peak_wanders_as_asked():
    stability = Stability(0.0, 2.0, 1.0, 0.0, 0.0)
    microscope = SimulatedMicroscope(seed=4, camera=PLAIN, stability=stability)
    rows = np.array([microscope.frames(0.01, 1, VACUUM)[0] for _ in range(60) if microscope.clock.wait(10.0) is False])
    near = slice(450, 551)
    energies = microscope.energy.energies_mev[near]
    centres = (rows[:, near] * energies).sum(1) / rows[:, near].sum(1)
    assert centres.std() == pytest.approx(2.0, rel=0.35)


def test_energy_drift_is_steady():
    stability = Stability(0.0, 0.0, 1.0, energy_drift_mev_per_min=3.0, zero_mev=0.0)
    microscope = SimulatedMicroscope(seed=4, camera=PLAIN, stability=stability)
    first = microscope.frames(0.1, 1, VACUUM)[0].argmax()
    microscope.clock.wait(120.0)
    later = microscope.frames(0.1, 1, VACUUM)[0].argmax()
    assert 0.4 * (later - first) == pytest.approx(6.0, abs=1.3)


def test_spatial_drift_moves_the_specimen_under_the_beam():
    microscope = SimulatedMicroscope(
        seed=4, camera=PLAIN, stability=Stability(0, 0, 1, 0, 0, spatial_drift_nm_per_min=(0.0, 1.0))
    )
    at_edge = Point(0.0, microscope.specimen.edge_x_nm + 0.5)
    inside = microscope.frames(0.01, 1, at_edge).max()
    microscope.clock.wait(60.0)  # the edge has moved right, past the probe
    assert microscope.frames(0.01, 1, at_edge).max() > 1.4 * inside


def test_the_stage_brings_the_vacuum_under_the_beam():
    microscope = _still()
    inside = microscope.frames(0.01, 1, GRAIN).max()
    microscope.set("CSH.x", 1e-6)
    assert microscope.frames(0.01, 1, GRAIN).max() > 1.4 * inside


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_set_the_axis(setting):
    microscope = _still()
    microscope.use(setting)
    assert (microscope.energy.step_ev, microscope.energy.offset_ev) == SETTINGS[setting]
    assert microscope.frames(0.01, 1, GRAIN).shape == (1, 2048)


def test_the_core_loss_setting_holds_the_windows_before_the_edge():
    dispersion, offset = SETTINGS["core_loss"]
    assert offset < 43.0 and offset + 2047 * dispersion > 100.0


@pytest.mark.parametrize(
    ("control", "value"), [("EELS_eVPerChannel", 0.0), ("EELS_eVPerChannel", -1.0), ("BeamCurrent", -1e-12)]
)
def test_impossible_values_are_refused(control, value):
    microscope = _still()
    before = microscope.get(control)
    with pytest.raises(ValueError, match=control):
        microscope.set(control, value)
    assert microscope.get(control) == before


def test_the_same_seed_repeats_a_session_and_another_does_not():
    exposures = {Role.VIBRATIONAL: (0.1, 2)}
    first, same, other = (
        acquire_all(SimulatedMicroscope(seed=seed), exposures=exposures, roles=[Role.VIBRATIONAL])[
            Role.VIBRATIONAL
        ].counts
        for seed in (7, 7, 8)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_reset_starts_again_with_another_specimen():
    microscope = SimulatedMicroscope(seed=3)
    first = microscope.frames(0.1, 1, GRAIN)
    microscope.reset(twin(), seed=3)
    assert microscope.truth(default_places(microscope).line)["specimen"] == "twin"
    microscope.reset(lco_boundary())
    assert microscope.frames(0.1, 1, GRAIN).sum() == pytest.approx(first.sum(), rel=0.01)


def test_a_session_has_every_role_with_its_axis_and_step():
    microscope = SimulatedMicroscope(seed=1)
    spectra = acquire_all(microscope, exposures=dict.fromkeys(Role, (0.01, 2)))
    assert set(spectra) == {Role.ZLP, Role.ALOOF, Role.VIBRATIONAL, Role.VALENCE, Role.CORE_LOSS}
    line = spectra[Role.VIBRATIONAL]
    assert line.counts.shape == (40, 2048) and line.step_nm == pytest.approx(0.5)
    assert line.saturation_level == pytest.approx(2 * microscope.camera.saturation_level_counts)
    assert line.noise.electrons_per_count == pytest.approx(1 / 2.5)
    assert spectra[Role.ZLP].counts.shape == (2, 2048) and spectra[Role.ZLP].step_nm is None


def test_truth_states_current_and_dose():
    microscope = SimulatedMicroscope(beam_current_a=20e-12)
    content = microscope.truth(default_places(microscope).line, exposures={"vibrational": (0.1, 20)})
    assert content["beam_current_pa"] == pytest.approx(20.0)
    assert content["electrons_per_pixel"]["vibrational"] == pytest.approx(2.5e8, rel=0.01)


def test_the_survey_shows_vacuum_grains_and_keeps_its_field():
    microscope = SimulatedMicroscope()
    field = Field(200.0, 200.0, Point(0.0, 0.0))
    image = microscope.survey(field, (64, 64))
    assert microscope.field == field
    columns = image.mean(axis=0)
    assert columns[:20].mean() < 0.1 * columns[40:].mean()


def test_a_virtual_clock_moves_without_waiting():
    clock = Clock()
    started = time.perf_counter()
    assert clock.wait(1000.0) is False
    assert clock.now_s == pytest.approx(1000.0)
    assert time.perf_counter() - started < 0.5


def test_a_fast_clock_waits_its_share_and_can_be_cancelled():
    clock = Clock(time_scale=100.0)
    started = time.perf_counter()
    clock.wait(5.0)
    assert 0.04 < time.perf_counter() - started < 1.0
    cancelled = threading.Event()
    threading.Timer(0.05, cancelled.set).start()
    started = time.perf_counter()
    assert clock.wait(3000.0, cancelled) is True
    assert time.perf_counter() - started < 5.0


def test_the_clock_keeps_its_time_when_its_pace_changes():
    clock = Clock()
    clock.wait(10.0)
    clock.time_scale = 50.0
    assert clock.now_s >= 10.0
    clock.time_scale = None
    assert clock.now_s == clock.now_s
