"""The stop between two spectrometer settings, at which the operator looks at the zero-loss peak."""

from __future__ import annotations

from .orders import Orders
from .outcome import State
from .port import Microscope
from .reporter import Reporter
from .step import Step

CHECK_ZLP = "Check the ZLP, then continue."
LONGEST_S = 0.5  # exposure of a frame that is only looked at


def look_at_zero(microscope: Microscope, step: Step, orders: Orders, reporter: Reporter) -> None:
    """Show frames of the new setting, taken where the probe waits, until the operator continues.

    The frames are not recorded. Raises Aborted, MicroscopeFault.
    """
    orders.expect_proceed()
    exposure_s = min(step.exposure_s, LONGEST_S)
    with reporter.waiting(State.CHECK_ZLP):
        reporter.report(CHECK_ZLP)
        while not orders.may_proceed:
            if microscope.get_probe() is not None:
                reporter.report(CHECK_ZLP, microscope.acquire_frames(exposure_s, 1))
            orders.wait_for_order()
