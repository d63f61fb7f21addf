"""Whether the energy resolution changes along the line, by the width of the zero-loss peak of every row.

Fits widen the response to the zero-loss peak of each spectrum, but cannot make it narrower, and widen by a Gaussian. On
simulated lines a width of the response that was 0.1 meV wrong at the boundary alone moved the shift by 0.09 meV, half
of its standard deviation, while jitter at the boundary or in the grains that made rows of 8.1 meV up to 1.3 meV wider,
and was taken up, moved it by 0.1 meV at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.flags import Flag
from ..data.regions import BOUNDARY, GRAIN_1, GRAIN_2, NAMES, Regions
from ..quantity import quantity
from .values import UNKNOWN, Value

SIGNIFICANT = 3.0  # standard deviations
HARMFUL_MEV = 0.1  # of a width that the fit does not take up
HARMFUL_PART = 0.15  # of the width itself, by which a Gaussian was seen to make up for it
MINIMUM_ROWS = 8


@dataclass(frozen=True)
class Resolution:
    """FWHM of the zero-loss peak along a line, in meV; nan where it cannot be told.

    change: from the line's first row to its last by a straight line. step: at the boundary minus in the grains, beside
    that. scatter_mev: standard deviation of single rows.
    """

    change: Value = UNKNOWN
    step: Value = UNKNOWN
    slope_mev_per_nm: Value = UNKNOWN
    scatter_mev: float = np.nan
    flags: tuple[Flag, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "fwhm_change_mev": quantity(*self.change, "meV"),
            "fwhm_step_mev": quantity(*self.step, "meV"),
            "fwhm_slope_mev_per_nm": quantity(*self.slope_mev_per_nm, "meV/nm"),
        }


def measure(
    position_nm: np.ndarray, fwhm_mev: np.ndarray, regions: Regions | None, response_fwhm_mev: float | None
) -> Resolution:
    """Slope and step of the width along a line; rows (n,) that are nan do not count.

    regions: None to look for the slope alone. response_fwhm_mev: of the response that lines are fitted through; None
    where they are fitted through none. The noise is what the rows scatter by, about which the jitter between frames
    decides; that neighbours may have in common counts. Flagged is what is both significant and harmful.
    """
    labels = _labels(position_nm, regions)
    used = np.isfinite(fwhm_mev) & (labels != "")
    x, width, at_boundary = position_nm[used], fwhm_mev[used], labels[used] == BOUNDARY
    # A step is told from a slope only with rows on both sides of it.
    has_step = regions is not None and all((labels[used] == name).any() for name in NAMES)
    length = float(np.ptp(position_nm)) if position_nm.size else 0.0
    if used.sum() < MINIMUM_ROWS or not np.ptp(x) > 0:
        return Resolution()
    columns = [np.ones_like(x), (x - x.mean()) / length, *([at_boundary.astype(float)] if has_step else [])]
    found, sigma, scatter = _fitted(np.column_stack(columns), width)
    change = Value(float(found[1]), float(sigma[1]))
    step = Value(float(found[2]), float(sigma[2])) if has_step else UNKNOWN
    middle = float(found[0])
    ends = np.array([middle - 0.5 * change.value, middle + 0.5 * change.value])
    flags = _flags(change, step, ends, middle, response_fwhm_mev)
    return Resolution(change, step, Value(change.value / length, change.sigma / length), scatter, flags)


def _labels(position_nm: np.ndarray, regions: Regions | None) -> np.ndarray:
    """The region of every row (n,); "" for those in transition."""
    if regions is None:
        return np.full(len(position_nm), GRAIN_1)
    labels = np.full(len(position_nm), "", dtype=f"<U{max(map(len, NAMES))}")
    for name in (GRAIN_1, GRAIN_2, BOUNDARY):
        labels[getattr(regions, name).mask(position_nm)] = name
    return labels


def _fitted(design: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Least squares: parameters (p,), their standard deviations (p,), and that of a row.

    The larger of two errors: of rows that all scatter alike, and of rows that scatter as each says itself (HC3 of
    MacKinnon and White, J. Econometrics 29 (1985) 305), as those at the boundary, few as they are, may scatter more.
    """
    inverse = np.linalg.pinv(design.T @ design)
    hat = inverse @ design.T
    found = hat @ width
    residual = width - design @ found
    square = float(residual @ residual)
    scatter = square / (len(width) - len(found))
    own = (residual / np.maximum(1 - np.einsum("np,pn->n", design, hat), 1e-6)) ** 2
    variance = np.maximum(scatter * np.diag(inverse), hat**2 @ own)
    following = float(residual[1:] @ residual[:-1]) / max(square, 1e-300)
    # Rows that follow each other alike are fewer than they seem. Fitting takes p / n off the correlation of neighbours.
    alike = float(np.clip(following + len(found) / len(width), 0.0, 0.9))
    return found, np.sqrt(variance * (1 + alike) / (1 - alike)), float(np.sqrt(scatter))


def _flags(change: Value, step: Value, ends: np.ndarray, middle: float, response: float | None) -> tuple[Flag, ...]:
    flags = []
    for value, pair, words in (
        (change, ends, "from the first to the last row"),
        (step, np.array([middle, middle + step.value]), "from the grains to the boundary"),
    ):
        if not abs(value.value) > SIGNIFICANT * value.sigma:
            continue
        left = value.value if response is None else float(np.diff(np.minimum(pair - response, 0.0))[0])
        if abs(left) >= HARMFUL_MEV or abs(value.value) >= HARMFUL_PART * middle:
            flags.append(_flag(value, words))
    return tuple(flags)


def _flag(value: Value, words: str) -> Flag:
    message = (
        f"The zero-loss peak changes in width by {value.value:+.2f} +- {value.sigma:.2f} meV {words}, more than "
        "the fit makes up for, which can move the shift by as much; record the line again with a steady monochromator."
    )
    return Flag("RESOLUTION_DRIFTS", message)
