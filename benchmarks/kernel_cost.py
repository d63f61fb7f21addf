"""What bounds the speed: where the time of a fit of the published model goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from numba import njit

from eels_iontransport.decomposition import engine, kernels
from eels_iontransport.decomposition.kernels import (
    draw_lines,
    evaluate,
    new_equations,
    new_state,
    normal_equations,
    straighten,
)

from . import ours
from .figure import Figure, spread
from .published_model import recipe_start
from .published_spectra import published_spectra

SEED = 3000
SPECTRA = 400
DOSE = 1.0
REPEATS = 50
RUNS = 3
LINES, EVALUATION, EQUATIONS = range(3)


@njit
def repeat(table, batch, starts, stage, times):
    """Do one stage of the fit of every problem at its first start so many times over."""
    blocks, lines = table.columns.shape[:2]
    q, channels = batch.background.shape[2:]
    shared = table.information.shape[0]
    state = new_state(blocks, lines, q, table.private + shared, channels)
    equations = new_equations(blocks, table.private + lines, shared)
    scratch = (
        np.empty((lines, lines)), np.empty(lines), np.empty((lines, lines)), np.empty(lines, np.int64), np.empty(lines),
    )  # fmt: skip
    target, triangle = np.empty((blocks, channels)), np.empty((blocks, q, q))
    for i in range(starts.shape[0]):
        x = starts[i, 0]
        straighten(batch, i, 0, state.stack[0], triangle[0], target[0])
        draw_lines(table, batch, i, 0, x, state, True)
        evaluate(table, batch, i, x, target, state, scratch)
        for _ in range(times):
            if stage == LINES:
                draw_lines(table, batch, i, 0, x, state, False)
            elif stage == EVALUATION:
                evaluate(table, batch, i, x, target, state, scratch)
            else:
                normal_equations(table, batch, i, x, state, equations)


def measure() -> list[Figure]:
    """Times of processors: other work on the machine does not count."""
    spectra = published_spectra(SPECTRA, DOSE, SEED)
    start = ours.fit_from(spectra.mean(), recipe_start(DOSE)[None]).parameters
    fits, call = _captured(lambda: ours.engine_fits(spectra, start))
    evaluations = fits.evaluations.sum() / SPECTRA
    whole = [_processor_us(lambda: ours.engine_fits(spectra, start)) / SPECTRA for _ in range(RUNS)]
    lines, evaluation, equations = (_stage_us(call, stage) for stage in (LINES, EVALUATION, EQUATIONS))
    linear = evaluation - lines + equations
    total = float(np.median(whole))
    rest = total - evaluations * (lines + linear)
    return [
        Figure("a fit, warm single start", "us", total, spread=f"{evaluations:.1f} evaluations, {spread(whole)}"),
        _part("w(z): lines and their slopes", evaluations * lines, total, f"{lines:.2g} us an evaluation"),
        _part("Gram matrices and areas", evaluations * linear, total, f"{linear:.2g} us an evaluation"),
        _part("steps in the box, uncertainties", rest, total, "what is left"),
    ]


def _part(name: str, part_us: float, total_us: float, spread: str) -> Figure:
    return Figure(f"  of it {name}", "us", part_us, spread=f"{part_us / total_us:.0%}, {spread}")


def _captured(call: Callable[[], engine.Fits]) -> tuple[engine.Fits, tuple[Any, Any, Any]]:
    """What a call of the engine returns, and what it hands to the kernels first: table, batch, starts."""
    with mock.patch.object(kernels, "fit_batch", wraps=kernels.fit_batch) as fit_batch:
        fits = call()
    return fits, fit_batch.call_args.args[:3]


def _stage_us(call: tuple[Any, Any, Any], stage: int) -> float:
    """Of one time of a stage."""
    repeat(*call, stage, 1)
    once = min(_processor_us(lambda: repeat(*call, stage, 1)) for _ in range(RUNS))
    often = min(_processor_us(lambda: repeat(*call, stage, 1 + REPEATS)) for _ in range(RUNS))
    return (often - once) / (REPEATS * SPECTRA)


def _processor_us(call: Callable[[], Any]) -> float:
    started = time.process_time()
    call()
    return 1e6 * (time.process_time() - started)
