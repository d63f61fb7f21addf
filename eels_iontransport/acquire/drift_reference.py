"""What a run leaves behind so that a later one finds its line again, wherever the specimen has drifted meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.geometry import Field


@dataclass(frozen=True, eq=False)
class DriftReference:
    """The image that drift is measured against, of the time when the places of the plan were right.

    image: dark-field image (y, x) of the area as it lay then. moved_nm: (y, x) by which the specimen had moved since,
    when it was last seen. It holds for places in the survey's field of that run, and is kept in memory only.
    """

    image: np.ndarray
    area: Field
    moved_nm: tuple[float, float] = (0.0, 0.0)

    @property
    def pixels(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        rows, columns = self.image.shape
        return rows, columns

    @property
    def nm_per_pixel(self) -> float:
        return self.area.width_nm / self.pixels[1]
