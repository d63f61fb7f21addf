"""The whole session without a window, as a user starts it: wall time, memory, and its readout beside the truth."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .figure import Figure, spread

RUNS = 3
GOAL_S = 90.0
GOAL_GIB = 1.5
SHIFT_SIGMA_MEV = 0.4
RATIO_SIGMA = 0.04
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


def run(out: Path) -> tuple[float, float]:
    """(seconds, peak resident set in GiB) of one demo in a process of its own."""
    code = "import sys; from eels_iontransport.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "demo", "--headless", "--out", str(out)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"The demo ended with exit code {process.returncode}.")
    return seconds, usage.ru_maxrss * _RSS_UNIT / 2**30


def against_truth(out: Path) -> list[Figure]:
    """The demonstration's own readout beside its truth.json."""
    readout, truth = (json.loads((out / name).read_text(encoding="utf-8")) for name in ("readout.json", "truth.json"))
    figures = []
    for name, part, key, unit, goal in (
        ("demo, blue shift", "ldo_peak", "blue_shift_mev", "meV", SHIFT_SIGMA_MEV),
        ("demo, Li:Co change", "li_to_co", "relative_change", "", RATIO_SIGMA),
    ):
        measured = readout[part][key]
        value, sigma = (math.nan if measured[k] is None else measured[k] for k in ("value", "sigma"))
        beside = f"{value:.3g} beside a true {truth[part][key]:.3g}"
        off = abs(value - truth[part][key]) / sigma
        figures.append(Figure(f"{name}: sigma", unit, sigma, high=goal))
        figures.append(Figure(f"{name}: off by", "sigma", off, high=2.0, spread=beside))
    return figures


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / str(i) for i in range(RUNS)]
        seconds, memory = zip(*(run(out) for out in outs))
        readouts = against_truth(outs[0])
    return [
        Figure("demo without a window: slowest", "s", max(seconds), high=GOAL_S, spread=spread(seconds)),
        Figure("demo without a window: peak memory", "GiB", max(memory), high=GOAL_GIB, spread=spread(memory)),
        *readouts,
    ]
