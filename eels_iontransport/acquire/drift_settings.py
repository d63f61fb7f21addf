"""How the drift is followed: a part of the plan and of the site file."""

from __future__ import annotations

from dataclasses import dataclass

from .strict import Table


@dataclass(frozen=True)
class DriftSettings:
    """When to look at the reference area, and what to believe.

    An image is due after every_rows rows or every_s seconds, whichever is first; 0 switches a trigger off. pixels: of
    a side of the image. area_nm: length of the side; 0 leaves it to the caller. limit_nm: largest displacement since
    the reference. lattice_nm: period of a lattice that the image may show. predict: whether the rate is followed
    between images.

    rate_limit_nm_per_min: largest drift at which a run starts; 0 starts at any. fastest_nm_per_min: drift that cannot
    be; an image that would need more is not used.
    """

    every_rows: int = 0
    every_s: float = 10.0
    limit_nm: float = 10.0
    lattice_nm: float | None = None
    rate_limit_nm_per_min: float = 0.5
    fastest_nm_per_min: float = 60.0
    pixels: int = 128
    area_nm: float = 0.0
    predict: bool = True

    def is_due(self, rows_since: int, seconds_since: float) -> bool:
        """Whether the next image is due, so many rows and seconds after the last."""
        by_rows = self.every_rows > 0 and rows_since >= self.every_rows
        return by_rows or (self.every_s > 0 and seconds_since >= self.every_s)


def read_drift(table: Table | None) -> DriftSettings:
    """Settings from a table, defaults for what it does not give. Raises UnusableInput naming the key."""
    if table is None:
        return DriftSettings()
    settings = table.fill(DriftSettings)
    for key in ("limit_nm", "lattice_nm", "fastest_nm_per_min"):
        value = getattr(settings, key)
        if value is not None and value <= 0:
            raise table.refuse(key, f"must be positive, and is {value:g}")
    for key in ("every_rows", "every_s", "area_nm", "rate_limit_nm_per_min"):
        if getattr(settings, key) < 0:
            raise table.refuse(key, f"must not be negative, and is {getattr(settings, key):g}")
    if not 32 <= settings.pixels <= 1024:
        raise table.refuse("pixels", f"must lie between 32 and 1024, and is {settings.pixels}")
    return settings
