"""How long still: the uncertainty of the shift as more is taken, and what a wanted one costs.

Doses are counted in passes along the line. How sigma falls with them is said in `decomposition.forecast`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .data.flags import Flag
from .data.record import Record
from .data.spectrum import Spectra
from .decomposition.fitting import Setup
from .decomposition.forecast import Forecast, forecast, solve
from .decomposition.result import Decomposition
from .measure.alignment import Aligned
from .outlook_words import short
from .quantity import quantity, unknown
from .shift import shift_peak, weights

TARGETS_MEV = (0.6, 0.3)  # three standard deviations of a shift of 1.8 meV, and half of that
FURTHEST = 1000.0  # times what was taken; nobody goes there
STEPS, CLOSE, FLAT = 12, 0.01, -1e-3  # of the search for a dose; how near to the target it ends; the least slope
ELECTRONS_PER_PICOCOULOMB = 1e-12 / 1.602176634e-19
_BESIDE_PEAK = 32  # channels to both sides of the brightest one, in which a traversal that took anything has counts


def to_tell(shift_mev: float, significance: float = 3.0) -> float:
    """The standard deviation with which a shift is so many of them from zero."""
    return shift_mev / significance


@dataclass(frozen=True)
class Taken:
    """What a line has cost so far.

    passes: traversals so far, parts of one counted, where they were not kept the line as taken is one. of_groups: those
    of each group of rows, by name. electrons_per_pass: of a pixel; minutes_per_pass: exposures only, without the dead
    time of scan and camera. None where unknown.
    """

    passes: float
    of_groups: Mapping[str, float]
    electrons_per_pass: float | None = None
    minutes_per_pass: float | None = None


def taken(
    spectra: Spectra, usable: np.ndarray, masks: Mapping[str, np.ndarray], electrons_per_count: float | None
) -> Taken:
    """What a line has cost. usable (n,) bool: its rows that take part in sums. masks: of each group, (n,) bool."""
    record = Record.from_metadata(spectra.metadata)
    count = _traversals(spectra)
    lost = (count > 0) & ~usable  # what it gave is of no use, nor will be what it gives
    groups = {name: _mean(np.where(usable, count, 0.0)[mask & ~lost]) for name, mask in masks.items()}
    planned = max(len(count), record.pixels if record is not None else 0)
    per_pass = None
    if spectra.exposure_s is not None and spectra.frames is not None:
        per_pass = spectra.exposure_s * spectra.frames / (1 if spectra.passes is None else len(spectra.passes))
    electrons, rows = None, usable & (count > 0)
    if electrons_per_count is not None and rows.any():
        electrons = float(np.median(np.nansum(spectra.rows[rows], axis=1) / count[rows])) * electrons_per_count
    elif record is not None and record.beam_current_pa is not None and per_pass is not None:
        electrons = record.beam_current_pa * ELECTRONS_PER_PICOCOULOMB * per_pass
    minutes = None if per_pass is None else per_pass * planned / 60.0
    return Taken(float(count.sum() / planned), groups, electrons, minutes)


def shift_outlook(
    setup: Setup,
    groups: Mapping[str, Aligned],
    together: Decomposition,
    reference: str,
    so_far: Taken,
    targets_mev: Sequence[float] = TARGETS_MEV,
    systematic_mev: float = 0.0,
) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    """The entry `outlook` of the shift in a readout, and the doubts about it.

    groups: the spectra of the regions that were fitted together, together what that fit found; it is taken up there.
    reference: of the shift. Raises UnusableInput where the recipe has no shift peak.
    """
    names, peak = tuple(groups), shift_peak(setup.recipe)
    wanted = weights(reference, names)
    if wanted is None:
        return outlook(None, so_far, targets_mev), ()
    found = solve(setup, tuple(groups.values()), together)
    expected = None
    if not np.delete(wanted, found.rows).any():
        line = [p.name for p in setup.recipe.peaks].index(peak)
        passes = np.array([so_far.of_groups[name] for name in names])[found.rows]
        noise_spread = setup.noise.relative_sigma or 0.0
        expected = forecast(
            found.informations, found.stretch, line, wanted[found.rows], passes, systematic_mev, noise_spread
        )
    flags = []
    if expected is not None and found.misses:
        message = (
            f"The fit misses the spectra by more than noise (reduced chi-squared {found.reduced_chi2.max():.2f}), "
            "which more dose does not mend; expect less of it than the outlook says."
        )
        flags.append(Flag("OUTLOOK_OPTIMISTIC", message))
    return outlook(expected, so_far, targets_mev), tuple(flags)


def outlook(found: Forecast | None, so_far: Taken, targets_mev: Sequence[float] = TARGETS_MEV) -> dict[str, Any]:
    """The entry `outlook` of the shift in a readout, ready for JSON.

    `sigma_mev` is the sigma to be expected of what was taken, and what targets are held against; the one that is quoted
    scatters about it. Of each target: `reached` already; else `factor`, the dose in all over that so far, `passes` and
    `minutes` that are still to be taken, `electrons_per_pixel` in all, null with a `reason` where no dose of the line
    does. `aloof_factor`: the dose of the aloof spectrum over its own that would do alone, null where it does not.
    """
    electrons = so_far.electrons_per_pass
    entry: dict[str, Any] = {
        "sigma_mev": unknown("meV"),
        "passes": so_far.passes,
        "electrons_per_pixel": None if electrons is None else electrons * so_far.passes,
        "targets": [],
    }
    if found is None or not math.isfinite(found.now):
        return entry
    entry["sigma_mev"] = quantity(found.now, found.now * found.relative_spread, "meV")
    entry["targets"] = [_target(found, so_far, target) for target in targets_mev]
    return entry


def _target(found: Forecast, so_far: Taken, target_mev: float) -> dict[str, Any]:
    entry: dict[str, Any] = {"target_sigma_mev": target_mev, "reached": found.now <= target_mev}
    entry |= dict.fromkeys(("factor", "passes", "electrons_per_pixel", "minutes", "aloof_factor", "reason"))
    if entry["reached"]:
        return entry
    if found.with_aloof(FURTHEST) <= target_mev:
        entry["aloof_factor"] = _solved(found.with_aloof, target_mev, 1.0)
    passes = _solved(found.after, target_mev, so_far.passes)
    if passes is None:
        return entry | {"reason": _reason(found, so_far, target_mev)}
    more = max(1, math.ceil(passes - so_far.passes - 0.01))
    minutes, electrons = so_far.minutes_per_pass, so_far.electrons_per_pass
    return entry | {
        "factor": passes / so_far.passes,
        "passes": more,
        "electrons_per_pixel": None if electrons is None else electrons * passes,
        "minutes": None if minutes is None else minutes * more,
    }


def _solved(sigma: Callable[[float], float], target: float, start: float) -> float | None:
    """Where a function that falls, at best as the inverse root, reaches the target; None where it does not.

    By secants in the logarithms, from a start, up to FURTHEST times that.
    """
    x, y, slope = 0.0, math.log(sigma(start) / target), -0.5
    for _ in range(STEPS):
        step = min(-y / slope, math.log(FURTHEST) - x)
        if abs(y) <= CLOSE or x + step < 0:
            return start * math.exp(x)
        if step < CLOSE and y > 0:
            return None  # FURTHEST is not far enough
        before, x = y, x + step
        y = math.log(sigma(start * math.exp(x)) / target)
        slope = min((y - before) / step, FLAT)
    return None


def _reason(found: Forecast, so_far: Taken, target_mev: float) -> str:
    if found.systematic_mev >= target_mev:
        return f"the systematic part alone is {short(found.systematic_mev)} meV"
    limit = found.after(FURTHEST * so_far.passes)
    if limit <= target_mev:
        return "no way to it was found"
    sharp = found.with_aloof(FURTHEST) < 0.9 * found.now
    return f"more of the line leaves {short(limit)} meV" + (", a longer aloof spectrum may help" if sharp else "")


def _traversals(spectra: Spectra) -> np.ndarray:
    """How often each row was taken, (n,)."""
    if spectra.passes is None:
        return spectra.valid.astype(float)
    brightest = int(np.argmax(np.nan_to_num(spectra.rows).sum(axis=0)))
    around = spectra.passes[:, :, max(brightest - _BESIDE_PEAK, 0) : brightest + _BESIDE_PEAK + 1]
    return (around != 0).any(axis=2).sum(axis=0) * spectra.valid.astype(float)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0
