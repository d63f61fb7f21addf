"""Files of Nion Swift, read without Swift: exports (.ndata1, .nhdf, .npy) and a project's own items (.ndata, .h5).

What a file is is told from its first bytes: a zip archive with `data.npy` and `metadata.json`, or HDF5 with the
datasets `data/0`, `data/1` ... (or one dataset `data`) whose attribute `properties` is JSON, or a NumPy array with its
properties in a .json file beside it.
"""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..data.errors import UnusableInput
from ..data.image import SpectrumImage
from ..data.spectrum import Spectra
from .parts import Calibration, image_from_parts, spectra_from_parts

SUFFIXES = (".ndata1", ".nhdf", ".ndata", ".h5", ".npy")
_ZIP, _HDF5, _NPY = b"PK", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY"


def read(path: Path) -> Spectra:
    """The first item of the file; a sequence of lines is a line with passes. Raises UnusableInput that names it."""
    data, properties = _content(path)
    return spectra_from_parts(
        data,
        _calibrations(properties, path.name),
        _metadata(properties),
        path.name,
        first_axis_is_passes=_is_sequence_of_spectra(properties),
    )


def read_image(path: Path) -> SpectrumImage:
    """The first item of the file, whose data stay in the file where it is HDF5 or .npy. Raises UnusableInput."""
    data, properties = _content(path, stay=True)
    if properties.get("is_sequence") or properties.get("datum_dimension_count", 1) != 1:
        raise UnusableInput(f"'{path.name}' is a sequence or a stack of images; give a spectrum image.")
    return image_from_parts(data, _calibrations(properties, path.name), _metadata(properties), path.name)


def _is_sequence_of_spectra(properties: Mapping[str, Any]) -> bool:
    """Whether the first axis counts repetitions of what the others span, and the last alone is what one place gave."""
    return bool(properties.get("is_sequence")) and properties.get("datum_dimension_count", 1) == 1


def _content(path: Path, *, stay: bool = False) -> tuple[Any, dict[str, Any]]:
    """Data and properties of the first item. stay: leave the data in the file, where that can be."""
    with path.open("rb") as file:
        start = file.read(len(_HDF5))
    if not start:
        raise UnusableInput(f"'{path.name}' is empty.")
    if start.startswith(_ZIP):
        return _read_zip(path)
    if start == _HDF5:
        return _read_hdf5(path, stay)
    if start.startswith(_NPY):
        return _read_npy(path, stay)
    raise UnusableInput(f"'{path.name}' is not a Swift file, whatever its name says; export it from Swift again.")


def _read_zip(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            properties = json.loads(archive.read("metadata.json"))
            data = np.load(io.BytesIO(archive.read("data.npy")), allow_pickle=False)
    except KeyError as fault:
        raise UnusableInput(f"'{path.name}' is not a Swift file: {fault.args[0]}.") from None
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, NotImplementedError) as fault:
        raise _damaged(path, fault) from None
    return data, _properties(properties, path)


def _read_hdf5(path: Path, stay: bool) -> tuple[Any, dict[str, Any]]:
    try:
        with contextlib.ExitStack() as stack:
            file = h5py.File(path, "r")  # closes by itself when nothing of it is in use any more
            if not stay:
                stack.enter_context(file)
            dataset = file.get("data")
            if isinstance(dataset, h5py.Group):
                dataset = dataset.get("0")
            if not isinstance(dataset, h5py.Dataset) or "properties" not in dataset.attrs:
                raise UnusableInput(f"'{path.name}' is HDF5 but not a Swift file: it has no item 'data/0'.")
            properties = _properties(json.loads(dataset.attrs["properties"]), path)
            return dataset if stay else dataset[()], properties
    except UnusableInput:
        raise
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as fault:
        raise _damaged(path, fault) from None


def _read_npy(path: Path, stay: bool) -> tuple[Any, dict[str, Any]]:
    beside = path.with_suffix(".json")
    if not beside.exists():
        raise UnusableInput(f"'{path.name}' has no '{beside.name}' beside it, in which Swift writes its energy axis.")
    try:
        properties = _properties(json.loads(beside.read_bytes()), path)
        return np.load(path, mmap_mode="r" if stay else None, allow_pickle=False), properties
    except (ValueError, EOFError) as fault:
        raise _damaged(path, fault) from None


def _damaged(path: Path, fault: Exception) -> UnusableInput:
    reason = " ".join(str(fault).split()) or type(fault).__name__
    return UnusableInput(f"'{path.name}' is damaged or incomplete and cannot be read ({reason}).")


def _properties(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UnusableInput(f"'{path.name}' is not a Swift file: its properties are no JSON object.")
    return content


def _metadata(properties: Mapping[str, Any]) -> dict[str, Any]:
    metadata = properties.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _calibrations(properties: Mapping[str, Any], name: str) -> list[Calibration]:
    """Exports call them spatial_calibrations, items dimensional_calibrations."""
    found = properties.get("spatial_calibrations", properties.get("dimensional_calibrations"))
    try:
        return [
            (float(c.get("offset", 0.0)), float(c.get("scale", 1.0)), str(c.get("units") or "")) for c in found or []
        ]
    except (AttributeError, TypeError, ValueError):
        raise UnusableInput(f"'{name}' has calibrations that cannot be read; calibrate it in Swift again.") from None
