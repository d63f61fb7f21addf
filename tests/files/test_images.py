"""Spectrum images of all kinds of files: the same counts, read when they are asked for."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from eels_iontransport import files
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.image import SpectrumImage
from eels_iontransport.data.spectrum import EnergyAxis

from .test_rosetta import ENERGY, write_hspy, write_msa
from .test_swift import hdf5_file, zip_file

COUNTS = np.random.default_rng(1).poisson(50.0, (5, 7, 64)).astype(np.uint16)
NM = {"offset": 0.0, "scale": 0.5, "units": "nm"}
EV = {"offset": -0.01, "scale": 0.0004, "units": "eV"}
PROPERTIES = {
    "spatial_calibrations": [NM, {**NM, "scale": 0.25}, EV],
    "metadata": {"hardware_source": {"exposure": 0.1, "counts_per_electron": 4}},
    "collection_dimension_count": 2,
    "datum_dimension_count": 1,
}


def write_npy(path, properties=PROPERTIES, data=COUNTS):
    np.save(path, data)
    path.with_suffix(".json").write_text(json.dumps(properties))


def write_swift_hdf5(path, properties=PROPERTIES, data=COUNTS):
    hdf5_file(path, properties, data)


def write_zip(path, properties=PROPERTIES, data=COUNTS):
    zip_file(path, properties, data)


WRITERS = [(write_npy, "image.npy"), (write_swift_hdf5, "image.nhdf"), (write_zip, "image.ndata1")]


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_file_of_swift(tmp_path, write, name):
    write(tmp_path / name)
    image = files.load_image(tmp_path / name)
    assert (image.shape, image.energy, image.step_nm) == ((5, 7), EnergyAxis(-0.01, 0.0004, 64), (0.5, 0.25))
    assert (image.exposure_s, image.noise.electrons_per_count, image.name) == (0.1, 0.25, name)
    np.testing.assert_array_equal(whole(image, 1000), COUNTS)


@pytest.mark.parametrize("chunks", [True, None], ids=["chunked", "whole"])
def test_a_file_of_hyperspy(tmp_path, chunks):
    pytest.importorskip("rsciio")
    axes = [
        {"name": n, "size": s, "scale": 0.5, "offset": 0.0, "units": "nm", "navigate": True}
        for n, s in (("y", 5), ("x", 7))
    ]
    write_hspy(tmp_path / "image.hspy", (*axes, ENERGY), COUNTS, chunks)
    image = files.load_image(tmp_path / "image.hspy")
    assert isinstance(image.counts, np.ndarray) is (chunks is None)
    assert (image.shape, image.step_nm, image.exposure_s) == ((5, 7), (0.5, 0.5), 0.25)
    assert (image.energy.offset_ev, image.energy.step_ev) == pytest.approx((-0.01, 0.0004))
    np.testing.assert_array_equal(whole(image, 3), COUNTS)


@pytest.mark.parametrize("suffix", [".hspy", ".msa"])
def test_a_line_or_a_spectrum_of_another_program_is_refused(tmp_path, suffix):
    pytest.importorskip("rsciio")
    {".hspy": write_hspy, ".msa": write_msa}[suffix](tmp_path / f"line{suffix}")
    with pytest.raises(
        UnusableInput, match=f"'line{suffix}' is a (line of spectra|single spectrum); give a spectrum image"
    ):
        files.load_image(tmp_path / f"line{suffix}")


def whole(image, pixels):
    """All counts, put together from blocks of so many pixels."""
    counts = np.full((image.pixels, image.energy.size), np.nan)
    for block in image.blocks(pixels):
        assert np.isnan(counts[block.pixels]).all()
        counts[block.pixels] = image.read(block)
    return counts.reshape(*image.shape, -1)


@pytest.mark.parametrize("pixels", [1, 2, 6, 7, 13, 14, 34, 35, 1000])
def test_blocks_are_of_the_size_asked_for_and_cover_every_pixel_once(pixels):
    image = SpectrumImage(COUNTS, EnergyAxis(0.0, 0.001, 64))
    np.testing.assert_array_equal(whole(image, pixels), COUNTS)
    assert max(block.pixels.stop - block.pixels.start for block in image.blocks(pixels)) <= max(pixels, 1)


def test_blocks_are_of_whole_chunks_of_the_file(tmp_path):
    with h5py.File(tmp_path / "image.h5", "w") as file:
        dataset = file.create_dataset("data", data=COUNTS, chunks=(2, 7, 64))
        image = SpectrumImage(dataset, EnergyAxis(0.0, 0.001, 64))
        assert [block.rows for block in image.blocks(3 * 7)] == [slice(0, 2), slice(2, 4), slice(4, 5)]
        assert [block.rows.stop for block in image.blocks(7)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("write", "name"), WRITERS[:2])
def test_the_counts_stay_in_the_file(tmp_path, write, name):
    write(tmp_path / name)
    counts = files.load_image(tmp_path / name).counts
    assert isinstance(counts, (np.memmap, h5py.Dataset))


def test_pixels_are_numbered_row_by_row():
    image = SpectrumImage(COUNTS, EnergyAxis(0.0, 0.001, 64))
    np.testing.assert_array_equal(image.spectrum(9), COUNTS[1, 2])


@pytest.mark.parametrize(("write", "name"), WRITERS)
@pytest.mark.parametrize(
    ("data", "axes", "more", "said"),
    [
        (COUNTS[0], [NM, EV], {}, "is a line of spectra; give a spectrum image"),
        (COUNTS[0, 0], [EV], {}, "is a single spectrum; give a spectrum image"),
        (COUNTS[None], [NM, NM, NM, EV], {}, "is an array of 4 axes"),
        (COUNTS.transpose(2, 0, 1), [EV, NM, NM], {}, "has 64 x 5 x 7 values; spectra need at least 16"),
        (COUNTS.repeat(3, 1).transpose(2, 0, 1), [EV, NM, NM], {}, "The last axis of 'image.* is in 'nm'"),
        (COUNTS, [NM, EV], {}, "3 axes but 2 calibrations"),
        (COUNTS.astype(complex), [NM, NM, EV], {}, "holds complex128 values"),
        (COUNTS[:0], [NM, NM, EV], {}, "has 0 x 7 x 64 values"),
        (COUNTS, [NM, NM, EV], {"is_sequence": True}, "a sequence or a stack of images"),
        (COUNTS, [NM, NM, EV], {"datum_dimension_count": 2}, "a sequence or a stack of images"),
    ],
)
def test_what_is_no_spectrum_image_is_refused(tmp_path, write, name, data, axes, more, said):
    write(tmp_path / name, {"spatial_calibrations": axes, **more}, data)
    with pytest.raises(UnusableInput, match=said) as refusal:
        files.load_image(tmp_path / name)
    assert name in str(refusal.value)


def test_a_file_that_is_not_there():
    with pytest.raises(UnusableInput, match="'absent.npy' does not exist"):
        files.load_image("absent.npy")
