"""Lines as functions of their shapes, with first and second slopes by differences of what the engine draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .engine import draw
from .problem import Data, FwhmLimits, Layout

STEP = 1e-3  # of centres and widths, from which slopes are taken; good to 1e-6 of them
CURVATURE_STEP = 0.02  # from which second slopes are taken
CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True, eq=False)
class Lines:
    """K lines in each of n spectra on m channels, as functions of their centre, sigma and gamma as searched for.

    energy_mev (n, m), response (n, j, 4). shapes (3, n, K): these three, where the FWHM is limited the fraction that
    stands for sigma. limits: those of the FWHM. areas (n, K). moves (n, K, 3, p): 1 where theta moves them.
    """

    energy_mev: np.ndarray
    response: np.ndarray
    shapes: np.ndarray
    limits: FwhmLimits | None
    areas: np.ndarray
    moves: np.ndarray

    @classmethod
    def of(cls, layout: Layout, data: Data, theta: np.ndarray, areas: np.ndarray, problem: int = 0) -> Lines:
        """Those of a layout at theta (p,)."""
        moves = np.zeros((*areas.shape, 3, layout.lower.size))
        spectrum, line = np.indices(areas.shape)
        for i, table in enumerate((layout.centre, layout.sigma, layout.gamma)):
            moves[spectrum, line, i, table] = 1.0
        moved = layout.offset >= 0
        moves[:, moved, 0, layout.offset[moved]] = 1.0
        shapes = np.moveaxis(moves @ theta, 2, 0)
        return cls(data.energy_mev[problem], data.response[problem], shapes, layout.fwhm_limits, areas, moves)

    def drawn(self, steps: np.ndarray) -> np.ndarray:
        """Lines of unit area after each of the steps (s, 3) of their shapes, (s, n, K, m)."""
        n, lines = self.areas.shape
        centre, sigma, gamma = self.shapes[:, None] + steps.T[:, :, None, None]
        if self.limits is not None:
            sigma = self.limits.sigma(sigma, gamma)[0]
        flat = (np.moveaxis(p, 0, 1).reshape(n, -1) for p in (centre, sigma, gamma))
        drawn = draw(self.energy_mev, self.response, *flat)
        return np.moveaxis(drawn.reshape(n, len(steps), lines, -1), 1, 0)

    @cached_property
    def values(self) -> np.ndarray:
        """Of unit area, (n, K, m)."""
        return self.drawn(np.zeros((1, 3)))[0]

    @cached_property
    def slopes(self) -> np.ndarray:
        """By centre, sigma and gamma, (n, K, 3, m), by differences."""
        steps = STEP * np.eye(3)
        drawn = self.drawn(np.concatenate([steps, -steps]))
        return np.moveaxis((drawn[:3] - drawn[3:]) / (2 * STEP), 0, 2)

    def second_slopes(self) -> np.ndarray:
        """By two of centre, sigma and gamma, (n, K, 3, 3, m), by differences."""
        pairs = [(i, j) for i in range(3) for j in range(i, 3)]
        steps = CURVATURE_STEP * np.eye(3)
        corners = [sum(s * steps[k] for s, k in zip(signs, pair)) for pair in pairs for signs in CORNERS]
        drawn = self.drawn(np.array(corners))
        result = np.empty((*self.areas.shape, 3, 3, drawn.shape[-1]))
        for (i, j), (both, first, second, none) in zip(pairs, drawn.reshape(-1, 4, *drawn.shape[1:])):
            result[:, :, i, j] = result[:, :, j, i] = (both - first - second + none) / (4 * CURVATURE_STEP**2)
        return result
