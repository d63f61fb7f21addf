"""What the plug-in adds to the host's start, and for how long it holds up the window while the kernels get ready."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .figure import Figure, spread

RUNS = 7
IMPORT_S = 0.3

HOST = """
import json, sys, time
from nion.swift import Application, DocumentController, Facade
import nionswift_plugin.nion_instrumentation_ui  # part of every Swift that has the plug-in; shares much with it
start = time.perf_counter()
"""
IMPORT = """
import nionswift_plugin.iontransport
print(json.dumps([time.perf_counter() - start]))
"""
# Beside a loop that looks at the clock every 5 ms, as the window looks for events.
WARM = """
from nionswift_plugin.iontransport import warming
warming.DELAY_S = 0.0
made, longest = warming.Warming(), 0.0
start = last = time.perf_counter()
made.start()
while not made.join(0.005):
    now = time.perf_counter()
    longest, last = max(longest, now - last - 0.005), now
from eels_iontransport.decomposition import kernels
assert kernels.fit_batch.signatures
print(json.dumps([time.perf_counter() - start, longest]))
"""


def run(code: str, bytecode: Path, **variables: str) -> list[float]:
    """What the code prints in a process of its own, in which Swift and its own panels have been imported."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode), **variables}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    command = [sys.executable, "-c", HOST + code]
    numbers: list[float] = json.loads(
        subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    )
    return numbers


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        bytecode, kernels = Path(folder, "bytecode"), Path(folder, "kernels")
        run(IMPORT, bytecode)
        imports = [run(IMPORT, bytecode)[0] for _ in range(RUNS)]
        compiled_s, compiled_gap_s = run(WARM, bytecode, NUMBA_CACHE_DIR=str(kernels))
        loads, gaps = zip(*(run(WARM, bytecode, NUMBA_CACHE_DIR=str(kernels)) for _ in range(RUNS)))
    gaps_ms = [1e3 * gap for gap in gaps]
    return [
        Figure(
            "plug-in, added to the host's start: median",
            "s",
            sorted(imports)[RUNS // 2],
            high=IMPORT_S,
            spread=spread(imports),
        ),
        Figure("kernels compiled beside the window, once", "s", compiled_s),
        Figure("  longest hold-up of the window", "ms", 1e3 * compiled_gap_s),
        Figure("kernels loaded beside the window: median", "s", sorted(loads)[RUNS // 2], spread=spread(loads)),
        Figure("  longest hold-up of the window: median", "ms", sorted(gaps_ms)[RUNS // 2], spread=spread(gaps_ms)),
    ]
