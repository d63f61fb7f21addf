"""Starting the host on a project in a folder, with its real window or without one."""

from __future__ import annotations

import inspect
import json
import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nion.swift import Application, DocumentController, Facade, Panel
from nion.swift.model import FileStorageSystem, Profile
from nion.ui import Application as UIApplication
from nion.ui import TestUI, UserInterface

from eels_iontransport.data.errors import UnusableInput

PROFILE_NAME = "Profile.nsproj"


def open_profile(folder: Path, project: str, application: Application.Application) -> Profile.Profile:
    """A profile of its own in `folder`, whose last project is `project` in the same folder; made where missing.

    The application has been initialized. The user's own profile and projects are not touched. Raises UnusableInput
    where the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder.resolve() / PROFILE_NAME
        if not path.exists():
            content = {"version": FileStorageSystem.PROFILE_VERSION, "uuid": str(uuid.uuid4())}
            path.write_text(json.dumps(content), "utf-8")
        (folder / "Cache").mkdir(exist_ok=True)
    except OSError as error:
        raise UnusableInput(f"The folder {folder} cannot be used for a project ({error.strerror or error}).") from None
    storage = FileStorageSystem.make_file_persistent_storage_system(path)
    storage.load_properties()
    # From nionswift 16.17 on a profile takes the event loop first.
    event_loop = [application.event_loop] if "event_loop" in inspect.signature(Profile.Profile).parameters else []
    profile = Profile.Profile(*event_loop, storage_system=storage, cache_dir_path=folder.resolve() / "Cache")
    profile.read_profile()
    profile.last_project_reference = _project(profile, folder.resolve(), project).uuid
    return profile


def _project(profile: Profile.Profile, folder: Path, name: str) -> Profile.ProjectReference:
    path = folder / f"{name}.nsproj"
    reference = profile.open_project(path) if path.exists() else profile.create_project(folder, name)
    if reference is None:
        raise UnusableInput(f"The project {path} cannot be opened; choose another folder.")
    return reference


class Headless:
    """The host without a window: the real application and plug-ins on a user interface that draws nothing."""

    def __init__(self, folder: Path, project: str) -> None:
        Facade.initialize()
        self.application = Application.Application(_headless_ui(folder / "settings"))
        self.application.initialize(load_plug_ins=True, use_root_dir=False)
        self.application.start(profile=open_profile(folder, project, self.application))
        self.window: DocumentController.DocumentController = self.application.document_controllers[0]

    def pump(self, done: Callable[[], bool], timeout_s: float = 60.0) -> bool:
        """Let the host work until `done` or the time is over; whether it was done."""
        end = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > end:
                return False
            self.window.periodic()
            time.sleep(0.005)
        self.window.periodic()
        return True

    def close(self) -> None:
        """Close the project; everything is on disk afterwards."""
        self.window.request_close()
        self.application.deinitialize()


def _headless_ui(folder: Path) -> Any:
    folder.mkdir(parents=True, exist_ok=True)

    class UserInterface(TestUI.UserInterface):  # type: ignore[misc]
        proxy = None

        def get_data_location(self) -> str:
            return str(folder)

        get_document_location = get_temporary_location = get_data_location

        def get_configuration_location(self) -> Path:
            return folder

        def get_build_version(self) -> str:
            return ""

        get_qt_version = get_build_version

    return UserInterface()


def run_window(folder: Path, project: str, on_started: Callable[[Application.Application], None]) -> None:
    """The host with its real window (PySide6); returns when the window is closed.

    `on_started` is called once the project is open. Raises UnusableInput where the folder, PySide6 or a system
    library is missing.
    """
    try:
        from PySide6 import QtCore
    except ImportError as error:
        raise UnusableInput(
            f"The window needs PySide6 and the system libraries of Qt ({error}); "
            "install the extra 'window', or run without a window."
        ) from None
    _mend_headers()
    Facade.initialize()
    application = Application.Application(UIApplication.make_ui({"qt": None}))
    application.ui.set_persistence_handler(_FolderSettings(folder))
    application.initialize(use_root_dir=False)
    profile = open_profile(folder, project, application)
    start = application.start

    def start_with_project(**kwargs: Any) -> bool:
        started = start(profile=profile)
        QtCore.QTimer.singleShot(0, lambda: on_started(application))
        return started

    application.start = start_with_project  # the user interface calls it without arguments
    logging.getLogger("loader").setLevel(logging.WARNING)
    application.run()


class _FolderSettings(UserInterface.PersistenceHandler):
    """Sizes of windows and the like, kept in the folder of the project: the user's own settings stay as they are."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "window.json"
        try:
            self._values: dict[str, str] = dict(json.loads(self._path.read_text("utf-8")))
        except (OSError, ValueError):
            self._values = {}

    def get_string(self, key: str) -> tuple[bool, str]:
        return key in self._values, self._values.get(key, "")

    def set_string(self, key: str, value: str) -> bool:
        if self._values.get(key) != value:
            self._values[key] = value
            self._write()
        return True

    def remove_key(self, key: str) -> bool:
        if self._values.pop(key, None) is None:
            return False
        self._write()
        return True

    def _write(self) -> None:
        self._path.write_text(json.dumps(self._values), "utf-8")


def _mend_headers() -> None:
    """Have the arrow in a display's header begin a path of its own.

    It strokes the path that is there, to which Qt from Python has added the title's letters: every title would be
    drawn twice, the second time as a smear over its neighbour.
    """
    cell = getattr(Panel, "EditButtonCell", None)
    if cell is None or getattr(cell, "_begins_path", False):
        return
    paint = cell._paint_cell

    def paint_from_the_start(self: Any, drawing_context: Any, *arguments: Any) -> None:
        drawing_context.begin_path()
        paint(self, drawing_context, *arguments)

    cell._paint_cell, cell._begins_path = paint_from_the_start, True
