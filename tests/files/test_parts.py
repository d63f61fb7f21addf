from __future__ import annotations

import numpy as np
import pytest

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.files import spectra_from_parts

ENERGY = (-0.01, 0.0004, "eV")
LINE = (0.0, 0.5, "nm")
NONE = (0.0, 1.0, "")


def counts(*shape: int) -> np.ndarray:
    return 1.0 + np.arange(np.prod(shape), dtype=float).reshape(shape)


@pytest.mark.parametrize(
    "shape, calibrations, expected_shape, step_nm",
    [
        ((64,), [ENERGY], (64,), None),
        ((5, 64), [LINE, ENERGY], (5, 64), 0.5),
        ((1, 5, 64), [NONE, LINE, ENERGY], (5, 64), 0.5),
        ((5, 1, 64), [LINE, NONE, ENERGY], (5, 64), 0.5),
        ((1, 1, 64), [NONE, LINE, ENERGY], (1, 64), 0.5),
        ((1, 1, 5, 64), [NONE, NONE, LINE, ENERGY], (5, 64), 0.5),
        ((5, 64), [NONE, ENERGY], (5, 64), None),
        ((5, 64), [(0.0, 0.0005, "µm"), ENERGY], (5, 64), 0.5),
        ((5, 64), [(0.0, 0.0005, "um"), ENERGY], (5, 64), 0.5),
        ((5, 64), [(0.0, 5e-10, "m"), ENERGY], (5, 64), 0.5),
        ((5, 64), [(0.0, 5.0, "Å"), ENERGY], (5, 64), 0.5),
        ((5, 64), [(0.0, -0.5, "nm"), ENERGY], (5, 64), 0.5),
        ((5, 64), [(0.0, 0.1, "s"), ENERGY], (5, 64), None),
    ],
)
def test_shapes_and_steps(shape, calibrations, expected_shape, step_nm):
    data = counts(*shape)
    spectra = spectra_from_parts(data, calibrations, {}, "item")
    assert spectra.counts.shape == expected_shape
    assert spectra.step_nm == (None if step_nm is None else pytest.approx(step_nm))
    np.testing.assert_array_equal(spectra.counts.ravel(), data.ravel())
    assert spectra.valid.all()


@pytest.mark.parametrize("offset, scale, units", [(-10.0, 0.4, "meV"), (-0.01, 0.0004, "eV"), (-0.01, 0.0004, " EV ")])
def test_energy_units(offset, scale, units):
    axis = spectra_from_parts(counts(64), [(offset, scale, units)], {}, "item").energy
    assert (axis.offset_ev, axis.step_ev) == pytest.approx((-0.01, 0.0004))


@pytest.mark.parametrize(
    "data, calibrations, words",
    [
        (counts(64), [(0.0, 1.0, "nm")], "in 'nm', which is no energy"),
        (counts(64), [(0.0, 1.0, "")], "has no unit"),
        (counts(64), [(0.0, -0.4, "meV")], "positive step"),
        (counts(64), [(0.0, 0.0, "eV")], "positive step"),
        (counts(64), [(0.0, float("nan"), "eV")], "not finite"),
        (counts(64), [(float("inf"), 1.0, "eV")], "not finite"),
        (counts(64), [], "1 axes but 0 calibrations"),
        (counts(5, 64), [LINE], "2 axes but 1 calibrations"),
        (counts(64, 5), [ENERGY, LINE], "in 'nm', which is no energy"),
        (counts(4, 5, 64), [LINE, LINE, ENERGY], "4 x 5 x 64"),
        (counts(2, 3, 4, 64), [NONE, LINE, LINE, ENERGY], "2 x 3 x 4 x 64"),
        (np.zeros((0, 64)), [LINE, ENERGY], "empty"),
        (np.zeros(0), [ENERGY], "empty"),
        (np.array(1.0), [], "empty"),
        (counts(3), [ENERGY], "at least 16 channels"),
        (np.ones(64, complex), [ENERGY], "complex128 values"),
        (np.ones(64, bool), [ENERGY], "bool values"),
        (np.array(["a"] * 64), [ENERGY], "values, not counts"),
        (np.zeros(64, dtype=[("r", "u1"), ("g", "u1")]), [ENERGY], "values, not counts"),
    ],
)
def test_what_is_no_spectrum_is_refused(data, calibrations, words):
    with pytest.raises(UnusableInput, match=words) as fault:
        spectra_from_parts(data, calibrations, {}, "the item")
    assert "'the item'" in str(fault.value) and "\n" not in str(fault.value)


def test_rows_need_a_number_in_half_of_their_channels():
    data = counts(4, 64)
    data[1, 3], data[2, :33] = np.nan, np.inf
    assert spectra_from_parts(data, [LINE, ENERGY], {}, "item").valid.tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    "zero_rows, valid",
    [
        ([], [1, 1, 1, 1]),
        ([3], [1, 1, 1, 0]),
        ([2, 3], [1, 1, 0, 0]),
        ([1], [1, 1, 1, 1]),
        ([0, 1, 2, 3], [0, 0, 0, 0]),
    ],
)
def test_rows_of_zeros_at_the_end_were_never_taken(zero_rows, valid):
    data = counts(4, 64)
    data[zero_rows] = 0.0
    assert spectra_from_parts(data, [LINE, ENERGY], {}, "item").valid.tolist() == [bool(v) for v in valid]


def record(**fields):
    values = {"role": Role.VIBRATIONAL, "status": Status.ABORTED, "rows_planned": 4, "rows_valid": 3} | fields
    return Record(**values).to_metadata()


def test_the_record_says_which_rows_are_data_even_if_the_rest_is_not_zero():
    spectra = spectra_from_parts(
        counts(4, 64),
        [LINE, ENERGY],
        record(exposure_s=0.1, frames=5, saturation_level=6e4, electrons_per_count=0.05),
        "item",
    )
    assert spectra.valid.tolist() == [True, True, True, False]
    assert (spectra.exposure_s, spectra.frames, spectra.saturation_level) == (0.1, 5, 6e4)
    assert spectra.noise.source == "given" and spectra.noise.electrons_per_count == 0.05


@pytest.mark.parametrize("role, step_nm", [(Role.VIBRATIONAL, 0.5), (Role.ALOOF, None), (Role.ZLP, None)])
def test_rows_of_an_aloof_spectrum_are_frames_and_have_no_distance(role, step_nm):
    assert spectra_from_parts(counts(4, 64), [LINE, ENERGY], record(role=role), "item").step_nm == step_nm


@pytest.mark.parametrize(
    "hardware, electrons_per_count, exposure_s",
    [
        ({"counts_per_electron": 20.0, "exposure": 0.1}, 0.05, 0.1),
        ({"counts_per_electron": 0, "exposure": -1}, None, None),
        ({"counts_per_electron": "20", "exposure": "long"}, None, None),
        ({"counts_per_electron": True}, None, None),
        ("broken", None, None),
        (None, None, None),
    ],
)
def test_what_the_camera_says_of_itself(hardware, electrons_per_count, exposure_s):
    spectra = spectra_from_parts(counts(64), [ENERGY], {"hardware_source": hardware}, "item")
    assert (spectra.noise.electrons_per_count if spectra.noise else None) == electrons_per_count
    assert spectra.exposure_s == exposure_s


@pytest.mark.parametrize(
    "shape, calibrations, expected",
    [
        ((3, 5, 64), [NONE, LINE, ENERGY], (3, 5, 64)),
        ((3, 1, 5, 64), [NONE, NONE, LINE, ENERGY], (3, 5, 64)),
        ((3, 5, 1, 64), [NONE, LINE, NONE, ENERGY], (3, 5, 64)),
        ((1, 5, 64), [NONE, LINE, ENERGY], None),
        ((5, 64), [LINE, ENERGY], None),
        ((64,), [ENERGY], None),
    ],
)
def test_passes_are_summed_and_kept(shape, calibrations, expected):
    data = counts(*shape)
    spectra = spectra_from_parts(data, calibrations, {}, "item", first_axis_is_passes=True)
    if expected is None:
        assert spectra.passes is None and spectra.counts.size == data.size
        return
    np.testing.assert_array_equal(spectra.passes, data.reshape(expected))
    np.testing.assert_array_equal(spectra.counts, data.reshape(expected).sum(axis=0))
    assert spectra.step_nm == 0.5 and spectra.valid.tolist() == [True] * 5


def test_passes_along_a_map_are_refused():
    with pytest.raises(UnusableInput, match="'item' is a sequence of maps .3 x 4 x 5 x 64 values."):
        spectra_from_parts(counts(3, 4, 5, 64), [NONE, LINE, LINE, ENERGY], {}, "item", first_axis_is_passes=True)


def test_the_record_and_rows_never_taken_hold_for_passes_too():
    data = counts(3, 4, 64)
    told = spectra_from_parts(data, [NONE, LINE, ENERGY], record(frames=6), "item", first_axis_is_passes=True)
    assert told.valid.tolist() == [True, True, True, False] and told.frames == 6
    data[:, 2:] = 0.0
    untold = spectra_from_parts(data, [NONE, LINE, ENERGY], {}, "item", first_axis_is_passes=True)
    assert untold.valid.tolist() == [True, True, False, False]


PLANNED = {"rows_planned": 12, "passes": 3, "frames": 5, "saturation_level": 100.0}


@pytest.mark.parametrize(
    ("taken", "valid", "frames", "passes"),
    [
        (0, [0, 0, 0, 0], 5, None),
        (3, [1, 1, 1, 0], 5, None),
        (4, [1, 1, 1, 1], 5, None),
        (5, [1, 1, 1, 1], 10, [[1, 1, 1, 1], [1, 0, 0, 0]]),
        (8, [1, 1, 1, 1], 10, [[1, 1, 1, 1]] * 2),
        (11, [1, 1, 1, 1], 15, [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]]),
        (12, [1, 1, 1, 1], 15, [[1, 1, 1, 1]] * 3),
    ],
)
def test_a_partial_last_pass_adds_to_the_pixels_that_it_has_reached(taken, valid, frames, passes):
    data = counts(3, 4, 64)
    told = record(rows_valid=taken, **PLANNED)
    spectra = spectra_from_parts(data, [NONE, LINE, ENERGY], told, "item", first_axis_is_passes=True)
    assert spectra.valid.tolist() == [bool(v) for v in valid]
    assert (spectra.frames, spectra.saturation_level) == (frames, 20.0 * frames)
    mask = np.arange(12).reshape(3, 4, 1) < taken  # rows are counted pass by pass
    np.testing.assert_array_equal(spectra.counts, (data * mask).sum(axis=0))
    assert (None if spectra.passes is None else spectra.passes.any(axis=2).astype(int).tolist()) == passes


def test_a_part_of_what_was_recorded_is_read_as_it_is():
    told = record(rows_valid=5, **PLANNED)
    cropped = spectra_from_parts(counts(3, 2, 64), [NONE, LINE, ENERGY], told, "item", first_axis_is_passes=True)
    assert cropped.passes.shape == (3, 2, 64) and cropped.valid.all()
    assert (cropped.frames, cropped.saturation_level) == (15, 300.0)
    summed = spectra_from_parts(counts(4, 64), [LINE, ENERGY], told, "item")
    assert summed.valid.all() and (summed.frames, summed.saturation_level) == (None, None)  # one pass, or their sum
