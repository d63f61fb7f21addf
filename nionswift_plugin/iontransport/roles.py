"""Which spectrum is for what, for items that do not say so themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.passes import of_one_line
from eels_iontransport.data.record import Record, Role
from eels_iontransport.data.spectrum import Spectra

VIBRATIONAL_STEP_EV = 0.005  # vibrational spectra are recorded at a few meV per channel or less
_WORDS = {"aloof": Role.ALOOF, "zlp": Role.ZLP, "vacuum": Role.ZLP}


class Named(Protocol):
    """An item with a title."""

    title: str


def assign(spectra: Mapping[Named, Spectra]) -> dict[Role, list[Named]]:
    """The role of each item: from its record, else from its energies and title. One item alone is what is analysed.

    Items of the same role are passes of one line, by their records. Raises UnusableInput where none is vibrational, or
    two have the same role and are not.
    """
    roles: dict[Role, list[Named]] = {}
    for item, found in spectra.items():
        role = Role.VIBRATIONAL if _recorded(found) is None and len(spectra) == 1 else role_of(item.title, found)
        others = roles.setdefault(role, [])
        if others and not of_one_line(spectra[others[0]], found):
            name = role.value.replace("_", " ")
            raise UnusableInput(f"'{others[0].title}' and '{item.title}' are both {name} spectra; select one of them.")
        others.append(item)
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
