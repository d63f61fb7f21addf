"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, text: str) -> None:
    """Progress that nobody watches: steps done, of how many, and what is being done."""
