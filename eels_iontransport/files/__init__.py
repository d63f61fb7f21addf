"""Reading files: `load` tells by the name's ending which reader is asked."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from ..data.errors import UnusableInput
from ..data.image import SpectrumImage
from ..data.spectrum import Spectra
from . import rosetta, swift
from .parts import spectra_from_parts

__all__ = ["SOURCE_KEY", "SUFFIXES", "load", "load_image", "sha256", "spectra_from_parts"]

SUFFIXES = swift.SUFFIXES + rosetta.SUFFIXES
SOURCE_KEY = "source_file"  # in the metadata of what was loaded: {"path", "sha256"}


def load(path: str | os.PathLike[str]) -> Spectra:
    """The spectrum, or the line of spectra, in a file.

    Raises UnusableInput, one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    reader = _reader(path)
    try:
        spectra = reader.read(path)
        source = {"path": str(path), "sha256": sha256(path)}
    except OSError as fault:
        raise UnusableInput(f"'{path.name}' cannot be read: {fault.strerror or fault}.") from None
    return replace(spectra, metadata={**spectra.metadata, SOURCE_KEY: source})


def load_image(path: str | os.PathLike[str]) -> SpectrumImage:
    """The spectrum image in a file. Its counts stay in the file and are read when they are worked on.

    Those of a zip archive (.ndata1, .ndata) are read at once. Raises UnusableInput as `load` does.
    """
    path = Path(path)
    try:
        return _reader(path).read_image(path)
    except OSError as fault:
        raise UnusableInput(f"'{path.name}' cannot be read: {fault.strerror or fault}.") from None


def _reader(path: Path) -> ModuleType:
    """The module that reads such files."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UnusableInput(f"'{path.name}' is of no kind that can be read; give one of {', '.join(SUFFIXES)}.")
    if not path.exists():
        raise UnusableInput(f"'{path}' does not exist.")
    return swift if suffix in swift.SUFFIXES else rosetta


def sha256(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder in the order of their names (.zspy is a folder)."""
    digest = hashlib.sha256()
    for part in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        if path.is_dir():
            digest.update(part.relative_to(path).as_posix().encode())
        with part.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()
