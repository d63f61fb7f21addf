"""The simulated microscope: the one owner of specimen, clock, random numbers and controls.

The acquisition port and the Swift devices are two faces of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np

from ..data.geometry import Field, Line, Point
from ..data.regions import Regions
from ..data.spectrum import EnergyAxis
from .camera import Camera, Detector
from .clock import Clock
from .collection import OFF_AXIS_RAD, shares
from .mishaps import CAMERA_PATIENCE_S, CameraFault, Controls, Mishaps
from .specimen import SURVEY_NM, Specimen, lco_boundary
from .spectra import SpectrumModel
from .stability import EnergyWander, Stability
from .truth import truth

ELECTRON_CHARGE_C = 1.602176634e-19
DEFAULT_BEAM_CURRENT_A = 20e-12

DISPERSION, ENERGY_OFFSET = "EELS_eVPerChannel", "ZLPoffset"
PATTERN_SHIFT = "EELS_PatternShift"
BEAM_CURRENT, BLANKER = "BeamCurrent", "C_Blank"
STAGE_X, STAGE_Y = "CSH.x", "CSH.y"

# Dispersion (eV per channel) and energy of channel 0 (eV) of the three settings.
SETTINGS: Mapping[str, tuple[float, float]] = {
    "vibrational": (0.0004, -0.2),
    "valence": (0.05, -10.0),
    "core_loss": (0.1, 20.0),
}
_MODELS_KEPT = 6


class SimulatedMicroscope:
    """A HERMES at 60 kV with an EELS camera.

    seed: of all random numbers. time_scale: see `Clock`; None runs without waiting. Positions are nm in the frame of
    the scan.

    Controls: EELS_eVPerChannel (eV per channel, any positive value), ZLPoffset (eV, nominal energy loss of channel 0),
    EELS_PatternShift (rad, of the diffraction pattern off the spectrometer's entrance; see `collection`), BeamCurrent
    (A, at the specimen), C_Blank (0, or 1 for frames without beam), CSH.x and CSH.y (m, of the specimen).
    mishaps: what goes wrong, from now on; see also `suffer`.
    """

    def __init__(
        self,
        specimen: Specimen | None = None,
        seed: int = 1,
        time_scale: float | None = None,
        *,
        camera: Camera | None = None,
        stability: Stability | None = None,
        beam_current_a: float = DEFAULT_BEAM_CURRENT_A,
        mishaps: Mishaps | None = None,
    ) -> None:
        self.clock = Clock(time_scale)
        self._lock = threading.RLock()
        self.controls: dict[str, float] = {  # as they were set; `get` reads them
            DISPERSION: SETTINGS["vibrational"][0],
            ENERGY_OFFSET: SETTINGS["vibrational"][1],
            PATTERN_SHIFT: 0.0,
            BEAM_CURRENT: beam_current_a,
            BLANKER: 0.0,
            STAGE_X: 0.0,
            STAGE_Y: 0.0,
        }
        self._controls = Controls(self.controls)
        self.suffer(mishaps)
        self.field: Field | None = None
        self.probe: Point | None = None
        self.specimen = specimen or lco_boundary()
        self.camera, self.stability, self.seed = camera or Camera(), stability or Stability(), seed
        self.reset()

    def reset(
        self,
        specimen: Specimen | None = None,
        seed: int | None = None,
        *,
        camera: Camera | None = None,
        stability: Stability | None = None,
    ) -> None:
        """Change the specimen, camera or stability, and start the random numbers afresh; what is not given stays."""
        with self._lock:
            self.specimen = specimen or self.specimen
            self.seed = self.seed if seed is None else seed
            self.camera = camera or self.camera
            self.stability = stability or self.stability
            self._rng = np.random.default_rng(self.seed)
            self._wander = EnergyWander(self.stability, self.clock.now_s, self._rng)
            self._detector = Detector(self.camera)
            self._models: dict[tuple, SpectrumModel] = {}

    def suffer(self, mishaps: Mishaps | None) -> None:
        """Let things go wrong from now on; None ends it. Times and frames of the mishaps count from here."""
        with self._lock:
            self.mishaps = mishaps or Mishaps()
            self._mishaps_since_s = self.clock.now_s
            self._frames_begun = 0
            self._controls.forget()

    # -- controls

    def get(self, control: str) -> float:
        """What a control reads. Raises KeyError for one that the microscope does not have."""
        with self._lock:
            value = self._controls.read(control, self.clock.now_s)
            return value * self.mishaps.beam_factor(self._mishap_s) if control == BEAM_CURRENT else value

    @property
    def _mishap_s(self) -> float:
        """Time since the mishaps were ordered."""
        return self.clock.now_s - self._mishaps_since_s

    def set(self, control: str, value: float) -> None:
        """Set a control. Raises KeyError for an unknown one and ValueError for a value that cannot be."""
        if control not in self.controls:
            raise KeyError(control)
        if not np.isfinite(value) or (control == DISPERSION and value <= 0) or (control == BEAM_CURRENT and value < 0):
            raise ValueError(f"The control {control} cannot be set to {value}.")
        with self._lock:
            self._controls.set(control, float(value), self.clock.now_s, self.mishaps)

    def use(self, setting: str, *, off_axis: bool = False) -> None:
        """Set dispersion and energy offset to one of SETTINGS, and collect on or off the axis."""
        self.set(PATTERN_SHIFT, OFF_AXIS_RAD if off_axis else 0.0)
        for control, value in zip((DISPERSION, ENERGY_OFFSET), SETTINGS[setting]):
            self.set(control, value)

    @property
    def energy(self) -> EnergyAxis:
        """The nominal energy axis; the zero-loss peak lies within a few meV of 0, as far as jitter and drift allow."""
        return EnergyAxis(self.get(ENERGY_OFFSET), self.get(DISPERSION), self.camera.channels)

    def dose(self, exposure_s: float, frames: int = 1) -> float:
        """Electrons that reach the specimen when nothing is wrong with the beam."""
        return self.controls[BEAM_CURRENT] * exposure_s * frames / ELECTRON_CHARGE_C

    # -- acquisition

    def displacement_nm(self) -> tuple[float, float]:
        """(y, x) by which stage and drift have moved the specimen in the frame of the scan."""
        drift_y, drift_x = (rate * self.clock.now_s / 60.0 for rate in self.stability.spatial_drift_nm_per_min)
        more_y, more_x = self.mishaps.displacement_nm(self._mishap_s)
        return drift_y + more_y + 1e9 * self.get(STAGE_Y), drift_x + more_x + 1e9 * self.get(STAGE_X)

    def frame(self, position: Point, exposure_s: float) -> np.ndarray:
        """Counts of one frame at the position, (channels,) float32. Does not wait: the caller lets the time pass.

        Raises CameraFault where that is ordered.
        """
        with self._lock:
            if self.mishaps.fails(self._frames_begun):
                raise CameraFault("The camera has stopped giving frames; check the camera.")
            self._frames_begun += 1
            now = self._mishap_s
            shift_ev = self._wander.shift_ev(self.clock.now_s) + self.mishaps.energy_shift_ev(now)
            beam = 0.0 if self.get(BLANKER) else self.mishaps.beam_factor(now, now + exposure_s)
            if beam > 0:
                moved_y, moved_x = self.displacement_nm()
                across = float(self.specimen.across_nm(position.y_nm - moved_y, position.x_nm - moved_x))
                electrons = beam * self.dose(exposure_s)
                expected = electrons * self._expected(across, shift_ev)
            else:
                expected = np.zeros(self.camera.channels)
            return self._detector.expose(expected, self._rng)

    def wait_for_camera(self, cancelled: threading.Event | None = None) -> bool:
        """Let pass what the camera is silent before the next frame; True when cancelled meanwhile.

        Raises CameraFault where that takes too long.
        """
        silent_s = self.mishaps.stall_s(self._frames_begun)
        if silent_s <= 0:
            return False
        if self.clock.wait(min(silent_s, CAMERA_PATIENCE_S), cancelled):
            return True
        if silent_s > CAMERA_PATIENCE_S:
            self._frames_begun += 1  # it is silent only once
            raise CameraFault(f"The camera did not answer for {CAMERA_PATIENCE_S:g} s; check the camera.")
        return False

    def frames(
        self,
        exposure_s: float,
        frames: int = 1,
        position: Point | None = None,
        cancelled: threading.Event | None = None,
    ) -> np.ndarray:
        """Counts (frames, channels) at the position, or at the parked probe; fewer frames when cancelled.

        Raises ValueError where there is no position, and CameraFault where that is ordered.
        """
        place = position or self.probe
        if place is None:
            raise ValueError("The probe is not parked; give a position.")
        rows = []
        for _ in range(frames):
            if self.wait_for_camera(cancelled):
                break
            counts = self.frame(place, exposure_s)
            if self.clock.wait(exposure_s, cancelled):
                break
            rows.append(counts)
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.camera.channels)

    def survey(self, field: Field | None = None, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
        """A dark-field image of the field, (y, x); the field is kept as that of the last survey."""
        self.field = field or Field(SURVEY_NM, SURVEY_NM)
        return self.image(self.field, shape)

    def image(self, field: Field, shape: tuple[int, int]) -> np.ndarray:
        """Dark-field intensities of the field, (y, x) float32, with noise."""
        fractions = np.meshgrid(*((np.arange(n) + 0.5) / n - 0.5 for n in shape), indexing="ij")
        y, x = fractions[0] * field.height_nm, fractions[1] * field.width_nm
        c, s = np.cos(field.rotation_rad), np.sin(field.rotation_rad)
        return self.image_at(field.centre.y_nm + c * y - s * x, field.centre.x_nm + c * x + s * y)

    def image_at(self, y_nm: np.ndarray, x_nm: np.ndarray) -> np.ndarray:
        """Dark-field intensities at positions of any shape, float32, with noise; the noise alone when blanked."""
        moved_y, moved_x = self.displacement_nm()
        beam = 0.0 if self.get(BLANKER) else self.mishaps.beam_factor(self._mishap_s)
        with self._lock:
            noise = 0.03 * self._rng.standard_normal(np.shape(x_nm))
        brightness = beam * self.specimen.brightness(y_nm - moved_y, x_nm - moved_x)
        return (1000.0 * (brightness + noise)).astype(np.float32)

    def truth(
        self,
        line: Line,
        regions: Regions | None = None,
        exposures: Mapping[str, tuple[float, int]] | None = None,
        off_axis: Iterable[str] = (),
    ) -> dict:
        """What an analysis of the line should find; see `truth.truth`.

        exposures: exposure in s and number of frames of a pixel for each role, for the doses. off_axis: roles that were
        collected off the axis.
        """
        content = {
            "seed": self.seed,
            "beam_current_pa": 1e12 * self.controls[BEAM_CURRENT],
            "counts_per_electron": self.camera.counts_per_electron,
            "electrons_per_pixel": {str(k): self.dose(*v) for k, v in (exposures or {}).items()},
            "off_axis": {str(role): asdict(shares(OFF_AXIS_RAD)) for role in off_axis},
        }
        return {**truth(self.specimen, line, regions), **content}

    def _expected(self, across_nm: float, shift_ev: float) -> np.ndarray:
        """Probability of each channel per incident electron, (channels,)."""
        collected = shares(self.get(PATTERN_SHIFT))
        return self._model().expected(across_nm, np.array([shift_ev]), collected)[0]

    def _model(self) -> SpectrumModel:
        axis = self.energy
        key = (axis.offset_ev, axis.step_ev)
        if key not in self._models:
            while len(self._models) >= _MODELS_KEPT:
                self._models.pop(next(iter(self._models)))
            self._models[key] = SpectrumModel(self.specimen, axis)
        return self._models[key]
