"""Measure and print the figures; exit code 1 if one misses its goal.

python -m benchmarks                 # all
python -m benchmarks simulator demo  # some
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time

MODULES = (
    "simulator",
    "journal",
    "acquisition",
    "drift",
    "endurance",
    "filling",
    "demo",
    "readout",
    "startup",
    "decomposition",
    "image",
    "shift_accuracy",
    "composition",
    "measured",
)


def main(argv: list[str]) -> int:
    unknown = [name for name in argv if name not in MODULES]
    if unknown:
        print(f"'{unknown[0]}' is no benchmark; choose among {', '.join(MODULES)}.", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; spread: smallest / middle / largest")
    figures = []
    for name in argv or MODULES:
        started = time.monotonic()
        figures += importlib.import_module(f"benchmarks.{name}").measure()
        print(f"  {name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    from .figure import table

    print(table(figures))
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    sys.exit(main(sys.argv[1:]))
