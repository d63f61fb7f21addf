"""Swift's real window: the panel in it, a run aborted and repeated, and the window closed during a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nion.instrumentation")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)

TIMEOUT_S = 180.0
TIME_SCALE = 20.0
SCRIPT = Path(__file__).with_name("operator_script.py")


def test_an_operator_at_the_window(tmp_path):
    """One process, because Qt and the host are started once in each."""
    environment = os.environ | {
        "HOME": str(tmp_path),
        "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen"),
    }
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(SCRIPT), str(tmp_path / "project"), str(TIME_SCALE)],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # where the host sends what is printed while its window is open
        text=True,
        timeout=TIMEOUT_S,
    )
    said = [line.removeprefix("said: ") for line in done.stdout.splitlines() if line.startswith("said: ")]
    assert "Traceback" not in done.stdout, done.stdout[-6000:]
    assert done.returncode == 0, done.stdout[-6000:]
    assert said == [
        "closed by default: True",
        "wide enough: True",
        "first hint: Take a survey image first: press Overview or Detail.",
        "paused: Paused by you. Resume",
        "aborted: True, rows kept: True",
        "second run: running, results: True",
        "closed: aborted",
    ]
