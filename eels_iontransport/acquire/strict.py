"""Strict reading of JSON and TOML: every key is known, every value has its type, and the refusal names both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

from ..data.errors import UnusableInput

_REQUIRED: Any = object()
_T = TypeVar("_T")


class Table:
    """A mapping read key by key; leaving the `with` block refuses keys that nobody asked for.

    `where` is how the operator knows the place, such as "site file hermes.toml" or "plan, steps[2]".
    All methods raise UnusableInput.
    """

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, Mapping):
            raise UnusableInput(f"{where}: a table of keys is expected here, not {_kind(content)}.")
        self._content = content
        self._asked: set[str] = set()
        self.where = where

    def __enter__(self) -> Table:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if kind is None:
            unknown = [str(key) for key in self._content if key not in self._asked]
            if unknown:
                known = ", ".join(sorted(self._asked))
                raise UnusableInput(f"{self.where}: the key '{unknown[0]}' is not known; known keys are {known}.")

    def refuse(self, key: str, reason: str) -> UnusableInput:
        """The exception to raise for a value that has the right type and still cannot be used."""
        return UnusableInput(f"{self.where}: '{key}' {reason}.")

    def text(self, key: str, default: str = _REQUIRED) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.refuse(key, f"must be text, not {_kind(value)}")
        return value

    def number(self, key: str, default: float = _REQUIRED) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.refuse(key, f"must be a finite number, not {_kind(value)}")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """The number under `key`; None where it is absent or null."""
        return None if self._get(key, None) is None else self.number(key)

    def integer(self, key: str, default: int = _REQUIRED) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(key, f"must be a whole number, not {_kind(value)}")
        return value

    def flag(self, key: str, default: bool = _REQUIRED) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, f"must be true or false, not {_kind(value)}")
        return value

    def table(self, key: str) -> Table:
        return Table(self._get(key, _REQUIRED), f"{self.where}, {key}")

    def optional_table(self, key: str) -> Table | None:
        """The table under `key`; None where it is absent or null."""
        value = self._get(key, None)
        return None if value is None else Table(value, f"{self.where}, {key}")

    def optional(self, key: str, read: Callable[[Table], _T]) -> _T | None:
        """What `read` makes of the table under `key`; None where it is absent or null."""
        table = self.optional_table(key)
        return None if table is None else read(table)

    def choice(self, key: str, known: Sequence[str], default: str = _REQUIRED) -> str:
        value = self.text(key, default)
        if value not in known:
            raise self.refuse(key, f"must be one of {', '.join(known)}, not '{value}'")
        return value

    def fill(self, kind: type[_T]) -> _T:
        """The frozen dataclass whose fields, of numbers, flags and text, this table holds; no other key is allowed.

        A field with a default may be absent.
        """
        types = get_type_hints(kind)
        with self:
            return kind(**{f.name: self._field(f.name, types[f.name], f.default) for f in fields(kind)})  # type: ignore

    def _field(self, key: str, kind: Any, default: Any) -> Any:
        default = _REQUIRED if default is MISSING else default
        if kind is bool:
            return self.flag(key, default)
        if kind is int:
            return self.integer(key, default)
        if kind is float:
            return self.number(key, default)
        if kind is str:
            return self.text(key, default)
        assert kind == float | None, f"no reader for {kind}"
        return self.optional_number(key) if key in self._content else self._get(key, default)

    def tables(self, key: str, default: Any = _REQUIRED) -> tuple[Table, ...]:
        value = self._get(key, default)
        if not isinstance(value, (list, tuple)):
            raise self.refuse(key, f"must be a list, not {_kind(value)}")
        return tuple(Table(entry, f"{self.where}, {key}[{i}]") for i, entry in enumerate(value))

    def named_tables(self, key: str, default: Any = _REQUIRED) -> Iterator[tuple[str, Table]]:
        """Name and table of every entry of the table under `key`."""
        entries = self._get(key, default)
        if not isinstance(entries, Mapping):
            raise self.refuse(key, f"must be a table, not {_kind(entries)}")
        return ((str(name), Table(entry, f"{self.where}, {key}.{name}")) for name, entry in entries.items())

    def _get(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        if key in self._content:
            return self._content[key]
        if default is _REQUIRED:
            raise UnusableInput(f"{self.where}: the key '{key}' is missing.")
        return default


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"'{value}'" if isinstance(value, str) else repr(value)
