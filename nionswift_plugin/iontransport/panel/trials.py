"""A test frame being taken: in every setting of the plan where its places are marked, else in the present one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nion.swift.model import DocumentModel

from eels_iontransport.acquire.exposure import advise
from eels_iontransport.acquire.memory import MemoryRecorder
from eels_iontransport.acquire.plan import Plan
from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.acquire.site import Site
from eels_iontransport.data.geometry import Field

from ..host import run as host_run
from ..host.test_frame import take_test_frame
from .microscopes import present_setting, zero_loss
from .situation import ZeroLoss
from .trial import FRAMES, advice_text

_LOG = logging.getLogger(__name__)

CLOSE_WAIT_S = 5.0


@dataclass(frozen=True)
class Found:
    """What test frames have said; `problem` is a sentence where they could not be taken."""

    zero: ZeroLoss | None = None
    advice: tuple[str, ...] = ()
    problem: str = ""


class PlanTrial:
    """A trial plan (`trial.trial_plan`) being run, whose rows are only looked at. Main thread."""

    def __init__(self, document_model: DocumentModel.DocumentModel, plan: Plan, site: Site, field: Field) -> None:
        """Raises MicroscopeFault where a run is under way."""
        self._plan = plan
        self._site = site
        self._recorder = MemoryRecorder()
        self._run = host_run.start_unrecorded(document_model, plan, site, self._recorder, field=field)

    def abort(self) -> None:
        self._run.abort()

    def close(self) -> None:
        self._run.abort()
        self._run.join(CLOSE_WAIT_S)

    def poll(self) -> Found | None:
        """What was found, once the microscope is home; None before."""
        outcome = self._run.outcome
        if outcome is None:
            return None
        problem = " ".join([*filter(None, [outcome.reason]), *outcome.problems])
        taken = []
        for step, sink in zip(self._plan.steps, self._recorder.sinks):
            spectra = sink.spectra()
            rows = spectra.rows[spectra.valid]
            if len(rows):
                taken.append((step.setting, step.exposure_s, Frames(rows, spectra.energy, spectra.saturation_level)))
        return _found(taken, self._site, problem)


class PresentTrial:
    """Frames in the setting that the spectrometer has, where the beam is. Main thread, but for taking them."""

    def __init__(self, site: Site, exposure_s: float) -> None:
        self._site = site
        self._exposure_s = exposure_s
        self._frames: Frames | None = None
        self._problem = ""
        self._setting = present_setting(site) or "present setting"
        self._thread = threading.Thread(target=self._take, name="ion transport test frame", daemon=True)
        self._thread.start()

    def abort(self) -> None:
        """The frames are few, and come by themselves."""

    def close(self) -> None:
        self._thread.join(CLOSE_WAIT_S)

    def poll(self) -> Found | None:
        if self._thread.is_alive():
            return None
        taken = [] if self._frames is None else [(self._setting, self._exposure_s, self._frames)]
        return _found(taken, self._site, self._problem)

    def _take(self) -> None:
        try:
            self._frames = take_test_frame(self._site, self._exposure_s, FRAMES)
        except MicroscopeFault as error:
            self._problem = str(error)
        except Exception as error:
            _LOG.exception("The test frame failed")
            self._problem = f"The test frame failed ({type(error).__name__}: {error}); the log has the details."


def _found(taken: Sequence[tuple[str, float, Frames]], site: Site, problem: str) -> Found:
    """From settings, exposures and frames. The zero-loss peak is that of the first setting that shows it."""
    advice, zeros = [], []
    for setting, exposure_s, frames in taken:
        advice.append(advice_text(setting, exposure_s, advise(frames.counts, exposure_s, frames.saturation_level)))
        zero = zero_loss(frames, site)
        zeros += [zero] if np.isfinite(zero.fwhm_mev) or zero.saturated else []
    return Found(zeros[0] if zeros else None, tuple(advice), problem)
