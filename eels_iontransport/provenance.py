"""Where a readout comes from: version, inputs, parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from .data.flags import Flag
from .data.image import SpectrumImage
from .data.record import Record, Role, Status
from .data.spectrum import Spectra
from .files import SOURCE_KEY

DISTRIBUTION = "nionswift-eels-iontransport"

_OFF_AXIS = (
    "The {role} spectra were collected off the axis, where the zero-loss peak is only what the specimen scatters "
    "elastically; {advice}."
)
_ON_IT = "take them on it"
_NOT_PER_ELECTRON = (
    "energies are as on the axis, but areas and bands are not losses per electron of the beam, and their change from "
    "place to place is also one of the elastic scattering"
)
_ADVICE = {Role.VIBRATIONAL.value: _NOT_PER_ELECTRON, Role.IMAGE.value: _NOT_PER_ELECTRON}


@cache
def package_version() -> str:
    """Version of the installed package; "unknown" when run from a bare folder."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def provenance(
    inputs: Mapping[str, Spectra], parameters: Mapping[str, Any], hashes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Version, every input by role with its SHA-256 (of the file, else of the counts), and parameters.

    Of a role that several items were put together for, each is an input.
    An input that tells how its acquisition ended has its status, reason, rows planned, rows valid and spectrometer
    setting beside it.
    hashes: of the counts by role, where they are known.
    """
    hashes = hashes or {}
    return {
        "version": package_version(),
        "inputs": [
            {
                "role": role,
                "name": item.name,
                "sha256": _of_file(item) or (hashes.get(role) if item is spectra else None) or sha256(item),
                **_ending(item),
            }
            for role, spectra in sorted(inputs.items())
            for item in _sources(spectra)
        ],
        "parameters": dict(parameters),
    }


def partial_inputs(inputs: Mapping[str, Spectra]) -> tuple[Flag, ...]:
    """A flag for each input whose acquisition has ended before all of its rows were taken."""
    ended = [
        (_words(role, item.name if spectra.parts else ""), Record.from_metadata(item.metadata))
        for role, spectra in inputs.items()
        for item in spectra.sources
    ]
    return tuple(
        Flag(
            "PARTIAL_INPUT",
            f"Of the {words} {record.rows_valid} of {record.rows_planned} rows were taken: "
            f"{record.reason or record.status.value}",
        )
        for words, record in ended
        if record is not None and record.status in (Status.ABORTED, Status.FAULT)
    )


def off_axis_inputs(inputs: Mapping[str, Spectra | SpectrumImage]) -> tuple[Flag, ...]:
    """A flag for each input by role that was collected off the axis, where the zero-loss peak is not the beam."""
    records = {role: Record.from_metadata(spectra.metadata) for role, spectra in inputs.items()}
    return tuple(
        Flag("OFF_AXIS", _OFF_AXIS.format(role=role.replace("_", " "), advice=_ADVICE.get(role, _ON_IT)))
        for role, record in records.items()
        if record is not None and record.is_off_axis
    )


def _sources(spectra: Spectra | SpectrumImage) -> tuple[Any, ...]:
    return spectra.sources if isinstance(spectra, Spectra) else (spectra,)


def _words(role: str, name: str) -> str:
    return f"{role.replace('_', ' ')} spectra" + (f" '{name}'" if name else "")


def _ending(spectra: Spectra) -> dict[str, Any]:
    record = Record.from_metadata(spectra.metadata)
    if record is None:
        return {}
    return {
        "status": record.status.value,
        "reason": record.reason,
        "rows_planned": record.rows_planned,
        "rows_valid": record.rows_valid,
        **({"setting": record.setting} if record.setting else {}),
    }


def sha256(spectra: Spectra) -> str:
    """Of the counts."""
    return hashlib.sha256(np.ascontiguousarray(spectra.counts).data).hexdigest()


def _of_file(spectra: Spectra) -> str | None:
    source = spectra.metadata.get(SOURCE_KEY)
    return str(source["sha256"]) if isinstance(source, Mapping) and "sha256" in source else None
