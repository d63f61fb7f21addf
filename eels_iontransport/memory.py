"""What a session remembers from one evaluation to the next, and how it notices that an input has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from .data.spectrum import Spectra

_numbers = count(1)
_KIND = ("energy", "step_nm", "saturation_level", "exposure_s", "frames", "noise")  # what all rows have in common


class Memory:
    """Results by what they depend on; what two evaluations in a row did not ask for is forgotten.

    last: by name, the last result of its kind, whatever it depended on, for who can begin from there.
    """

    def __init__(self) -> None:
        self._now: dict[Any, Any] = {}
        self._before: dict[Any, Any] = {}
        self.last: dict[Any, Any] = {}

    def __contains__(self, key: Any) -> bool:
        return key in self._now or key in self._before

    def recall(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._now:
            self._now[key] = self._before[key] if key in self._before else make()
        return self._now[key]

    def turn(self) -> None:
        """A new evaluation begins."""
        self._before, self._now = self._now, {}


class Itself:
    """An object as part of a key, equal to nothing but itself: what is large takes long to compare by its content."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


@dataclass(frozen=True, eq=False)
class Seen:
    """Spectra as they were when they were looked at, whatever is done to the original afterwards.

    version: (n,) a number for each row that is another one when its data are. token: the same for all of it.
    """

    spectra: Spectra
    version: np.ndarray
    token: int


def new_number() -> int:
    """A version that nothing else has."""
    return next(_numbers)


def seen(spectra: Spectra) -> Seen:
    """Spectra that are looked at once; they are not copied."""
    number = new_number()
    return Seen(spectra, np.full(len(spectra.rows), number), number)


class Watch:
    """Looks at one input again and again, and tells which rows have changed, also in place. Keeps one copy of it."""

    def __init__(self) -> None:
        self._last: Seen | None = None

    def look(self, spectra: Spectra) -> Seen:
        last = self._last
        if last is None or not _same_kind(last.spectra, spectra):
            self._last = seen(replace(spectra, counts=np.array(spectra.counts, float), valid=spectra.valid.copy()))
        else:
            self._last = _renewed(last, spectra)
        return self._last


def _same_kind(one: Spectra, other: Spectra) -> bool:
    return one.counts.shape == other.counts.shape and all(getattr(one, n) == getattr(other, n) for n in _KIND)


def _renewed(last: Seen, spectra: Spectra) -> Seen:
    """Spectra of the same kind as before, with new numbers for the rows that differ."""
    old = last.spectra
    # To the last bit, so that channels without a number can be equal.
    bits, old_bits = (np.ascontiguousarray(s.rows, float).view(np.int64) for s in (spectra, old))
    changed = (bits != old_bits).any(axis=1) | (spectra.valid != old.valid)
    if not changed.any():
        renamed = (
            any(getattr(spectra, n) is not getattr(old, n) for n in ("metadata", "passes")) or spectra.name != old.name
        )
        return replace(last, spectra=replace(spectra, counts=old.counts, valid=old.valid)) if renamed else last
    counts, version, number = old.counts.copy(), last.version.copy(), new_number()
    np.atleast_2d(counts)[changed] = spectra.rows[changed]
    version[changed] = number
    return Seen(replace(spectra, counts=counts, valid=spectra.valid.copy()), version, number)


def digest(*parts: Any) -> str:
    """A short name for arrays and values that changes when any of them does."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()
