"""The decomposition: how fast, beside its peers, how good its optima are, and what bounds the speed."""

from __future__ import annotations

from . import kernel_cost, published_accuracy, published_speed, session_speed
from .figure import Figure


def measure() -> list[Figure]:
    return [
        figure
        for part in (published_speed, published_accuracy, session_speed, kernel_cost)
        for figure in part.measure()
    ]
