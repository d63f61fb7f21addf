"""Test frames and the panel's head line through Swift."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("nion.instrumentation")

from eels_iontransport.acquire.outcome import Ending
from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.data.spectrum import EnergyAxis
from nionswift_plugin.iontransport.host.run import between_runs
from nionswift_plugin.iontransport.host.test_frame import Readings, read_beam, take_test_frame

from .microscope_context import Lab, lab

__all__ = ["lab"]  # a fixture


def take(lab: Lab, exposure_s: float = 0.1, frames: int = 1) -> Frames:
    taken = []
    thread = threading.Thread(target=lambda: taken.append(take_test_frame(lab.site, exposure_s, frames)))
    thread.start()
    lab.pump(lambda: not thread.is_alive())
    return taken[0]


@pytest.mark.parametrize("playing", [False, True])
def test_a_test_frame_leaves_everything_as_it_was(lab, playing):
    if playing:
        lab.camera.start_playing(sync_timeout=10.0)
    before = lab.state()
    frames = take(lab, frames=3)
    assert frames.counts.shape == (3, 2048) and frames.energy == lab.microscope.energy
    assert frames.saturation_level == lab.site.camera.saturation_counts
    lab.pump(lambda: lab.camera.is_playing == playing)
    assert lab.state() == before
    lab.camera.abort_playing(sync_timeout=10.0)


def test_the_probe_need_not_be_parked(lab):
    lab.stem.set_probe_position(None)
    assert take(lab).counts.sum() > 0 and lab.stem.probe_position is None


def test_readings_agree_with_the_microscope(lab):
    readings = read_beam(take(lab, frames=5), lab.site)
    assert readings.beam_current_pa == pytest.approx(20.0)
    assert 5.0 < readings.fwhm_mev < 15.0 and 0.0 < readings.fwhm_sigma_mev < 0.5
    assert 0.0 < readings.fraction_of_full_scale < 1.0


def gaussian(fwhm_mev: float, height: float, frames: int = 1) -> Frames:
    energy = EnergyAxis(-0.2, 0.0004, 1024)
    centre = 0.001 * np.arange(frames)[:, None]
    counts = height * np.exp2(-(((energy.energies_ev - centre) / (0.0005 * fwhm_mev)) ** 2))
    return Frames(counts, energy, saturation_level=1000.0)


def test_readings_of_a_known_peak(lab):
    site = replace(lab.site, beam=replace(lab.site.beam, current_control=""))
    readings = read_beam(gaussian(9.0, 400.0, frames=2), site)
    assert readings.fwhm_mev == pytest.approx(9.0, abs=0.1) and readings.fwhm_sigma_mev < 0.05
    assert readings.fraction_of_full_scale == pytest.approx(0.4, abs=0.01) and math.isnan(readings.beam_current_pa)
    full = read_beam(gaussian(9.0, 999.0), site)
    assert math.isnan(full.fwhm_mev) and full.sentence() == "saturated"


SENTENCES = {
    "ZLP 8.1 ± 0.1 meV - peak 62 % - 21 pA": Readings(8.14, 0.06, 0.62, False, 21.0),
    "ZLP 8.1 meV - peak 6.2 %": Readings(8.14, math.nan, 0.062, False, math.nan),
    "saturated - 0.05 pA": Readings(math.nan, math.nan, 0.99, True, 0.05),
    "": Readings(math.nan, math.nan, math.nan, False, math.nan),
}


@pytest.mark.parametrize("words", SENTENCES)
def test_the_head_line_says_what_is_known(words):
    assert SENTENCES[words].sentence() == words


def test_frames_without_beam_have_no_peak(lab):
    lab.microscope.set("C_Blank", 1.0)
    readings = read_beam(take(lab, frames=3), lab.site)
    assert math.isnan(readings.fwhm_mev) and readings.fraction_of_full_scale < 1e-3


def test_a_clipped_peak_is_saturated_also_where_full_scale_is_not_known(lab):
    frames = gaussian(9.0, 400.0)
    readings = read_beam(Frames(np.minimum(frames.counts, 300.0), frames.energy), lab.site)
    assert readings.sentence() == "saturated - 20 pA"


def test_a_run_and_a_test_frame_exclude_each_other(lab):
    lab.microscope.clock.time_scale = 10.0
    run = lab.start(lab.line_plan(pixels=100))
    with pytest.raises(MicroscopeFault, match="under way"):
        take_test_frame(lab.site, 0.1)
    run.abort()
    lab.pump(lambda: not run.is_running)
    with between_runs(), pytest.raises(MicroscopeFault, match="test frame is being taken"):
        lab.start(lab.line_plan())
    assert lab.run(lab.line_plan())[0].ending is Ending.COMPLETE


def test_without_a_camera_there_is_a_sentence(lab, monkeypatch):
    monkeypatch.setattr(type(lab.stem), "eels_camera", property(lambda stem: None), raising=False)
    with pytest.raises(MicroscopeFault, match="no EELS camera"):
        take_test_frame(lab.site, 0.1)
