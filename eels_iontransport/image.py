"""Every pixel of a spectrum image taken apart, in two passes over the image, of which only a block is in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from .chosen_fit import fit_groups
from .data.errors import UnusableInput
from .data.flags import Flag
from .data.image import SpectrumImage, require_image
from .data.record import Role
from .data.spectrum import Spectra
from .data.units import mev
from .decomposition.engine import Stop, never
from .decomposition.fitting import MODES, Plan, fit_peaks, plan_rows
from .decomposition.result import MISFIT, PeakTable
from .maps import Collector, PeakMaps, ZeroLossMaps
from .materials import Recipe
from .measure.alignment import aligned_rows
from .memory import Memory
from .prepared import prepare
from .progress import Progress, silent
from .provenance import off_axis_inputs
from .survey import Survey, survey
from .vibrational_model import build_model

BLOCK_BYTES = 256 << 20  # that a block of pixels may take, with all that is worked out for it
_COPIES, _IN_WINDOW = 4, 32  # numbers that are there at once for every channel, and for every one of the fit window
NOTABLE = 0.05  # a doubt about so large a part of the pixels is a doubt about the map


def decompose_image(
    image: SpectrumImage,
    recipe: Recipe,
    *,
    aloof: Spectra | None = None,
    zlp: Spectra | None = None,
    mode: str = "shared",
    should_stop: Stop = never,
    progress: Progress = silent,
) -> PeakMaps:
    """The peaks of every pixel, nan where a pixel cannot be fitted.

    mode "shared" takes the widths from a joint fit of the sums of tiles of the image. progress: called with
    pixels done, of how many, and what is being done. Raises UnusableInput, also where no pixel can be fitted, and
    Cancelled when should_stop says so.
    """
    require_image(image.counts, image.name)  # scripts may hand over a line
    if mode not in MODES:
        raise UnusableInput(f"There is no mode '{mode}'; choose one of {', '.join(MODES)}.")
    block = block_pixels(image, recipe)
    # The matrices are small: threads of the linear algebra would only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        found = survey(image, block, should_stop, progress)
        progress(0, image.pixels, "Fitting parts")
        of_aloof, of_vacuum = (prepare(spectra) if spectra is not None else None for spectra in (aloof, zlp))
        model = build_model(recipe, mode, None, found.mean(image.metadata), of_aloof, of_vacuum, Memory(), should_stop)
        together = None
        if mode == "shared":
            together = fit_groups(model, {str(i): part for i, part in enumerate(found.parts)}, Memory(), should_stop)
        plan = plan_rows(model.setup, together, found.total, should_stop)
        table = _fit(image, found, plan, block, should_stop, progress)
    off_axis = off_axis_inputs({Role.IMAGE.value: image})
    flags = (*off_axis, *model.flags, *_flags(table, found, recipe))
    zero = ZeroLossMaps(*(_map(image, a) for a in (mev(found.position_ev), mev(found.fwhm_ev), found.integral)))
    return PeakMaps(image.shape, replace(table, flags=flags), zero, image.step_nm)


def block_pixels(image: SpectrumImage, recipe: Recipe) -> int:
    """How many pixels are worked on at once."""
    low, high = recipe.wide_window_mev
    window = (high - low) / mev(image.energy.step_ev)
    return max(1, int(BLOCK_BYTES / (8 * (_COPIES * image.energy.size + _IN_WINDOW * window))))


def _fit(
    image: SpectrumImage, found: Survey, plan: Plan, block: int, should_stop: Stop, progress: Progress
) -> PeakTable:
    """The second pass: the peaks of all pixels."""
    collector = Collector(plan.setup.recipe.peaks, image.pixels)
    for step in image.blocks(block):
        progress(step.pixels.start, image.pixels, "Fitting pixels")
        usable = np.flatnonzero(found.usable[step.pixels])
        if not usable.size:
            continue
        counts, pixels = image.read(step), step.pixels.start + usable
        if usable.size < len(counts):
            counts = counts[usable]
        rows = aligned_rows(counts, image.energy, found.position_ev[pixels], found.fwhm_ev[pixels])
        fitted, part = fit_peaks(plan, rows, should_stop)
        if part is not None:
            collector.put(pixels[fitted], part)
    progress(image.pixels, image.pixels, "Fitting pixels")
    return collector.table()


def _map(image: SpectrumImage, values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).reshape(image.shape)


def _flags(table: PeakTable, found: Survey, recipe: Recipe) -> list[Flag]:
    """What the maps leave out, and what is to be doubted."""
    flags, n, fitted = [], table.chi2.size, table.optima > 0
    missing = {
        "saturated": int(found.saturated.sum()),
        "without a zero-loss peak": int((~found.usable & ~found.saturated).sum()),
        "that could not be fitted": int((found.usable & ~fitted).sum()),
    }
    if not fitted.all():
        reasons = ", ".join(f"{count} {reason}" for reason, count in missing.items() if count)
        flags.append(Flag("PIXELS_MISSING", f"{n - fitted.sum()} of {n} pixels have no result: {reasons}."))
    if table.masked.any():
        message = f"Channels without a number or far below zero were left out in {(table.masked > 0).sum()} pixels."
        flags.append(Flag("CHANNELS_MASKED", message))
    flags += _shares(table, recipe, fitted)
    return flags


def _shares(table: PeakTable, recipe: Recipe, fitted: np.ndarray) -> list[Flag]:
    """Doubts about so many of the fitted pixels that the maps as a whole are in doubt."""
    doubts = [
        ("MISFIT", fitted & ~table.described, f"The model does not describe {{}} (reduced chi-squared above {MISFIT}).")
    ]
    peak = recipe.shift_peak
    if peak is not None:
        railed, absent = table.railed["centre_mev"][:, table.index(peak)], ~np.isfinite(table.value(peak, "centre_mev"))
        doubts.append(
            (f"{peak.upper()}_RAILED", fitted & railed, f"The {peak} peak is at its bound in {{}}: no centre there.")
        )
        doubts.append((f"{peak.upper()}_NOT_FOUND", fitted & absent, f"No {peak} peak was found in {{}}."))
    total = max(int(fitted.sum()), 1)
    return [
        Flag(code, message.format(f"{mask.sum()} of {total} pixels"))
        for code, mask, message in doubts
        if mask.sum() > NOTABLE * total
    ]
