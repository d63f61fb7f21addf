"""The simulated HERMES as the host's STEM controller: controls, properties, probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nion.device_kit import InstrumentDevice
from nion.utils import Event, Geometry, Stream

from eels_iontransport.simulation.microscope import (
    DISPERSION,
    ENERGY_OFFSET,
    PATTERN_SHIFT,
    STAGE_X,
    STAGE_Y,
    SimulatedMicroscope,
)

INSTRUMENT_ID = "iontransport_simulator"
SATURATION_LEVEL, COUNTS_PER_ELECTRON = "EELS_SaturationLevel", "EELS_CountsPerElectron"  # can only be read

_STAGE = "stage_position_m"
_STAGE_CONTROLS = {f"{_STAGE}.x": STAGE_X, f"{_STAGE}.y": STAGE_Y}
_PASSIVE = {"EHT": 60e3, "C10": 0.0, "S_MC_InsideColumn": 8.0}  # remembered, without effect


class Controls(InstrumentDevice.ValueManagerLike):
    """The controls of the simulated microscope, and some that are only remembered."""

    def __init__(self, microscope: SimulatedMicroscope) -> None:
        self._microscope = microscope
        self._passive = dict(_PASSIVE)
        self._streams: dict[str, Any] = {}
        self.changed_event = Event.Event()

    def get_value(self, name: str) -> float | None:
        camera = self._microscope.camera
        if name == SATURATION_LEVEL:
            return camera.saturation_level_counts
        if name == COUNTS_PER_ELECTRON:
            return camera.counts_per_electron
        name = _STAGE_CONTROLS.get(name, name)
        return self._microscope.get(name) if name in self._microscope.controls else self._passive.get(name)

    def set_value(self, name: str, value: float) -> bool:
        control = _STAGE_CONTROLS.get(name, name)
        if control in self._passive:
            self._passive[control] = float(value)
        else:
            try:
                self._microscope.set(control, value)
            except (KeyError, ValueError):
                return False
        self._changed(name)
        return True

    def inform_value(self, name: str, value: float) -> bool:
        return self.set_value(name, value)

    def get_value_2d(
        self, s: str, default_value: Geometry.FloatPoint | None = None, *, axis: Any = None
    ) -> Geometry.FloatPoint:
        y, x = self.get_value(f"{s}.y"), self.get_value(f"{s}.x")
        if y is None or x is None:
            if default_value is None:
                raise ValueError(f"The simulated microscope has no two-dimensional control '{s}'.")
            return default_value
        return Geometry.FloatPoint(y, x)

    def set_value_2d(self, s: str, value: Geometry.FloatPoint, *, axis: Any = None) -> bool:
        return self.set_value(f"{s}.y", value.y) and self.set_value(f"{s}.x", value.x)

    def inform_control_2d(self, s: str, value: Geometry.FloatPoint, *, axis: Any) -> bool:
        return self.set_value_2d(s, value)

    def get_reference_setting_index(self, settings_control: str) -> int:
        return 0

    def get_control_try_value_stream(self, control_name: str) -> Any:
        """The control's values as the newer host asks for them."""
        if control_name not in self._streams:
            self._streams[control_name] = Stream.ValueStream(self._try_value(control_name))
        return self._streams[control_name]

    def _try_value(self, name: str) -> Any:
        from nion.instrumentation import stem_controller  # the older host has no TryValue

        value = self.get_value(name)
        error = None if value is not None else KeyError(f"The simulated microscope has no control '{name}'.")
        return stem_controller.TryValue(value, error)

    def _changed(self, name: str) -> None:
        if name in self._streams:
            self._streams[name].value = self._try_value(name)
        self.changed_event.fire(name)


class Axes(InstrumentDevice.AxisManagerLike):
    """The simulated microscope has one pair of axes, those of the scan."""

    @property
    def supported_axis_descriptions(self) -> Sequence[Any]:
        return []

    def axis_transform_point(self, point: Geometry.FloatPoint, from_axis: Any, to_axis: Any) -> Geometry.FloatPoint:
        return point


class Instrument(InstrumentDevice.Instrument):
    """The STEM controller."""

    def __init__(self, microscope: SimulatedMicroscope) -> None:
        controls = Controls(microscope)
        super().__init__(INSTRUMENT_ID, controls, Axes())
        self.microscope = microscope
        self.display_name = "HERMES (simulated)"
        self._listener = controls.changed_event.listen(self.property_changed_event.fire)

    @property
    def counts_per_electron(self) -> Any:
        return self.microscope.camera.counts_per_electron

    def camera_sensor_dimensions(self, camera_type: str) -> tuple[int, int]:
        from .cameras import sensor

        return sensor(camera_type, self.microscope)

    def camera_readout_area(self, camera_type: str) -> tuple[int, int, int, int]:
        return 0, 0, *self.camera_sensor_dimensions(camera_type)

    def get_autostem_properties(self) -> Mapping[str, Any]:
        """What the host writes into the metadata of everything that is acquired."""
        return {
            **super().get_autostem_properties(),
            "instrument_name": self.display_name,
            "eels_ev_per_channel": self.GetVal(DISPERSION),
            "eels_energy_offset_ev": self.GetVal(ENERGY_OFFSET),
            "eels_pattern_shift_rad": self.GetVal(PATTERN_SHIFT),
            "eels_saturation_counts": self.GetVal(SATURATION_LEVEL),
            "beam_current_pa": 1e12 * self.GetVal("BeamCurrent"),
            "specimen": self.microscope.specimen.name,
        }
