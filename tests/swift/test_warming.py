"""Making the kernels ready: beside the window, in whatever Python there is, and gone without a trace when it closes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("nion.swift")

import nionswift_plugin.iontransport as plugin
from eels_iontransport.decomposition import compiling, warm
from nionswift_plugin.iontransport import warming
from nionswift_plugin.iontransport.warming import Warming, find_python

ROOT = Path(__file__).resolve().parents[2]
SOON_S = 20.0  # on a busy machine
COMPILES = "import pathlib; pathlib.Path('compiled').touch()"
FAILS = "raise SystemExit(3)"
TAKES_LONG = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(120)"
END_WITH_PARENT = warming._COMPILE.split("from eels_iontransport")[0]


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """For every time that the kernels are loaded in this process, whether they had been compiled in another."""
    calls: list[bool] = []
    monkeypatch.setattr(warm, "warm", lambda: calls.append(Path("compiled").exists()))
    monkeypatch.setattr(warming, "DELAY_S", 0.0)
    monkeypatch.setattr(compiling, "_trouble", "")
    monkeypatch.setattr(compiling, "_wait", None)
    yield calls


def compile_by(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(warming, "_COMPILE", END_WITH_PARENT + code)


def wait_for(done: Callable[[], bool]) -> bool:
    end = time.monotonic() + SOON_S
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def pid_of_the_compiler() -> int:
    assert wait_for(lambda: Path("pid").exists() and Path("pid").read_text() != "")
    return int(Path("pid").read_text())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"  # dead, and not asked for by whoever inherited it
    except OSError:
        return not Path("/proc/self").exists()


def test_another_process_compiles_before_this_one_loads(monkeypatch: pytest.MonkeyPatch, loaded: list[bool]) -> None:
    compile_by(monkeypatch, COMPILES)
    made = Warming()
    made.start()
    assert made.join(SOON_S) and loaded == [True]


@pytest.mark.parametrize("why", ["fails", "no Python", "no cache", "cannot start"])
def test_without_another_process_this_one_compiles(
    why: str, monkeypatch: pytest.MonkeyPatch, loaded: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    compile_by(monkeypatch, FAILS if why == "fails" else COMPILES)
    if why == "no Python":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    if why == "no cache":
        monkeypatch.setattr(compiling, "_trouble", "nothing can be written")
    if why == "cannot start":
        monkeypatch.setattr(warming, "find_python", lambda candidates: "/nowhere/python3")
    made = Warming()
    made.start()
    assert made.join(SOON_S) and loaded == [False]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_kernels_that_fail_are_left_to_the_first_fit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError("no such kernel")

    compile_by(monkeypatch, FAILS)
    monkeypatch.setattr(warm, "warm", broken)
    made = Warming()
    made.start()
    assert made.join(SOON_S)
    assert "no such kernel" in caplog.text and "could not be made ready" in caplog.text


def test_starting_and_stopping_take_no_time(monkeypatch: pytest.MonkeyPatch, loaded: list[bool]) -> None:
    compile_by(monkeypatch, TAKES_LONG)
    made = Warming()
    started = time.monotonic()
    made.start()
    assert time.monotonic() - started < 1.0
    pid = pid_of_the_compiler()
    started = time.monotonic()
    made.stop()
    assert time.monotonic() - started < 1.0
    assert made.join(SOON_S) and wait_for(lambda: not is_running(pid))
    assert loaded == []


def test_stopped_before_it_began_nothing_happens(monkeypatch: pytest.MonkeyPatch, loaded: list[bool]) -> None:
    compile_by(monkeypatch, COMPILES)
    monkeypatch.setattr(warming, "DELAY_S", 60.0)
    made = Warming()
    made.start()
    made.stop()
    assert made.join(SOON_S) and loaded == [] and not Path("compiled").exists()


def test_a_fit_that_comes_early_waits_for_what_is_being_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_by(monkeypatch, "import time; time.sleep(0.5);" + COMPILES)
    monkeypatch.setattr(warming, "DELAY_S", 60.0)  # the fit has it begin at once
    made = Warming()
    made.start()
    assert compiling.wait_for_another() and Path("compiled").exists()
    assert made.join(SOON_S)


def test_a_fit_that_waits_goes_on_when_the_host_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_by(monkeypatch, TAKES_LONG)
    made = Warming()
    made.start()
    fit = threading.Thread(target=compiling.wait_for_another)
    fit.start()
    pid_of_the_compiler()
    assert fit.is_alive()
    made.stop()
    fit.join(SOON_S)
    assert not fit.is_alive()
    assert not compiling.wait_for_another()  # and nobody waits any more


HOST = f"""
import pathlib, sys, time
sys.path.insert(0, {str(ROOT)!r})
from nionswift_plugin.iontransport import warming
warming.DELAY_S = 0.0
warming._COMPILE = {END_WITH_PARENT + TAKES_LONG!r}
warming.Warming().start()
while not (pathlib.Path("pid").exists() and pathlib.Path("pid").read_text()):
    time.sleep(0.01)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_host_that_is_killed_leaves_no_process_behind() -> None:
    host = subprocess.Popen([sys.executable, "-c", HOST + "time.sleep(120)"])
    pid = pid_of_the_compiler()
    host.send_signal(signal.SIGKILL)
    host.wait()
    assert wait_for(lambda: not is_running(pid))


def test_a_host_that_ends_while_warming_does_not_wait() -> None:
    host = subprocess.Popen([sys.executable, "-c", HOST])
    pid = pid_of_the_compiler()
    assert host.wait(SOON_S) == 0
    assert wait_for(lambda: not is_running(pid))


def test_the_kernels_are_compiled_elsewhere_and_loaded_here() -> None:
    """With the real ones: after it, each entry point has been loaded from the cache, none compiled."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from nionswift_plugin.iontransport import warming
made = warming.Warming()
made.start()
from eels_iontransport.decomposition import kernels
assert made.join(600)
for entry in (kernels.fit_batch, kernels.draw):
    print(len(entry.signatures), sum(entry.stats.cache_hits.values()), sum(entry.stats.cache_misses.values()))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n") == ["1 1 0", "1 1 0", ""]


@pytest.mark.parametrize(
    ("name", "is_python"),
    [
        ("python", True),
        ("python3", True),
        ("python3.13", True),
        ("python3.13t", True),
        ("Python", True),
        ("python.exe", True),
        ("pythonw.exe", True),
        ("NionSwift", False),
        ("NionUILauncher", False),
        ("Nion Swift.exe", False),
        ("ipython", False),
        ("python-config", False),
        ("eels-iontransport", False),
    ],
)
def test_only_a_python_is_taken_for_one(name: str, is_python: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    path.chmod(0o755)
    assert find_python(["", str(tmp_path / "nowhere" / "python"), str(path)]) == (str(path) if is_python else None)


def test_a_launcher_that_embeds_python_finds_that_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_python(["/opt/swift/NionUILauncher", *warming._pythons_of(sys.prefix)])
    assert found is not None
    code = "import sys; print(sys.hexversion)"
    assert int(subprocess.run([found, "-c", code], capture_output=True, check=True).stdout) == sys.hexversion


def test_the_plug_in_begins_and_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(plugin.Warming, "start", lambda self: done.append("start"))
    monkeypatch.setattr(plugin.Warming, "stop", lambda self: done.append("stop"))
    monkeypatch.setattr(plugin.panel, "register", lambda: None)
    monkeypatch.setattr(plugin.panel, "unregister", lambda: None)
    monkeypatch.setattr(plugin.menus, "register", lambda: lambda: None)
    extension = plugin.IonTransportExtension(None)
    assert done == ["start"]
    extension.close()
    assert done == ["start", "stop"]
