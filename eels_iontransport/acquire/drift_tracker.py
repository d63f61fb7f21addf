"""Takes the images that drift is measured on, when they are due, and says where places are now."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..data.geometry import Field
from .clock import Clock
from .drift import DriftLock, DriftSettings
from .drift_reference import DriftReference
from .orders import Orders
from .outcome import DriftSummary, State
from .port import Microscope, MicroscopeFault
from .reporter import Reporter

_LOG = logging.getLogger(__name__)

ATTEMPTS = 3  # images that may be unusable in a row before a run ends
WAIT_S = 2.0  # between two images while the run waits for the drift to fall
LEAST_IMAGES = 3  # that the drift before the start is judged by
STILL_NM = 0.2  # drift within which the probe is not moved during a row
SIGMA_OF_LIMIT = 0.5  # part of the limit that the error of the drift may have when it is judged


class DriftTracker:
    """The drift lock of one run. The reference stays one image for all settings.

    start: the area to take the reference of now, or the reference of an earlier run; then the first `look` finds its
    place again. The imaged area moves along with the specimen, so that the same structure stays in view.
    """

    def __init__(
        self,
        microscope: Microscope,
        start: Field | DriftReference,
        settings: DriftSettings,
        clock: Clock,
        orders: Orders,
    ) -> None:
        self._microscope = microscope
        self._settings = settings
        self._clock = clock
        self._orders = orders
        self._last_s = clock.now_s
        self._rows = 0
        self._follows = isinstance(start, DriftReference)
        self._reference = start if isinstance(start, DriftReference) else self._take_reference(start)
        last_seen_nm = self._reference.moved_nm if self._follows else None
        self._lock = DriftLock(
            self._reference.image, self._reference.nm_per_pixel, settings, self._middle_s(self._last_s),
            self._reference.area.rotation_rad, last_seen_nm,
        )  # fmt: skip
        self._begun_s = self._last_s = clock.now_s

    @property
    def reference(self) -> DriftReference:
        """For a later run on the same places."""
        return replace(self._reference, moved_nm=self._lock.correction_nm)

    @property
    def is_lost(self) -> bool:
        """The place of an earlier run has not been found again yet."""
        return self._lock.is_lost

    def correction_nm(self, ahead_s: float = 0.0) -> tuple[float, float]:
        """(y, x) to add to the places of the plan now, or so many seconds ahead."""
        return self._lock.correction_at(self._clock.now_s + ahead_s)

    @property
    def still_s(self) -> float:
        """How long the specimen takes to drift by STILL_NM, as far as its drift is followed."""
        speed = math.hypot(*self.during(1.0))
        return STILL_NM / speed if speed > 0 else math.inf

    @property
    def rate_nm_per_min(self) -> float:
        return self._lock.rate_nm_per_min

    def count_row(self) -> None:
        self._rows += 1

    def during(self, seconds: float) -> tuple[float, float]:
        """(y, x) by which the specimen will move in so many seconds from now, as far as that is known."""
        now = self._clock.now_s
        before, after = self._lock.correction_at(now), self._lock.correction_at(now + seconds)
        return after[0] - before[0], after[1] - before[1]

    def is_due(self) -> bool:
        return self._settings.is_due(self._rows, self._clock.now_s - self._last_s)

    def look(self) -> None:
        """Take an image and follow it. Raises MicroscopeFault where the drift cannot be followed any further."""
        for _ in range(ATTEMPTS):
            self._orders.check_abort()
            problem = self._look()
            if not problem:
                return
            _LOG.info("A drift image was not used: %s", problem)
        if self.is_lost:
            raise MicroscopeFault(_not_found(problem))
        raise MicroscopeFault(f"The drift could not be followed any further: {_uncapitalised(problem)}")

    def wait_until_slow(self, reporter: Reporter, look: Callable[[], None]) -> None:
        """Take images by `look` until the drift is below its limit, if there is one, or the operator starts anyway.

        Raises MicroscopeFault where the area is not fit to measure drift on.
        """
        limit = self._settings.rate_limit_nm_per_min
        if limit == 0:
            return
        self._orders.expect_proceed()
        with reporter.waiting(State.WAITING):
            images = 0
            while not self._orders.may_proceed:
                self._orders.wait(self._clock, WAIT_S if images else 0.2)
                look()
                images += 1
                rate = self._lock.rate
                reporter.report(_waiting_sentence(rate.speed_nm_per_min, limit))
                known = rate.sigma_nm_per_min <= SIGMA_OF_LIMIT * limit
                if images >= LEAST_IMAGES and known and rate.speed_nm_per_min <= limit:
                    return

    def summary(self, problem: str = "") -> DriftSummary:
        """How the specimen has moved, by an image taken now; never raises. problem: why there is to be no image."""
        believed = self.correction_nm()
        try:
            problem = problem or self._look()
        except Exception as error:
            _LOG.warning("The last drift image failed", exc_info=not isinstance(error, MicroscopeFault))
            problem = str(error)
        log = tuple(replace(entry, time_s=entry.time_s - self._begun_s) for entry in self._lock.log)
        used = [entry for entry in log if entry.used]
        if not used:
            return DriftSummary(math.nan, math.nan, math.nan, log, problem)
        last = used[-1]
        moved = math.hypot(last.y_nm, last.x_nm)
        off = math.hypot(last.y_nm - believed[0], last.x_nm - believed[1])
        return DriftSummary(moved, math.nan if problem else off, last.sigma_nm, log, problem, self._follows)

    def _look(self) -> str:
        """One image; what makes it unusable, or nothing."""
        moved = self.correction_nm()
        before = self._clock.now_s
        image = self._image(self._reference.area, self._reference.pixels, moved)
        shift = self._lock.update(image, self._middle_s(before), moved)
        if not shift.problem:
            self._rows, self._last_s = 0, self._clock.now_s
        return shift.problem

    def _take_reference(self, area: Field) -> DriftReference:
        pixels = (self._settings.pixels, self._settings.pixels)
        return DriftReference(self._image(area, pixels), area)

    def _image(self, area: Field, pixels: tuple[int, int], moved_nm: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        centre = area.centre
        moved = replace(centre, y_nm=centre.y_nm + moved_nm[0], x_nm=centre.x_nm + moved_nm[1])
        return self._microscope.image(replace(area, centre=moved), pixels)

    def _middle_s(self, before_s: float) -> float:
        """Middle of an image that was begun at that time and has just ended."""
        return 0.5 * (before_s + self._clock.now_s)


def _not_found(problem: str) -> str:
    """What is to be done about a problem within a run does not help between two."""
    why = _uncapitalised(problem.partition(";")[0].rstrip("."))
    return f"The place of the first run was not found again: {why}; take a new survey and place the line anew."


def _uncapitalised(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _waiting_sentence(rate: float, limit: float) -> str:
    known = f"drift {rate:.1f} nm/min" if math.isfinite(rate) else "measuring the drift"
    return f"Waiting: {known} (limit {limit:g})"
