"""What a terminal shows of long work."""

from __future__ import annotations

import sys
import time


class Reporter:
    """Says on stderr how far it is, once that takes more than a second: in place on a terminal, else now and then."""

    AFTER_S, TERMINAL_S, ELSEWHERE_S = 1.0, 0.2, 10.0

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + self.AFTER_S
        self._shown = False

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._shown and self._on_terminal:
            print(file=sys.stderr)

    def __call__(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (self.TERMINAL_S if self._on_terminal else self.ELSEWHERE_S)
        self._shown = True
        line = f"{text} ... {done / max(total, 1):.0%}"
        print(
            f"\r{line:<40}" if self._on_terminal else line,
            end="" if self._on_terminal else "\n",
            file=sys.stderr,
            flush=True,
        )
