"""Live computations of the host: registering, creating, and reaching their inputs and outputs.

Every use of the host's model of computations is here; all of it is for the main thread, except where said.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from nion.swift.model import DataItem, DocumentModel, Graphics, Symbolic

Source: TypeAlias = DataItem.DataItem | Graphics.Graphic

SOURCES = "sources"


def register(computation_id: str, handler: Callable[[Any], Any]) -> None:
    """Make a computation type known to the host; before a project that uses it is opened."""
    Symbolic.register_computation_type(computation_id, handler)


def create(
    document_model: DocumentModel.DocumentModel,
    computation_id: str,
    *,
    master: tuple[str, DataItem.DataItem],
    sources: Sequence[Source],
    values: Mapping[str, str | int | float],
    outputs: Mapping[str, DataItem.DataItem],
    label: str,
) -> Symbolic.Computation:
    """A computation that runs whenever one of its sources or values changes.

    Deleting `master` (name, item) deletes the outputs. Any other of the `sources` can be deleted and leaves a
    computation without it, because they are kept as one list, of which the master is the first.
    """
    computation = document_model.create_computation()
    name, item = master
    computation.create_input_item(name, Symbolic.make_item(item))
    computation.create_input_item(SOURCES, Symbolic.make_item_list([item, *sources]))
    for key, value in values.items():
        computation.create_variable(key, value_type=_value_type(value), value=value)
    for key, output in outputs.items():
        computation.create_output_item(key, Symbolic.make_item(output))
    computation.processing_id = computation_id
    computation.label = label
    document_model.append_computation(computation)
    return computation


def find(
    document_model: DocumentModel.DocumentModel, computation_id: str, item: DataItem.DataItem
) -> list[Symbolic.Computation]:
    """The computations of this type that have the item among their inputs or outputs."""
    return [
        computation
        for computation in document_model.computations
        if computation.processing_id == computation_id
        and (item in computation.input_items or item in computation.output_items)
    ]


def data_sources(computation: Symbolic.Computation) -> list[DataItem.DataItem]:
    """The data items among the inputs, the master first. From any thread."""
    return [item for item in list(computation.input_items) if isinstance(item, DataItem.DataItem)]


def graphic_sources(computation: Symbolic.Computation) -> list[Graphics.Graphic]:
    """The graphics among the inputs. From any thread."""
    return [item for item in list(computation.input_items) if isinstance(item, Graphics.Graphic)]


def add_sources(computation: Symbolic.Computation, items: Iterable[Source]) -> None:
    """Append inputs that are not there yet."""
    for item in items:
        if item not in computation.input_items:
            count = len(data_sources(computation)) + len(graphic_sources(computation))
            computation.insert_item_into_objects(SOURCES, count, Symbolic.make_item(item))


def value(computation: Symbolic.Computation, name: str, default: Any = None) -> Any:
    """A parameter of the computation. From any thread."""
    for variable in list(computation.variables):
        if variable.name == name:
            return variable.value
    return default


def set_value(computation: Symbolic.Computation, name: str, new_value: str | int | float) -> None:
    """Set a parameter, adding it if the computation was saved without; runs the computation if it differs."""
    if value(computation, name) == new_value:
        return
    if any(variable.name == name for variable in computation.variables):
        computation.set_input_value(name, new_value)
    else:
        computation.create_variable(name, value_type=_value_type(new_value), value=new_value)


def outputs(computation: Symbolic.Computation) -> dict[str, DataItem.DataItem]:
    """The output items by name. From any thread."""
    items = {result.name: computation.get_output(result.name) for result in list(computation.results) if result.name}
    return {name: item for name, item in items.items() if isinstance(item, DataItem.DataItem)}


def add_output(computation: Symbolic.Computation, name: str, item: DataItem.DataItem) -> None:
    computation.create_output_item(name, Symbolic.make_item(item))


def is_idle(computation: Symbolic.Computation) -> bool:
    """Whether its results are those of its inputs: no run is under way or due."""
    return not (computation.needs_update or computation.is_running or getattr(computation, "is_pending", False))


def requester(computation: Symbolic.Computation) -> Callable[[], None]:
    """Something to call from any thread that makes the computation run again, if it is still there by then."""
    reference = weakref.ref(computation)
    event_loop = document_model(computation).event_loop

    def run_again() -> None:
        live = reference()
        if live is not None and live.container is not None:
            live.needs_update = True
            live.computation_mutated_event.fire()

    def request() -> None:
        if event_loop is not None:
            with contextlib.suppress(RuntimeError):  # the window has been closed meanwhile
                event_loop.call_soon_threadsafe(run_again)

    return request


def document_model(computation: Symbolic.Computation) -> DocumentModel.DocumentModel:
    """The document that a computation belongs to."""
    for item in computation.output_items:
        if isinstance(item, DataItem.DataItem) and item._document_model is not None:
            return item._document_model
    raise LookupError("The computation has no output in an open document.")


def model(facade_computation: Any) -> Symbolic.Computation:
    """The computation behind the object that the host hands to a handler."""
    computation: Symbolic.Computation = facade_computation._computation
    return computation


def _value_type(example: str | int | float) -> Symbolic.ComputationVariableType:
    types = {
        str: Symbolic.ComputationVariableType.STRING,
        int: Symbolic.ComputationVariableType.INTEGRAL,
        float: Symbolic.ComputationVariableType.REAL,
    }
    return types[type(example)]
