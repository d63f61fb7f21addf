"""A document on the test user interface, items as an acquisition makes them, and an analysis that plays a script."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from nion.data import Calibration, DataAndMetadata
from nion.swift import DocumentController, Facade
from nion.swift.model import DataItem
from nion.swift.test import TestContext

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Record, Role, Status
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.evaluation import Evaluation, FittedSpectrum

ROWS, CHANNELS, STEP_NM = 40, 400, 0.5
ENERGY = EnergyAxis(-0.01, 0.0004, CHANNELS)
FOUND = Regions(Region(0.0, 7.0), Region(9.0, 11.0), Region(13.0, 19.5))


def counts() -> np.ndarray:
    """A line whose every row is told by its level."""
    return np.arange(1.0, ROWS + 1)[:, None] * np.ones(CHANNELS)


def line_data(rows: int, status: Status, role: Role = Role.VIBRATIONAL) -> DataAndMetadata.DataAndMetadata:
    """A line of which so many rows have been taken."""
    data = counts()
    data[rows:] = 0.0
    axes = [
        Calibration.Calibration(0.0, STEP_NM, "nm"),
        Calibration.Calibration(ENERGY.offset_ev, ENERGY.step_ev, "eV"),
    ]
    metadata = Record(role, status, ROWS, rows).to_metadata()
    return DataAndMetadata.new_data_and_metadata(data, dimensional_calibrations=axes, metadata=metadata)


class Document:
    """A window without a user interface, and its document."""

    def __init__(self, window: DocumentController.DocumentController) -> None:
        self.window, self.model = window, window.document_model

    def add(self, title: str, data: DataAndMetadata.DataAndMetadata) -> DataItem.DataItem:
        item = DataItem.new_data_item(data)
        item.title = title
        self.model.append_data_item(item)
        return item

    def pump(self, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
        end = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end, "the host did not get there in time"
            self.window.periodic()
            time.sleep(0.005)
        self.window.periodic()

    def idle(self, seconds: float = 0.6) -> None:
        end = time.monotonic() + seconds
        self.pump(lambda: time.monotonic() > end)

    def display(self, item: DataItem.DataItem):
        return self.model.get_display_item_for_data_item(item)


@contextlib.contextmanager
def document() -> Iterator[Document]:
    Facade.initialize()
    setup = TestContext.TestSetup()
    with TestContext.create_memory_context() as context:
        yield Document(context.create_document_controller())
    del setup


class ScriptedSession:
    """Takes the place of the analysis: its centres are the rows' levels, its regions are found in whole lines only."""

    asked: list[ScriptedSession.Asked] = []
    error: Exception | None = None
    hold = threading.Event()  # fits wait for it

    class Asked:
        def __init__(self, rows: int, regions: Regions | None, roles: set[str], fits: bool, settled: bool) -> None:
            self.rows, self.regions, self.roles, self.fits, self.settled = rows, regions, roles, fits, settled
            self.time = time.monotonic()

    def __init__(self, recipe, *, mode="shared") -> None:
        self.recipe, self.mode, self.regions, self.inputs = recipe, mode, None, {}

    def update(self, **inputs) -> None:
        self.inputs = {role: spectra for role, spectra in inputs.items() if spectra is not None}

    def evaluate(self, *, should_stop=lambda: False, fits=True, settled=True) -> Evaluation:
        line = self.inputs["vibrational"]
        rows = int(line.valid.sum())
        type(self).asked.append(self.Asked(rows, self.regions, set(self.inputs), fits, settled))
        if fits:
            assert type(self).hold.wait(10.0)
        if type(self).error is not None:
            raise type(self).error
        regions = self.regions or (FOUND if line.valid.all() and line.is_line else None)
        return self._evaluation(line, regions, fits)

    def _evaluation(self, line, regions, fits: bool) -> Evaluation:
        level = np.where(line.valid, line.rows[:, 0], np.nan)
        profiles = {"thickness": level, "li_to_co": level / 10, "li_to_co_sigma": 0 * level + 0.5}
        if fits:
            profiles |= {"ldo_centre_mev": level, "ldo_centre_sigma_mev": np.ones_like(level)}
        energy = ENERGY.energies_mev
        fit = FittedSpectrum(energy, energy + 9, energy, {}, energy + 1, energy + 2, 1.0, 1.25)
        name = "boundary" if line.is_line else "spectrum"
        return Evaluation(
            {"ldo_peak": {"blue_shift_mev": {"value": 1.8, "sigma": 0.3}}, "flags": [], "rows": int(line.valid.sum())},
            line.position_nm,
            line.valid,
            regions,
            np.where(line.valid[:, None], line.rows, np.nan),
            ENERGY,
            {name: fit} if fits else {},
            None,
            profiles,
            self.recipe.shift_peak,
        )


def unusable(text: str) -> UnusableInput:
    return UnusableInput(text)
