"""Do the polaritons of the line lie where the aloof spectrum shows them?"""

from __future__ import annotations

from typing import Any

import numpy as np

from .data.flags import Flag
from .decomposition.result import Decomposition
from .quantity import quantity

ODD = 3.0  # standard deviations


def offset_entry(together: Decomposition) -> dict[str, Any]:
    """Common offset of the polaritonic centres of the line from the aloof ones, for JSON; null where none is fitted."""
    offset, sigma = together.offset_mev
    return quantity(offset, sigma, "meV")


def offset_flags(together: Decomposition) -> tuple[Flag, ...]:
    """A flag where the offset is there beyond doubt."""
    offset, sigma = together.offset_mev
    if not (np.isfinite(sigma) and abs(offset) > ODD * sigma):
        return ()
    message = (
        f"The polaritons of the line lie {abs(offset):.1f} +- {sigma:.1f} meV {'above' if offset > 0 else 'below'} the "
        "aloof ones; the fit allows for one offset of them all, so look at the shift with `--specifications` too, and "
        "check that the aloof spectrum is of this specimen and its energy axis calibrated."
    )
    return (Flag("POLARITONS_OFFSET", message),)
