"""A night of sessions in one Swift without a window: what stays behind of each when its items are removed."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from .figure import Figure

SESSIONS, SETTLED = 250, 25  # until the latter, caches fill
GOAL_MIB = 20.0
OURS = ("eels_iontransport.", "nionswift_plugin.iontransport.")
FASTER = 1e5  # the simulated clock: exposures take no time


def run_sessions(folder: Path, sessions: int, settled: int, what: str) -> dict[str, Any]:
    """What there is after `settled` sessions of 40 rows, and after all of them.

    what: "sessions", or "items" for the host alone, which makes and removes items of the same sizes.
    """
    os.environ["XDG_DATA_HOME"], os.environ["XDG_CONFIG_HOME"] = str(folder / "data"), str(folder / "config")
    os.chdir(folder)
    from eels_iontransport.acquire.outcome import Ending
    from eels_iontransport.acquire.plan import Exposure
    from eels_iontransport.data.record import Role
    from eels_iontransport.simulation.stability import STILL
    from tests.swift import microscope_context as context

    context.EXPOSURES |= {Role.ZLP: Exposure(0.1, 4), Role.ALOOF: Exposure(0.1, 6)}
    counts = []
    with context.open_lab(folder, FASTER) as lab:
        lab.microscope.reset(stability=STILL)  # days of drift would pass
        for session in range(1, sessions + 1):
            if what == "items":
                make_items(lab, (4, 6, 10, 10, 10))
            else:
                outcome, run = lab.run(lab.plan(pixels=10))
                rows = sum(step.rows_valid for step in outcome.steps)
                assert outcome.ending is Ending.COMPLETE and rows == 40, outcome.sentence()
                for item in run.items().values():
                    lab.document_model.remove_data_item(item)
                del run, outcome, item
            lab.window.periodic()
            if session in (settled, sessions):
                counts.append(left_behind(lab))
    return {"settled": counts[0], "end": counts[-1]}


def make_items(lab: Any, rows: tuple[int, ...]) -> None:
    """As a session fills them, by the host's own means."""
    import numpy as np
    from nion.data import DataAndMetadata
    from nion.swift.model import DataItem

    model, items = lab.document_model, []
    for count in rows:
        item = DataItem.DataItem()
        model.append_data_item(item)
        descriptor = DataAndMetadata.DataDescriptor(False, 1, 1)
        item.reserve_data(data_shape=(count, 2048), data_dtype=np.dtype(np.float32), data_descriptor=descriptor)
        with model.item_transaction(item), model.data_item_live(item):
            item.set_data(np.ones((count, 2048), np.float32))
            lab.window.periodic()
        items.append(item)
    for item in items:
        model.remove_data_item(item)


def left_behind(lab: Any) -> dict[str, Any]:
    gc.collect()
    lab.window.periodic()
    gc.collect()
    events = (
        lab.camera.acquisition_state_changed_event, lab.scan.acquisition_state_changed_event,
        lab.stem.probe_state_changed_event, lab.document_model.item_inserted_event,
    )  # fmt: skip
    kinds = Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.get_objects())
    return {
        "mib": resident_mib(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "listeners": sum(event.listener_count for event in events),
        "objects": {kind: count for kind, count in kinds.items() if kind.startswith(OURS)},
        "items": len(lab.document_model.data_items),
        "transactions": lab.document_model.transaction_count,
    }


def resident_mib() -> float:
    """Resident set of this process; nan where the system does not tell it as Linux does."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def in_own_process(what: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.endurance", folder, f"{SESSIONS}", f"{SETTLED}", what]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return counts


def measure() -> list[Figure]:
    counts, alone = in_own_process("sessions"), in_own_process("items")
    settled, end = counts["settled"], counts["end"]
    grown = {kind: n - settled["objects"].get(kind, 0) for kind, n in end["objects"].items()}
    most = max(grown, key=lambda kind: grown[kind], default="")
    name = f"sessions {SETTLED} to {SESSIONS}"
    memory = f"{settled['mib']:.0f} to {end['mib']:.0f} MiB"
    threads = len(end["threads"]) - len(settled["threads"])
    host_alone = alone["end"]["mib"] - alone["settled"]["mib"]
    return [
        Figure(f"{name}: memory grown by", "MiB", end["mib"] - settled["mib"], high=GOAL_MIB, spread=memory),
        Figure("  by the host alone, items of the same sizes", "MiB", host_alone),
        Figure("  threads left", "", threads, high=0, spread=f"{len(end['threads'])} there"),
        Figure("  listeners left", "", end["listeners"] - settled["listeners"], high=0),
        Figure("  items left", "", end["items"] - settled["items"], high=0),
        Figure("  objects left of one kind, at most", "", max(grown.values(), default=0), high=0, spread=most),
    ]


if __name__ == "__main__":
    target, number, first, kind = sys.argv[1:]
    print(json.dumps(run_sessions(Path(target), int(number), int(first), kind)))
