"""Holds places on the specimen: follows its drift by images of a reference area, and says where it is now."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2

from .drift_settings import DriftSettings
from .shift import Shift, measure_shift, refused, too_large

__all__ = ["DriftLock", "DriftSettings", "LogEntry", "Rate", "Shift", "measure_shift"]

_KEPT = 8  # images that the rate is fitted to, at most
_BAD_FIT = 0.01  # a fit that chance makes worse less often than this is no straight line
_SIGNIFICANT = 2.0  # standard deviations that a rate needs to be followed between images
_SIGNIFICANT_BENT = 3.0  # the same where the last three places are no straight line, so that a jump is not followed
_SIGNIFICANT_FAR = 5.0  # the same to be followed over longer than the images have been apart so far
_TRUSTED_NM = 0.1  # or an error of the rate that moves places by no more than this
_FLOOR_NM = 0.01  # of the deviation of an image, beside its noise: distortions of the scan
_SLACK_NM = 0.3  # that the specimen may jump beside its drift


@dataclass(frozen=True)
class Rate:
    """Drift in nm/min with its standard deviation; nan without two images."""

    y_nm_per_min: float = math.nan
    x_nm_per_min: float = math.nan
    sigma_nm_per_min: float = math.nan

    @property
    def speed_nm_per_min(self) -> float:
        return math.hypot(self.y_nm_per_min, self.x_nm_per_min)


@dataclass(frozen=True)
class LogEntry:
    """One image: displacement in nm since the reference, nan with a problem; used: whether it moved the correction."""

    time_s: float
    y_nm: float
    x_nm: float
    sigma_nm: float
    used: bool
    problem: str = ""


@dataclass(frozen=True)
class _Fit:
    """Displacement as a straight line in time: at + rate (t - time_s), with the covariance of the rate (nm/s)^2."""

    time_s: float
    at: np.ndarray
    rate: np.ndarray
    rate_covariance: np.ndarray
    significant: float = _SIGNIFICANT  # standard deviations from which the rate is followed

    @property
    def significance(self) -> float:
        """Standard deviations by which the rate differs from none."""
        return math.sqrt(float(self.rate @ np.linalg.pinv(self.rate_covariance) @ self.rate))

    @property
    def is_followed(self) -> bool:
        return self.significance > self.significant


class DriftLock:
    """Follows the specimen by images of one area, each compared with the one reference, so that errors do not add up.

    reference: the dark-field image (y, x) of the area at `time_s`. rotation_rad: of the area, as that of a field; all
    displacements are in the frame of the scan. A place of the plan is now at place + correction. last_seen_nm: (y, x)
    of a specimen that was left alone since; then it may be anywhere within the limit, and the first image that is used
    finds it again.
    """

    def __init__(
        self,
        reference: np.ndarray,
        nm_per_pixel: float,
        settings: DriftSettings,
        time_s: float,
        rotation_rad: float = 0.0,
        last_seen_nm: tuple[float, float] | None = None,
    ) -> None:
        c, s = math.cos(rotation_rad), math.sin(rotation_rad)
        self._turn = np.array([[c, -s], [s, c]])  # (y, x) of the image to (y, x) of the scan
        self._reference = np.asarray(reference, float)
        self._nm_per_pixel = nm_per_pixel
        self._settings = settings
        self._times: list[float] = [time_s]
        self._places: list[np.ndarray] = [np.array(last_seen_nm or (0.0, 0.0), float)]
        self._spreads: list[np.ndarray] = [np.eye(2)]
        self._fit: _Fit | None = None
        self.is_lost = last_seen_nm is not None
        self.log: list[LogEntry] = []

    @property
    def settings(self) -> DriftSettings:
        return self._settings

    @property
    def correction_nm(self) -> tuple[float, float]:
        """(y, x) to add to places of the plan, as of the last image that was used."""
        return self.correction_at(self._times[-1])

    def correction_at(self, time_s: float) -> tuple[float, float]:
        """(y, x) to add to places of the plan at a time, by the rate of the last images where they tell one.

        The rate is followed for half as long again as the images are apart, and no further.
        """
        fit, last = self._fit, self._times[-1]
        if fit is None or not self._settings.predict or not fit.is_followed:
            y, x = self._places[-1]
            return float(y), float(x)
        until = min(time_s, last + 1.5 * self._interval_s(fit))
        y, x = fit.at + fit.rate * (until - fit.time_s)
        return float(y), float(x)

    def _interval_s(self, fit: _Fit) -> float:
        """How far apart the images are: that of the plan where the rate is known well enough, else that of the last."""
        last = self._times[-1] - self._times[-2]
        planned = self._settings.every_s
        error_nm = math.sqrt(float(np.linalg.eigvalsh(fit.rate_covariance)[-1])) * 1.5 * planned
        trusted = error_nm < _TRUSTED_NM or fit.significance > _SIGNIFICANT_FAR
        return max(last, planned) if trusted else last

    @property
    def rate(self) -> Rate:
        """Drift by the last images, least squares; nan without an image after the reference.

        The standard deviation holds what the places deviate from a straight line.
        """
        if self._fit is None:
            return Rate()
        y, x = 60.0 * self._fit.rate
        sigma = 60.0 * math.sqrt(float(np.linalg.eigvalsh(self._fit.rate_covariance)[-1]))
        return Rate(float(y), float(x), sigma)

    @property
    def rate_nm_per_min(self) -> float:
        """Size of the drift; nan where it is not known."""
        return self.rate.speed_nm_per_min

    def update(self, image: np.ndarray, time_s: float, moved_nm: tuple[float, float] = (0.0, 0.0)) -> Shift:
        """Take in an image of the area at a time; returns the displacement since the reference.

        moved_nm: (y, x) by which the imaged area was moved along with the specimen since the reference. An image that
        cannot be used has a problem and changes nothing but the log.
        """
        settings = self._settings
        moved = np.array(moved_nm, float)
        expected = self._turn.T @ (np.array(self.correction_at(time_s)) - moved)
        seen = measure_shift(
            self._reference,
            image,
            self._nm_per_pixel,
            limit_nm=settings.limit_nm,
            lattice_nm=settings.lattice_nm,
            near_nm=(float(expected[0]), float(expected[1])),
            reach_nm=None if self.is_lost else self._reach_nm(time_s),
        )
        shift = self._in_scan(seen, moved)
        if shift.is_usable:
            self._take(shift, time_s)
        self.log.append(LogEntry(time_s, shift.y_nm, shift.x_nm, shift.sigma_nm, shift.is_usable, shift.problem))
        return shift

    def _reach_nm(self, time_s: float) -> float:
        elapsed = max(0.0, time_s - self._times[-1])
        return self._settings.fastest_nm_per_min / 60.0 * elapsed + _SLACK_NM

    def _in_scan(self, seen: Shift, moved: np.ndarray) -> Shift:
        """What was seen in the image, as displacement since the reference in the frame of the scan."""
        if seen.problem:
            return seen
        y, x = self._turn @ np.array([seen.y_nm, seen.x_nm]) + moved
        if math.hypot(y, x) > self._settings.limit_nm:
            return refused(too_large(self._settings.limit_nm, math.hypot(y, x)))
        yy, yx, xx = seen.covariance_nm2
        spread = self._turn @ np.array([[yy, yx], [yx, xx]]) @ self._turn.T
        direction = None
        if seen.direction is not None:
            along = self._turn @ np.array(seen.direction)
            direction = (float(along[0]), float(along[1]))
        parts = (float(spread[0, 0]), float(spread[0, 1]), float(spread[1, 1]))
        return Shift(float(y), float(x), seen.sigma_nm, "", parts, direction)

    def _take(self, shift: Shift, time_s: float) -> None:
        yy, yx, xx = shift.covariance_nm2
        place, spread = np.array([shift.y_nm, shift.x_nm]), np.array([[yy, yx], [yx, xx]])
        if shift.direction is not None:  # what is not seen is held
            across = np.array([-shift.direction[1], shift.direction[0]])
            place = place + across * (across @ (self._places[-1] - place))
            spread = shift.sigma_nm**2 * np.eye(2)
        # Half of the variance is the reference's, which all displacements share.
        spread = 0.5 * spread + _FLOOR_NM**2 * np.eye(2)
        if self.is_lost:  # what happened before is no part of the drift
            self._times, self._places, self._spreads = [time_s], [place], [spread]
            self.is_lost = False
            return
        if len(self._times) == 1:
            self._spreads = [spread]  # that of the reference itself, or of what was found again
        self._times.append(time_s)
        self._places.append(place)
        self._spreads.append(spread)
        for kept in (self._times, self._places, self._spreads):
            del kept[:-_KEPT]
        self._fit = _longest_line(self._times, self._places, self._spreads)


def _longest_line(times: list[float], places: list[np.ndarray], spreads: list[np.ndarray]) -> _Fit | None:
    """The straight line through as many of the last places as lie on one.

    Where not even the last three do, the slope of these, from the last place, with an uncertainty that covers their
    misfit. None where all times are one.
    """
    for count in range(len(times), 1, -1):
        fit, misfit = _line(np.array(times[-count:]), np.array(places[-count:]), np.array(spreads[-count:]))
        freedom = 2 * (count - 2)
        if fit is None:
            return None
        if freedom == 0 or chi2.sf(misfit, freedom) > _BAD_FIT:
            return fit
        if count == 3:
            inflated = fit.rate_covariance * misfit / freedom
            return replace(fit, at=places[-1], rate_covariance=inflated, significant=_SIGNIFICANT_BENT)
    return None


def _line(times: np.ndarray, places: np.ndarray, spreads: np.ndarray) -> tuple[_Fit | None, float]:
    """Weighted least squares for both components together, and its chi-squared; None where all times are one."""
    last = times[-1]
    if not np.ptp(times) > 0:
        return None, math.nan
    weights = np.linalg.inv(spreads)
    design = np.array([np.hstack([np.eye(2), (t - last) * np.eye(2)]) for t in times])
    normal = np.einsum("nji,njk,nkl->il", design, weights, design)
    covariance = np.linalg.inv(normal)
    best = covariance @ np.einsum("nji,njk,nk->i", design, weights, places)
    error = places - design @ best
    misfit = float(np.einsum("ni,nij,nj->", error, weights, error))
    return _Fit(float(last), best[:2], best[2:], covariance[2:, 2:]), misfit
