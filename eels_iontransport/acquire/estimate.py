"""What a plan costs before it runs: time, storage, dose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .plan import LINE_ROLES, Plan, Step
from .site import Site

BYTES_PER_COUNT = 4  # float32
ELECTRONS_PER_SECOND_AND_PA = 1e-12 / 1.602176634e-19


@dataclass(frozen=True)
class Estimate:
    """Cost of a plan. Electrons and dose are those of one pixel of the line, all steps together; nan without a beam
    current."""

    seconds: float
    exposure_s: float
    bytes: int
    electrons_per_pixel: float
    dose_per_nm2: float

    def sentence(self) -> str:
        """As the panel shows it: "5.2 min - 41 MB - 2.1e+07 e-/nm2 per pixel"."""
        time = f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.1f} min"
        size = f"{self.bytes / 1e6:.0f} MB" if self.bytes >= 1e6 else f"{self.bytes / 1e3:.0f} kB"
        dose = "dose unknown" if math.isnan(self.dose_per_nm2) else f"{self.dose_per_nm2:.1e} e-/nm2 per pixel"
        return f"{time} - {size} - {dose}"


def step_seconds(plan: Plan, step: Step, site: Site) -> float:
    """Time of one step in s, without the change of setting."""
    positions = 1 if step.rows_are_frames else plan.rows(step)
    return positions * (step.frames * step.exposure_s + site.overhead_s + site.probe_settle_s)


def estimate(plan: Plan, site: Site, beam_current_pa: float | None = None) -> Estimate:
    """Time, storage and dose of a plan.

    The dose is that of a probe of the site's diameter d: electrons over its area, or over step x d where the pixels
    lie closer than the probe is wide and share their electrons.
    """
    seconds = sum(step_seconds(plan, step, site) for step in plan.steps) + _settling_s(plan, site)
    exposure = sum(s.exposure_s * s.frames * (1 if s.rows_are_frames else plan.rows(s)) for s in plan.steps)
    size = sum(plan.rows(step) * site.camera.channels * BYTES_PER_COUNT for step in plan.steps)
    on_line = sum(step.exposure_s * step.frames for step in plan.steps if step.role in LINE_ROLES)
    electrons = on_line * ELECTRONS_PER_SECOND_AND_PA * (math.nan if beam_current_pa is None else beam_current_pa)
    return Estimate(seconds, exposure, size, electrons, electrons / _pixel_area_nm2(plan, site))


def _settling_s(plan: Plan, site: Site) -> float:
    total, current = 0.0, None
    for step in plan.steps:
        if step.setting != current and step.setting in site.settings:
            total += site.settings[step.setting].settle_s
        current = step.setting
    return total


def _pixel_area_nm2(plan: Plan, site: Site) -> float:
    diameter = site.beam.diameter_nm
    width = math.pi * diameter / 4
    if plan.line is not None and plan.line.pixels > 0 and plan.line.length_nm > 0:
        width = min(width, plan.line.step_nm)
    return width * diameter
