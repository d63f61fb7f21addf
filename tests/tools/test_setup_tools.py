"""What `make` says of a machine that lacks something: one sentence for each thing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
HERE = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def check_system() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_system", TOOLS / "check_system.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("version", "supported"), [((3, 10, 4), False), ((3, 11, 0), True), ((3, 13, 9), True), ((3, 14, 0), False)]
)
def test_python_versions(
    check_system: ModuleType, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], supported: bool
) -> None:
    monkeypatch.setattr(check_system.sys, "version_info", version)
    sentences = check_system.missing_python()
    assert (sentences == []) is supported
    if not supported:
        assert f"Python {version[0]}.{version[1]} " in sentences[0] and "3.11 to 3.13" in sentences[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Qt brings its libraries on other systems")
def test_a_missing_library_is_named_with_its_package(check_system: ModuleType) -> None:
    sentences = check_system.missing_libraries({"libc.so.6": "libc6", "libabsent-example.so.0": "libabsent0"})
    assert len(sentences) == 1
    assert "libabsent-example.so.0" in sentences[0] and sentences[0].endswith("install libabsent0.")


def find_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tools/find_python where only the commands of `folder` and of the shell are known."""
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "PYENV_ROOT": str(folder / "none")}
    command = [str(TOOLS / "find_python"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def command(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_python_that_cannot_start_is_passed_over(tmp_path: Path) -> None:
    version = HERE.removeprefix("python")
    command(tmp_path / HERE, "exit 127")
    pyenv = tmp_path / "none" / "versions" / f"{version}.1" / "bin"
    pyenv.mkdir(parents=True)
    (pyenv / "python").symlink_to(sys.executable)
    found = find_python(tmp_path, version)
    assert found.returncode == 0
    assert os.path.samefile(found.stdout.strip(), sys.executable)


def test_no_python_is_an_error_and_prints_nothing(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        command(tmp_path / name, "exit 127")
    found = find_python(tmp_path)
    assert (found.returncode, found.stdout) == (1, "")


def test_python3_is_taken_first(tmp_path: Path) -> None:
    command(tmp_path / "python3", f'exec {sys.executable} "$@"')
    command(tmp_path / "python3.13", "exit 127")
    assert os.path.samefile(find_python(tmp_path).stdout.strip(), sys.executable)
