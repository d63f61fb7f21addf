"""Several items of one line as the passes of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport.data import noise
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.passes import joined, of_one_line, recorded_passes
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.spectrum import EnergyAxis, Spectra, make_spectra
from eels_iontransport.provenance import partial_inputs, provenance, sha256

CHANNELS, PIXELS = 16, 4
AXIS = EnergyAxis(-0.01, 0.001, CHANNELS)
FRAMES, LEVEL, EXPOSURE_S = 5, 1000.0, 0.1
LINE = {"start": {"y_nm": 0.0, "x_nm": -10.0}, "end": {"y_nm": 0.0, "x_nm": 10.0}, "pixels": PIXELS}


def item(
    passes: int, taken: int | None = None, *, name: str = "line", value: float = 1.0, role=Role.VIBRATIONAL, **changes
) -> Spectra:
    """An item as it is read: so many passes of which so many rows were taken; every pass holds its number + value."""
    rows = passes * PIXELS
    status = Status.COMPLETE if taken is None else Status.ABORTED
    valid = rows if taken is None else taken
    told = {"plan": {"name": "GB1", "line": LINE}, "setting": "vibrational"} | changes
    record = Record(
        role, status, rows, valid, "Aborted." if taken is not None else "", EXPOSURE_S, FRAMES, LEVEL,
        passes=passes, **told,
    )  # fmt: skip
    counts = np.broadcast_to(np.arange(passes)[:, None, None] + value, (passes, PIXELS, CHANNELS)).copy()
    fields = {
        "step_nm": 0.5, "exposure_s": EXPOSURE_S, "noise": noise.given(2.0), "name": name,
        "metadata": record.to_metadata(),
    }  # fmt: skip
    if passes > 1:
        return recorded_passes(counts, record, AXIS, **fields)
    kept = np.where((np.arange(PIXELS) < valid)[:, None], counts[0], np.nan)
    return make_spectra(kept, AXIS, valid=np.arange(PIXELS) < valid, frames=FRAMES, saturation_level=LEVEL, **fields)


# Parts as (passes, rows taken); expected passes begun, and traversals of each pixel.
@pytest.mark.parametrize(
    ("parts", "begun", "traversals"),
    [
        ([(4, None), (2, None)], 6, [6, 6, 6, 6]),
        ([(1, None), (1, None)], 2, [2, 2, 2, 2]),
        ([(1, None), (3, None), (2, None)], 6, [6, 6, 6, 6]),
        ([(2, 6), (2, None)], 4, [4, 4, 3, 3]),  # a partial last pass in the middle of it all
        ([(2, None), (3, 6)], 4, [4, 4, 3, 3]),  # and the third pass of the second never begun
        ([(1, None), (1, 3)], 2, [2, 2, 2, 1]),
        ([(1, 3), (1, 1)], 2, [2, 1, 1, 0]),
        ([(2, None), (2, 0)], 2, [2, 2, 2, 2]),  # an item in which there is nothing yet
        ([(1, 0), (2, None)], 2, [2, 2, 2, 2]),
    ],
)
def test_passes_of_several_items_are_those_of_one_line(parts, begun, traversals):
    items = [item(passes, taken) for passes, taken in parts]
    whole = joined(items)
    assert whole.passes.shape == (begun, PIXELS, CHANNELS)
    assert whole.traversals.tolist() == traversals and whole.valid.tolist() == [count > 0 for count in traversals]
    assert (whole.frames, whole.saturation_level) == (begun * FRAMES, begun * LEVEL)
    alone = [np.where(one.valid[:, None], one.counts, 0.0) for one in items]
    np.testing.assert_array_equal(whole.counts, np.sum(alone, axis=0))
    assert (whole.exposure_s, whole.step_nm, whole.energy) == (EXPOSURE_S, 0.5, AXIS)
    assert whole.noise == noise.given(2.0) and whole.sources == tuple(items)


def test_passes_stay_in_the_order_in_which_they_were_taken():
    whole = joined([item(2, value=1.0), item(1, value=10.0), item(2, value=20.0)])
    assert whole.passes[:, 0, 0].tolist() == [1.0, 2.0, 10.0, 20.0, 21.0]
    again = joined([joined([item(2), item(1)]), item(2)])
    assert again.passes.shape[0] == 5 and len(again.sources) == 3


def test_one_item_is_as_it_is_and_so_are_items_without_rows():
    one = item(2)
    assert joined([one]) is one and one.sources == (one,)
    empty = joined([item(1, 0), item(1, 0)])
    assert not empty.valid.any() and empty.frames == FRAMES


def test_a_lost_channel_is_lost_in_the_sum_of_the_rows_that_had_it():
    whole, lost = item(1), item(1)
    lost.counts[1, 3] = np.nan
    found = joined([whole, lost])
    assert np.isnan(found.counts[1, 3]) and np.isfinite(found.counts).sum() == PIXELS * CHANNELS - 1
    assert found.valid.all()


def test_what_the_parts_do_not_agree_on_is_not_known():
    found = joined([item(1), replace(item(1), exposure_s=0.2, noise=None, frames=None, saturation_level=None)])
    assert (found.exposure_s, found.noise, found.frames, found.saturation_level) == (None, None, None, None)


OTHER = item(1, name="other")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(OTHER, counts=OTHER.counts[0], valid=OTHER.valid[:1]), "is no line of spectra"),
        (replace(OTHER, counts=OTHER.counts[:3], valid=OTHER.valid[:3]), "has 3 pixels, not the 4 of 'line'"),
        (item(1, name="other", role=Role.ALOOF), "is no line of spectra"),
        (replace(OTHER, step_nm=0.6), "has another step along the line than 'line'"),
        (replace(OTHER, step_nm=None), "has another step along the line than 'line'"),
        (replace(OTHER, energy=EnergyAxis(-0.01, 0.0011, CHANNELS)), "has another energy axis than 'line'"),
        (replace(OTHER, energy=EnergyAxis(-0.0095, 0.001, CHANNELS)), "has another energy axis than 'line'"),
        (item(1, name="other", setting="vibrational_off_axis"), "has another collection (on or off the axis) than"),
        (item(1, name="other", plan={"name": "GB2", "line": LINE}), "has another place than 'line'"),
        (item(1, name="other", plan={"name": "GB1", "line": {**LINE, "pixels": 5}}), "has another place than 'line'"),
    ],
)
def test_an_item_of_another_line_is_named(other, words):
    for parts in ([item(1), other], [item(1), item(2), other]):
        with pytest.raises(UnusableInput) as error:
            joined(parts)
        assert "'other'" in str(error.value) and words in str(error.value)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (item(2), True),
        (item(1, role=Role.VALENCE), False),
        (item(1, role=Role.POINTS), False),
        (item(1, setting="vibrational_off_axis"), False),
        (item(1, plan={"name": "GB2", "line": LINE}), False),
        (item(1, plan={}), False),
        (replace(item(1), metadata={}), False),
    ],
)
def test_only_records_can_say_that_items_are_of_one_line(other, expected):
    assert of_one_line(item(1), other) is of_one_line(other, item(1)) is expected


def test_frames_of_one_place_are_of_no_line():
    assert not of_one_line(item(1, role=Role.ALOOF), item(1, role=Role.ALOOF))


def test_nothing_is_no_line():
    with pytest.raises(UnusableInput, match="at least one"):
        joined([])


def test_items_that_do_not_tell_their_place_and_rounded_axes_are_no_hindrance():
    silent = replace(item(1), metadata={}, step_nm=0.5 * (1 + 1e-7), energy=EnergyAxis(-0.01 - 1e-12, 0.001, CHANNELS))
    assert joined([item(1), silent]).passes.shape[0] == joined([silent, item(1, plan={})]).passes.shape[0] == 2


def test_provenance_and_flags_tell_of_each_item():
    items = item(2, name="GB1 L1 vibrational"), item(2, 6, name="GB1 L1 vibrational (2)")
    inputs = {"vibrational": joined(items)}
    told = provenance(inputs, {}, {"vibrational": "of the sum"})["inputs"]
    assert [(entry["role"], entry["name"], entry["sha256"], entry["rows_valid"]) for entry in told] == [
        ("vibrational", one.name, sha256(one), rows) for one, rows in zip(items, (8, 6))
    ]
    assert [flag.message for flag in partial_inputs(inputs)] == [
        "Of the vibrational spectra 'GB1 L1 vibrational (2)' 6 of 8 rows were taken: Aborted."
    ]
