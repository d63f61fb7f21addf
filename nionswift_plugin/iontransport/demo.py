"""A whole session on the simulated HERMES in a Swift project: survey, correlated line scans, live results, readout.

Results in the given folder: the project, readout.json, truth.json, the run's plan and the figures.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nion.swift import DocumentController
from nion.swift.model import DataItem

from eels_iontransport import figures, materials, report
from eels_iontransport.acquire import estimate
from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.outcome import Ending, Outcome
from eels_iontransport.acquire.plan import Plan, session_plan
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field
from eels_iontransport.data.record import Record, Role
from eels_iontransport.evaluation import Evaluation
from eels_iontransport.files.export import write_json
from eels_iontransport.session import Session
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.specimen import SURVEY_NM

from . import live
from .evaluation import spectra_of
from .host import application, places, survey
from .host import run as host_run

MATERIAL = "lco"
SITE = "simulator"
PROJECT = "Ion Transport"
PIXELS, LENGTH_NM = 40, 20.0
HEADLESS_TIME_SCALE = 20.0  # simulated seconds per second
TIMEOUT_S = 600.0
LIVE_TIMEOUT_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Acquired:
    """What a session has acquired; `started` on the monotonic clock."""

    plan: Plan
    outcome: Outcome
    survey: DataItem.DataItem
    items: Mapping[Role, DataItem.DataItem]
    started: float


@dataclass(frozen=True)
class Result:
    """What a demonstration leaves behind."""

    outcome: Outcome
    readout: Mapping[str, Any]
    truth: Mapping[str, Any]
    live: Mapping[str, Any] | None  # readout of the live items
    survey: DataItem.DataItem
    items: Mapping[Role, DataItem.DataItem]


def run_headless(out: Path, *, time_scale: float = HEADLESS_TIME_SCALE, seed: int | None = None) -> dict[str, Any]:
    """The session without a window; prints as it goes and returns the readout.

    Raises UnusableInput where the folder cannot be used, the simulator is not there, or the run does not end well.
    """
    logging.disable(logging.INFO)  # the host lists every plug-in and settings file
    try:
        return dict(_headless(out, time_scale, seed).readout)
    finally:
        logging.disable(logging.NOTSET)


def _headless(out: Path, time_scale: float, seed: int | None) -> Result:
    host = application.Headless(out, PROJECT)
    try:
        microscope = simulated_microscope(time_scale, seed)
        task = host.window.event_loop.create_task(session(host.window, microscope, out))
        if not host.pump(task.done, TIMEOUT_S):
            task.cancel()
            raise UnusableInput(f"The demonstration did not end within {TIMEOUT_S:.0f} s.")
        return task.result()
    finally:
        host.close()


def simulated_microscope(time_scale: float, seed: int | None) -> SimulatedMicroscope:
    """The simulated microscope at its pace, with its random numbers from the start. Raises UnusableInput."""
    from nionswift_plugin.iontransport_simulator import get_devices, get_microscope

    if not get_devices().is_in_use():
        raise UnusableInput("The demonstration needs the simulated microscope, and another one is in its place.")
    microscope = get_microscope()
    microscope.clock.time_scale = time_scale
    microscope.reset(seed=seed)
    return microscope


async def session(
    window: DocumentController.DocumentController, microscope: SimulatedMicroscope, out: Path, say: Say = print
) -> Result:
    """The session in a window's event loop: as an operator would do it, without the clicks. Raises UnusableInput."""
    loop, document_model = window.event_loop, window.document_model
    started = time.monotonic()
    name = unused_name([item.title for item in document_model.data_items])
    image, field = await loop.run_in_executor(None, survey.take, SURVEY_NM)
    plan = session_plan(
        name=name,
        material=MATERIAL,
        line=microscope.specimen.line(PIXELS, LENGTH_NM),
        aloof=microscope.specimen.aloof_point(),
        vacuum=microscope.specimen.vacuum_point(),
    )
    item = survey.store(document_model, None, image, field, f"{name} survey", datetime.now().strftime("%H:%M"))
    _mark(document_model.get_display_item_for_data_item(item), plan, field)
    site = sites.load(SITE)
    current_pa = microscope.get("BeamCurrent") * 1e12
    say(f"{name}: beam current {current_pa:.0f} pA, survey of {field.width_nm:.0f} nm, {len(plan.steps)} steps.")
    say(f"Planned: {estimate.estimate(plan, site, current_pa).sentence()}.")

    def attach(_: DataItem.DataItem, record: Record) -> None:
        items = run.items()
        if Role.VIBRATIONAL in items:
            live.attach_session(document_model, items, MATERIAL)

    run = host_run.start_run(document_model, plan, site, field=field, on_item=attach)
    while run.is_running:
        await asyncio.sleep(0.02)
    outcome = run.outcome
    assert outcome is not None
    return await conclude(window, microscope, Acquired(plan, outcome, item, run.items(), started), out, say)


async def conclude(
    window: DocumentController.DocumentController,
    microscope: SimulatedMicroscope,
    acquired: Acquired,
    out: Path,
    say: Say = print,
) -> Result:
    """Analyse what a session has acquired, beside its live results, and write everything. Raises UnusableInput."""
    loop, plan, outcome, items = window.event_loop, acquired.plan, acquired.outcome, acquired.items
    exposure_s = estimate.estimate(plan, sites.load(SITE)).exposure_s
    say(f"{outcome.sentence()} {outcome.seconds:.1f} s for {exposure_s:.0f} s of exposure.")
    if outcome.ending is not Ending.COMPLETE:
        raise UnusableInput(f"The demonstration's run did not complete: {outcome.sentence()}")
    spectra = {role.value: spectra_of(entry) for role, entry in items.items()}
    evaluation = await loop.run_in_executor(None, _evaluate, spectra)
    shown = await _live_readout(window, items[Role.VIBRATIONAL], evaluation)
    if shown is None:
        say(f"The live results have not seen all rows within {LIVE_TIMEOUT_S:.0f} s.")
    truth = _truth(microscope, plan, evaluation)
    await loop.run_in_executor(None, _write, out, plan, evaluation, truth)
    for text in (*report.lines(evaluation.readout, materials.load(MATERIAL)), *_truth_lines(truth)):
        say(text)
    say(f"Project, readout, truth and figures lie in {out.resolve()} ({time.monotonic() - acquired.started:.0f} s).")
    return Result(outcome, evaluation.readout, truth, shown, acquired.survey, items)


def unused_name(titles: list[str]) -> str:
    """GB1, or the next boundary of a project that has some already."""
    number = 1
    while any(title.startswith(f"GB{number} ") for title in titles):
        number += 1
    return f"GB{number}"


def _mark(display_item: Any, plan: Plan, field: Field) -> None:
    if plan.aloof is not None:
        places.put_point(display_item, places.ALOOF, field.fraction(plan.aloof))
    if plan.line is not None:
        places.put_line(display_item, field.fraction(plan.line.start), field.fraction(plan.line.end))


def _evaluate(spectra: Mapping[str, Any]) -> Evaluation:
    current = Session(materials.load(MATERIAL))
    current.update(**spectra)
    return current.evaluate()


async def _live_readout(
    window: DocumentController.DocumentController, vibrational: DataItem.DataItem, evaluation: Evaluation
) -> dict[str, Any] | None:
    """The readout of the live items once they have seen all of the data; None where they do not come to it."""
    wanted = _inputs(evaluation.readout)
    deadline = time.monotonic() + LIVE_TIMEOUT_S
    while time.monotonic() < deadline:
        shown = live.readout(window.document_model, vibrational)
        if shown is not None and _inputs(shown) == wanted:
            return shown
        await asyncio.sleep(0.1)
    return None


def _inputs(readout: Mapping[str, Any]) -> dict[str, str]:
    return {entry["role"]: entry["sha256"] for entry in readout.get("provenance", {}).get("inputs", ())}


def _truth(microscope: SimulatedMicroscope, plan: Plan, evaluation: Evaluation) -> dict[str, Any]:
    assert plan.line is not None
    exposures = {step.role.value: (step.exposure_s, step.frames) for step in plan.steps}
    return microscope.truth(plan.line, evaluation.regions, exposures)


def _truth_lines(truth: Mapping[str, Any]) -> list[str]:
    if "ldo_peak" not in truth:
        return []
    shift, change = truth["ldo_peak"]["blue_shift_mev"], truth["li_to_co"]["relative_change"]
    return [f"Truth: blue shift {shift:+.2f} meV, Li:Co {100 * change:+.1f} % at the boundary."]


def _write(out: Path, plan: Plan, evaluation: Evaluation, truth: Mapping[str, Any]) -> None:
    write_json(out / "readout.json", evaluation.readout)
    write_json(out / "truth.json", truth)
    write_json(out / "plan.json", plan.to_data())
    figures.save(evaluation, materials.load(MATERIAL), out / "figures")
