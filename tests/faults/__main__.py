"""Run the table of faults and kill programs; exit code 1 where something was lost or the next run failed.

python -m tests.faults            # all faults, 100 kills
python -m tests.faults 10         # all faults, 10 kills
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from .cases import Case, cases
from .faults import FAULTS, MOMENTS
from .kills import Kill, kill

KILLS = 100
FIRST_SEED = 5000
HEADER = ("fault", "kinds of plan", *MOMENTS, "survived", "next run works")


def row(fault: str, done: list[Case]) -> tuple[str, ...]:
    """A fault's line: cases at each moment, survived and next run of all."""

    def count(survived: int, of: int) -> str:
        return f"{survived} of {of}" if of else "-"

    at = [[case for case in done if case.moment == moment] for moment in MOMENTS]
    moments = [count(sum(not case.wrong for case in some), len(some)) for some in at]
    kinds = len({case.kind for case in done})
    survived, again = sum(not case.wrong for case in done), sum(not case.wrong_next for case in done)
    return (fault, f"{kinds}", *moments, count(survived, len(done)), count(again, len(done)))


def show(cells: tuple[str, ...]) -> None:
    widths = (36, 14, 10, 10, 10, 12, 14)
    print("".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip(), flush=True)


def run_table() -> list[Case]:
    show(HEADER)
    done: list[Case] = []
    for fault in FAULTS:
        some = list(cases(fault))
        show(row(fault, some))
        done += some
    for case in done:
        for text in case.wrong:
            print(f"{case.fault}, {case.kind}, {case.moment}: {text}")
        for text in case.wrong_next:
            print(f"{case.fault}, {case.kind}, {case.moment}, the next run: {text}")
    survived = sum(case.is_survived for case in done)
    print(f"{survived} of {len(done)} survived, and the next run works.\n")
    return done


def run_kills(number: int) -> list[Kill]:
    with tempfile.TemporaryDirectory() as folder:
        done = [kill(Path(folder, f"{seed}"), seed) for seed in range(FIRST_SEED, FIRST_SEED + number)]
    acknowledged = sum(result.acknowledged for result in done)
    lost = sum(max(0, result.acknowledged - result.recovered) for result in done)
    print(f"{number} programs killed at random moments: {acknowledged} rows acknowledged, {lost} of them lost.")
    for result in done:
        for text in result.wrong:
            print(f"kill with seed {result.seed}: {text}")
    survived = sum(not result.wrong for result in done)
    print(f"{survived} of {number} left all their rows, byte by byte, and at most one more.")
    return done


def main(arguments: list[str]) -> int:
    logging.disable(logging.CRITICAL)  # a fault is told in the log too, and there are hundreds
    table = run_table()
    kills = run_kills(int(arguments[0]) if arguments else KILLS) if sys.platform != "win32" else []
    return 0 if all(case.is_survived for case in table) and not any(result.wrong for result in kills) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
