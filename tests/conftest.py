"""What every test stands on: a folder of its own, no settings of the user's, repeatable random numbers, one thread."""

from __future__ import annotations

import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402  (numpy must not be imported before the thread counts are set)
from hypothesis import settings  # noqa: E402

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

DATA_VARIABLE = "EELS_IONTRANSPORT_DATA"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder: the host's test contexts write to, and wipe, folders of the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("EELS_IONTRANSPORT_RECIPES", raising=False)


@pytest.fixture
def measured() -> Path:
    """The folder of measured spectra, which may not be redistributed; the test is skipped without it."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"{DATA_VARIABLE} does not name a folder of measured spectra")
    if not Path(folder).is_dir():
        pytest.fail(f"{DATA_VARIABLE} names {folder}, which is not a folder")
    return Path(folder)
