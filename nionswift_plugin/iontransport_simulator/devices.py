"""All simulated devices together: made, registered, kept whole beside the stock simulator, taken back."""

from __future__ import annotations

import logging
import tempfile
from typing import Any

from nion.instrumentation import HardwareSource, camera_base, scan_base
from nion.utils import Registry

from eels_iontransport.simulation.microscope import SimulatedMicroscope

from . import cameras
from .instrument import INSTRUMENT_ID, Instrument
from .scan import SCAN_DEVICE_ID, Module

_LOG = logging.getLogger(__name__)

STOCK_SIMULATOR_ID = "usim_stem_controller"
_PREFERRED, _BEHIND = 60, 0
_CONTROLLER_TYPES = {"instrument_controller", "stem_controller"}


class Devices:
    """The simulated instrument, scan and cameras, for the application (`run`, `stop`) and for the host's test context.

    Where the stock simulator is there too, these are preferred as a whole, whichever came first. Where any other
    microscope is registered, these step behind it.
    """

    instrument_id = INSTRUMENT_ID
    eels_camera_device_id = cameras.EELS_CAMERA_ID
    ronchigram_camera_device_id = cameras.RONCHIGRAM_CAMERA_ID

    def __init__(self, microscope: SimulatedMicroscope, configuration_location: str | None = None) -> None:
        self.microscope = microscope
        self.configuration_location = configuration_location or tempfile.gettempdir()
        self.instrument = Instrument(microscope)
        self.instrument.priority = _PREFERRED
        self.scan_module = Module(self.instrument)
        self.eels_camera_device = cameras.EELSCamera(self.instrument, self.scan_module.device)
        self.ronchigram_camera_device = cameras.RonchigramCamera(self.instrument)
        self._camera_modules = [cameras.module(self.ronchigram_camera_device), cameras.module(self.eels_camera_device)]
        self.ronchigram_camera_settings, self.eels_camera_settings = (m.camera_settings for m in self._camera_modules)
        self._sources: list[Any] = []
        self._listener: Any = None

    def run(self) -> None:
        """Register everything with the host."""
        self._listener = Registry.listen_component_registered_event(self._registered)
        Registry.register_component(self.instrument, _CONTROLLER_TYPES)
        for module in self._camera_modules:
            Registry.register_component(module, {"camera_module"})
        Registry.register_component(self.scan_module, {"scan_module"})
        for component in Registry.get_components_by_type("stem_controller"):
            self._registered(component, {"stem_controller"})

    def stop(self) -> None:
        """Take everything back; the devices cannot be used afterwards."""
        if self._listener is None:
            self.eels_camera_device.close()
            self.ronchigram_camera_device.close()
            return
        self._listener.close()
        self._listener = None
        self.instrument.set_scan_controller(None)
        self.instrument.set_eels_camera(None)
        self.instrument.set_ronchigram_camera(None)
        known = HardwareSource.HardwareSourceManager().hardware_sources
        if not all(source in known for source in self._sources):
            # The application closes all hardware sources before the plug-ins; the host would look for them in vain.
            camera_base.stop()
            scan_base.stop()
        for module in self._camera_modules:
            Registry.unregister_component(module, {"camera_module"})
        Registry.unregister_component(self.scan_module, {"scan_module"})
        Registry.unregister_component(self.instrument, _CONTROLLER_TYPES)
        self._sources.clear()

    def is_in_use(self) -> bool:
        """Whether the host's microscope, scan and EELS camera are all these."""
        stem = Registry.get_component("stem_controller")
        return (
            stem is self.instrument
            and getattr(stem.scan_controller, "hardware_source_id", None) == SCAN_DEVICE_ID
            and getattr(stem.eels_camera, "hardware_source_id", None) == cameras.EELS_CAMERA_ID
        )

    def _registered(self, component: Any, component_types: set[str]) -> None:
        if "stem_controller" in component_types and component.instrument_id not in (INSTRUMENT_ID, STOCK_SIMULATOR_ID):
            self._step_behind(component.instrument_id)
        elif "hardware_source" in component_types:
            self._assign(component)

    def _assign(self, source: Any) -> None:
        assign = {
            SCAN_DEVICE_ID: self.instrument.set_scan_controller,
            cameras.EELS_CAMERA_ID: self.instrument.set_eels_camera,
            cameras.RONCHIGRAM_CAMERA_ID: self.instrument.set_ronchigram_camera,
        }.get(source.hardware_source_id)
        if assign is not None:
            self._sources.append(source)
            assign(source)

    def _step_behind(self, other: str) -> None:
        _LOG.info("The microscope '%s' is there; the simulated HERMES steps behind it.", other)
        modules = (*self._camera_modules, self.scan_module)
        for part in (self.instrument, self.scan_module.device, *modules, *self._sources):
            part.priority = _BEHIND
