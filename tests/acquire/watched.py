"""A microscope watched from outside: its actions are listed, and a hook may act or fail before each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eels_iontransport.acquire.port import Microscope, MicroscopeFault

ACTIONS = ("begin", "end", "set_control", "set_probe", "acquire_frames")


class Watched:
    """Passes everything on to a microscope; `hook(action, nth)` is called before the nth (from 1) of each action."""

    def __init__(self, microscope: Microscope, hook: Callable[[str, int], None] | None = None) -> None:
        self._microscope = microscope
        self.hook = hook
        self.counts = dict.fromkeys(ACTIONS, 0)

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._microscope, name)
        if name not in ACTIONS:
            return target

        def call(*arguments: Any) -> Any:
            self.counts[name] += 1
            if self.hook is not None:
                self.hook(name, self.counts[name])
            return target(*arguments)

        return call


def fault_at(action: str, nth: int) -> Callable[[str, int], None]:
    """A hook that lets the nth of an action fail, once."""

    def hook(name: str, count: int) -> None:
        if name == action and count == nth:
            raise MicroscopeFault(f"Broken at {action} {nth}.")

    return hook


def call_at(action: str, nth: int, function: Callable[[], None]) -> Callable[[str, int], None]:
    """A hook that calls a function before the nth of an action."""

    def hook(name: str, count: int) -> None:
        if name == action and count == nth:
            function()

    return hook
