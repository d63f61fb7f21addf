"""Files of other programs through RosettaSciIO: Gatan .dm3 and .dm4, HyperSpy .hspy and .zspy, EMSA .msa."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..data.errors import UnusableInput
from ..data.image import SpectrumImage
from ..data.spectrum import Spectra
from ..data.units import ev_per_unit
from .parts import Calibration, image_from_parts, spectra_from_parts

_MODULES = {".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph", ".hspy": "hspy", ".zspy": "zspy", ".msa": "msa"}
SUFFIXES = tuple(_MODULES)
_PASSES = (
    "pass",
    "passes",
    "sequence",
    "stack_element",
)  # names of an axis that counts repetitions; HyperSpy's is last


def read(path: Path) -> Spectra:
    """The first data set of the file whose last axis is an energy. Raises UnusableInput that names the file."""
    data, calibrations, metadata, first_axis = _content(path)
    return spectra_from_parts(
        np.asarray(data), calibrations, metadata, path.name, first_axis_is_passes=first_axis in _PASSES
    )


def read_image(path: Path) -> SpectrumImage:
    """The first data set whose last axis is an energy, its data left in the file where the reader knows how to.

    Raises UnusableInput.
    """
    try:
        data, calibrations, metadata, _ = _content(path, lazy=True)
    except UnusableInput:  # a reader that needs all of it says no more than one that finds damage
        data, calibrations, metadata, _ = _content(path)
    return image_from_parts(data, calibrations, metadata, path.name)


def _content(path: Path, *, lazy: bool = False) -> tuple[Any, list[Calibration], dict[str, Any], str]:
    """Data, calibrations, metadata and the name of the first axis of a data set; lazy: its data stay in the file."""
    reader = _reader(path)
    if path.is_file() and path.stat().st_size == 0:
        raise UnusableInput(f"'{path.name}' is empty.")
    try:
        with _quiet():
            signals = reader(str(path), **({"lazy": True} if lazy else {}))
    except PermissionError:
        raise
    except ImportError as fault:
        raise _missing(path, fault) from None
    except Exception as fault:  # the readers raise whatever their parsers meet
        logging.getLogger(__name__).debug("reading %s failed", path, exc_info=fault)
        raise UnusableInput(
            f"'{path.name}' is damaged, or not a {path.suffix} file whatever its name says; export it again."
        ) from None
    return _parts(signals, path)


def _reader(path: Path) -> Any:
    module = _MODULES[path.suffix.lower()]
    try:
        return importlib.import_module(f"rsciio.{module}").file_reader
    except ImportError as fault:
        raise _missing(path, fault) from None


def _missing(path: Path, fault: ImportError) -> UnusableInput:
    name = (fault.name or "rosettasciio").split(".")[0].replace("rsciio", "rosettasciio")
    return UnusableInput(
        f"'{path.name}' needs {name} to be read; install it with pip install 'nionswift-eels-iontransport[files]'."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """What the reader has to say of a file is said by our own exception."""
    logger = logging.getLogger("rsciio")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _parts(signals: list[dict[str, Any]], path: Path) -> tuple[Any, list[Calibration], dict[str, Any], str]:
    if not signals:
        raise UnusableInput(f"'{path.name}' holds no data.")
    chosen = next((s for s in signals if _is_energy(_axes(s)[-1:])), signals[0])
    axes = _axes(chosen)
    if any("scale" not in axis for axis in axes):
        raise UnusableInput(f"'{path.name}' has an axis of unequal steps; resample it to equal steps first.")
    first = str(axes[0].get("name") or "").lower() if axes else ""
    return chosen["data"], [_calibration(a) for a in axes], _metadata(chosen.get("metadata", {})), first


def _axes(signal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In the order of the array's axes."""
    axes = list(signal.get("axes", []))
    return sorted(axes, key=lambda axis: axis.get("index_in_array", axes.index(axis)))


def _is_energy(axes: list[dict[str, Any]]) -> bool:
    return bool(axes) and ev_per_unit(str(axes[0].get("units") or "")) is not None


def _calibration(axis: Mapping[str, Any]) -> Calibration:
    units = axis.get("units")
    return float(axis.get("offset", 0.0)), float(axis["scale"]), units if isinstance(units, str) else ""


def _metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """As Swift would keep it: the exposure of one frame, in s, under `hardware_source`."""
    found: Any = metadata
    for key in ("Acquisition_instrument", "TEM", "Detector", "EELS", "exposure"):
        found = found.get(key) if isinstance(found, Mapping) else None
    exposure = found if isinstance(found, (int, float)) else None
    return {"hardware_source": {"exposure": float(exposure)}} if exposure is not None else {}
