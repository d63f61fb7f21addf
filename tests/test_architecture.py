"""Arrows point down only: plug-in -> science, acquisition beside analysis, the science without the host."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST = ("nion", "nionui_app", "PySide6")
ANALYSIS = tuple(f"eels_iontransport.{name}" for name in ("measure", "decomposition", "session", "readout", "figures"))
ACQUISITION = ("eels_iontransport.acquire", "eels_iontransport.simulation")

# (folder, what nothing in it imports, modules excepted)
RULES = [
    ("eels_iontransport", HOST, ()),
    ("eels_iontransport", ("nionswift_plugin",), ("eels_iontransport/cli.py",)),  # the demo runs in the host
    ("eels_iontransport/data", (*ACQUISITION, *ANALYSIS), ()),
    ("eels_iontransport/measure", (*ACQUISITION, *ANALYSIS[1:]), ()),
    ("eels_iontransport/decomposition", (*ACQUISITION, *ANALYSIS[2:]), ()),
    ("eels_iontransport/acquire", ("eels_iontransport.simulation", *ANALYSIS), ()),
    ("eels_iontransport/simulation", ANALYSIS, ()),
    ("nionswift_plugin/iontransport_simulator", ("nionswift_plugin.iontransport", *ANALYSIS), ()),
]


def imports(path: Path) -> set[str]:
    """Absolute names of all that a module imports, wherever in the file, relative imports resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize(
    ("where", "forbidden", "excepted"), RULES, ids=[f"{where}-{forbidden[0]}" for where, forbidden, _ in RULES]
)
def test_arrows_point_down(where: str, forbidden: tuple[str, ...], excepted: tuple[str, ...]) -> None:
    modules = sorted((ROOT / where).rglob("*.py"))
    assert modules, f"{where} holds no module"
    wrong = {
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules
        if module.relative_to(ROOT).as_posix() not in excepted
        for name in imports(module)
        if any(inside(name, package) for package in forbidden)
    }
    assert not wrong


def test_relative_imports_are_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    module = tmp_path / "eels_iontransport" / "acquire" / "example.py"
    module.parent.mkdir(parents=True)
    module.write_text("from ..measure import zlp\nfrom . import plan\nimport nion.swift\n")
    assert {"eels_iontransport.measure.zlp", "eels_iontransport.acquire.plan", "nion.swift"} <= imports(module)
