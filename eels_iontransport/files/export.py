"""Writing results so that a file is either whole or not there."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..data.errors import UnusableInput


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when all went well, and goes if not.

    Folders are made. Raises UnusableInput where the place cannot be written to.
    """
    path = Path(path)
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        part = Path(name)
        yield part
        part.chmod(0o666 & ~_umask())
        part.replace(path)
        part = None
    except OSError as fault:
        raise UnusableInput(f"'{path}' cannot be written: {fault.strerror or fault}.") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def require_place(path: str | os.PathLike[str]) -> None:
    """Raises UnusableInput where a file cannot be written, before anybody waits for what goes into it."""
    path = Path(path)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir():
        raise UnusableInput(f"'{path}' cannot be written: it is a folder.")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UnusableInput(f"'{path}' cannot be written: '{folder}' is no folder that can be written to.")


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Strict JSON in UTF-8: what is not finite becomes null. Raises UnusableInput."""
    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def write_profiles(path: str | os.PathLike[str], profiles: Mapping[str, Any]) -> None:
    """The profiles of a readout as CSV: one column per profile, one row per pixel, empty where nothing is known."""
    columns = {name: plain(values) for name, values in profiles.items() if np.ndim(values) == 1}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values()))
    with whole_file(path) as part:
        part.write_text(stream.getvalue(), encoding="utf-8")


def plain(content: Any) -> Any:
    """Lists, dicts, texts and numbers only, as JSON has them; what is not finite becomes None."""
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray):
        return plain(content.tolist())
    if isinstance(content, (list, tuple)):
        return [plain(item) for item in content]
    if isinstance(content, np.generic):
        return plain(content.item())
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    return content


def _umask() -> int:
    """The permissions that a new file would not get; temporary files have none but the owner's."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
