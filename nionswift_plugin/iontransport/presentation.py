"""Puts the results of a run into the items and displays of the host. Main thread only; computes nothing."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nion.data import DataAndMetadata
from nion.swift.model import DataItem, DocumentModel, Symbolic

from eels_iontransport import wording
from eels_iontransport.data.record import METADATA_KEY, Role

from . import results
from .evaluation import Shown
from .host import computations, display

AUTOMATIC = "automatic_regions"  # parameter: where the session itself put the region graphics

_SOURCES = {results.RATIO: Role.CORE_LOSS, results.THICKNESS: Role.VALENCE}  # of the others the vibrational spectra

NOTHING, PROVISIONAL = "not determined", "provisional"


@dataclass(frozen=True)
class _Screen:
    """What an item was last given, to leave alone what the operator has changed since, and what is the same."""

    output: results.Output | None
    value_range: tuple[float, float] | None


_screens: weakref.WeakKeyDictionary[DataItem.DataItem, _Screen] = weakref.WeakKeyDictionary()


def show(facade_computation: Any, computation: Symbolic.Computation, result: Shown) -> None:
    """Show the results of a run: data, ranges, titles, and regions that were found."""
    document_model = computations.document_model(computation)
    presenter = _Presenter(facade_computation, document_model, result)
    for name, item in computations.outputs(computation).items():
        presenter.show(name, item)
    if result.automatic and result.intervals:
        place_regions(document_model, computation, result.intervals, automatic=True)


def place_regions(
    document_model: DocumentModel.DocumentModel,
    computation: Symbolic.Computation,
    places: Mapping[str, tuple[float, float]],
    *,
    automatic: bool = False,
) -> None:
    """Put the region graphics there, making them on the first profile if there are none."""
    if automatic:
        computations.set_value(computation, AUTOMATIC, json.dumps(places))
    graphics = computations.graphic_sources(computation)
    if graphics:
        display.set_intervals(graphics, places)
        return
    made = computations.outputs(computation)
    profile = next((made[name] for name in results.PROFILES if name in made), None)
    if profile is not None:
        shown = display.of(document_model, profile)
        computations.add_sources(computation, display.add_intervals(shown, places, results.LABELS, results.COLOURS))


class _Presenter:
    """Shows one result of a run after the other."""

    def __init__(self, facade_computation: Any, document_model: DocumentModel.DocumentModel, result: Shown) -> None:
        self._facade_computation = facade_computation
        self._document_model = document_model
        self._result = result
        self._texts = _texts(result)

    def show(self, name: str, item: DataItem.DataItem) -> None:
        """Give an item its output and title, or blank it where there is no output."""
        output, before = self._result.outputs.get(name), dict(item.metadata.get(METADATA_KEY, {}))
        found = self._texts.get(name) or ("" if output is not None else NOTHING)
        text = self._result.sentence or _of_part(found, self._part(name))
        content = {**self._content(name), **_title(item, before, text)}
        content["drawn"] = bool(before.get("drawn")) or output is not None
        screen = _screens.get(item)
        if screen is None or not results.same(screen.output, output) or before != content:
            self._set_data(name, item, display.xdata(output or results.blank(name), {METADATA_KEY: content}))
        if before.get("title", item.title) == item.title != content["title"]:
            item.title = content["title"]
        self._set_view(name, item, output, is_first=not before.get("drawn"))

    def _part(self, name: str) -> str:
        """How many rows of its source a settled result comes from, where these are not all."""
        return self._result.progress.get(_SOURCES.get(name, Role.VIBRATIONAL), "") if self._result.is_settled else ""

    def _content(self, name: str) -> dict[str, Any]:
        """What the item itself keeps; the fit keeps the readout once it is settled."""
        if name != results.FIT:
            return {"result": name}
        kept = {"result": name, "sentence": self._result.sentence}
        return {**kept, "readout": dict(self._result.readout)} if self._result.is_settled else kept

    def _set_data(self, name: str, item: DataItem.DataItem, xdata: DataAndMetadata.DataAndMetadata) -> None:
        if self._result.is_settled:
            self._facade_computation.set_referenced_xdata(name, xdata)
        else:  # without the metadata of all sources, which the host copies many times for each change
            item.set_xdata(xdata)

    def _set_view(self, name: str, item: DataItem.DataItem, output: results.Output | None, *, is_first: bool) -> None:
        """Ranges, unless the operator has changed them, and what is drawn over the data."""
        shown, screen = display.of(self._document_model, item), _screens.get(item)
        if output is None:
            _screens[item] = _Screen(None, screen.value_range if screen else display.get_range(shown))
            return
        zoomed = screen is not None and display.get_range(shown) not in (screen.value_range, None)
        if not zoomed:
            display.set_range(shown, output.value_range)
        _screens[item] = _Screen(output, screen.value_range if screen and zoomed else output.value_range)
        if name == results.MAP:
            display.cover(shown, output.covered)
        if is_first:
            display.add_ticks(shown, output.ticks)
            if output.view is not None:
                display.set_view(shown, output.view)


def _title(item: DataItem.DataItem, before: Mapping[str, Any], text: str) -> dict[str, str]:
    """The title without and with what was found; one that the operator has changed stays."""
    base = before.get("base", item.title)
    if "title" in before and before["title"] != item.title:
        return {"base": base, "title": before["title"]}
    return {"base": base, "title": f"{base}: {text}" if text else base}


def _texts(result: Shown) -> dict[str, str]:
    """What is said of each result in its title, in the words of the panel."""
    if not result.is_settled:
        # No count of rows: a change of title costs the window as much as one of data.
        return dict.fromkeys(results.NAMES, PROVISIONAL)
    words = wording.readout_text(result.readout, result.roles)
    fit = result.outputs.get(results.FIT)
    texts = dict.fromkeys(results.NAMES, "")
    if fit is None:
        texts[results.FIT] = wording.no_fit(result.readout)
    else:
        texts[results.FIT] = fit.summary if result.roles.shift_peak else words.shift
    return {**texts, results.SHIFT: words.shift, results.RATIO: words.ratio}


def _of_part(text: str, progress: str) -> str:
    """What is said of a result, with the part of the rows that it comes from."""
    return f"{text} ({progress})" if text and progress else text or progress
