"""Spectrum images whose centres are known, made by brute-force convolution; with bad pixels, in files, in blocks."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport import image as decomposing
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.noise import given
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.decomposition.engine import Cancelled

from .decomposition import synthetic

RECIPE = eit.material("lco")
FIRST_EV, STEP_EV = -0.2, synthetic.STEP_MEV / 1000
ELECTRONS = 1e8
LDO_MEV = synthetic.PHONONS[1][0]
SHIFTS_MEV = np.array([0.0, 0.6, 1.2, 1.8])


def axis(channels):
    return EnergyAxis(FIRST_EV, STEP_EV, channels)


def reference(lines, seed):
    counts = np.random.default_rng(seed).poisson(synthetic.spectrum(lines, 2e9).counts).astype(float)
    return make_spectra(counts, axis(counts.size), noise=given(1.0))


@pytest.fixture(scope="module")
def aloof():
    return reference(synthetic.POLARITONS, 1)


@pytest.fixture(scope="module")
def vacuum():
    return reference((), 2)


@pytest.fixture(scope="module")
def levels():
    """Expected counts (4, 3, channels): of every shift, with the zero-loss peak 0, 3 and 7 channels late."""
    expected = [synthetic.spectrum(synthetic.grain(shift), ELECTRONS).counts for shift in SHIFTS_MEV]
    return np.array([[np.roll(counts, late) for late in (0, 3, 7)] for counts in expected])


def make_image(levels, which, seed=0, **fields):
    """An image (height, width) with the shift SHIFTS_MEV[which], and zeros that move from column to column."""
    random = np.random.default_rng(seed)
    expected = levels[which, np.arange(which.shape[1]) % 3]
    return eit.SpectrumImage(
        random.poisson(expected).astype(np.float32), axis(levels.shape[2]), noise=given(1.0), **fields
    )


WHICH = np.array(
    [[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 2, 2, 2, 2], [0, 0, 0, 3, 3, 1, 1], [0, 0, 0, 0, 2, 2, 2], [3, 3, 3, 0, 0, 0, 0]]
)


@pytest.fixture(scope="module")
def image(levels):
    return make_image(levels, WHICH)


@pytest.fixture(scope="module")
def shared(image, aloof, vacuum):
    return eit.decompose_image(image, RECIPE, aloof=aloof, zlp=vacuum)


def columns(maps):
    """All arrays of a result, by name."""
    table = maps.table
    arrays = {"chi2": table.chi2, "masked": table.masked, "optima": table.optima, "significance": table.significance}
    for name in ("values", "sigmas", "railed"):
        arrays |= {f"{name} {quantity}": values for quantity, values in getattr(table, name).items()}
    return arrays | {f"zlp {name}": values for name, values in vars(maps.zlp).items()}


def assert_same(maps, others):
    for name, values in columns(maps).items():
        np.testing.assert_array_equal(values, columns(others)[name], err_msg=name)


def test_centres_are_found_where_they_are(shared):
    centre, sigma = shared.value("LDO", "centre_mev"), shared.sigma("LDO", "centre_mev")
    assert centre.shape == sigma.shape == WHICH.shape
    slope, grain = np.polyfit(SHIFTS_MEV[WHICH].ravel(), centre.ravel(), 1)
    pull = (centre - grain - slope * SHIFTS_MEV[WHICH]) / sigma
    assert np.median(sigma) < 0.25
    # What the widths that all share are wrong by moves all centres alike, and is in no pixel's sigma.
    assert grain == pytest.approx(LDO_MEV, abs=0.3) and slope == pytest.approx(1.0, abs=0.25)
    assert 0.7 < np.sqrt(np.mean(pull**2)) < 1.4 and np.abs(pull).max() < 4
    assert np.all(np.abs(shared.chi2 - 1) < 0.5) and np.all(shared.optima >= 1) and not shared.masked.any()
    assert np.isnan(shared.sigma("LDO", "sigma_mev")).all() and np.ptp(shared.value("LDO", "sigma_mev")) == 0  # held
    assert np.all(shared.significance("LDO") > 10) and not shared.railed("LDO", "centre_mev").any()
    assert shared.flags == ()


def test_zero_loss_peaks_are_mapped(shared):
    late = synthetic.STEP_MEV * np.array([0, 3, 7])[np.arange(7) % 3]
    assert shared.zlp.position_mev == pytest.approx(np.tile(late, (5, 1)), abs=0.02)
    assert shared.zlp.fwhm_mev == pytest.approx(np.full((5, 7), 7.94), abs=0.1)
    energy = synthetic.STEP_MEV * np.arange(-500, 1000)
    share = synthetic.response(energy[abs(energy) < 2.5]).sum() / synthetic.response(energy).sum()
    assert shared.zlp.integral == pytest.approx(np.full((5, 7), ELECTRONS * share), rel=0.06)  # 12.5 channels of 13


@pytest.mark.parametrize("mode", ["wide", "published"])
def test_each_pixel_on_its_own(image, aloof, vacuum, mode):
    maps = eit.decompose_image(image, RECIPE, aloof=aloof, zlp=vacuum, mode=mode)
    centre = maps.value("LDO", "centre_mev")
    means = [np.nanmean(centre[WHICH == i]) for i in range(4)]
    assert np.all(np.diff(means) > 0) and np.isfinite(centre).mean() > 0.9
    assert np.nanstd(maps.value("LDO", "fwhm_mev")) > 0  # widths of its own
    if mode == "published":
        assert np.nanmin(centre) >= 49.0 and np.nanmax(centre) <= 52.0
        assert np.isnan(maps.sigma("LDO", "centre_mev")[maps.railed("LDO", "centre_mev")]).all()


def test_results_are_small(shared):
    assert shared.value("LDO", "centre_mev").dtype == np.float32
    assert sum(array.nbytes for array in columns(shared).values()) < 400 * WHICH.size


@pytest.mark.parametrize("pixels", [1, 3, 8, 14])
def test_blocks_change_nothing(image, aloof, vacuum, shared, monkeypatch, pixels):
    monkeypatch.setattr(decomposing, "block_pixels", lambda *_: pixels)
    assert_same(eit.decompose_image(image, RECIPE, aloof=aloof, zlp=vacuum), shared)


def test_files_give_what_arrays_give(image, aloof, vacuum, shared, tmp_path):
    np.save(tmp_path / "image.npy", image.counts)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    with h5py.File(tmp_path / "image.h5", "w") as file:
        plain, chunked = (
            file.create_dataset("plain", data=mapped),
            file.create_dataset("chunked", data=mapped, chunks=(2, 3, 100)),
        )
        for counts in (mapped, plain, chunked):
            assert_same(eit.decompose_image(replace(image, counts=counts), RECIPE, aloof=aloof, zlp=vacuum), shared)


def test_bad_pixels_stay_empty_and_harm_no_other(image, aloof, vacuum, shared):
    counts, random = image.counts.copy(), np.random.default_rng(5)
    counts[0, 0] = 0.0
    counts[0, 2, 530:] = 0.0  # a zero-loss peak and nothing else
    counts[1, 2] = np.nan
    counts[2, 3] = random.normal(0.0, 3.0, counts.shape[2])  # dark
    counts[3, 4] = np.minimum(counts[3, 4], 0.5 * counts[3, 4].max())  # full
    counts[4, 3, 1400] = 3 * counts[4, 3].max()  # struck by a cosmic ray
    counts[4, 6, [600, 640]], counts[4, 6, 620] = np.nan, -1e6
    maps = eit.decompose_image(replace(image, counts=counts), RECIPE, aloof=aloof, zlp=vacuum)
    bad = np.zeros(WHICH.shape, bool)
    bad[[0, 0, 1, 3, 4], [0, 2, 2, 4, 3]] = True
    centre, masked = maps.value("LDO", "centre_mev"), maps.masked
    assert np.isnan(centre[bad]).all() and np.isnan(maps.chi2[bad]).all() and not maps.optima[bad].any()
    assert not np.isfinite(centre[2, 3]) or maps.significance("LDO")[2, 3] < 3
    bad[2, 3] = True
    assert centre[~bad] == pytest.approx(shared.value("LDO", "centre_mev")[~bad], abs=0.2)
    assert (masked[4, 6], masked[~bad].sum()) == (3, 3)
    flags = {flag.code: flag.message for flag in maps.flags}
    assert "1 saturated" in flags["PIXELS_MISSING"] and "of 35 pixels have no result" in flags["PIXELS_MISSING"]
    assert "CHANNELS_MASKED" in flags


def test_a_dead_channel_of_the_camera_is_left_out_everywhere(image, aloof, vacuum, shared):
    counts = image.counts.copy()
    counts[..., 700] = np.nan
    maps = eit.decompose_image(replace(image, counts=counts), RECIPE, aloof=aloof, zlp=vacuum)
    assert np.all(maps.masked == 1)
    difference = maps.value("LDO", "centre_mev") - shared.value("LDO", "centre_mev")
    assert np.abs(difference).max() < 0.1


def test_a_level_says_which_pixels_are_full(image, aloof, vacuum):
    full = np.zeros(WHICH.shape, bool)
    full[[0, 2, 4], [6, 0, 3]] = True
    counts = np.where(full[..., None], 1.2 * image.counts, image.counts)
    level = 1.1 * float(image.counts.max())
    maps = eit.decompose_image(replace(image, counts=counts, saturation_level=level), RECIPE, aloof=aloof, zlp=vacuum)
    np.testing.assert_array_equal(np.isnan(maps.zlp.position_mev), full)
    np.testing.assert_array_equal(np.isnan(maps.chi2), full)
    assert [flag.message for flag in maps.flags] == ["3 of 35 pixels have no result: 3 saturated."]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_images_that_are_hardly_any(levels, aloof, vacuum, shape):
    which = (np.arange(np.prod(shape)) % 4).reshape(shape)
    maps = eit.decompose_image(make_image(levels, which), RECIPE, aloof=aloof, zlp=vacuum)
    centre = maps.value("LDO", "centre_mev")
    assert centre.shape == shape
    assert np.all(np.abs(centre - LDO_MEV - SHIFTS_MEV[which]) < 1.5)  # widths from so few counts are uncertain


def test_a_row_of_pixels_is_a_line(levels, aloof, vacuum):
    strip = make_image(levels, np.array([[0, 0, 1, 1, 2, 2, 3, 3, 3]]))
    maps = eit.decompose_image(strip, RECIPE, aloof=aloof, zlp=vacuum)
    line = make_spectra(strip.counts[0], strip.energy, noise=strip.noise)
    rows = eit.decompose(line, RECIPE, aloof=aloof, zlp=vacuum)
    assert maps.value("LDO", "centre_mev")[0] == pytest.approx(rows.value("LDO", "centre_mev"), abs=0.03)
    assert maps.sigma("LDO", "centre_mev")[0] == pytest.approx(rows.sigma("LDO", "centre_mev"), rel=0.03)


@pytest.mark.parametrize("looks", [1, 2, 6, 9])
def test_it_stops_when_told_to(image, aloof, vacuum, monkeypatch, looks):
    monkeypatch.setattr(decomposing, "block_pixels", lambda *_: 7)
    asked = iter(range(1000))
    with pytest.raises(Cancelled):
        eit.decompose_image(image, RECIPE, aloof=aloof, zlp=vacuum, should_stop=lambda: next(asked) >= looks)


def test_progress_goes_up_to_the_end(image, aloof, vacuum, monkeypatch):
    monkeypatch.setattr(decomposing, "block_pixels", lambda *_: 7)
    said = []
    eit.decompose_image(image, RECIPE, aloof=aloof, zlp=vacuum, progress=lambda *step: said.append(step))
    assert {text for _, _, text in said} == {"Zero-loss peaks", "Fitting parts", "Fitting pixels"}
    fitting = [done for done, total, text in said if text == "Fitting pixels" and total == 35]
    assert fitting == [0, 7, 14, 21, 28, 35]


def test_without_references_the_image_says_what_it_did(image):
    maps = eit.decompose_image(image, RECIPE)
    assert [flag.code for flag in maps.flags][:1] == ["NO_ALOOF"]
    assert np.isfinite(maps.value("LDO", "centre_mev")).all()


@pytest.mark.parametrize(
    ("shape", "said"),
    [((64,), "is a single spectrum"), ((5, 64), "is a line of spectra"), ((2, 2, 2, 64), "is an array of 4 axes")],
)
def test_lines_and_spectra_are_refused(shape, said):
    with pytest.raises(UnusableInput, match=f"'scan' {said}; give a spectrum image"):
        eit.SpectrumImage(np.ones(shape), axis(64), name="scan")


def test_spectra_are_no_image(aloof):
    with pytest.raises(UnusableInput, match="'aloof' is a single spectrum; give a spectrum image"):
        eit.decompose_image(replace(aloof, name="aloof"), RECIPE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda image: {"counts": np.zeros_like(image.counts)}, "'scan' has no spectrum with a zero-loss peak"),
        (lambda image: {"counts": np.full_like(image.counts, np.nan)}, "'scan' has no spectrum with a zero-loss peak"),
        (lambda image: {"energy": replace(image.energy, size=99)}, "1500 channels but its energy axis has 99"),
        (
            lambda image: {"counts": image.counts[..., :650], "energy": replace(image.energy, size=650)},
            "22-110 meV is not",
        ),
    ],
)
def test_images_that_cannot_be_used(image, change, said):
    with pytest.raises(UnusableInput, match=said):
        eit.decompose_image(replace(image, name="scan", **change(image)), RECIPE)


def test_an_unknown_mode_is_refused_before_anything_is_read(image):
    with pytest.raises(UnusableInput, match="no mode 'fast'"):
        eit.decompose_image(replace(image, counts=np.zeros_like(image.counts)), RECIPE, mode="fast")
