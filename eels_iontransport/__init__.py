"""Lithium vibrations and lithium content at interfaces, from monochromated STEM-EELS."""

from .decompose import decompose
from .files import load
from .materials import load as material
from .session import analyze

__all__ = ["analyze", "decompose", "load", "material"]
