"""The session computation: one live computation turns the spectra of a session into all of its results.

Saved projects name it by `COMPUTATION_ID` and hold its parameters, so both stay; `version` tells later readers which
parameters to expect.
"""

from __future__ import annotations

import json
import logging
import time
import weakref
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from nion.swift.model import DataItem, DocumentModel, Symbolic

from eels_iontransport import materials
from eels_iontransport.data.record import METADATA_KEY, Role
from eels_iontransport.data.regions import Regions
from eels_iontransport.materials import Recipe

from . import presentation, results
from .evaluation import LiveSession, Request, Shown, Throttle, spectra_of
from .host import computations, display

_LOG = logging.getLogger(__name__)

Given: TypeAlias = DataItem.DataItem | Sequence[DataItem.DataItem]
Items: TypeAlias = dict[Role, tuple[DataItem.DataItem, ...]]

COMPUTATION_ID = "eels_iontransport.session"
VERSION = 1
INPUTS = (Role.VIBRATIONAL, Role.ALOOF, Role.ZLP, Role.VALENCE, Role.CORE_LOSS)

_RUNS_PER_SECOND = 3.0
_SHARE = 0.5  # of the time that runs may take, not counting fits
_throttle = Throttle(1.0 / _RUNS_PER_SECOND, _SHARE)
_sessions: weakref.WeakKeyDictionary[Symbolic.Computation, LiveSession] = weakref.WeakKeyDictionary()


class SessionComputation:
    """Runs the session on the host's worker thread and shows its results on the main thread."""

    label = "Ion transport session"
    inputs = {
        "vibrational": {"label": "Vibrational spectra"},
        "sources": {"label": "Spectra and regions"},
        "material": {"label": "Material"},
        "mode": {"label": "Mode"},
    }
    outputs = {
        results.MAP: {"label": "Normalised map"},
        results.REGIONS: {"label": "Regions"},
        results.FIT: {"label": "Fit"},
        results.SHIFT: {"label": "Shift"},
        results.RATIO: {"label": "Ratio"},
        results.THICKNESS: {"label": "t/lambda"},
    }

    def __init__(self, computation: Any, **kwargs: Any) -> None:
        self.computation = computation
        self._model = computations.model(computation)
        self._session = _sessions.setdefault(self._model, LiveSession())
        self._result = Shown()
        self._executed = time.monotonic()

    def execute(self, **kwargs: Any) -> None:
        """Recompute what changed. What stands in the way becomes a sentence in the results, never an exception."""
        _throttle.wait()
        start = time.monotonic()
        model = self._model
        request = Request(
            items=_items_by_role(model),
            material=computations.value(model, "material"),
            mode=computations.value(model, "mode"),
            intervals=display.intervals(computations.graphic_sources(model)),
            automatic=json.loads(computations.value(model, presentation.AUTOMATIC, "{}")),
            wanted=list(computations.outputs(model)),
        )
        self._result = self._session.run(request, computations.requester(model))
        self._executed = time.monotonic()
        _throttle.spent(self._executed - start)

    def commit(self) -> None:
        """Set data and display properties; nothing is computed here."""
        try:
            presentation.show(self.computation, self._model, self._result)
        except Exception:  # the host would drop it, and with it every later run of this computation
            _LOG.exception("The results of a live session could not be shown")
        _throttle.spent(time.monotonic() - self._executed)  # a window that comes late to this is busy enough


def register() -> None:
    """Make the computation known to the host; at import of the plug-in, before a project is opened."""
    computations.register(COMPUTATION_ID, SessionComputation)
    display.quiet_regions(tuple(results.LABELS))


def attach_session(
    document_model: DocumentModel.DocumentModel,
    items: Mapping[Role, Given] | Mapping[str, Given],
    material: str,
    *,
    mode: str = "shared",
    regions: Regions | None = None,
) -> dict[str, DataItem.DataItem]:
    """Analyse items live; returns the result items by the names in `results` (map, regions, fit, shift, ratio, ...).

    `items` by role; "vibrational" has to be there. Several of one line are analysed together, as its passes, in the
    order in which they are given. Attaching more items to the same (first) vibrational item, material and mode adds
    them, and the results they bring, to the session that is there; those of a role take the place of the ones that the
    session had for it. The readout is kept with the fit.
    Regions are found by themselves until they are given here or their graphics are dragged.

    Main thread only. Raises UnusableInput for a material that cannot be read.
    """
    by_role = {Role(role): _as_tuple(given) for role, given in items.items()}
    vibrational = by_role[Role.VIBRATIONAL][0]
    recipe = materials.load(material)
    computation = _existing(document_model, vibrational, material, mode)
    made = computations.outputs(computation) if computation is not None else {}
    if computation is not None:
        by_role = {**_items_by_role(computation), **by_role}
    wanted = results.expected(recipe, [role.value for role in by_role], spectra_of(vibrational).is_line)
    added = _new_outputs(document_model, [name for name in wanted if name not in made], recipe, vibrational)
    if computation is None:
        computation = _create(document_model, by_role, material, mode, added)
    else:
        _join(computation, by_role, added)
    if regions is not None:
        _give_regions(document_model, computation, regions)
    return computations.outputs(computation)


def result_items(document_model: DocumentModel.DocumentModel, item: DataItem.DataItem) -> dict[str, DataItem.DataItem]:
    """The results, by name, of the session that an item belongs to, as spectrum or as result."""
    found = computations.find(document_model, COMPUTATION_ID, item)
    return computations.outputs(found[0]) if found else {}


def newest_line(document_model: DocumentModel.DocumentModel) -> DataItem.DataItem | None:
    """The (first) vibrational item of the session that was attached last; None where there is no session."""
    for computation in reversed(document_model.computations):
        if computation.processing_id == COMPUTATION_ID:
            return next(iter(_items_by_role(computation).get(Role.VIBRATIONAL, ())), None)
    return None


def spectra_items(document_model: DocumentModel.DocumentModel, item: DataItem.DataItem) -> Items:
    """The spectra, by role, of the session that an item belongs to, as spectrum or as result."""
    found = computations.find(document_model, COMPUTATION_ID, item)
    return _items_by_role(found[0]) if found else {}


def is_result(document_model: DocumentModel.DocumentModel, item: DataItem.DataItem) -> bool:
    """Whether an item is a result of a session, not a spectrum."""
    found = computations.find(document_model, COMPUTATION_ID, item)
    return any(item in computations.outputs(computation).values() for computation in found)


def readout(document_model: DocumentModel.DocumentModel, item: DataItem.DataItem) -> dict[str, Any] | None:
    """The readout of the session that an item belongs to, as spectrum or as result; None where there is none.

    While rows arrive it is that of the rows that have been fitted so far.
    """
    for computation in computations.find(document_model, COMPUTATION_ID, item):
        live = _sessions.get(computation)
        found = live.shown.readout if live is not None else _kept(computation).get("readout")
        if found:
            return dict(found)
    return None


def sentence(document_model: DocumentModel.DocumentModel, item: DataItem.DataItem) -> str:
    """What stands in the way of results of the session that an item belongs to; empty where nothing does."""
    for computation in computations.find(document_model, COMPUTATION_ID, item):
        live = _sessions.get(computation)
        return live.shown.sentence if live is not None else str(_kept(computation).get("sentence", ""))
    return ""


def is_settled(document_model: DocumentModel.DocumentModel, item: DataItem.DataItem) -> bool:
    """Whether the results of the session that an item belongs to are those of all of its rows."""
    found = computations.find(document_model, COMPUTATION_ID, item)
    if not found or not computations.is_idle(found[0]):
        return False
    live = _sessions.get(found[0])
    return live.shown.is_settled if live is not None else bool(_kept(found[0]))


def _kept(computation: Symbolic.Computation) -> Mapping[str, Any]:
    """What the fit keeps of the last run, from this process or one before."""
    fit = computations.outputs(computation).get(results.FIT)
    content: Mapping[str, Any] = fit.metadata.get(METADATA_KEY, {}) if fit is not None else {}
    return content


def _create(
    document_model: DocumentModel.DocumentModel,
    items: Items,
    material: str,
    mode: str,
    outputs: Mapping[str, DataItem.DataItem],
) -> Symbolic.Computation:
    values: dict[str, str | int | float] = {
        "version": VERSION,
        "material": material,
        "mode": mode,
        "roles": _roles(items),
        presentation.AUTOMATIC: "{}",
    }
    first, *passes = items[Role.VIBRATIONAL]
    return computations.create(
        document_model,
        COMPUTATION_ID,
        master=(Role.VIBRATIONAL.value, first),
        sources=[*passes, *chain(*(of_role for role, of_role in items.items() if role is not Role.VIBRATIONAL))],
        values=values,
        outputs=outputs,
        label=SessionComputation.label,
    )


def _join(
    computation: Symbolic.Computation,
    items: Items,
    outputs: Mapping[str, DataItem.DataItem],
) -> None:
    """Add items, and the outputs that they bring, to a session."""
    for name, item in outputs.items():
        computations.add_output(computation, name, item)
    computations.set_value(computation, "roles", _roles(items))
    computations.add_sources(computation, chain(*items.values()))


def _roles(items: Items) -> str:
    """The parameter that tells the roles of the sources, of which some may be deleted later: JSON, by item."""
    return json.dumps({str(item.uuid): role.value for role, of_role in items.items() for item in of_role})


def _existing(
    document_model: DocumentModel.DocumentModel, vibrational: DataItem.DataItem, material: str, mode: str
) -> Symbolic.Computation | None:
    for computation in computations.find(document_model, COMPUTATION_ID, vibrational):
        parameters = (computations.value(computation, "material"), computations.value(computation, "mode"))
        if parameters == (material, mode) and computations.data_sources(computation)[:1] == [vibrational]:
            return computation
    return None


def _items_by_role(computation: Symbolic.Computation) -> Items:
    """In the order in which they came to the session. Some may have none of the roles, as others took their places."""
    roles = json.loads(computations.value(computation, "roles", "{}"))
    found: Items = {}
    for item in dict.fromkeys(computations.data_sources(computation)):  # the first one is there twice
        if str(item.uuid) in roles:
            role = Role(roles[str(item.uuid)])
            found[role] = (*found.get(role, ()), item)
    return found


def _as_tuple(given: Given) -> tuple[DataItem.DataItem, ...]:
    return (given,) if isinstance(given, DataItem.DataItem) else tuple(given)


def _new_outputs(
    document_model: DocumentModel.DocumentModel, names: list[str], recipe: Recipe, vibrational: DataItem.DataItem
) -> dict[str, DataItem.DataItem]:
    base = vibrational.title.removesuffix(" vibrational")
    titles = results.titles(recipe)
    made = {}
    for name in names:
        title = f"{base} {titles[name]}"
        made[name] = display.new_item(document_model, title, results.blank(name).data, results.layers(name, recipe))
    return made


def _give_regions(
    document_model: DocumentModel.DocumentModel, computation: Symbolic.Computation, regions: Regions
) -> None:
    spectra = spectra_of(computations.data_sources(computation)[0])
    places = results.fractions(regions, results.line_axis(spectra.position_nm), len(spectra.rows))
    presentation.place_regions(document_model, computation, places)
