"""What the panel asks of the instrument between runs, and of frames that are only looked at."""

from __future__ import annotations

from nion.utils import Registry

from eels_iontransport.acquire.port import Frames
from eels_iontransport.acquire.site import Site

from ..host import run as host_run
from ..host.test_frame import read_beam
from .situation import Microscope, ZeroLoss


def describe_microscope(site: Site) -> Microscope | None:
    """The instrument that is there now; None without one."""
    stem = Registry.get_component("stem_controller")
    if stem is None:
        return None
    _, high_tension = stem.TryGetVal("EHT")
    current = None
    if site.beam.current_control:
        _, current = stem.TryGetVal(site.beam.current_control)
    return Microscope(
        str(getattr(stem, "display_name", "") or site.name),
        high_tension / 1000.0 if high_tension else None,
        current * site.beam.current_pa_per_unit if current else None,
    )


def missing() -> tuple[str, ...]:
    """One sentence for each device that a run needs and that is not there."""
    return tuple(host_run.missing())


def zero_loss(frames: Frames, site: Site) -> ZeroLoss:
    """What frames that were taken just now say of the zero-loss peak. Raises MicroscopeFault."""
    read = read_beam(frames, site)
    return ZeroLoss(
        read.fwhm_mev, read.fwhm_sigma_mev, read.position_mev, read.fraction_of_full_scale, saturated=read.saturated
    )


def present_setting(site: Site) -> str:
    """The name of the site's setting whose values the controls have now; empty where they have those of none.

    Of several the one that names most controls: one off the axis names those of the one on it, and the deflection.
    """
    stem = Registry.get_component("stem_controller")
    for name, setting in sorted(site.settings.items(), key=lambda entry: -len(entry[1].controls)):
        readings = [stem.TryGetVal(wanted.control) for wanted in setting.controls] if stem is not None else []
        if readings and all(
            known and value is not None and wanted.accepts(value)
            for wanted, (known, value) in zip(setting.controls, readings)
        ):
            return name
    return ""
