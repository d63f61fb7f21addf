"""Doubts about a result, each a code and one sentence for the operator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """A doubt: `code` for programs (upper case), `message` for people (one sentence)."""

    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}


def unique(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """The flags in order, each said once."""
    return tuple(dict.fromkeys(flags))
