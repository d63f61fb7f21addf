"""What was written comes to the disk by itself, and a disk that refuses is heard of."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from eels_iontransport.acquire import syncing
from eels_iontransport.acquire.journal_files import RowFiles, read_lines
from eels_iontransport.acquire.port import RowNote
from eels_iontransport.acquire.syncing import Syncer

ROW = np.arange(8.0)


def wait_for(condition, timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


@pytest.fixture
def synced(monkeypatch) -> list[float]:
    """When each file was brought to the disk."""
    times: list[float] = []
    monkeypatch.setattr(syncing, "sync", lambda file: times.append(time.monotonic()))
    return times


def test_a_last_row_needs_no_other_to_come_to_the_disk(tmp_path: Path, synced):
    files = RowFiles(tmp_path, 5, 8)
    for _ in range(3):
        files.append(ROW, RowNote(""))
    last = time.monotonic()
    assert wait_for(lambda: len(synced) >= 2 and synced[-1] >= last)
    files.close()
    assert len(read_lines(tmp_path)) == 3


def test_nobody_waits_for_a_slow_disk(tmp_path: Path, monkeypatch):
    answers, asked = threading.Event(), threading.Event()
    monkeypatch.setattr(syncing, "sync", lambda file: (asked.set(), answers.wait(60.0)))
    files = RowFiles(tmp_path, 50, 8)
    begun = time.monotonic()
    for _ in range(50):
        files.append(ROW, RowNote(""))
    assert asked.wait(5.0) and time.monotonic() - begun < 30.0  # while the disk has not answered at all
    answers.set()
    files.close()


def test_a_disk_that_refuses_is_heard_of_at_the_next_row_and_at_the_end(tmp_path: Path, monkeypatch):
    def refuse(file) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    files = RowFiles(tmp_path, 5, 8)
    monkeypatch.setattr(syncing, "sync", refuse)
    files.append(ROW, RowNote(""))
    assert wait_for(lambda: files._syncer._problem is not None)
    with pytest.raises(OSError, match="Input/output"):
        files.append(ROW, RowNote(""))
    assert files.rows == 1
    with pytest.raises(OSError, match="Input/output"):
        files.close()


def test_the_thread_ends_with_the_files_and_has_everything_on_the_disk(tmp_path: Path, synced):
    with (tmp_path / "file").open("wb", buffering=0) as file:
        syncer = Syncer([file])
        syncer.tell()
        syncer.close()
        assert synced and not syncer._thread.is_alive()
