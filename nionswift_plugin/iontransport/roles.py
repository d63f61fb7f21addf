"""Which spectrum is for what, for items that do not say so themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Record, Role
from eels_iontransport.data.spectrum import Spectra

VIBRATIONAL_STEP_EV = 0.005  # vibrational spectra are recorded at a few meV per channel or less
_WORDS = {"aloof": Role.ALOOF, "zlp": Role.ZLP, "vacuum": Role.ZLP}


class Named(Protocol):
    """An item with a title."""

    title: str


def assign(spectra: Mapping[Named, Spectra]) -> dict[Role, Named]:
    """The role of each item: from its record, else from its energies and title. One item alone is what is analysed.

    Raises UnusableInput where none is vibrational or two have the same role.
    """
    roles: dict[Role, Named] = {}
    for item, found in spectra.items():
        role = Role.VIBRATIONAL if _recorded(found) is None and len(spectra) == 1 else role_of(item.title, found)
        if role in roles:
            name = role.value.replace("_", " ")
            raise UnusableInput(
                f"'{roles[role].title}' and '{item.title}' are both {name} spectra; select one of them."
            )
        roles[role] = item
    if Role.VIBRATIONAL not in roles:
        raise UnusableInput("No vibrational spectra are among the selected items; select them as well.")
    return roles


def role_of(title: str, spectra: Spectra) -> Role:
    """The role of an item of that title: from its record, else from its energies and title."""
    return _recorded(spectra) or _guessed(title, spectra)


def _recorded(spectra: Spectra) -> Role | None:
    record = Record.from_metadata(spectra.metadata)
    if record is None:
        return None
    return Role.VIBRATIONAL if record.role is Role.POINTS else record.role


def _guessed(title: str, spectra: Spectra) -> Role:
    if spectra.energy.offset_ev > 0.0:
        return Role.CORE_LOSS
    if spectra.energy.step_ev >= VIBRATIONAL_STEP_EV:
        return Role.VALENCE
    return next((role for word, role in _WORDS.items() if word in title.lower()), Role.VIBRATIONAL)
