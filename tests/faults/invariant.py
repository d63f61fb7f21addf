"""What holds after every run, however it ended; one line for each thing that does not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eels_iontransport.acquire import recovery
from eels_iontransport.acquire.claim import is_claimed
from eels_iontransport.acquire.journal_files import LOCK, RECORD
from eels_iontransport.acquire.outcome import ABORTED_BY_OPERATOR, Ending
from eels_iontransport.data.record import Status

from .rig import Ran, Rig

# A sentence that names what to do has one of these words after its first clause.
ADVICE = re.compile(
    r"[;,(] ?(?:and |or |then )?(?:its \d+ rows )?(bring|check|choose|close|correct|do|free|give|leave|make|move|place|"
    r"recover|set|see|start|take|unblank|use|wait)\b|can be recovered"
)
TECHNICAL = re.compile(r"Traceback|\w+(Error|Exception|Fault)\b|Errno|<.*object at|\bNone\b|\bnan\b")
ENDED = {Ending.COMPLETE: Status.COMPLETE, Ending.ABORTED: Status.ABORTED, Ending.FAULT: Status.FAULT}


def violations(rig: Rig, ran: Ran, strays: tuple[str, ...] = ()) -> list[str]:
    """strays: what may not have come home; what has not is told as a problem."""
    return [
        *_home(rig, ran, strays),
        *_sentences(ran),
        *_steps(ran),
        *_rows(ran),
        *_journals(ran),
    ]


def _home(rig: Rig, ran: Ran, strays: tuple[str, ...]) -> Iterator[str]:
    away = [name for name, value in ran.found.items() if ran.left[name] != value]
    for name in away:
        if name not in strays:
            yield f"{name} was {ran.found[name]} and is {ran.left[name]}"
        if not any(name in problem for problem in ran.outcome.problems):
            yield f"nothing is said of {name}, which did not come home: {ran.outcome.problems}"
    if len(ran.outcome.problems) != len(away):
        yield f"{away} did not come home and it was said: {ran.outcome.problems}"
    if ran.actions["begin"] != ran.actions["end"]:
        yield f"{ran.actions['begin']} times begun and {ran.actions['end']} times ended"
    if rig.runner.is_running or rig.runner.is_paused:
        yield "the runner still runs"


def _sentences(ran: Ran) -> Iterator[str]:
    outcome = ran.outcome
    if (outcome.reason == "") != (outcome.ending is Ending.COMPLETE):
        yield f"the reason of {outcome.ending.value} is '{outcome.reason}'"
    for text in filter(None, (outcome.reason, *outcome.problems, *ran.said)):
        yield from sentence_faults(text)


def sentence_faults(text: str) -> Iterator[str]:
    """What is wrong with a sentence for the operator."""
    if not text.endswith(".") or re.search(r"[.!?;] +[A-Z]", text) or not text[:1].isupper():
        yield f"not one sentence: '{text}'"
    if TECHNICAL.search(text):
        yield f"not for an operator: '{text}'"
    if text != ABORTED_BY_OPERATOR and not ADVICE.search(text):
        yield f"does not say what to do: '{text}'"


def _steps(ran: Ran) -> Iterator[str]:
    """The account of the outcome is that of the items, and of the ending."""
    begun = [step for step in ran.outcome.steps if step.status is not None]
    if [step.title for step in begun[: len(ran.items)]] != [item.title for item in ran.items]:
        yield f"steps {[step.title for step in begun]} made items {[item.title for item in ran.items]}"
    if ran.outcome.ending is Ending.COMPLETE and len(begun) < len(ran.outcome.steps):
        yield "a step was left out of a complete run"
    for index, step in enumerate(begun):
        is_last = index == len(begun) - 1 and ran.outcome.ending is not Ending.COMPLETE
        if step.status not in ((Status.COMPLETE, ENDED[ran.outcome.ending]) if is_last else (Status.COMPLETE,)):
            yield f"{step.title} is {step.status} in a run that is {ran.outcome.ending}"
        if step.status is Status.COMPLETE and step.rows_valid != step.rows_planned:
            yield f"{step.title} is complete with {step.rows_valid} of {step.rows_planned} rows"


def _rows(ran: Ran) -> Iterator[str]:
    """Items hold the rows acknowledged, byte by byte and in order, and nothing else; the outcome counts them."""
    for step in ran.outcome.steps:
        given = _acknowledged(ran, step.title)
        if step.rows_valid != len(given):
            yield f"{step.title} says {step.rows_valid} rows and {len(given)} were acknowledged"
    for item in ran.items:
        given = _acknowledged(ran, item.title)
        kept = item._counts[: item.record.rows_valid].astype(np.float32)
        if item.finished and kept.tobytes() != given[: len(kept)].tobytes():
            yield f"the item {item.title} does not hold the rows acknowledged"
        if np.isfinite(item._counts[item.record.rows_valid :]).any():
            yield f"the item {item.title} holds rows that it does not count"


def _acknowledged(ran: Ran, title: str) -> np.ndarray:
    rows = [counts for known, counts in ran.acknowledged if known == title]
    return np.array(rows, np.float32) if rows else np.empty((0, 0), np.float32)


def _journals(ran: Ran) -> Iterator[str]:
    """Closed, unless rows did not come into an item; status, reason and rows those of outcome and item."""
    steps = {step.title: step for step in ran.outcome.steps}
    items = {item.title: item for item in ran.items}
    seen: Counter[str] = Counter()
    for path in sorted(ran.journals.glob(f"*/*/{RECORD}")):
        title = json.loads(path.read_bytes())["title"]
        seen[title] += 1
        if steps[title].rows_planned:
            yield from _journal(ran, path.parent, title, items.get(title))
    expected = Counter(title for title, _ in ran.acknowledged)
    if not seen.keys() >= expected.keys() or any(number > 1 for number in seen.values()):
        yield f"there are journals of {dict(seen)} and rows of {dict(expected)}"


def _journal(ran: Ran, folder: Path, title: str, item: Any) -> Iterator[str]:
    if is_claimed(folder / LOCK):
        yield f"the journal of {title} is still claimed"
    given = _acknowledged(ran, title)
    step = next(step for step in ran.outcome.steps if step.title == title)
    journal = recovery.open_journal(folder)
    content = json.loads((folder / RECORD).read_bytes())
    stored = np.load(folder / "rows.npy")
    if not np.array_equal(stored, given.reshape(len(given), stored.shape[1])):
        yield f"the journal of {title} does not hold the {len(given)} rows acknowledged"
    record = journal.record
    said = ran.outcome.reason if step.status is not Status.COMPLETE else ""
    if (record.status, record.rows_valid, journal.rows) != (step.status, step.rows_valid, len(given)):
        yield f"the journal of {title} says {record.status} {record.rows_valid} {journal.rows}, not {step}"
    if record.reason != said and given.size:
        yield f"the journal of {title} says '{record.reason}' and the outcome '{said}'"
    whole = item is not None and item.finished and item.record.rows_valid == len(given)
    if len(given) and content["is_open"] == whole:
        yield f"the journal of {title} is {'open' if whole else 'closed'}"
    if item is not None and item.finished and item.record.status is not record.status:
        yield f"the item {title} is {item.record.status} and its journal {record.status}"
    if item is not None and item.finished and item.record.reason != record.reason:
        yield f"the item {title} says '{item.record.reason}' and its journal '{record.reason}'"
