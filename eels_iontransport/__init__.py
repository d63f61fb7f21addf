"""Lithium vibrations and lithium content at interfaces, from monochromated STEM-EELS."""

from .data.image import SpectrumImage
from .decompose import decompose, reference_model
from .files import load, load_image
from .image import decompose_image
from .materials import load as material
from .session import analyze

__all__ = [
    "SpectrumImage",
    "analyze",
    "decompose",
    "decompose_image",
    "load",
    "load_image",
    "material",
    "reference_model",
]
