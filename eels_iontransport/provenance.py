"""Where a readout comes from: version, inputs, parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .data.spectrum import Spectra
from .files import SOURCE_KEY

DISTRIBUTION = "nionswift-eels-iontransport"


def package_version() -> str:
    """Version of the installed package; "unknown" when run from a bare folder."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"


def provenance(inputs: Mapping[str, Spectra], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Version, every input by role with its SHA-256 (of the file, else of the counts), and parameters."""
    return {
        "version": package_version(),
        "inputs": [
            {"role": role, "name": spectra.name, "sha256": _sha256(spectra)} for role, spectra in sorted(inputs.items())
        ],
        "parameters": dict(parameters),
    }


def _sha256(spectra: Spectra) -> str:
    source = spectra.metadata.get(SOURCE_KEY)
    if isinstance(source, Mapping) and "sha256" in source:
        return str(source["sha256"])
    return hashlib.sha256(spectra.counts.tobytes()).hexdigest()
