"""Strict reading of a TOML table: every key has a type, and a key that nobody asked for is refused."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from ..data.errors import UnusableInput
from .recipe import Bound, Interval

_MISSING = object()


class Table:
    """A table of a recipe file that knows where it stands, so that every refusal names file and key."""

    def __init__(self, content: Mapping[str, Any], file: str, path: str = "") -> None:
        self._content, self._file, self._path = content, file, path
        self._asked: list[str] = []

    def fault(self, key: str, reason: str) -> UnusableInput:
        where = f"{self._path}.{key}" if self._path and key else self._path or key
        return UnusableInput(f"The recipe {self._file} cannot be used: {where} {reason}.")

    def has(self, key: str) -> bool:
        return key in self._content

    def text(self, key: str, default: Any = _MISSING) -> str:
        value = self._get(key, default)
        if value is default:
            return value
        if not isinstance(value, str) or not value.strip():
            raise self.fault(key, "must be a text that is not empty")
        return value

    def flag(self, key: str, default: Any = _MISSING) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "must be true or false")
        return value

    def number(self, key: str, default: Any = _MISSING, *, positive: bool = False) -> float:
        value = self._get(key, default)
        if value is default:
            return value
        number = self._finite(key, value)
        if positive and number <= 0:
            raise self.fault(key, f"must be above zero, not {number:g}")
        return number

    def integer(self, key: str, default: Any = _MISSING, *, low: int, high: int) -> int:
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fault(key, f"must be a whole number from {low} to {high}")
        return value

    def interval(self, key: str, default: Any = _MISSING) -> Interval:
        """[low, high] with low < high."""
        value = self._get(key, default)
        if value is default:
            return value
        return self._interval(key, value)

    def two_intervals(self, key: str) -> tuple[Interval, Interval]:
        """[[a, b], [c, d]] with a < b <= c < d."""
        value = self._get(key, _MISSING)
        if not isinstance(value, list) or len(value) != 2:
            raise self.fault(key, "must hold two windows, as in [[20, 25], [95, 105]]")
        first, second = self._interval(key, value[0]), self._interval(key, value[1])
        if first[1] > second[0]:
            raise self.fault(key, "has windows that overlap or stand in the wrong order")
        return first, second

    def bound(self, key: str, *, low: float = -math.inf) -> Bound:
        """[initial, lower, upper] with lower <= initial <= upper and lower < upper; the limits may be inf."""
        value = self._get(key, _MISSING)
        if not isinstance(value, list) or len(value) != 3:
            raise self.fault(key, "must be [initial, lower, upper]")
        initial = self._finite(key, value[0])
        lower, upper = (self._number(key, item) for item in value[1:])
        if not lower < upper:
            raise self.fault(key, f"has a lower bound of {lower:g} that is not below its upper bound of {upper:g}")
        if not lower <= initial <= upper:
            raise self.fault(key, f"starts at {initial:g}, outside its bounds {lower:g} to {upper:g}")
        if lower < low:
            raise self.fault(key, f"has a lower bound of {lower:g}, which must not be below {low:g}")
        return Bound(initial, lower, upper)

    def numbers(self, key: str, default: Any = _MISSING) -> tuple[float, ...]:
        value = self._get(key, default)
        if value is default:
            return value
        if not isinstance(value, list):
            raise self.fault(key, "must be a list of numbers")
        return tuple(self._finite(key, item) for item in value)

    def texts(self, key: str, default: Any = _MISSING) -> tuple[str, ...]:
        value = self._get(key, default)
        if value is default:
            return value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fault(key, "must be a list of texts")
        return tuple(value)

    def table(self, key: str, default: Any = _MISSING) -> Table:
        value = self._get(key, default)
        if not isinstance(value, Mapping):
            raise self.fault(key, "must be a table")
        return Table(value, self._file, f"{self._path}.{key}" if self._path else key)

    def tables(self, key: str, *, required: bool = False) -> list[Table]:
        """An array of tables; a table's place in it counts from 1 in messages and is followed by its name."""
        value = self._get(key, _MISSING if required else [])
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise self.fault(key, f"must be an array of tables, [[{key}]]")
        if required and not value:
            raise self.fault(key, "is empty")
        prefix = f"{self._path}.{key}" if self._path else key
        return [
            Table(item, self._file, f"{prefix}[{number}]" + (f" ({item['name']})" if "name" in item else ""))
            for number, item in enumerate(value, 1)
        ]

    def finish(self) -> None:
        """Refuses keys that nobody asked for."""
        for key in self._content:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, 1)
                hint = f"; did you mean {near[0]}" if near else ""
                raise self.fault(key, f"is not a key that recipes have{hint}")

    def _get(self, key: str, default: Any) -> Any:
        self._asked.append(key)
        value = self._content.get(key, default)
        if value is _MISSING:
            raise self.fault(key, "is missing")
        return value

    def _number(self, key: str, value: Any) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
            raise self.fault(key, f"must hold numbers, not {value!r}")
        return float(value)

    def _finite(self, key: str, value: Any) -> float:
        number = self._number(key, value)
        if math.isinf(number):
            raise self.fault(key, "must be finite")
        return number

    def _interval(self, key: str, value: Any) -> Interval:
        if not isinstance(value, list) or len(value) != 2:
            raise self.fault(key, "must be [low, high]")
        low, high = (self._finite(key, item) for item in value)
        if not low < high:
            raise self.fault(key, f"runs from {low:g} to {high:g}; its first number must be the smaller one")
        return low, high
