"""Brings the zero-loss peak back, between rows, before it leaves its window on the detector.

An item has one energy axis. Where the offset control is changed while an item is taken, its channels keep the energies
that they had when it began: the change puts the peak back to the channel that it had drifted away from, so on the
item's axis it stays near its place from row to row, as all that aligns rows by their own zero-loss peak takes for
granted. Within a row nothing is changed.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..data.spectrum import EnergyAxis
from .clock import Clock
from .home import Home
from .orders import Orders
from .port import Frames, Microscope, MicroscopeFault
from .site import Setting, Site
from .zero_follow import ZeroFollower, ZeroPlace, ZeroState

ATTEMPTS = 3  # rows without a zero-loss peak, one after the other, that are taken again
_SAME = 0.5  # channels within which two axes are the same
_POLL_S = 0.02


class ZeroTracker:
    """Follows the peak through one item. Raises ValueError where the window has no width."""

    def __init__(
        self, microscope: Microscope, home: Home, site: Site, setting: Setting, window_ev: tuple[float, float]
    ) -> None:
        self._microscope = microscope
        self._home = home
        self._site = site
        self._control = site.energy_offset_control
        self._setting = setting
        self._follower = ZeroFollower(window_ev)
        self._axis: EnergyAxis | None = None
        self._missing = 0
        self._due: ZeroPlace | None = None
        self._changed: ZeroPlace | None = None  # where the peak was when the offset was changed
        self.moved_ev = 0.0
        self.changes = 0

    def take(self, frames: list[Frames]) -> list[Frames] | None:
        """A row's frames on the axis of their item; None where they hold no peak and are to be taken again.

        Raises MicroscopeFault where the peak has left the detector, or goes the wrong way.
        """
        if self._axis is None:
            self._axis = frames[0].energy
        kept = [on_axis(part, self._axis, self.moved_ev) for part in frames]
        place = self._follower.look(kept[-1].counts[-1], self._axis)  # the last frame tells where the peak is now
        if place.state is ZeroState.NOT_FOUND:  # too weak, perhaps
            place = self._follower.look(np.concatenate([part.counts for part in kept]), self._axis)
        if place.state is ZeroState.NOT_FOUND:
            self._missing += 1
            if self._missing >= ATTEMPTS:
                raise MicroscopeFault(f"{place.sentence.rstrip('.')}; bring it back and take the rest.")
            return None
        self._missing = 0
        self._check_direction(place)
        self._due = place if place.state is not ZeroState.INSIDE else None
        return kept

    @property
    def is_due(self) -> bool:
        """Whether the offset has to be changed before the next row."""
        return self._due is not None

    def bring_back(self, clock: Clock, orders: Orders) -> None:
        """Change the offset where that is due. Raises MicroscopeFault where the control does not obey."""
        place, self._due = self._due, None
        if place is None:
            return
        self._changed = place
        wanted = self._microscope.get_control(self._control) + place.change_ev
        refusal = self._site.out_of_range(self._control, wanted)
        if refusal:
            raise MicroscopeFault(f"{place.sentence.rstrip('.')}, but {refusal[:1].lower()}{refusal[1:]}")
        self._home.set_control(self._control, wanted)
        deadline = clock.now_s + self._setting.timeout_s
        while not math.isclose(reading := self._microscope.get_control(self._control), wanted, abs_tol=self._tolerance):
            if clock.now_s >= deadline:
                raise MicroscopeFault(
                    f"Control '{self._control}' reads {reading:g} after it was set to {wanted:g} to bring the "
                    "zero-loss peak back; check the spectrometer."
                )
            orders.wait(clock, _POLL_S)
        orders.wait(clock, self._setting.settle_s)
        self.moved_ev += place.change_ev
        self.changes += 1

    @property
    def _tolerance(self) -> float:
        named = [wanted.tolerance for wanted in self._setting.controls if wanted.control == self._control]
        return named[0] if named else 1e-6

    def _check_direction(self, place: ZeroPlace) -> None:
        before, self._changed = self._changed, None
        if before is not None and abs(place.position_ev - before.position_ev + before.change_ev) > abs(
            before.change_ev
        ):
            raise MicroscopeFault(
                f"The zero-loss peak went from {1e3 * before.position_ev:.1f} to {1e3 * place.position_ev:.1f} meV "
                f"when control '{self._control}' was changed to bring it back; correct the site file."
            )


def on_axis(frames: Frames, axis: EnergyAxis, moved_ev: float) -> Frames:
    """Frames that were taken after the offset was changed by moved_ev in all, on the axis of their item.

    Whether the host's calibration follows the control or not, they are taken for the same; frames on any other axis
    are left as they are, and refused where they are stored.
    """
    off = frames.energy.offset_ev - (axis.offset_ev + moved_ev)
    if abs(off) > _SAME * axis.step_ev:
        return frames
    return replace(frames, energy=replace(frames.energy, offset_ev=axis.offset_ev))
