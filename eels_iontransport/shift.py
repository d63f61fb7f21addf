"""The shift of a peak at the boundary: centres of regions, weighted by what the boundary is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .data.errors import UnusableInput
from .data.regions import BOUNDARY, GRAIN_1, GRAIN_2
from .materials import Recipe

MEAN = "mean"

# Weights of the centres by region: the boundary less what it is referred to.
REFERENCES: Mapping[str, Mapping[str, float]] = {
    MEAN: {GRAIN_1: -0.5, BOUNDARY: 1.0, GRAIN_2: -0.5},
    GRAIN_1: {GRAIN_1: -1.0, BOUNDARY: 1.0},
    GRAIN_2: {BOUNDARY: 1.0, GRAIN_2: -1.0},
}


def weights(reference: str, names: Sequence[str]) -> np.ndarray | None:
    """Weights (n,) of the centres of n groups of these names; None where one of the groups is missing."""
    wanted = REFERENCES[reference]
    if not set(wanted) <= set(names):
        return None
    return np.array([wanted.get(name, 0.0) for name in names])


def shift_peak(recipe: Recipe) -> str:
    """The peak whose shift is asked for. Raises UnusableInput where the recipe has none."""
    if recipe.shift_peak is None:
        raise UnusableInput(f"The recipe {recipe.name} has no shift peak; ask for no uncertainty of a shift.")
    return recipe.shift_peak
