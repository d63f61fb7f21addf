"""Lithium vibrations and lithium content at interfaces, from monochromated STEM-EELS."""
