"""What vibrational spectra are fitted with: response, aloof shapes and background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from .data.errors import UnusableInput
from .data.flags import Flag
from .data.record import Record
from .decomposition import response as responses
from .decomposition.engine import Stop, never
from .decomposition.fitting import Setup, fit_aloof
from .decomposition.layout import KnownShapes
from .decomposition.response import Response
from .decomposition.result import Decomposition
from .materials import Recipe
from .materials.recipe import Interval
from .measure.background import Tail
from .memory import Itself, Memory
from .prepared import Prepared

_OFF_AXIS_ALONE = (
    "The vibrational spectra were collected off the axis and there is no usable aloof spectrum, without which "
    "polaritons as weak as these cannot be told from phonons; give one taken on the axis, or a recipe without "
    "polaritons."
)


@dataclass(frozen=True, eq=False)
class Model:
    """What is fitted with: the setup (with aloof shapes, if any), and the aloof decomposition behind it.

    key: another one whenever something is.
    """

    setup: Setup
    aloof: Decomposition | None
    aloof_integral: float
    key: Any
    flags: tuple[Flag, ...]


def build_model(
    recipe: Recipe,
    mode: str,
    windows_mev: tuple[Interval, Interval] | None,
    line: Prepared,
    aloof: Prepared | None,
    vacuum: Prepared | None,
    memory: Memory,
    should_stop: Stop = never,
    *,
    tail: Tail | None = None,
) -> Model:
    """Response and aloof shapes for the spectra of a line. Raises UnusableInput, also for a line off the axis without
    aloof shapes: polaritons as weak as there cannot be told from phonons by the line alone.

    recipe: with the order of the background that is fitted. tail: what lies under the lines in place of it.
    """
    response, unusable = _response(line, aloof, vacuum, memory)
    setup = Setup(recipe, mode, line.noise, response, windows_mev, tail=tail)
    result, shapes, flags = _aloof_shapes(setup, aloof, memory, should_stop)
    record = Record.from_metadata(line.spectra.metadata)
    if result is None and recipe.aloof_peaks and record is not None and record.is_off_axis:
        raise UnusableInput(_OFF_AXIS_ALONE)
    flags = (*unusable, *_response_flags(setup), *flags)
    key = memory.recall(("model", Itself(recipe), mode, windows_mev, line.noise, response, shapes, tail), object)
    if result is None or aloof is None:
        return Model(setup, None, np.nan, key, flags)
    integral = aloof.total_integral(aloof.usable)
    return Model(replace(setup, polaritons=shapes), result, integral, key, flags)


def _aloof_shapes(
    setup: Setup, aloof: Prepared | None, memory: Memory, should_stop: Stop
) -> tuple[Decomposition | None, KnownShapes | None, tuple[Flag, ...]]:
    """The aloof spectrum taken apart, and the line shapes that it gives; None where it gives none, with the reason."""
    if not setup.recipe.aloof_peaks:
        return None, None, ()
    total = aloof.total() if aloof is not None else None
    if aloof is None or total is None:
        reason = "was not given" if aloof is None else "has no usable zero-loss peak"
        message = f"The aloof spectrum {reason}; polariton shapes are fitted to the line itself."
        return None, None, (Flag("NO_ALOOF", message),)
    key = ("aloof", Itself(setup.recipe), setup.mode, setup.windows_mev, setup.response, setup.tail, aloof.token)
    try:
        make = partial(fit_aloof, replace(setup, noise=aloof.noise), total, should_stop)
        result, shapes = memory.recall(key, make)
    except UnusableInput as fault:
        return None, None, (Flag("ALOOF_UNUSABLE", f"The aloof spectrum cannot be used: {fault}"),)
    if result.described[0]:
        return result, shapes, ()
    message = f"The polariton lines do not describe the aloof spectrum (reduced chi-squared {result.chi2[0]:.1f})."
    return result, shapes, (Flag("ALOOF_MISFIT", message),)


def _response(
    line: Prepared, aloof: Prepared | None, vacuum: Prepared | None, memory: Memory
) -> tuple[Response | None, tuple[Flag, ...]]:
    """From the vacuum ZLP, else from the gain side of the aloof spectrum, else of the line; what was not usable."""
    ways = (vacuum, responses.from_vacuum), (aloof, responses.from_gain_side), (line, responses.from_gain_side)
    flags: list[Flag] = []
    for source, measure in ways:
        total = source.total() if source is not None else None
        if source is None:
            continue
        if total is None:
            if source is vacuum:
                message = "The vacuum spectrum has no usable zero-loss peak, so the response is taken from elsewhere."
                flags.append(Flag("RESPONSE_UNUSABLE", message))
            continue
        try:
            make = partial(measure, total.energy_mev, total.counts)
            response: Response = memory.recall(("response", source.token), make)
        except UnusableInput as fault:
            flags.append(Flag("RESPONSE_UNUSABLE", str(fault)))
            continue
        return response, tuple(flags)
    return None, tuple(flags)


def _response_flags(setup: Setup) -> tuple[Flag, ...]:
    """Whether lines are seen through a response that is known well enough; `published` looks through none."""
    response = setup.response
    if setup.is_published or response is None or response.is_described:
        return ()
    message = (
        f"The response from the {response.source} is known to {100 * response.misfit:.2g} % of a line's height only, "
        "which can move the centre of a weak line; record a vacuum zero-loss peak with more counts."
    )
    return (Flag("RESPONSE_COARSE", message),)
