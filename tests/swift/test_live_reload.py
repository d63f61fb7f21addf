"""A project with a live session, closed and opened again in another process: the results are there and alive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nion.swift")

_HERE = Path(__file__).resolve()

# One process: argv is the folder of this file, the stage and the project's folder.
_SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import eels_iontransport.session
from live_support import ROWS, ScriptedSession, line_data
eels_iontransport.session.Session = ScriptedSession
ScriptedSession.hold.set()
from nion.swift.model import DataItem
from eels_iontransport.data.record import Status
from nionswift_plugin.iontransport import live
from nionswift_plugin.iontransport.host import display
from nionswift_plugin.iontransport.host.application import Headless

host = Headless(Path(sys.argv[3]), "GB1")
model = host.window.document_model
state = {"before": {}}
if sys.argv[2] == "write":
    item = DataItem.new_data_item(line_data(ROWS - 1, Status.ABORTED))
    item.title = "GB1 L1 vibrational"
    model.append_data_item(item)
    outputs = live.attach_session(model, {"vibrational": item}, "lco")
    item.set_xdata(line_data(ROWS, Status.COMPLETE))
    if sys.argv[4:] == ["passes"]:
        more = DataItem.new_data_item(line_data(ROWS, Status.COMPLETE))
        more.title = "GB1 L1 vibrational (2)"
        model.append_data_item(more)
        live.attach_session(model, {"vibrational": [item, more]}, "lco")
elif sys.argv[4:] == ["passes"]:
    item, more = (item for item in model.data_items if item.title.startswith("GB1 L1 vibrational"))
    outputs = live.result_items(model, item)
    state["runs_on_opening"] = len(ScriptedSession.asked)
    more.set_xdata(line_data(ROWS - 5, Status.ABORTED))
    assert host.pump(lambda: bool(ScriptedSession.asked))
else:
    item = next(item for item in model.data_items if item.title == "GB1 L1 vibrational")
    outputs = live.result_items(model, item)
    state["before"] = {"readout": live.readout(model, item), "rows": [int(x) for x in outputs["shift"].data[2]]}
    state["settled"] = live.is_settled(model, item)
    state["runs_on_opening"] = len(ScriptedSession.asked)
    shown = model.get_display_item_for_data_item(outputs["shift"])
    next(graphic for graphic in shown.graphics if graphic.graphic_id == "boundary").interval = (0.5, 0.6)
    assert host.pump(lambda: any(asked.regions is not None for asked in ScriptedSession.asked))
    item.set_xdata(line_data(ROWS - 5, Status.ABORTED))
    assert host.pump(lambda: bool(ScriptedSession.asked) and ScriptedSession.asked[-1].rows == ROWS - 5)
assert host.pump(lambda: live.is_settled(model, item)), "not settled"
state["rows"] = [float(x) for x in outputs["shift"].data[2]]
shown = model.get_display_item_for_data_item(outputs["shift"])
state["titles"] = {name: output.title for name, output in outputs.items()}
state["intervals"] = display.intervals(shown.graphics)
state["errors"] = [computation.error_text for computation in model.computations]
state["readout"] = live.readout(model, item)
state["range"] = display.get_range(shown)
host.close()
print("STATE " + json.dumps(state))
"""


def run(stage: str, folder: Path, *how: str) -> dict:
    command = [sys.executable, "-c", _SCRIPT, str(_HERE.parent), stage, str(folder), *how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("STATE "))
    return json.loads(line.removeprefix("STATE "))


def test_results_are_there_and_alive_in_a_new_process(tmp_path):
    written = run("write", tmp_path)
    assert written["errors"] == [None] and written["readout"]["rows"] == 40
    opened = run("read", tmp_path)
    assert opened["before"] == {"readout": written["readout"], "rows": list(range(1, 41))}
    assert opened["settled"] and opened["runs_on_opening"] == 0
    assert opened["errors"] == [None]
    assert opened["readout"]["rows"] == 35
    assert opened["intervals"]["boundary"] == [0.5, 0.6]
    assert opened["intervals"]["grain_1"] == pytest.approx(written["intervals"]["grain_1"])
    assert opened["titles"] == {
        "map": "GB1 L1 normalised map: 35 of 40 rows",
        "regions": "GB1 L1 regions: 35 of 40 rows",
        "fit": "GB1 L1 fit: boundary, chi2 1.25 (35 of 40 rows)",
        "shift": "GB1 L1 LDO centre: +1.8 ± 0.3 meV (35 of 40 rows)",
    }


def test_items_that_are_analysed_together_are_so_in_a_new_process(tmp_path):
    written = run("write", tmp_path, "passes")
    assert written["rows"] == [2 * row for row in range(1, 41)] and written["errors"] == [None]
    opened = run("read", tmp_path, "passes")
    assert opened["runs_on_opening"] == 0 and opened["errors"] == [None]
    assert opened["rows"] == [2 * row if row <= 35 else row for row in range(1, 41)]
    assert opened["titles"]["map"] == "GB1 L1 normalised map: 75 of 80 rows"
