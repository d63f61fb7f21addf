"""How the fits went: a part of the readout, and flags."""

from __future__ import annotations

from typing import Any

import numpy as np

from .data.flags import Flag
from .vibrational import Vibrations


def fit_flags(vibrations: Vibrations) -> list[Flag]:
    """Channels that were left out of fits, and fits of regions that came to no end."""
    together, rows = vibrations.together, vibrations.rows
    if together is None:
        return []
    flags = []
    masked = int(together.masked.sum() if rows is None else max(rows.masked.sum(), together.masked.sum()))
    if masked:
        message = f"{masked} channels without a number or far below zero were left out of the fits; check the detector."
        flags.append(Flag("CHANNELS_MASKED", message))
    unfinished = [name.replace("_", " ") for name, optima in zip(vibrations.names, together.optima) if optima == 0]
    if unfinished:
        message = f"The fit of {', '.join(unfinished)} came to no end; check fit window, recipe and dose."
        flags.append(Flag("FIT_FAILED", message))
    return flags


def fit_report(vibrations: Vibrations) -> dict[str, Any]:
    """By group of rows: reduced chi-squared, how many optima the starts found, channels left out; and of all rows."""
    together, rows = vibrations.together, vibrations.rows
    if together is None:
        return {}
    groups = {
        name: {
            "reduced_chi2": float(together.chi2[i]) if np.isfinite(together.chi2[i]) else None,
            "optima": int(together.optima[i]),
            "masked_channels": int(together.masked[i]),
        }
        for i, name in enumerate(vibrations.names)
    }
    if rows is None:
        return {"groups": groups}
    return {
        "groups": groups,
        "rows": {
            "fitted": int((rows.optima > 0).sum()),
            "several_optima": int((rows.optima > 1).sum()),
            "masked_channels": int(rows.masked.sum()),
        },
    }
