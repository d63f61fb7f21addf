"""A simulated HERMES as Swift devices: instrument, scan and EELS camera on one simulated microscope."""

from __future__ import annotations

import os
from typing import Any

from eels_iontransport.simulation.microscope import SimulatedMicroscope

from .devices import Devices

__all__ = ["Devices", "SimulatorExtension", "get_devices", "get_microscope", "run"]

SWITCH = "EELS_IONTRANSPORT_SIMULATOR"  # environment variable; "off" leaves the simulator out

_devices: Devices | None = None


def get_devices() -> Devices:
    """The simulated devices of this process, made at the first call; registered once the host has called `run`."""
    global _devices
    if _devices is None:
        _devices = Devices(SimulatedMicroscope(time_scale=1.0))
    return _devices


def get_microscope() -> SimulatedMicroscope:
    """The simulated microscope behind the devices: specimen, seed, clock, truth."""
    return get_devices().microscope


def run() -> None:
    """Called by the host when all plug-ins are loaded."""
    if os.environ.get(SWITCH, "").lower() not in ("0", "no", "off"):
        get_devices().run()


class SimulatorExtension:
    """Takes the devices back when the host ends."""

    extension_id = "nion.eels.iontransport_simulator"

    def __init__(self, api_broker: Any) -> None:
        pass

    def close(self) -> None:
        global _devices
        if _devices is not None:
            _devices.stop()
            _devices = None
