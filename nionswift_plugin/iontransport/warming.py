"""Compiled kernels made ready in the background, so that the first fit has no compiler to wait for.

Compiling takes most of a minute, once for each version, and would hold up the window for up to a second at a time if it
ran in a thread. So another process compiles into the cache, and a thread loads what lies there.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from eels_iontransport.decomposition import compiling

_LOG = logging.getLogger(__name__)

DELAY_S = 2.0  # the host opens its window first
_PATIENCE_S = 900.0  # with a process that compiles
_WITHOUT_CONSOLE = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # of Windows
_PYTHON = re.compile(r"pythonw?(3(\.\d+)?)?t?(\.exe)?", re.IGNORECASE)

# Its standard input is a pipe that nothing is written to: when it closes, this process has ended or lost interest.
# It runs at full priority, since a fit may be waiting for it.
_COMPILE = """
import os, sys, threading

def end_with_parent():
    os.read(0, 1)
    os._exit(1)

if sys.hexversion != int(sys.argv[1]):
    sys.exit(1)
sys.path[:] = sys.argv[2:]
threading.Thread(target=end_with_parent, daemon=True).start()
from eels_iontransport.decomposition.warm import warm
warm()
"""


class Warming:
    """Makes the kernels ready once; a fit that comes earlier has it begin at once and waits for what it needs."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name="ion transport warming", daemon=True)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted, self._compiled, self._stopped = threading.Event(), threading.Event(), threading.Event()

    def start(self) -> None:
        """Begin in a while, in a thread; returns at once."""
        compiling.when_missing(self._wait)
        self._thread.start()

    def stop(self) -> None:
        """Give up, from any thread; returns at once. From now on a fit that finds no kernels compiles them itself."""
        compiling.when_missing(None)
        with self._lock:
            self._stopped.set()
            if self._process is not None:
                self._process.kill()
        self._wanted.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until all is ready, or given up; False if that takes too long."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _wait(self) -> None:
        self._wanted.set()
        self._compiled.wait(_PATIENCE_S)

    def _work(self) -> None:
        self._wanted.wait(DELAY_S)
        try:
            try:
                self._compile()
            finally:
                self._compiled.set()
            if not self._stopped.is_set():
                from eels_iontransport.decomposition import warm

                warm.warm()
        except Exception:  # the first fit will meet the same, and tell the operator
            _LOG.exception("The kernels could not be made ready")

    def _compile(self) -> None:
        """Have another process fill the cache; where that cannot be, the kernels are compiled as they are loaded."""
        if self._stopped.is_set():
            return
        from eels_iontransport.decomposition import kernels  # noqa: F401  (shows whether there is a cache to fill)

        python = find_python([sys.executable, *_pythons_of(sys.prefix)])
        if python is None or not compiling.keeps():
            return
        try:
            code = self._run([python, "-c", _COMPILE, str(sys.hexversion), *map(str, sys.path)])
        except (OSError, subprocess.TimeoutExpired) as error:
            _LOG.info("Kernels cannot be compiled in a process of their own (%s).", error)
        else:
            if code != 0 and not self._stopped.is_set():
                _LOG.info("The process that compiles kernels has failed (exit code %d).", code)

    def _run(self, command: list[str]) -> int:
        """The exit code of a command that ends with this process, or when stopped."""
        with self._lock:
            if self._stopped.is_set():
                return 1
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                creationflags=_WITHOUT_CONSOLE,
            )
        with self._process as process:  # leaving it closes the pipe, and that ends the process
            return process.wait(_PATIENCE_S)


def find_python(candidates: Iterable[str]) -> str | None:
    """The first that is a Python, by its name: the host's own launcher would open another window."""
    if getattr(sys, "frozen", False):  # what this process runs is in no Python's reach
        return None
    for candidate in candidates:
        if candidate and _PYTHON.fullmatch(Path(candidate).name) and os.access(candidate, os.X_OK):
            return candidate
    return None


def _pythons_of(prefix: str) -> list[str]:
    """Where the Python of an environment may lie, which a program that embeds it does not name as its executable."""
    version = "python{}.{}".format(*sys.version_info)
    return [str(Path(prefix, *place)) for place in (("bin", version), ("Scripts", "python.exe"), ("python.exe",))]
