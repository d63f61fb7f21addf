from __future__ import annotations

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from eels_iontransport import files
from eels_iontransport.data.errors import UnusableInput

COUNTS = np.arange(5 * 64, dtype=np.float32).reshape(5, 64)
CALIBRATIONS = [{"offset": 0.0, "scale": 0.5, "units": "nm"}, {"offset": -0.01, "scale": 0.0004, "units": "eV"}]
METADATA = {"hardware_source": {"exposure": 0.1}}


def npy(data) -> bytes:
    stream = io.BytesIO()
    np.save(stream, data)
    return stream.getvalue()


def zip_file(path, properties=None, data=COUNTS, compression=zipfile.ZIP_STORED, **members):
    properties = {"spatial_calibrations": CALIBRATIONS, "metadata": METADATA} if properties is None else properties
    content = {"metadata.json": json.dumps(properties).encode(), "data.npy": npy(data)} | members
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, member in content.items():
            if member is not None:
                archive.writestr(name.replace("_json", ".json").replace("_npy", ".npy"), member)


def hdf5_file(path, properties=None, data=COUNTS, key="data/0"):
    properties = {"dimensional_calibrations": CALIBRATIONS, "metadata": METADATA} if properties is None else properties
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(key, data=data)
        if properties is not False:
            dataset.attrs["properties"] = properties if isinstance(properties, str) else json.dumps(properties)


@pytest.mark.parametrize("name", ["line.ndata1", "line.nhdf", "line.ndata", "line.NDATA1"])
@pytest.mark.parametrize("write", [zip_file, hdf5_file])
def test_the_content_tells_zip_from_hdf5(tmp_path, name, write):
    write(tmp_path / name)
    spectra = files.load(tmp_path / name)
    np.testing.assert_array_equal(spectra.counts, COUNTS)
    assert (spectra.energy.offset_ev, spectra.energy.step_ev, spectra.step_nm) == (-0.01, 0.0004, 0.5)
    assert (spectra.exposure_s, spectra.name) == (0.1, name)


def test_an_item_of_a_project_has_its_data_at_the_top(tmp_path):
    hdf5_file(tmp_path / "item.h5", key="data")
    np.testing.assert_array_equal(files.load(tmp_path / "item.h5").counts, COUNTS)


def test_an_array_has_its_properties_beside_it(tmp_path):
    np.save(tmp_path / "line.npy", COUNTS)
    with pytest.raises(UnusableInput, match="'line.npy' has no 'line.json' beside it"):
        files.load(tmp_path / "line.npy")
    (tmp_path / "line.json").write_text("{")
    with pytest.raises(UnusableInput, match="'line.npy' is damaged"):
        files.load(tmp_path / "line.npy")
    (tmp_path / "line.json").write_text(json.dumps({"spatial_calibrations": CALIBRATIONS}))
    assert files.load(tmp_path / "line.npy").step_nm == 0.5


def test_a_compressed_archive_is_read(tmp_path):
    zip_file(tmp_path / "line.ndata1", compression=zipfile.ZIP_DEFLATED)
    assert files.load(str(tmp_path / "line.ndata1")).counts.shape == (5, 64)


def test_the_source_is_named_with_its_hash(tmp_path):
    zip_file(tmp_path / "a.ndata1")
    zip_file(tmp_path / "b.ndata1", data=COUNTS + 1)
    a, b = (files.load(tmp_path / name).metadata[files.SOURCE_KEY] for name in ("a.ndata1", "b.ndata1"))
    assert len(a["sha256"]) == 64 and a["sha256"] != b["sha256"] and a["path"].endswith("a.ndata1")


def truncated(path):
    zip_file(path)
    path.write_bytes(path.read_bytes()[:400])


def truncated_hdf5(path):
    hdf5_file(path, data=np.ones((50, 2048)))
    path.write_bytes(path.read_bytes()[:3000])


def pickled(path):
    zip_file(path, data_npy=npy(np.array([{"a": 1}] * 64, dtype=object)), **{"data.npy": None})


def flipped(path):
    zip_file(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"NUMPY") + 300] ^= 0xFF
    path.write_bytes(bytes(content))


def deflated_and_flipped(path):
    zip_file(path, compression=zipfile.ZIP_DEFLATED, data=np.random.default_rng(1).normal(size=(5, 64)))
    content = bytearray(path.read_bytes())
    start = content.index(b"data.npy") + 8
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(bytes(content))


def marked_as_encrypted(path):
    zip_file(path)
    content = bytearray(path.read_bytes())
    for signature, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := content.find(signature, place + 1)) >= 0:
            content[place + flag] |= 1
    path.write_bytes(bytes(content))


def with_properties(write, properties):
    return lambda path: write(path, properties=properties)


def without(member):
    return lambda path: zip_file(path, **{member: None})


FAULTS = [
    (lambda path: path.write_bytes(b""), "is empty"),
    (lambda path: path.write_bytes(b"E"), "not a Swift file"),
    (lambda path: path.write_text("energy counts\n1 2\n"), "not a Swift file, whatever its name says"),
    (lambda path: path.write_bytes(b"PK\x03\x04 and then nothing"), "damaged or incomplete"),
    (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n and then nothing"), "damaged or incomplete"),
    (lambda path: path.mkdir(), "cannot be read"),
    (truncated, "damaged or incomplete"),
    (truncated_hdf5, "damaged or incomplete"),
    (flipped, "damaged or incomplete"),
    (deflated_and_flipped, "damaged or incomplete"),
    (marked_as_encrypted, "damaged or incomplete.*encrypted"),
    (pickled, "damaged or incomplete"),
    (without("metadata.json"), "not a Swift file.*metadata.json"),
    (without("data.npy"), "not a Swift file.*data.npy"),
    (lambda path: zip_file(path, **{"metadata.json": b"{"}), "damaged or incomplete"),
    (lambda path: zip_file(path, **{"metadata.json": b"\xff"}), "damaged or incomplete"),
    (lambda path: zip_file(path, **{"metadata.json": b"[]"}), "no JSON object"),
    (lambda path: zip_file(path, **{"data.npy": b"not an array"}), "damaged or incomplete"),
    (lambda path: zip_file(path, **{"data.npy": npy(COUNTS)[:200]}), "damaged or incomplete"),
    (with_properties(zip_file, {}), "2 axes but 0 calibrations"),
    (with_properties(zip_file, {"spatial_calibrations": ["x", "y"]}), "calibrations that cannot be read"),
    (with_properties(zip_file, {"spatial_calibrations": 3}), "calibrations that cannot be read"),
    (with_properties(zip_file, {"spatial_calibrations": CALIBRATIONS[::-1]}), "in 'nm', which is no energy"),
    (with_properties(hdf5_file, False), "no item 'data/0'"),
    (with_properties(hdf5_file, "{"), "damaged or incomplete"),
    (lambda path: hdf5_file(path, key="else"), "no item 'data/0'"),
    (lambda path: hdf5_file(path, key="data/1"), "no item 'data/0'"),
]


@pytest.mark.parametrize("make, words", FAULTS)
def test_a_file_that_is_not_what_its_name_says(tmp_path, make, words):
    path = tmp_path / "line.ndata1"
    make(path)
    with pytest.raises(UnusableInput, match=words) as fault:
        files.load(path)
    assert "line.ndata1" in str(fault.value) and "\n" not in str(fault.value)


@pytest.mark.parametrize(
    "name, words",
    [("absent.ndata1", "does not exist"), ("line.tif", "of no kind that can be read"), ("line", "of no kind")],
)
def test_a_file_that_is_not_there_or_of_another_kind(name, words):
    with pytest.raises(UnusableInput, match=words):
        files.load(name)


def test_measured_spectra(measured):
    empty = files.load(measured / "hermes_cnt" / "EmptyCNT_RT.ndata1")
    assert empty.counts.shape == (1000,) and empty.step_nm is None and empty.noise is None
    assert empty.energy.step_ev == pytest.approx(0.945e-3, abs=1e-6)
    assert (empty.energy.offset_ev, empty.energy.end_ev) == pytest.approx((-0.213, 0.731), abs=1e-3)
    assert abs(empty.energy.energies_mev[empty.counts.argmax()]) < 1.0
    with pytest.raises(UnusableInput, match="EmptyCNT_Cryo_SI_Z.npy.*in 'nm', which is no energy"):
        files.load(measured / "hermes_cnt" / "EmptyCNT_Cryo_SI_Z.npy")
    plasmon = files.load(measured / "lixcoo2" / "P2_lowloss_20C.ndata1")
    assert plasmon.energy.energies_ev[plasmon.counts.argmax()] == pytest.approx(0.5, abs=0.06)


def test_metadata_of_a_microscope(measured, tmp_path):
    """One row of a spectrum image, with the properties that a HERMES wrote."""
    np.save(tmp_path / "row.npy", np.ones((1, 58, 64)))
    properties = (measured / "hermes_cnt" / "EmptyCNT_Cryo_SI.json").read_text()
    (tmp_path / "row.json").write_text(properties)
    row = files.load(tmp_path / "row.npy")
    assert row.counts.shape == (58, 64) and row.valid.all()
    assert (row.step_nm, row.exposure_s, row.noise, row.frames) == (1.0, 0.01, None, None)
    assert (row.energy.offset_ev, row.energy.step_ev) == pytest.approx((-0.225831, 0.000943313), abs=1e-6)


@pytest.mark.parametrize("write", [zip_file, hdf5_file])
@pytest.mark.parametrize(
    "is_sequence, datum, passes", [(True, 1, 2), (False, 1, None), (True, 2, None)], ids=["lines", "map", "images"]
)
def test_a_sequence_of_lines_is_a_line_with_passes(tmp_path, write, is_sequence, datum, passes):
    properties = {
        "is_sequence": is_sequence,
        "collection_dimension_count": 1,
        "datum_dimension_count": datum,
        "metadata": METADATA,
    }
    named = {"offset": 0.0, "scale": 1.0, "units": ""}
    for key in ("spatial_calibrations", "dimensional_calibrations"):
        properties[key] = [named, *CALIBRATIONS]
    write(tmp_path / "line.ndata1", properties, np.stack([COUNTS, COUNTS + 1]))
    if passes is None:
        with pytest.raises(UnusableInput, match="not a map or a stack"):
            files.load(tmp_path / "line.ndata1")
        return
    spectra = files.load(tmp_path / "line.ndata1")
    np.testing.assert_array_equal(spectra.passes, np.stack([COUNTS, COUNTS + 1]))
    np.testing.assert_array_equal(spectra.counts, 2 * COUNTS + 1)
