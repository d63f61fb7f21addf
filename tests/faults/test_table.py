"""Whatever goes wrong, on whatever plan, whenever: the run ends in order, and the next one succeeds."""

from __future__ import annotations

import pytest

from eels_iontransport.acquire import home
from eels_iontransport.acquire.journal_files import RowFiles
from eels_iontransport.acquire.writer import StepWriter

from .cases import cases
from .faults import FAULTS, abort
from .invariant import violations
from .kinds import KINDS
from .rig import Rig, Trigger

_FINISH, _APPEND = StepWriter.finish, RowFiles.append


def finish_without_reason(self, status, reason):
    return _FINISH(self, status, "")


def append_altered(self, counts, note):
    _APPEND(self, counts + 1, note)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_survived_and_the_next_run_succeeds(fault):
    failed = [case for case in cases(fault) if not case.is_survived]
    assert not failed, "\n".join(map(str, failed))


# what is broken on purpose, and words of what is seen of it
BROKEN = {
    "nothing is brought home": (home.Home, "_attempt", lambda self, *arguments: None, "live was True and is False"),
    "the reason is forgotten": (StepWriter, "finish", finish_without_reason, "says ''"),
    "rows are altered": (RowFiles, "append", append_altered, "does not hold the"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_invariant_sees_what_is_broken(what, monkeypatch, tmp_path):
    owner, name, replacement, words = BROKEN[what]
    monkeypatch.setattr(owner, name, replacement)
    rig = Rig(tmp_path)
    rig.trigger = Trigger("frames", 4, abort)
    seen = violations(rig, rig.run(KINDS["line, parked"]))
    assert any(words in text for text in seen), seen
