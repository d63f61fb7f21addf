"""Compiled kernels: compiled once, kept, and the same results whatever becomes of the folder they are kept in."""

from __future__ import annotations

import ast
import importlib.util
import json
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from numba.extending import is_jitted

from eels_iontransport.decomposition import compiling, engine
from eels_iontransport.decomposition.problem import Data, FwhmLimits, Layout, Prior
from eels_iontransport.decomposition.warm import warm

ROOT = Path(__file__).resolve().parents[2]
DECOMPOSITION = ROOT / "eels_iontransport" / "decomposition"
TOY = """
import numba
import numpy as np

from eels_iontransport.decomposition.compiling import compiled


@numba.njit(nogil=True, error_model="numpy")
def inverse(x):
    return 1.0 / x


@compiled
def total(x):
    result = 0.0
    for i in range(x.size):
        result += inverse(x[i])
    return result


@compiled
def largest(x):
    return x.max()
"""
NUMBERS = np.array([1.0, 2.0, 4.0])
TOTAL, LARGEST = 1.75, 4.0


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing known of a folder, and kept beside the source unless the test says otherwise."""
    monkeypatch.setattr(compiling, "_trouble", "")
    monkeypatch.setattr(compiling, "_wait", None)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setitem(sys.modules, "toy", sys)  # gone after the test


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    """Like site-packages: the toy kernels, and of this package what compiles them, without what else it imports."""
    folder = tmp_path / "packages"
    inside = folder / "eels_iontransport" / "decomposition"
    inside.mkdir(parents=True)
    (inside.parent / "__init__.py").touch()
    for name in ("compiling.py", "kernel_cache.py"):
        shutil.copy(DECOMPOSITION / name, inside / name)
    (folder / "toy.py").write_text(TOY)
    return folder


def load(folder: Path) -> ModuleType:
    """The toy kernels as a new process would have them: nothing compiled yet."""
    spec = importlib.util.spec_from_file_location("toy", folder / "toy.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["toy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def counts(entry: Any) -> tuple[int, int]:
    """How often an entry point was found in the cache, and how often it was not."""
    return sum(entry.stats.cache_hits.values()), sum(entry.stats.cache_misses.values())


def kept(folder: Path, suffix: str) -> Path:
    (path,) = folder.rglob(f"*total*{suffix}")
    return path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_compiled_gives_what_plain_python_gives(toy_folder: Path) -> None:
    toy = load(toy_folder)
    assert toy.total(NUMBERS) == TOTAL == toy.total.py_func(NUMBERS)
    assert toy.total(np.zeros(1)) == np.inf  # and does not raise
    assert toy.total.targetoptions["nogil"] and "parallel" not in toy.total.targetoptions


def test_is_kept_for_the_next_process(toy_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = load(toy_folder)
    first.total(NUMBERS)
    assert counts(first.total) == (0, 1)
    second = load(toy_folder)
    assert second.total(NUMBERS) == TOTAL
    assert counts(second.total) == (1, 0)
    assert compiling.keeps() and not caplog.records


def test_a_changed_source_is_compiled_anew(toy_folder: Path) -> None:
    load(toy_folder).total(NUMBERS)
    (toy_folder / "toy.py").write_text(TOY.replace("1.0 / x", "2.0 / x"))
    changed = load(toy_folder)
    assert changed.total(NUMBERS) == 2.0 * TOTAL
    assert counts(changed.total) == (0, 1)


def zeroed(content: bytes) -> bytes:
    """With zeros for some of the machine code, as a power failure may leave it; all else can be read."""
    code = content.index(b"\x7fELF") + 64 if sys.platform == "linux" else len(content) // 2
    return content[:code] + bytes(64) + content[code + 64 :]


def of_another_version(content: bytes) -> bytes:
    return pickle.dumps("0.1.0") + b"what only that version can read"


SPOILT: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "empty index": (".nbi", lambda content: b""),
    "half an index": (".nbi", lambda content: content[: len(content) // 2]),
    "garbage for an index": (".nbi", lambda content: b"\xff garbage \x00" * 9),
    "index of another version": (".nbi", of_another_version),
    "empty data": (".nbc", lambda content: b""),
    "half of the data": (".nbc", lambda content: content[: len(content) // 2]),
    "garbage for data": (".nbc", lambda content: b"\xff garbage \x00" * 999),
    "zeros for machine code": (".nbc", zeroed),
    "data without a digest": (".nbc", lambda content: pickle.dumps(tuple(range(9)))),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_spoilt_is_compiled_and_kept_again(
    what: str, toy_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(toy_folder).total(NUMBERS)
    suffix, spoil = SPOILT[what]
    path = kept(toy_folder, suffix)
    before = path.read_bytes()
    path.write_bytes(spoil(before))
    assert path.read_bytes() != before
    again = load(toy_folder)
    assert again.total(NUMBERS) == TOTAL
    assert counts(again.total) == (0, 1)
    mended = load(toy_folder)
    assert mended.total(NUMBERS) == TOTAL
    assert counts(mended.total) == (1, 0)
    assert not warnings(caplog)


def test_missing_data_are_compiled_again(toy_folder: Path) -> None:
    load(toy_folder).total(NUMBERS)
    kept(toy_folder, ".nbc").unlink()
    again = load(toy_folder)
    assert again.total(NUMBERS) == TOTAL and counts(again.total) == (0, 1)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_folder_in_place_of_a_file_costs_one_line(
    suffix: str, toy_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(toy_folder).total(NUMBERS)
    path = kept(toy_folder, suffix)
    path.unlink()
    path.mkdir()
    (path / "occupied").touch()
    again = load(toy_folder)
    assert again.total(NUMBERS) == TOTAL and again.largest(NUMBERS) == LARGEST
    assert len(warnings(caplog)) == 1


def test_a_folder_that_goes_away_is_made_again(toy_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy = load(toy_folder)
    shutil.rmtree(toy_folder / "__pycache__")
    assert toy.total(NUMBERS) == TOTAL
    assert kept(toy_folder, ".nbc").is_file() and not warnings(caplog)


@pytest.mark.parametrize("is_kept", [False, True], ids=["compiled", "loaded"])
def test_threads_that_come_at_once_compile_once(toy_folder: Path, is_kept: bool) -> None:
    if is_kept:
        load(toy_folder).total(NUMBERS)
    toy = load(toy_folder)
    gate, results = threading.Barrier(8), []

    def call() -> None:
        gate.wait()
        results.append(toy.total(NUMBERS))

    threads = [threading.Thread(target=call) for _ in range(gate.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [TOTAL] * gate.parties
    assert counts(toy.total) == ((1, 0) if is_kept else (0, 1))


def test_what_is_missing_is_waited_for(toy_folder: Path) -> None:
    toy = load(toy_folder)
    compiling.when_missing(lambda: call(toy_folder))  # another process
    assert toy.total(NUMBERS) == TOTAL
    assert counts(toy.total) == (1, 0)


def test_what_does_not_come_is_compiled(toy_folder: Path) -> None:
    toy, asked = load(toy_folder), []
    compiling.when_missing(lambda: asked.append(True))
    assert toy.total(NUMBERS) == TOTAL
    assert counts(toy.total) == (0, 1) and asked


def test_nobody_is_waited_for_where_it_is_kept(toy_folder: Path) -> None:
    load(toy_folder).total(NUMBERS)
    compiling.when_missing(lambda: pytest.fail("waited"))
    assert load(toy_folder).total(NUMBERS) == TOTAL


# In processes of their own: what cannot be written, and what gets imported.

CALL = """
import json, logging, sys
lines = []
class Lines(logging.Handler):
    def emit(self, record):
        lines.append((record.name, record.levelname, record.getMessage()))
logging.getLogger().addHandler(Lines())
import eels_iontransport.decomposition.compiling, numpy, toy
x = numpy.array([1.0, 2.0, 4.0])
results = [toy.total(x), toy.largest(x)]
where = toy.total.stats.cache_path
files = [toy.__file__, eels_iontransport.decomposition.compiling.__file__]
print(json.dumps({"results": results, "lines": lines, "where": where, "files": files}))
"""
NO_FOLDER = os.devnull + "/none"  # not even for root


def unprivileged() -> list[str]:
    """What to put before a command so that permissions bind it: root writes everywhere."""
    if os.name != "posix" or os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    command = [str(setpriv), "--bounding-set=-dac_override,-dac_read_search,-fowner"]
    if setpriv is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("root without setpriv cannot give up writing everywhere")
    return command


def call(source: Path, before: Sequence[str] = (), code: str = CALL, **variables: str) -> dict[str, Any]:
    """The toy kernels called in a process of their own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    path = os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH"))))
    environment |= {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"} | variables
    run = subprocess.run(
        [*before, sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    answer: dict[str, Any] = json.loads(run.stdout)
    assert all(Path(file).is_relative_to(source) for file in answer["files"])
    return answer


def assert_one_line(answer: dict[str, Any]) -> None:
    assert answer["results"] == [TOTAL, LARGEST]
    ((name, level, line),) = answer["lines"]
    assert (name, level) == ("eels_iontransport.decomposition.compiling", "WARNING")
    assert "cannot be kept" in line and line.endswith(".") and "\n" not in line


def assert_kept_in(answer: dict[str, Any], folder: Path) -> None:
    assert answer["results"] == [TOTAL, LARGEST] and not answer["lines"]
    assert Path(answer["where"]).is_relative_to(folder)
    assert len(list(folder.rglob("*.nbc"))) == 2


def read_only(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for path in (folder, *(inner for inner in folder.rglob("*") if inner.is_dir())):
        path.chmod(0o555)
    probe = [*unprivileged(), sys.executable, "-c", f"open({str(folder / 'probe')!r}, 'w')"]
    assert subprocess.run(probe, capture_output=True, check=False).returncode != 0, "permissions do not bind"
    return folder


@pytest.mark.skipif(os.name != "posix", reason="permissions of folders")
def test_home_and_site_packages_that_cannot_be_written(toy_folder: Path, tmp_path: Path) -> None:
    home = read_only(tmp_path / "home")
    read_only(toy_folder)
    assert_one_line(call(toy_folder, unprivileged(), HOME=str(home)))
    elsewhere = tmp_path / "elsewhere"
    assert_kept_in(call(toy_folder, unprivileged(), HOME=str(home), NUMBA_CACHE_DIR=str(elsewhere)), elsewhere)


@pytest.mark.skipif(os.name != "posix", reason="permissions of folders")
def test_a_cache_folder_that_cannot_be_written_is_passed_over(toy_folder: Path, tmp_path: Path) -> None:
    wanted, home = read_only(tmp_path / "wanted"), tmp_path / "home"
    read_only(toy_folder / "__pycache__")
    answer = call(toy_folder, unprivileged(), HOME=str(home), NUMBA_CACHE_DIR=str(wanted))
    assert_kept_in(answer, home)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk(toy_folder: Path) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))"  # an index, but no data
    assert_one_line(call(toy_folder, code=full + CALL))
    assert not list(toy_folder.rglob("*.nbc"))


@pytest.mark.parametrize("has_home", [False, True])
def test_a_package_in_a_zip(has_home: bool, toy_folder: Path, tmp_path: Path) -> None:
    archive, home = tmp_path / "packages.zip", tmp_path / "home"
    with zipfile.ZipFile(archive, "w") as packages:
        for path in toy_folder.rglob("*"):
            packages.write(path, path.relative_to(toy_folder))
    answer = call(archive, HOME=str(home) if has_home else NO_FOLDER)
    if has_home:
        assert_kept_in(answer, home)
    else:
        assert_one_line(answer)


def test_what_another_processor_has_kept_is_left_alone(toy_folder: Path) -> None:
    elsewhere = call(toy_folder, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert elsewhere["results"] == [TOTAL, LARGEST]
    toy = load(toy_folder)
    assert toy.total(NUMBERS) == TOTAL and counts(toy.total) == (0, 1)
    assert len(list(toy_folder.rglob("*total*.nbc"))) == 2


def test_numba_switched_off(toy_folder: Path) -> None:
    plain = CALL.replace("toy.total.stats.cache_path", "''")
    answer = call(toy_folder, code=plain, NUMBA_DISABLE_JIT="1")
    assert answer["results"] == [TOTAL, LARGEST] and not answer["lines"]


@pytest.mark.parametrize("module", ["eels_iontransport.cli", "nionswift_plugin.iontransport"])
def test_importing_does_not_bring_numba(module: str) -> None:
    if module.startswith("nionswift_plugin"):
        pytest.importorskip("nion.swift")
    code = f"import sys, {module}; print([name for name in sys.modules if name.split('.')[0] in ('numba', 'llvmlite')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


# The kernels themselves.


def test_kernels_use_nothing_that_is_compiled_from_another_file() -> None:
    """numba looks at the file of the entry point alone when it decides whether what it kept is still true."""
    tree = ast.parse((DECOMPOSITION / "kernels.py").read_text("utf-8"))
    imported = {
        (node.module or "", node.level) if isinstance(node, ast.ImportFrom) else (alias.name, 0)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert imported <= {
        ("__future__", 0),
        ("math", 0),
        ("collections", 0),
        ("numpy", 0),
        ("numba", 0),
        ("compiling", 1),
    }


def entry_points() -> dict[str, Any]:
    from eels_iontransport.decomposition import kernels
    from eels_iontransport.decomposition.kernel_cache import KernelCache

    return {
        name: value
        for name, value in vars(kernels).items()
        if is_jitted(value) and isinstance(value._cache, KernelCache)
    }


def unusual(array: np.ndarray, how: str) -> np.ndarray:
    """The same numbers, stored in another way."""
    if how == "read-only":
        array = array.copy()
        array.flags.writeable = False
    elif how == "strided":
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    elif how == "transposed":
        array = np.asfortranarray(array)
    elif how == "single":
        array = array.astype(np.float32)
    elif how == "of another byte order":
        array = array.astype(">f8")
    return array


@pytest.mark.parametrize("spectra", [1, 3])
@pytest.mark.parametrize("how", ["plain", "read-only", "strided", "transposed", "single", "of another byte order"])
def test_warm_compiles_what_any_fit_needs(how: str, spectra: int) -> None:
    """Of each entry point one version: each further one would cost whoever needs it the better part of a minute."""
    warm()
    entries = entry_points()
    assert {name: len(entry.signatures) for name, entry in entries.items()} == dict.fromkeys(("fit_batch", "draw"), 1)
    energy_mev = np.broadcast_to(np.arange(40.0, 60.0), (2, spectra, 20))
    counts = 1e3 / (1.0 + ((energy_mev - 50.0) / 4.0) ** 2)
    background = np.stack([np.ones_like(counts), energy_mev / 50.0], axis=2)
    response = np.broadcast_to([1.0, 0.0, 0.0, 0.0], (2, spectra, 1, 4))
    arrays = [unusual(array, how) for array in (energy_mev, counts, np.sqrt(counts), background, response)]
    indices = np.arange(3 * spectra).reshape(3, spectra, 1)
    lower, upper = (np.repeat(limits, spectra) for limits in ([45.0, 1.0, 0.5], [55.0, 6.0, 6.0]))
    prior = Prior(np.array([0]), np.array([50.0]), np.eye(1))
    limits = FwhmLimits((2.0, 20.0), np.full(1, 0.5), np.full(1, 8.0))
    for priors, fwhm_limits in (((), None), ((prior,), None), ((), limits)):
        layout = Layout(*indices, np.array([-1]), lower, upper, priors, fwhm_limits)
        engine.fit(layout, Data(*arrays), unusual(0.5 * (lower + upper)[None], how))
    engine.draw(arrays[0][0], arrays[4][0], *(unusual(np.full((spectra, 1), v), how) for v in (50.0, 3.0, 1.0)))
    assert all(len(entry.signatures) == 1 for entry in entries.values())


def test_no_threads_of_numba_are_started() -> None:
    code = (
        "import sys, numba; from eels_iontransport.decomposition.warm import warm; warm()\n"
        "try: print(numba.threading_layer())\n"
        "except ValueError: print([m for m in sys.modules if m.endswith(('omppool', 'tbbpool', '.workqueue'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "[]"


def test_no_kernel_starts_threads() -> None:
    """numba's own threads need libgomp or tbb, and end the process when two threads use them without."""
    for path in DECOMPOSITION.glob("*.py"):
        assert not re.search(r"\bprange\b|\bparallel\s*=", path.read_text("utf-8")), path.name
