"""One run as the panel sees it: started, followed, ended; its items analysed live while rows arrive. Main thread."""

from __future__ import annotations

import logging
from typing import Any

from nion.swift.model import DataItem, DocumentModel
from nion.utils import Registry

from eels_iontransport.acquire.outcome import Outcome, Progress
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field
from eels_iontransport.data.record import Role

from .. import live
from ..host import run as host_run
from .model import Microscope

_LOG = logging.getLogger(__name__)

CLOSE_WAIT_S = 5.0


class Run:
    """A plan being run, in the field of a survey; `poll` until it returns True."""

    def __init__(self, document_model: DocumentModel.DocumentModel, plan: Plan, site: Site, field: Field) -> None:
        self.document_model = document_model
        self.plan = plan
        self.stopping = False
        self.notice = ""
        self.progress: Progress | None = None
        self._attached: dict[Role, DataItem.DataItem] = {}
        self._handle = host_run.start_run(document_model, plan, site, field=field, on_progress=self._follow)

    def _follow(self, progress: Progress) -> None:
        self.progress = progress  # from the run's thread; one assignment, read by the panel's refresh

    @property
    def outcome(self) -> Outcome | None:
        return self._handle.outcome

    def items(self) -> dict[Role, DataItem.DataItem]:
        """The items made so far that still exist."""
        return self._handle.items()

    def poll(self) -> bool:
        """Attach new items to the live session; True once the run has ended and the microscope is home."""
        ended = self._handle.outcome is not None
        self._attach()
        return ended

    def abort(self) -> None:
        self.stopping = True
        self._handle.abort()

    def close(self) -> None:
        """Abort and wait for the rows to be stored, because the document closes."""
        self.abort()
        if self._handle.join(CLOSE_WAIT_S) is None:
            _LOG.warning("The run did not end within %g s of closing the window", CLOSE_WAIT_S)
        self._let_the_host_catch_up()

    def _let_the_host_catch_up(self) -> None:
        """Other panels follow the probe and the scan a moment later, which has to be before they are closed."""
        loop = self.document_model.event_loop
        if loop is not None and not loop.is_running():
            loop.stop()  # after one round of what waits
            loop.run_forever()

    @property
    def has_live_results(self) -> bool:
        """The line's items are there, and analysed as they grow."""
        return bool(self._attached) and not self.notice

    def results(self) -> dict[str, DataItem.DataItem]:
        """The result items so far, by name."""
        vibrational = self._attached.get(Role.VIBRATIONAL)
        return live.result_items(self.document_model, vibrational) if vibrational is not None else {}

    def readout(self) -> dict[str, Any] | None:
        """The live readout of what this run has acquired; None before there is any."""
        vibrational = self._attached.get(Role.VIBRATIONAL)
        if vibrational is None or vibrational not in self.document_model.data_items:
            return None
        return live.readout(self.document_model, vibrational)

    @property
    def is_provisional(self) -> bool:
        """Rows are still to come, or to be fitted."""
        vibrational = self._attached.get(Role.VIBRATIONAL)
        if self._handle.outcome is None or vibrational is None:
            return True
        return not live.is_settled(self.document_model, vibrational)

    def _attach(self) -> None:
        items = self.items()
        if Role.VIBRATIONAL not in items or items == self._attached:
            return
        self._attached = items
        try:
            live.attach_session(self.document_model, items, self.plan.material)
        except UnusableInput as error:
            self.notice = f"No live results: {error}"
        except Exception as error:
            _LOG.exception("Live results could not be attached")
            self.notice = f"No live results ({type(error).__name__}: {error}); the data are kept."


def describe_microscope(site: Site) -> Microscope | None:
    """The instrument that is there now; None without one."""
    stem = Registry.get_component("stem_controller")
    if stem is None:
        return None
    _, high_tension = stem.TryGetVal("EHT")
    current = None
    if site.beam.current_control:
        _, current = stem.TryGetVal(site.beam.current_control)
    return Microscope(
        str(getattr(stem, "display_name", "") or site.name),
        high_tension / 1000.0 if high_tension else None,
        current * site.beam.current_pa_per_unit if current else None,
    )


def missing() -> tuple[str, ...]:
    """One sentence for each device that a run needs and that is not there."""
    return tuple(host_run.missing())
