"""Swift's real window on a project in a folder, with the panel open; on demand with the demonstration in it.

The demonstration is what an operator does, by the same buttons: survey, aloof point, line, Acquire.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from nion.swift import Application, DocumentController

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Role
from eels_iontransport.simulation.microscope import SimulatedMicroscope
from eels_iontransport.simulation.specimen import SURVEY_NM

from . import demo, menus
from .host import application, menu
from .panel.form import Form
from .panel.panel import IonTransportPanel, find_panel

TIME_SCALE = 5.0  # simulated seconds per second
DETAIL_NM = 80.0
CROWDING = ("histogram-panel", "info-panel", "inspector-panel")

Window: TypeAlias = DocumentController.DocumentController
Then = Callable[[Window, IonTransportPanel], Awaitable[None]]


def run(folder: Path, then: Then | None = None) -> None:
    """Open the window with the panel, then do as `then` says in its event loop; returns when the window is closed.

    Raises UnusableInput where the folder cannot be used or the window cannot be opened.
    """
    tasks: list[asyncio.Task[Any]] = []  # the event loop itself keeps no hold of them

    def started(host: Application.Application) -> None:
        window = host.document_controllers[0]
        panel = find_panel(window)
        if not window.document_model.data_items:
            _make_room(window)
        panel.show()
        if then is not None:
            tasks.append(window.event_loop.create_task(_said(then(window, panel))))

    application.run_window(folder, demo.PROJECT, started)


def run_demo(out: Path, *, time_scale: float = TIME_SCALE) -> None:
    """The demonstration in the window, which stays open. Raises UnusableInput."""

    async def then(window: Window, panel: IonTransportPanel) -> None:
        await demonstrate(window, panel, demo.simulated_microscope(time_scale, None), out)

    run(out, then)


async def demonstrate(
    window: Window, panel: IonTransportPanel, microscope: SimulatedMicroscope, out: Path
) -> demo.Result:
    """A session by the panel's buttons, then its results in their workspace. Raises UnusableInput."""
    await place(window, panel, microscope)
    return await measure(window, panel, microscope, out)


async def place(window: Window, panel: IonTransportPanel, microscope: SimulatedMicroscope) -> None:
    """The first half of a session: both survey images, the aloof point, and the line across the boundary."""
    controller = panel.controller
    name = demo.unused_name([item.title for item in window.document_model.data_items])
    controller.edit(
        Form(
            name,
            demo.MATERIAL,
            str(demo.PIXELS),
            overview_nm=f"{SURVEY_NM:g}",
            detail_nm=f"{DETAIL_NM:g}",
            check_zlp=False,  # nobody is there to look at it
        )
    )
    panel.handler.announce()
    for survey_image in (controller.overview, controller.detail):
        survey_image()
        await _until(lambda: not controller.is_busy)
    controller.place_aloof()
    line = microscope.specimen.line(demo.PIXELS, demo.LENGTH_NM)
    controller.surveys.put_line(line.start, line.end)


async def measure(window: Window, panel: IonTransportPanel, microscope: SimulatedMicroscope, out: Path) -> demo.Result:
    """The second half: Acquire, and what comes of it. Raises UnusableInput."""
    controller, started = panel.controller, time.monotonic()
    controller.acquire()
    run, survey = controller.last_run, controller.surveys.item()
    if run is None or survey is None:
        raise UnusableInput(f"The demonstration could not start: {'; '.join(controller.reasons())}")
    await _until(lambda: run.has_live_results or not controller.is_busy)
    if run.has_live_results:
        menus.show_results(window, run.items()[Role.VIBRATIONAL], survey)
    await _until(lambda: not controller.is_busy)
    assert run.outcome is not None
    acquired = demo.Acquired(run.plan, run.outcome, survey, run.items(), started)
    result = await demo.conclude(window, microscope, acquired, out)
    menus.show_results(window, result.items[Role.VIBRATIONAL], survey)
    return result


def _make_room(window: Window) -> None:
    """Close what would crowd the panel on a small screen; all of it stays in the menu Window."""
    workspace = window.workspace_controller
    for panel in workspace.dock_panels if workspace is not None else []:
        if panel.panel_id in CROWDING:
            panel.hide()


async def _until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.05)


async def _said(work: Awaitable[None]) -> None:
    """Await; what stands in the way is printed and said in the window."""
    try:
        await work
    except UnusableInput as error:
        print(error)
        menu.notify(menus.TITLE, str(error))
