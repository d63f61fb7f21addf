"""What the panel asks of the recipes."""

from __future__ import annotations

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.wording import Roles


def titles() -> list[tuple[str, str]]:
    """Name and title of each recipe."""
    return [(entry.name, entry.title or entry.name) for entry in materials.available()]


def roles(material: str) -> Roles:
    """Which peak and which ratio the readout speaks of."""
    try:
        recipe = materials.load(material)
    except UnusableInput:
        return Roles()
    return Roles(recipe.shift_peak, recipe.ratio)
