"""One run as the panel sees it: started, followed, ended; its items analysed live while rows arrive. Main thread."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from typing import Any

from nion.swift.model import DataItem, DocumentModel

from eels_iontransport.acquire.drift_reference import DriftReference
from eels_iontransport.acquire.outcome import Outcome, Progress
from eels_iontransport.acquire.outcome import State as RunState
from eels_iontransport.acquire.plan import LINE_ROLES, Plan
from eels_iontransport.acquire.port import Frames
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.geometry import Field
from eels_iontransport.data.record import Record, Role

from .. import live
from ..host import run as host_run
from .microscopes import zero_loss
from .situation import ZeroLoss

_LOG = logging.getLogger(__name__)

CLOSE_WAIT_S = 5.0


class Run:
    """A plan being run, in the field of a survey; `poll` until it returns True."""

    def __init__(
        self,
        document_model: DocumentModel.DocumentModel,
        plan: Plan,
        site: Site,
        field: Field,
        before: live.Items | None = None,
        reference: DriftReference | None = None,
        replaced: Collection[DataItem.DataItem] = (),
    ) -> None:
        """before: items of earlier runs on the same line, which its session has beside those of this run.

        reference: by which the place of these runs is found again. replaced: those of the items before whose places
        are taken by items of this run in the same role, as soon as there are any.
        """
        self.document_model = document_model
        self.plan = plan
        self.site = site
        self.field = field
        self.stopping = False
        self.pausing = False  # as the operator has asked, until the operator goes on
        self.notice = ""
        self.progress: Progress | None = None
        self._zero: tuple[Frames | None, ZeroLoss | None] = (None, None)
        self._before = dict(before or {})
        self._replaced = replaced
        self._attached: live.Items = {}
        self._handle = host_run.start_run(
            document_model, plan, site, field=field, on_progress=self._follow, reference=reference
        )

    def _follow(self, progress: Progress) -> None:
        self.progress = progress  # from the run's thread; one assignment, read by the panel's refresh

    @property
    def outcome(self) -> Outcome | None:
        return self._handle.outcome

    def items(self) -> dict[Role, DataItem.DataItem]:
        """The items made so far that still exist."""
        return self._handle.items()

    def session_items(self) -> live.Items:
        """The items of each role on this line: of a scan all of its passes, else the newest one."""
        known, new = self.document_model.data_items, self.items()
        found = {}
        for role in (*self._before, *(role for role in new if role not in self._before)):
            kept = [item for item in self._before.get(role, ()) if item in known]
            if role in new:
                kept = [item for item in kept if role in LINE_ROLES and item not in self._replaced] + [new[role]]
            found[role] = tuple(kept)
        return {role: items for role, items in found.items() if items}

    @property
    def drift_nm_per_min(self) -> float:
        return self.progress.drift_nm_per_min if self.progress is not None else math.nan

    def poll(self) -> bool:
        """Attach new items to the live session; True once the run has ended and the microscope is home."""
        ended = self._handle.outcome is not None
        self._attach()
        return ended

    def abort(self) -> None:
        self.stopping = True
        self._handle.abort()

    def pause(self) -> None:
        self.pausing = True
        self._handle.pause()

    def resume(self) -> None:
        self.pausing = False
        self._handle.resume()

    def proceed(self) -> None:
        """Answer the run, which waits for the drift to fall or for the zero-loss peak to be checked."""
        self._handle.proceed()

    @property
    def zero(self) -> ZeroLoss | None:
        """The zero-loss peak of the frames that are shown while the run waits for the operator."""
        progress = self.progress
        if progress is None or progress.state is not RunState.CHECK_ZLP:
            return None
        if progress.frames is not None and progress.frames is not self._zero[0]:
            self._zero = (progress.frames, zero_loss(progress.frames, self.site))
        return self._zero[1]

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
    def is_line_known(self) -> bool:
        """What is being scanned is analysed with passes of earlier runs, the first of which went all along the line."""
        role = self.progress.role if self.progress is not None else None
        items = self.session_items().get(role, ()) if role is not None else ()
        record = Record.from_metadata(items[0].metadata) if len(items) > 1 else None
        return record is not None and record.rows_valid >= record.pixels

    @property
    def has_live_results(self) -> bool:
        """The line's items are there, and analysed as they grow."""
        return bool(self._attached) and not self.notice

    def results(self) -> dict[str, DataItem.DataItem]:
        """The result items so far, by name."""
        vibrational = self._line
        return live.result_items(self.document_model, vibrational) if vibrational is not None else {}

    def readout(self) -> dict[str, Any] | None:
        """The live readout of what this run has acquired; None before there is any."""
        vibrational = self._line
        return live.readout(self.document_model, vibrational) if vibrational is not None else None

    @property
    def is_provisional(self) -> bool:
        """Rows are still to come, or to be fitted."""
        vibrational = self._line
        if self._handle.outcome is None or vibrational is None:
            return True
        return not live.is_settled(self.document_model, vibrational)

    @property
    def _line(self) -> DataItem.DataItem | None:
        """The newest vibrational item of the session that still exists."""
        items = self._attached.get(Role.VIBRATIONAL, ())
        return next((item for item in reversed(items) if item in self.document_model.data_items), None)

    def _attach(self) -> None:
        items = self.session_items()
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
