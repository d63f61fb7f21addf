"""What it costs to show an item while it fills with 100 rows a second, in the real window, against Swift alone.

Swift alone is its acquisition of the same line with the same camera into its own item, as its acquisition panel does
it. All ways take turns in one window, which is a process of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from .figure import Figure, spread

ROWS, ROUNDS = 500, 5
CORES, GAP_MS, RATE = 0.5, 100.0, 0.02
SWIFT, ITEM, RESULTS = "Swift alone", "item", "item with live results"
WITH_DISPLAY = Path(__file__).parents[1] / "tools" / "with_display"
TIMEOUT_S = 1200.0

Filled = dict[str, float]  # cores, gap_ms, longest_ms, rate: see filling_window.Meter


def in_window(rows: int, rounds: int) -> dict[str, list[Filled]]:
    """What was measured in each round, by way."""
    with tempfile.TemporaryDirectory() as folder:
        home = {"HOME": folder, "XDG_CONFIG_HOME": f"{folder}/config", "XDG_DATA_HOME": f"{folder}/data"}
        command = [sys.executable, "-m", "benchmarks.filling_window", folder, f"{rows}", f"{rounds}"]
        done = subprocess.run(
            [str(WITH_DISPLAY), *command],
            env={**os.environ, **home, "PYTHON": sys.executable},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # where the host sends what is printed while its window is open
            text=True,
            timeout=TIMEOUT_S,
        )
        try:
            measured: dict[str, list[Filled]] = json.loads(Path(folder, "measured.json").read_text("utf-8"))
        except OSError:
            raise RuntimeError(f"The window has measured nothing:\n{done.stdout[-6000:]}") from None
    return measured


def measure() -> list[Figure]:
    measured = in_window(ROWS, ROUNDS)
    swift = measured[SWIFT]
    figures = _alone(swift)
    for way in (ITEM, RESULTS):
        figures += _against(swift, measured[way], way)
    return figures


def _against(swift: Sequence[Filled], ours: Sequence[Filled], way: str) -> list[Figure]:
    """Each round against Swift alone in the same round; the middle one counts."""

    def rounds(compare: Callable[[Filled, Filled], float]) -> tuple[float, str]:
        values = [compare(our, its) for our, its in zip(ours, swift, strict=True)]
        return statistics.median(values), spread(values)

    cores, cores_spread = rounds(lambda our, its: our["cores"] - its["cores"])
    gap_ms, gap_spread = rounds(lambda our, its: our["gap_ms"] - its["gap_ms"])
    rate, rate_spread = rounds(lambda our, its: our["rate"] / its["rate"])
    longest_ms, longest_spread = rounds(lambda our, its: our["longest_ms"] - its["longest_ms"])
    return [
        Figure(f"{way}: cores busy more", "", cores, high=CORES, spread=cores_spread),
        Figure("  99 % of the window's gaps longer by", "ms", gap_ms, high=GAP_MS, spread=gap_spread),
        Figure("  longest gap longer by", "ms", longest_ms, spread=longest_spread),
        Figure("  rows a second against Swift's", "", rate, 1.0 - RATE, 1.0 + RATE, spread=rate_spread),
    ]


def _alone(filled: Sequence[Filled]) -> list[Figure]:
    figures = [("cores", "", f"{SWIFT}: cores busy while {ROWS} rows come")]
    figures += [("gap_ms", "ms", "  99 % of the window's gaps below"), ("longest_ms", "ms", "  longest gap")]
    figures += [("rate", "1/s", "  rows a second")]
    columns = {key: [one[key] for one in filled] for key, _, _ in figures}
    return [
        Figure(name, unit, statistics.median(columns[key]), spread=spread(columns[key])) for key, unit, name in figures
    ]
