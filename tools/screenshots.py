"""Takes the pictures of docs/: the demonstration in Swift's window, grabbed at its stages.

    python tools/screenshots.py [DOCS_FOLDER]

Needs a display; tools/with_display provides one where there is none. Settings, project and results lie in a temporary
folder, so that the window looks as on a fresh machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 1680, 1000
TIME_SCALE = 10.0
SETTLE_S = 3.0  # for the last live results to be drawn
HIDDEN_PANELS = ("data-panel",)  # room for the results
TIMEOUT_MS = 400_000


def main() -> int:
    docs = Path(sys.argv[1] if len(sys.argv) > 1 else "docs").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        os.environ.update(HOME=scratch, XDG_CONFIG_HOME=str(home / "config"), XDG_DATA_HOME=str(home / "data"))
        _take(home, docs)
    return 1


def _take(home: Path, docs: Path) -> None:
    from PySide6 import QtCore

    from nionswift_plugin.iontransport import demo, window

    async def then(swift: Any, panel: Any) -> None:
        code = 1
        try:
            await _stages(swift, panel, home / "results", docs)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)  # the window has no other way to close by itself without asking

    async def _stages(swift: Any, panel: Any, out: Path, docs: Path) -> None:
        _resize(WIDTH)
        for other in swift.workspace_controller.dock_panels:
            if other.panel_id in HIDDEN_PANELS:
                other.hide()
        microscope = demo.simulated_microscope(TIME_SCALE, 1)
        await window.place(swift, panel, microscope)
        _show_surveys(swift)
        await _grab(docs / "placing.png")
        session = asyncio.ensure_future(window.measure(swift, panel, microscope, out))
        while not session.done() and _core_loss_row(panel) < 24:
            await asyncio.sleep(0.05)
        await _grab(docs / "running.png")
        await session
        while any("provisional" in item.title for item in swift.document_model.data_items):
            await asyncio.sleep(0.1)
        await asyncio.sleep(SETTLE_S)
        await _grab(docs / "session.png")

    QtCore.QTimer.singleShot(TIMEOUT_MS, lambda: os._exit(3))
    window.run(home / "project", then)


def _show_surveys(swift: Any) -> None:
    """Both survey images side by side."""
    from nionswift_plugin.iontransport.host import workspaces

    items = {item.title.split()[-1]: item for item in swift.document_model.data_items if item.title.startswith("GB1")}
    displays = {name: swift.document_model.get_display_item_for_data_item(item) for name, item in items.items()}
    workspaces.arrange(swift, "surveys", "Surveys", [(0.5, [(name, 1.0)]) for name in displays], displays)


def _core_loss_row(panel: Any) -> int:
    """Row of the last scan, 0 before it: the shift is known by then, and Li:Co on its way."""
    progress = panel.controller.situation().progress
    return progress.rows_valid if progress is not None and progress.role.value == "core_loss" else 0


def _main_widget() -> Any:
    from PySide6 import QtWidgets

    shown = [widget for widget in QtWidgets.QApplication.topLevelWidgets() if widget.isVisible()]
    return max(shown, key=lambda widget: widget.width() * widget.height())


def _resize(width: int) -> None:
    _main_widget().setGeometry(0, 0, width, HEIGHT)


async def _grab(path: Path) -> None:
    for width in (WIDTH - 1, WIDTH):  # a change of size has everything painted anew
        _resize(width)
        await asyncio.sleep(0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    _main_widget().grab().save(str(path))
    print(path)


if __name__ == "__main__":
    raise SystemExit(main())
