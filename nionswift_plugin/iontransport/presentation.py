"""Puts the results of a run into the items and displays of the host. Main thread only; computes nothing."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nion.swift.model import DataItem, DocumentModel, Symbolic

from eels_iontransport import wording
from eels_iontransport.data.record import METADATA_KEY

from . import results
from .evaluation import Shown
from .host import computations, display

AUTOMATIC = "automatic_regions"  # parameter: where the session itself put the region graphics

NOTHING, FITTING, PROVISIONAL = "not determined", "fitting", "provisional"


@dataclass(frozen=True)
class _Screen:
    """What an item was last given, to leave alone what the operator has changed since, and what is the same."""

    output: results.Output | None
    value_range: tuple[float, float] | None


_screens: weakref.WeakKeyDictionary[DataItem.DataItem, _Screen] = weakref.WeakKeyDictionary()


def show(facade_computation: Any, computation: Symbolic.Computation, result: Shown) -> None:
    """Show the results of a run: data, ranges, titles, and regions that were found."""
    document_model = computations.document_model(computation)
    texts = _texts(result)
    for name, item in computations.outputs(computation).items():
        output = result.outputs.get(name)
        content: dict[str, Any] = {"result": name}
        if name == results.FIT:
            content |= {"sentence": result.sentence, "progress": result.progress}
            content |= {"readout": dict(result.readout)} if result.is_settled else {}
        text = result.sentence or texts.get(name) or ("" if output is not None else NOTHING)
        _fill(facade_computation, document_model, name, item, output, content, text, result.is_settled)
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


def _fill(
    facade_computation: Any,
    document_model: DocumentModel.DocumentModel,
    name: str,
    item: DataItem.DataItem,
    output: results.Output | None,
    content: dict[str, Any],
    text: str,
    is_settled: bool,
) -> None:
    """Give an item its output and title, or blank it where there is no output."""
    shown, before = display.of(document_model, item), dict(item.metadata.get(METADATA_KEY, {}))
    screen = _screens.get(item)
    content["base"] = before.get("base", item.title)  # the title without what was found
    renamed = "title" in before and before["title"] != item.title
    content["title"] = before["title"] if renamed else f"{content['base']}: {text}" if text else content["base"]
    content["drawn"] = bool(before.get("drawn")) or output is not None
    if screen is None or not results.same(screen.output, output) or before != content:
        xdata = display.xdata(output or results.blank(name), {METADATA_KEY: content})
        if is_settled:
            facade_computation.set_referenced_xdata(name, xdata)
        else:  # without the metadata of all sources, which the host copies many times for each change
            item.set_xdata(xdata)
    if not renamed and item.title != content["title"]:
        item.title = content["title"]
    if output is None:
        _screens[item] = _Screen(None, screen.value_range if screen else display.get_range(shown))
        return
    zoomed = screen is not None and display.get_range(shown) not in (screen.value_range, None)
    if not zoomed:
        display.set_range(shown, output.value_range)
    _screens[item] = _Screen(output, screen.value_range if screen and zoomed else output.value_range)
    if name == results.MAP:
        display.cover(shown, output.covered)
    if not before.get("drawn"):
        display.add_ticks(shown, output.ticks)
        if output.view is not None:
            display.set_view(shown, output.view)


def _texts(result: Shown) -> dict[str, str]:
    """What is said of each result in its title, in the words of the panel."""
    if not result.is_settled:
        # A change of title costs as much as one of data, so that only the map counts the rows.
        state = FITTING if result.is_fitting else PROVISIONAL
        return {**dict.fromkeys(results.NAMES, PROVISIONAL), results.FIT: state, results.MAP: result.progress}
    words = wording.readout_text(result.readout, result.roles)
    fit = result.outputs.get(results.FIT)
    texts = dict.fromkeys(results.NAMES, result.progress)
    if fit is None:
        texts[results.FIT] = wording.not_determined(result.readout, "")
    else:
        texts[results.FIT] = fit.summary if result.roles.shift_peak else words.shift
    return {**texts, results.SHIFT: words.shift, results.RATIO: words.ratio}
