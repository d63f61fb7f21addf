"""The built wheel, as users get it: what is in it, what it says of itself, and that it works from there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("eels_iontransport", "nionswift_plugin", "pyproject.toml", "setup.py", "README.md", "LICENSE")
PLUGINS = ("iontransport", "iontransport_simulator")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources, so that leftovers of earlier builds cannot get into it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name)
        else:
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def metadata(unpacked: Path) -> Message:
    (path,) = unpacked.glob("*.dist-info/METADATA")
    return Parser().parsestr(path.read_text(encoding="utf-8"))


def wanted_files() -> list[str]:
    """Every module and every data file of the sources."""
    files: list[str] = []
    for package in ("eels_iontransport", "nionswift_plugin"):
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in (".py", ".toml", ".json") and "__pycache__" not in path.parts:
                files.append(path.relative_to(ROOT).as_posix())
    return files


def test_holds_every_module_and_data_file(unpacked: Path) -> None:
    wanted = [*wanted_files(), "eels_iontransport/py.typed"]
    assert [name for name in wanted if not (unpacked / name).is_file()] == []


@pytest.mark.parametrize(
    "pattern",
    [
        *(f"nionswift_plugin/{plugin}/manifest.json" for plugin in PLUGINS),
        "eels_iontransport/materials/lco.toml",
        "eels_iontransport/materials/water_cnt.toml",
        "eels_iontransport/sites/simulator.toml",
        "eels_iontransport/sites/hermes_template.toml",
        "*.dist-info/licenses/LICENSE",
    ],
)
def test_holds(unpacked: Path, pattern: str) -> None:
    assert len(list(unpacked.glob(pattern))) == 1


def test_holds_nothing_else(unpacked: Path) -> None:
    tops = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"eels_iontransport", "nionswift_plugin"}
    assert {path.name for path in (unpacked / "nionswift_plugin").iterdir()} == set(PLUGINS)  # no __init__.py
    assert not list(unpacked.rglob("__pycache__"))


def test_name_version_and_licence(metadata: Message) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Name"] == "nionswift-eels-iontransport"
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "GPL-3.0-or-later"
    assert metadata["Requires-Python"] in (">=3.11,<3.14", "<3.14,>=3.11")
    assert "eels-iontransport" in str(metadata.get_payload())  # the README is the description
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_extras_and_dependencies(metadata: Message) -> None:
    assert set(metadata.get_all("Provides-Extra") or []) >= {"simulator", "window", "files", "dev"}
    required = "\n".join(metadata.get_all("Requires-Dist") or [])
    for name in ("nionswift", "nionswift-instrumentation", "numpy", "scipy", "lmfit", "h5py"):
        assert f"{name}<" in required or f"{name}>" in required, name
    assert "PySide6-Essentials<6.12" in required  # below Python 3.12


def test_works_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    """Recipes are found, and the command runs, with nothing of the source tree in reach."""
    code = (
        "import sys, eels_iontransport, eels_iontransport.cli as cli; "
        "print(eels_iontransport.__file__); sys.exit(cli.main(['materials']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(unpacked))
    assert "lco" in run.stdout and "water_cnt" in run.stdout


def test_plugins_name_themselves(unpacked: Path) -> None:
    """Each plug-in names itself in its manifest as the host expects."""
    for plugin in PLUGINS:
        manifest = json.loads((unpacked / "nionswift_plugin" / plugin / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["name"] and manifest["identifier"] and manifest["version"]
