"""A presentation as the names that the view binds to. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import fields

from eels_iontransport import wording

from .model import Presentation

TWO_LINES_OF_TEXT = 84


def values(presentation: Presentation) -> dict[str, object]:
    """Everything that the view binds to, by name; `x_visible` tells whether the text `x` is worth its room.

    A quantity of the readout is shown large where it is a number, and as a sentence where it is not.
    """
    content = {f.name: getattr(presentation, f.name) for f in fields(presentation) if f.name != "readout"}
    content |= {f.name: getattr(presentation.readout, f.name) for f in fields(presentation.readout)}
    for name in ("shift", "ratio"):
        is_number = content[name][:1] in _BEGINS_A_NUMBER
        content[f"{name}_number"] = content[name] if is_number else ""
        content[f"{name}_sentence"] = "" if is_number else _short(content[name])
        if presentation.provisional and is_number:
            content[f"{name}_label"] += f", {presentation.provisional}"
        elif presentation.provisional and content[name] == wording.NOT_DETERMINED:
            content[f"{name}_sentence"] += " yet"
    content["outlook_tooltip"] = content["outlook"]
    for name in ("flags", "hint", "outlook"):
        content[name] = _short(content[name])
    return content | {f"{name}_visible": bool(value) for name, value in content.items() if isinstance(value, str)}


def _short(sentence: str) -> str:
    """As much of a sentence as two lines of the panel hold; its tooltip has all of it."""
    return textwrap.shorten(sentence, TWO_LINES_OF_TEXT, placeholder=" \N{HORIZONTAL ELLIPSIS}")


_BEGINS_A_NUMBER = tuple("+0123456789" + wording.MINUS)
