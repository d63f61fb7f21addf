"""Where a readout comes from: version, inputs, parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from .data.spectrum import Spectra
from .files import SOURCE_KEY

DISTRIBUTION = "nionswift-eels-iontransport"


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

    hashes: of the counts by role, where they are known.
    """
    hashes = hashes or {}
    return {
        "version": package_version(),
        "inputs": [
            {"role": role, "name": spectra.name, "sha256": _of_file(spectra) or hashes.get(role) or sha256(spectra)}
            for role, spectra in sorted(inputs.items())
        ],
        "parameters": dict(parameters),
    }


def sha256(spectra: Spectra) -> str:
    """Of the counts."""
    return hashlib.sha256(np.ascontiguousarray(spectra.counts).data).hexdigest()


def _of_file(spectra: Spectra) -> str | None:
    source = spectra.metadata.get(SOURCE_KEY)
    return str(source["sha256"]) if isinstance(source, Mapping) and "sha256" in source else None
