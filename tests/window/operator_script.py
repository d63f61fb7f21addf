"""What test_window.py runs: an operator who aborts a run, starts another and closes the window in the middle of it."""

from __future__ import annotations

import asyncio
import faulthandler
import sys
from pathlib import Path

from eels_iontransport.data.record import Role
from nionswift_plugin.iontransport import demo, window
from nionswift_plugin.iontransport.panel.model import present
from nionswift_plugin.iontransport.panel.situation import State

PIXELS = 12
MINIMUM_WIDTH = 320

runs = []


def say(text: str) -> None:
    print(f"said: {text}", flush=True)


async def until(done) -> None:
    while not done():
        await asyncio.sleep(0.02)


async def soon(done, seconds: float = 10.0) -> None:
    """Wait for something that may never come."""
    for _ in range(int(seconds / 0.02)):
        if done():
            return
        await asyncio.sleep(0.02)


async def operate(swift, panel) -> None:
    say(f"closed by default: {was_hidden}")
    microscope = demo.simulated_microscope(float(sys.argv[2]), 3)
    handler, controller = panel.handler, panel.controller

    def shown():
        return present(controller.situation())

    def row() -> int:
        progress = controller.situation().progress
        return progress.rows_valid if progress is not None and progress.role is Role.VIBRATIONAL else 0

    await until(lambda: shown().state is State.IDLE)
    await soon(lambda: panel.widget.size.width >= MINIMUM_WIDTH)  # the window lays itself out when it finds the time
    say(f"wide enough: {panel.widget.size.width >= MINIMUM_WIDTH}")
    handler.acquire_clicked(None)
    say(f"first hint: {shown().hint}")
    handler.overview_nm = "400"
    handler.overview_clicked(None)
    await until(lambda: not controller.is_busy)
    handler.aloof_clicked(None)
    line = microscope.specimen.line(PIXELS, 6.0)
    controller.surveys.put_line(line.start, line.end)
    handler.pixels = str(PIXELS)
    for rows in (handler.rows.zlp, handler.rows.aloof):
        rows.frames = "10"
    handler.acquire_clicked(None)
    await until(lambda: row() > 2)
    handler.pause_clicked(None)
    await until(lambda: shown().state is State.PAUSED)
    say(f"paused: {shown().state_text} {shown().pause_text}")
    paused_at = row()
    handler.pause_clicked(None)
    await until(lambda: row() > paused_at)
    handler.abort_clicked(None)
    await until(lambda: not controller.is_busy)
    say(f"aborted: {shown().state is State.ABORTED}, rows kept: {'rows kept' in shown().state_text}")
    handler.acquire_clicked(None)
    runs.append(controller.last_run)
    panel.hide()
    await until(lambda: row() > 2 and runs[0].has_live_results)
    panel.show()
    say(f"second run: {shown().state.value}, results: {runs[0].has_live_results}")
    swift.queue_request_close()


async def start(swift, panel) -> None:
    try:
        await operate(swift, panel)
    except BaseException:
        import os
        import traceback

        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(170.0, exit=True)
    was_hidden = False
    show = window.IonTransportPanel.show

    def show_and_tell(panel) -> None:
        global was_hidden
        was_hidden = was_hidden or not panel.dock_widget.visible
        show(panel)

    window.IonTransportPanel.show = show_and_tell
    window.run(Path(sys.argv[1]), start)
    say(f"closed: {runs[0].outcome.ending.value}")
