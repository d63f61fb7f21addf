"""What is there to acquire with: site file, microscope, disk; asked now and then. Main thread only."""

from __future__ import annotations

import time

from nion.swift.model import DocumentModel

from eels_iontransport.acquire.disk import free_bytes

from ..host.recovery import journal_place
from .microscopes import describe_microscope, missing
from .sites import chosen_site, mismatch
from .situation import Microscope

ASK_S = 1.0  # how often an idle panel asks


class Lab:
    """As it was when it was asked last."""

    def __init__(self, document_model: DocumentModel.DocumentModel) -> None:
        self.site, self._site_problem = chosen_site()
        self.microscope: Microscope | None = None
        self.missing: tuple[str, ...] = ()  # one sentence for each thing that a run needs and that is not there
        self.free_bytes: int | None = None
        self._document_model = document_model
        self._asked_s = -ASK_S

    def ask_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._asked_s >= ASK_S:
            self._asked_s = now
            self.ask()

    def ask(self) -> None:
        self.microscope = describe_microscope(self.site)
        self.missing = ()
        if self.microscope is not None:
            problem = self._site_problem or mismatch(self.site, self.microscope.name)
            self.missing = (*missing(), *([problem] if problem else []))
        try:
            self.free_bytes = free_bytes(journal_place(self._document_model))
        except OSError:
            self.free_bytes = None  # a run that needs the room asks again, and says why it is refused
