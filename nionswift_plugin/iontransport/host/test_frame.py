"""Single frames before a run: for the exposure of a setting, and for what the head of the panel says of the beam."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np

from eels_iontransport.acquire.port import Frames, MicroscopeFault
from eels_iontransport.acquire.site import Site
from eels_iontransport.measure import zlp

from .drivers import ask, stem_controller, stop_view
from .eels_camera import WHO, EELSCamera
from .run import between_runs

LEAST_SIGNAL = 20.0  # a peak has to stand so many standard deviations high, or it is the highest of the noise

__test__ = False  # no module of tests


@dataclass(frozen=True)
class Readings:
    """What frames in the current setting say; nan where they do not.

    fwhm_mev: of the zero-loss peak, the mean of single frames; its sigma is the standard error, nan for one frame.
    position_mev: of that peak on the nominal energy axis, the mean of single frames.
    fraction_of_full_scale: of the highest channel of any frame.
    """

    fwhm_mev: float
    fwhm_sigma_mev: float
    fraction_of_full_scale: float
    saturated: bool
    beam_current_pa: float
    position_mev: float = math.nan

    def sentence(self) -> str:
        """As the panel's second line says it, such as "ZLP 8.1 ± 0.1 meV - peak 62 % - 21 pA", or nothing."""
        parts = []
        if math.isfinite(self.fwhm_mev):
            error = f" ± {self.fwhm_sigma_mev:.1f}" if math.isfinite(self.fwhm_sigma_mev) else ""
            parts.append(f"ZLP {self.fwhm_mev:.1f}{error} meV")
        if self.saturated:
            parts.append("saturated")
        elif math.isfinite(self.fraction_of_full_scale):
            parts.append(f"peak {100 * self.fraction_of_full_scale:.2g} %")
        if math.isfinite(self.beam_current_pa):
            parts.append(f"{self.beam_current_pa:.3g} pA")
        return " - ".join(parts)


def take_test_frame(site: Site, exposure_s: float, frames: int = 1) -> Frames:
    """Frames in the current setting where the beam is now, be it parked or scanned. Any thread but the main one.

    The camera's live view is stopped meanwhile and resumes with the settings it had. Raises MicroscopeFault, also while
    a run is under way.
    """
    with between_runs():
        source = stem_controller().eels_camera
        if source is None:
            raise MicroscopeFault("There is no EELS camera; connect it, or assign it to the microscope.")
        playing = source.is_playing
        camera = None
        try:
            if playing:
                stop_view(source)
            camera = EELSCamera(source, site.camera, threading.Event())
            counts = camera.take(exposure_s, frames)
            if len(counts) != frames:
                raise MicroscopeFault(f"The camera gave {len(counts)} of {frames} frames; check the camera.")
            return camera.frames(counts)
        finally:
            if camera is not None:
                ask(WHO, camera.close)
            if playing:
                ask(WHO, source.start_playing)


def read_beam(frames: Frames, site: Site) -> Readings:
    """What frames taken just now say of zero-loss peak and exposure, and the beam current at this moment."""
    counts, full = np.asarray(frames.counts, float), frames.saturation_level
    peaks = zlp.find(counts, full)
    seen = np.isfinite(peaks.fwhm) & (peaks.height > LEAST_SIGNAL * _noise(counts))
    widths = 1e3 * frames.energy.step_ev * peaks.fwhm[seen]
    positions = 1e3 * (frames.energy.offset_ev + frames.energy.step_ev * peaks.position[seen])
    return Readings(
        fwhm_mev=float(np.mean(widths)) if widths.size else math.nan,
        fwhm_sigma_mev=float(np.std(widths, ddof=1) / math.sqrt(widths.size)) if widths.size > 1 else math.nan,
        fraction_of_full_scale=float(counts.max()) / full if full and counts.size else math.nan,
        saturated=bool(peaks.saturated.any()),
        beam_current_pa=_beam_current_pa(site),
        position_mev=float(np.mean(positions)) if positions.size else math.nan,
    )


def _noise(counts: np.ndarray) -> np.ndarray:
    """What counts (n, channels) scatter by between neighbours, without what is a peak; (n,)."""
    return 1.4826 * np.median(np.abs(np.diff(counts, axis=1)), axis=1) / math.sqrt(2.0)


def _beam_current_pa(site: Site) -> float:
    control = site.beam.current_control
    if not control:
        return math.nan
    known, value = ask("microscope", lambda: stem_controller().TryGetVal(control))
    return float(value) * site.beam.current_pa_per_unit if known and value is not None else math.nan
