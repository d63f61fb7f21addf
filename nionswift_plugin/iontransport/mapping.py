"""Maps of a spectrum image: fitted in a thread of their own, in items that say how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from nion.swift.model import DataItem, DocumentModel

from eels_iontransport import materials
from eels_iontransport.arguments import choose_quantities
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.image import SpectrumImage
from eels_iontransport.data.record import METADATA_KEY, Role
from eels_iontransport.data.spectrum import Spectra
from eels_iontransport.decomposition.engine import Cancelled
from eels_iontransport.map_kinds import Kind, of_peaks
from eels_iontransport.maps import PeakMaps

from . import results, roles
from .evaluation import spectra_of
from .host import display
from .host.image import hold, image_of, map_axes
from .host.main_thread import MainThread

_LOG = logging.getLogger(__name__)

MODE = "shared"
RESULT = "peak_map"  # what the items are, in their metadata
NO_IMAGE = "Select a spectrum image, and with it the aloof spectrum and the vacuum zero-loss peak that belong to it."
_UPDATE_PERIOD_S = 0.5
_REFERENCES = (Role.ALOOF, Role.ZLP)

OnFault = Callable[[str], None]


def map_image(
    document_model: DocumentModel.DocumentModel, material: str, items: Sequence[DataItem.DataItem], on_fault: OnFault
) -> MapRun:
    """Map the spectrum image among some items, with the references among them; returns at once.

    on_fault: told on the main thread why there will be no maps. Main thread. Raises UnusableInput.
    """
    recipe = materials.load(material)
    source, others = _image_among(items)
    image = image_of(source)
    references = _references(others)
    run = MapRun(document_model, source, image, references, recipe, on_fault)
    run.start()
    return run


class MapRun:
    """Maps under way, or done. Deleting the items, or the image, ends it."""

    def __init__(
        self,
        document_model: DocumentModel.DocumentModel,
        source: DataItem.DataItem,
        image: SpectrumImage,
        references: Mapping[Role, Spectra],
        recipe: materials.Recipe,
        on_fault: OnFault,
    ) -> None:
        self._document_model, self._main_thread = document_model, MainThread(document_model)
        self._source, self._image, self._references, self._recipe = source, image, references, recipe
        self._on_fault = on_fault
        self._stopped = False
        self._next = 0.0
        self._let_go = hold(source)
        self._kinds = of_peaks(choose_quantities(None, recipe))
        self.items = {kind.name: self._new_item(kind) for kind in self._kinds}
        self._thread = threading.Thread(target=self._work, name="ion transport maps", daemon=True)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Give up; from any thread, returns at once. The items stay as they are."""
        self._stopped = True

    def _should_stop(self) -> bool:
        return self._stopped or self._source._closed or all(item._closed for item in self.items.values())

    def _work(self) -> None:
        try:
            maps = self._fit()
            caption = self._caption(maps)
            for kind in self._kinds:  # one at a time: each keeps the window from its work for a moment
                self._main_thread.call(partial(self._show, kind, maps, caption))
        except Cancelled:
            pass
        except UnusableInput as error:
            self._give_up(str(error))
        except Exception as error:
            if not self._should_stop():  # an item that is closed while it is read fails anyhow
                _LOG.exception("An image could not be mapped")
                self._give_up(f"'{self._source.title}' could not be mapped ({type(error).__name__}: {error}).")
        finally:
            self._call(self._let_go)

    def _fit(self) -> PeakMaps:
        from eels_iontransport.image import decompose_image  # late: the fitting code would hold up the host's start

        aloof, vacuum = (self._references.get(role) for role in _REFERENCES)
        return decompose_image(
            self._image,
            self._recipe,
            aloof=aloof,
            zlp=vacuum,
            mode=MODE,
            should_stop=self._should_stop,
            progress=self._follow,
        )

    def _follow(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _UPDATE_PERIOD_S
            self._call(lambda: self._set_titles(f"{text.lower()}, {done / max(total, 1):.0%}"))

    def _call(self, function: Callable[[], None]) -> None:
        """On the main thread, where there still is one."""
        try:
            self._main_thread.call(function)
        except (TimeoutError, RuntimeError):
            self._stopped = True

    def _give_up(self, sentence: str) -> None:
        def remove() -> None:
            for item in self._open_items().values():
                self._document_model.remove_data_item(item)
            self._on_fault(sentence)

        self._call(remove)

    def _open_items(self) -> dict[Kind, DataItem.DataItem]:
        return {kind: self.items[kind.name] for kind in self._kinds if not self.items[kind.name]._closed}

    def _new_item(self, kind: Kind) -> DataItem.DataItem:
        blank = np.full(self._image.shape, np.nan, np.float32)
        item = display.new_item(self._document_model, self._title(kind), blank, None)
        item.set_xdata(display.xdata(self._output(kind, blank), self._metadata(kind, ())))
        return item

    def _title(self, kind: Kind) -> str:
        return f"{self._source.title} {kind.title}"

    def _set_titles(self, text: str) -> None:
        for kind, item in self._open_items().items():
            item.title = f"{self._title(kind)}: {text}"

    def _caption(self, maps: PeakMaps) -> str:
        height, width = maps.shape
        fitted = int((maps.optima > 0).sum())
        doubts = " ".join(flag.message for flag in maps.flags)
        return f"{self._recipe.title}, mode {MODE}: {fitted} of {height * width} pixels fitted. {doubts}".strip()

    def _show(self, kind: Kind, maps: PeakMaps, caption: str) -> None:
        item = self.items[kind.name]
        if item._closed:
            return
        output = self._output(kind, kind.values(maps))
        display.set_range(display.of(self._document_model, item), output.value_range)
        with item.data_item_changes():
            item.set_xdata(display.xdata(output, self._metadata(kind, [flag.to_dict() for flag in maps.flags])))
            item.title = f"{self._title(kind)}: {output.summary}"
            item.caption = item.description = caption

    def _output(self, kind: Kind, values: np.ndarray) -> results.Output:
        finite = values[np.isfinite(values)]
        value_range, summary = (0.0, 1.0), "not determined"
        if finite.size:
            low, high = (float(end) for end in np.percentile(finite, results.MAP_PERCENTILES))
            value_range = (low, high) if high > low else (low - 0.5, low + 0.5)
            summary = f"median {np.median(finite):.4g} {kind.unit}".rstrip()
        return results.Output(values, map_axes(self._source), kind.unit, value_range, summary)

    def _metadata(self, kind: Kind, flags: Sequence[Mapping[str, str]]) -> dict[str, object]:
        content = {"result": RESULT, "map": kind.name, "source": str(self._source.uuid), "flags": list(flags)}
        return {METADATA_KEY: {**content, "material": self._recipe.name, "mode": MODE}}


def _image_among(items: Sequence[DataItem.DataItem]) -> tuple[DataItem.DataItem, list[DataItem.DataItem]]:
    """The one image, and the other items. One item alone is what is mapped. Raises UnusableInput."""
    if not items:
        raise UnusableInput(NO_IMAGE)
    images = [item for item in items if len(item.data_shape) > 2] if len(items) > 1 else list(items)
    if len(images) > 1:
        raise UnusableInput(f"'{images[0].title}' and '{images[1].title}' are both images; select one of them.")
    if not images:
        raise UnusableInput(NO_IMAGE)
    return images[0], [item for item in items if item is not images[0]]


def _references(items: Sequence[DataItem.DataItem]) -> dict[Role, Spectra]:
    """The spectra that belong to an image, by role. Raises UnusableInput."""
    found: dict[Role, Spectra] = {}
    for item in items:
        spectra = spectra_of(item)
        role = roles.role_of(item.title, spectra)
        if role not in _REFERENCES:
            raise UnusableInput(
                f"'{item.title}' is neither an aloof spectrum nor a vacuum zero-loss peak; leave it out."
            )
        if role in found:
            raise UnusableInput(f"'{item.title}' and '{found[role].name}' are both {role.value} spectra; select one.")
        found[role] = spectra
    return found
