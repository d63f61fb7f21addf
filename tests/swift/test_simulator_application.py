"""The simulator as a plug-in of the real application: found, preferred, usable, and gone when the application ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nion.instrumentation")

SESSION = """
import json, pathlib, sys
from nion.utils import Registry
from nionswift_plugin import iontransport_simulator as simulator
from nionswift_plugin.iontransport.host.application import Headless

headless = Headless(pathlib.Path(sys.argv[1]), "session")
found = {"in_use": simulator.get_devices().is_in_use()}
stem = Registry.get_component("stem_controller")
found["ours"] = getattr(stem, "instrument_id", None) == "iontransport_simulator"
if found["ours"]:
    simulator.get_microscope().clock.time_scale = 50.0
    camera = stem.eels_camera
    parameters = camera.get_current_frame_parameters()
    parameters.exposure_ms, parameters.processing = 100.0, "sum_project"
    partial = camera.acquire_sequence_begin(parameters, 5)
    while not partial.is_complete:
        partial = camera.acquire_sequence_continue()
    camera.acquire_sequence_end()
    found["shape"] = list(partial.xdata.data_shape)
headless.close()
instruments = [c.instrument_id for c in Registry.get_components_by_type("stem_controller")]
found["left"] = "iontransport_simulator" in instruments
print("FOUND " + json.dumps(found))
"""


def _run(folder: Path, environment: dict[str, str]) -> tuple[dict, str]:
    result = subprocess.run(
        [sys.executable, "-c", SESSION, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, **environment},
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("FOUND ")]
    assert result.returncode == 0 and lines, result.stderr[-2000:]
    return json.loads(lines[0].removeprefix("FOUND ")), result.stdout + result.stderr


def test_the_application_uses_it_and_ends_without_complaint(tmp_path):
    found, output = _run(tmp_path, {})
    assert found == {"in_use": True, "ours": True, "shape": [5, 2048], "left": False}
    assert "Event Handler Traceback" not in output


def test_it_can_be_left_out(tmp_path):
    found, _ = _run(tmp_path, {"EELS_IONTRANSPORT_SIMULATOR": "off"})
    assert not found["in_use"] and not found["ours"]
