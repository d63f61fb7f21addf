"""What a run has left is found and read, as far as it is right, and nothing of a run that still goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eels_iontransport.acquire import recovery
from eels_iontransport.acquire.claim import Claim, is_claimed
from eels_iontransport.acquire.journal_files import HEADER_BYTES, decode, encode, header
from eels_iontransport.acquire.journal_files import RowLine as Line
from eels_iontransport.data.record import Role, Status

from .test_journal import NOTE, RECORD, begin, only, rows

ROW_BYTES = 32 * 4


def left_behind(folder: Path, count: int = 3, record=RECORD) -> Path:
    """A journal that was never finished, and is not locked any more when its sink is gone."""
    sink = begin(folder / "left", record=record)
    for index, row in enumerate(rows(count)):
        sink.write(index, row, NOTE)
    return folder / "left"


def change(name: str, action):
    """Damage to a file of a journal, whose bytes `action` changes."""

    def damage(folder: Path) -> None:
        path = folder / name
        path.write_bytes(action(path.read_bytes()))

    return damage


def flip(at: int):
    return change("rows.npy", lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def lines(action):
    return change("rows.jsonl", lambda data: b"\n".join(action(data.split(b"\n"))))


# what is done to a journal of three rows, how many can be read, words of the reason
DAMAGES = {
    "none": (lambda folder: None, 3, "The program ended during the run; 3 of 5 rows recovered."),
    "a torn last line": (lines(lambda text: [*text[:2], text[2][:40]]), 2, "2 of 5 rows recovered."),
    "a last line without its end": (change("rows.jsonl", lambda data: data[:-1]), 3, "3 of 5 rows recovered."),
    "a last line of zeros": (lines(lambda text: [*text[:2], b"\0" * 90]), 2, "2 of 5 rows recovered."),
    "a torn line in the middle": (lines(lambda text: [text[0], text[1][:9], *text[2:]]), 1, "1 of 5 rows recovered."),
    "a line that is missing": (lines(lambda text: [text[0], *text[2:]]), 1, "1 of 5 rows recovered."),
    "a line twice": (lines(lambda text: [text[0], text[0], *text[1:]]), 1, "1 of 5 rows recovered."),
    "no lines": (change("rows.jsonl", lambda data: b""), 0, "0 of 5 rows recovered."),
    "a bit of the first row": (flip(HEADER_BYTES), 0, "0 of 5 rows recovered. Row 0 is damaged on the disk"),
    "a bit of the second row": (flip(HEADER_BYTES + 2 * ROW_BYTES - 1), 1, "Row 1 is damaged on the disk"),
    "a bit of the last row": (flip(HEADER_BYTES + 2 * ROW_BYTES), 2, "2 of 5 rows recovered. Row 2 is damaged"),
    "a bit of what was never taken": (flip(HEADER_BYTES + 4 * ROW_BYTES), 3, "3 of 5 rows recovered."),
    "rows cut short": (
        change("rows.npy", lambda data: data[: HEADER_BYTES + 2 * ROW_BYTES + 9]),
        2,
        "Row 2 is damaged",
    ),
    "rows cut off": (change("rows.npy", lambda data: data[: HEADER_BYTES + ROW_BYTES]), 1, "Row 1 is damaged"),
    "no rows": (change("rows.npy", lambda data: b""), 0, "Row 0 is damaged"),
    "a header torn": (change("rows.npy", lambda data: b"\0" * HEADER_BYTES + data[HEADER_BYTES:]), 3, "3 of 5 rows"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_what_is_right_is_read_and_nothing_else(tmp_path, case):
    damage, count, words = DAMAGES[case]
    folder = left_behind(tmp_path)
    damage(only(folder))
    journal = recovery.open_journal(only(folder))
    found = recovery.read(journal)
    np.testing.assert_array_equal(found.rows, rows(3)[:count])
    assert found.record.status is Status.FAULT and words in found.record.reason
    assert found.record.rows_valid == count and found.record.rows_planned == 5 and len(found.notes) == count
    spectra = found.spectra()
    assert spectra.valid.tolist() == [True] * count + [False] * (5 - count)
    np.testing.assert_array_equal(spectra.counts[:count], rows(3)[:count])


def test_a_journal_of_all_rows_is_complete(tmp_path):
    found = recovery.read(recovery.open_journal(only(left_behind(tmp_path, 5))))
    assert found.record == replace(RECORD, status=Status.COMPLETE, rows_valid=5, saturated_frames=1)


@pytest.mark.parametrize(
    ("taken", "valid", "passes"),
    [
        (0, [0, 0, 0, 0], None),
        (3, [1, 1, 1, 0], None),
        (4, [1, 1, 1, 1], None),
        (6, [1, 1, 1, 1], [[1, 1, 1, 1], [1, 1, 0, 0]]),
        (12, [1, 1, 1, 1], [[1, 1, 1, 1]] * 3),
    ],
)
def test_a_partial_pass_adds_to_the_pixels_that_it_has_reached(tmp_path, taken, valid, passes):
    record = replace(RECORD, rows_planned=12, passes=3)
    spectra = recovery.read(recovery.open_journal(only(left_behind(tmp_path, taken, record)))).spectra()
    assert spectra.valid.tolist() == [bool(v) for v in valid]
    data = np.zeros((12, 32))
    data[:taken] = rows(taken)
    np.testing.assert_array_equal(spectra.counts[spectra.valid], data.reshape(3, 4, 32).sum(axis=0)[spectra.valid])
    assert (None if spectra.passes is None else spectra.passes.any(axis=2).astype(int).tolist()) == passes
    begun = len(passes or [1])
    assert (spectra.frames, spectra.saturation_level) == (3 * begun, 3e6 * begun)


@pytest.mark.parametrize("role", Role)
def test_every_kind_of_step_is_read(tmp_path, role):
    record = replace(RECORD, role=role, **({"rows_planned": 6, "columns": 3} if role is Role.IMAGE else {}))
    found = recovery.read(recovery.open_journal(only(left_behind(tmp_path, 4, record))))
    assert found.record.role is role and found.spectra().valid.sum() == 4


def test_only_what_nobody_writes_and_no_item_holds_is_offered(tmp_path):
    folder, sink = left_behind(tmp_path), begin(tmp_path / "now")
    sink.write(0, rows()[0], NOTE)
    assert recovery.unfinished(tmp_path / "now") == []  # this program writes it
    (journal,) = recovery.unfinished(folder)
    assert journal.sentence() == (
        f"GB1 L1 vibrational of {journal.begun[:10]} {journal.begun[11:16]}: 3 of 5 rows. "
        "The program ended during the run."
    )
    recovery.close(journal)
    assert recovery.unfinished(folder) == []
    np.testing.assert_array_equal(np.load(only(folder) / "rows.npy"), rows(3))
    again = recovery.open_journal(only(folder))
    assert again.record == recovery.read(journal).record and again.record.status is Status.FAULT
    assert json.loads((only(folder) / "plan.json").read_text()) == {"name": "GB1"}


def test_a_journal_without_rows_is_not_offered(tmp_path):
    assert recovery.unfinished(left_behind(tmp_path, 0)) == []
    assert recovery.unfinished(tmp_path / "nowhere") == []


def test_closing_a_damaged_journal_leaves_its_rows(tmp_path):
    folder = left_behind(tmp_path)
    flip(HEADER_BYTES)(only(folder))
    recovery.close(recovery.open_journal(only(folder)))
    assert np.load(only(folder) / "rows.npy").shape == (5, 32)


BROKEN = {
    "torn": b'{"is_open": true, "record": {"role"',
    "not a journal": b"[1, 2]",
    "without a role": b'{"is_open": true, "record": {}, "title": "", "begun": "", "energy": {}, "step_nm": 1}',
    "empty": b"",
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_record_that_cannot_be_read_does_not_hide_the_others(tmp_path, case, caplog):
    folder = left_behind(tmp_path)
    (folder / "other" / "1 x").mkdir(parents=True)
    (folder / "other" / "1 x" / "record.json").write_bytes(BROKEN[case])
    assert [journal.rows for journal in recovery.unfinished(folder)] == [3]
    assert "cannot be read" in caplog.text


def test_a_lock_ends_with_its_program(tmp_path):
    path = tmp_path / "lock"
    script = (
        "import sys, time; from pathlib import Path; from eels_iontransport.acquire.claim import Claim\n"
        "claim = Claim(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        assert is_claimed(path)
        process.kill()
        process.wait(10.0)
    assert not is_claimed(path) and not is_claimed(tmp_path / "nothing")
    claim = Claim(path)
    assert is_claimed(path) and is_claimed(path)
    claim.release()
    assert not is_claimed(path)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"null", b"7", b'{"row": 1}', b"\xff\xfe", encode(Line(0, 1, NOTE))[:-9]]
)
def test_what_is_no_line_is_none(text):
    assert decode(text) is None


@pytest.mark.parametrize("note", [NOTE, replace(NOTE, place=None, drift_nm=None, beam_current_pa=None)])
def test_lines_are_read_as_they_are_written(note):
    assert decode(encode(Line(3, 2**32 - 1, note))) == Line(3, 2**32 - 1, note)


@pytest.mark.parametrize("shape", [(1, 16), (40, 2048), (10_000_000, 8192)])
def test_headers_have_one_length(tmp_path, shape):
    assert len(header(*shape)) == HEADER_BYTES
    with (tmp_path / "rows.npy").open("wb") as file:
        file.write(header(*shape))
    with (tmp_path / "rows.npy").open("rb") as file:
        assert np.lib.format.read_magic(file) == (1, 0)
        assert np.lib.format.read_array_header_1_0(file) == (shape, False, np.dtype("<f4"))
        assert file.tell() == HEADER_BYTES
