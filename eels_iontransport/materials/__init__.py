"""Material recipes: `load` one by name or path, `available` lists them."""

from __future__ import annotations

from .loader import FOLDER_VARIABLE, Entry, available, from_content, load, user_folder
from .recipe import Band, Bound, Edge, LineShape, Peak, Recipe, Transport, WhiteLine

__all__ = [
    "FOLDER_VARIABLE",
    "Band",
    "Bound",
    "Edge",
    "Entry",
    "LineShape",
    "Peak",
    "Recipe",
    "Transport",
    "WhiteLine",
    "available",
    "from_content",
    "load",
    "user_folder",
]
