"""Simulated sessions: lines that are traversed once and more often."""

from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.record import Role
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.session import acquire_all, default_places
from eels_iontransport.simulation.stability import Stability

EXPOSURES = {Role.VIBRATIONAL: (0.1, 6)}


def taken(passes, stability=None):
    microscope = SimulatedMicroscope(seed=3, stability=stability)
    places = default_places(microscope, 4)
    return acquire_all(microscope, places, exposures=EXPOSURES, roles=EXPOSURES, passes=passes)[Role.VIBRATIONAL]


def test_a_line_is_taken_in_passes_of_as_many_frames_in_all():
    once, often = taken(1), taken(3)
    assert once.passes is None and often.passes.shape == (3, *once.counts.shape)
    assert np.array_equal(often.passes.sum(axis=0), often.counts) and often.frames == once.frames == 6
    assert often.counts.sum() == pytest.approx(once.counts.sum(), rel=1e-3)


def test_time_goes_on_from_pass_to_pass():
    spectra = taken(2, Stability(0.0, 0.0, 30.0, energy_drift_mev_per_min=60.0))
    zero = spectra.passes.argmax(axis=-1) * 1e3 * spectra.energy.step_ev
    np.testing.assert_allclose(zero[1] - zero[0], 4 * 0.1 * 3, atol=0.9)  # 4 pixels of 3 frames, a meV a second


@pytest.mark.parametrize("passes", [0, 4, 7])
def test_frames_that_cannot_be_divided_are_refused(passes):
    with pytest.raises(ValueError, match="6 frames"):
        taken(passes)
