"""When a measured figure counts as met, and how it is printed."""

from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import MODULES, main
from benchmarks.figure import Figure, spread, table


@pytest.mark.parametrize(
    ("measured", "low", "high", "met", "goal"),
    [
        (2.0, -math.inf, 3.0, True, "<= 3 ms"),
        (3.5, -math.inf, 3.0, False, "<= 3 ms"),
        (0.6, 0.7, 1.5, False, "0.7 to 1.5 ms"),
        (1.5, 0.7, 1.5, True, "0.7 to 1.5 ms"),
        (0.95, 0.9, math.inf, True, ">= 0.9 ms"),
        (math.nan, -math.inf, 3.0, False, "<= 3 ms"),
    ],
)
def test_goals(measured: float, low: float, high: float, met: bool, goal: str) -> None:
    figure = Figure("time", "ms", measured, low, high)
    assert (figure.met, figure.goal) == (met, goal)
    assert figure.row()[-1] == ("met" if met else "MISSED")


def test_a_figure_for_comparison_has_no_goal_to_miss() -> None:
    figure = Figure("a peer", "spectra/s", math.nan, spread="not installed")
    assert figure.met
    assert figure.row() == ("a peer", "", "nan spectra/s", "not installed", "")


def test_the_table_is_in_columns() -> None:
    figures = [Figure("a", "s", 1.0, high=2.0), Figure("a longer name", "GiB", 3.0, high=2.0, spread="x")]
    lines = table(figures).split("\n")
    assert len(lines) == 3
    assert len({line.index("<=") for line in lines[1:]}) == 1
    assert lines[2].endswith("MISSED") and lines[1].endswith("met")


def test_spread_is_smallest_middle_largest() -> None:
    assert spread([3.0, 1.0, 2.0]) == "1 / 2 / 3 of 3"


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    message = capsys.readouterr().err
    assert "nonsense" in message and all(name in message for name in MODULES)
