"""The shift's uncertainty by bootstraps, as the readout holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .data.flags import Flag
from .data.regions import GRAIN_1, GRAIN_2
from .decomposition.engine import Stop, never
from .decomposition.fitting import Setup
from .decomposition.resampling import bootstrap
from .measure.alignment import Aligned
from .progress import Progress, silent
from .quantity import quantity, unknown
from .shift import shift_peak, weights

COUNT = 200


def bootstrap_shift(
    setup: Setup | None,
    groups: Mapping[str, Aligned],
    shift: Mapping[str, Any],
    count: int = COUNT,
    seed: int = 0,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    """The entry `bootstrap` of the shift in a readout, and the doubts about it.

    setup: of the fit, None if there was none. groups: the spectra of the regions that were fitted together.
    shift: `ldo_peak` of the readout; the entry repeats its shifts with uncertainties of its own, null where there is
    none, and where too few bootstraps succeeded. `failed` counts those without a centre that a shift needs.
    Raises UnusableInput for too small a count, and Cancelled.
    """
    wanted = {key: weights(reference, tuple(groups)) for key, reference in _references(shift).items()}
    used = {key: w for key, w in wanted.items() if w is not None and shift[key]["value"] is not None}
    entry: dict[str, Any] = {"count": count, "seed": seed, **{key: unknown("meV") for key in wanted}, "failed": None}
    if setup is None or not used:
        return entry, ()
    peak = shift_peak(setup.recipe)

    def tell(done: int) -> None:
        progress(done, count, "Bootstraps")

    tell(0)
    drawn = bootstrap(setup, list(groups.values()), peak, count, seed, should_stop, tell)
    entry["failed"] = drawn.failed(np.any(list(used.values()), axis=0))
    for key, w in used.items():
        sigma, interval = drawn.spread(w)
        if np.isfinite(sigma):
            entry[key] = quantity(shift[key]["value"], sigma, "meV", interval)
    flags = []
    if any(entry[key]["value"] is None for key in used):
        message = (
            f"{entry['failed']} of {count} bootstraps found no {peak} centre in all regions: no sigma of the shift."
        )
        flags.append(Flag("BOOTSTRAPS_FAILED", message))
    return entry, tuple(flags)


def _references(shift: Mapping[str, Any]) -> dict[str, str]:
    """What each of the shifts is referred to."""
    return {"blue_shift_mev": shift["reference"]} | {f"shift_vs_{name}_mev": name for name in (GRAIN_1, GRAIN_2)}
