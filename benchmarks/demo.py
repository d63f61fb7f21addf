"""Wall time and memory of the whole session without a window, as a user starts it."""

from __future__ import annotations

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


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        runs = [run(Path(folder) / str(i)) for i in range(RUNS)]
    seconds, memory = zip(*runs)
    return [
        Figure("headless demo, slowest", "s", max(seconds), high=GOAL_S, spread=spread(seconds)),
        Figure("headless demo, peak memory", "GiB", max(memory), high=GOAL_GIB, spread=spread(memory)),
    ]
