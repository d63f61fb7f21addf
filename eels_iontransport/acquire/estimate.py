"""What a plan costs before it runs: time, storage, dose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .plan import LINE_ROLES, Plan, Step
from .site import Site
from .step import Engine

BYTES_PER_COUNT = 4  # float32
ELECTRONS_PER_SECOND_AND_PA = 1e-12 / 1.602176634e-19
IMAGE_S = 0.1  # what one dark-field image for the drift takes out of the acquisition
COPIES = 2  # of the rows on the disk: in the journal and in the item


@dataclass(frozen=True)
class Estimate:
    """Cost of a plan. Electrons and dose are those of one pixel of the line, all steps and passes together; nan
    without a beam current.

    seconds: with moves, settling and drift images, without the wait for the drift to fall and for the operator.
    bytes: of the items. drift_s: what of `seconds` goes into drift images.
    """

    seconds: float
    exposure_s: float
    bytes: int
    electrons_per_pixel: float
    dose_per_nm2: float
    drift_s: float = 0.0

    def sentence(self, free_bytes: int | None = None) -> str:
        """As the panel shows it: "5.2 min - 41 MB - free 410 GB - 2.1e+07 e-/nm2 per pixel"."""
        time = f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.1f} min"
        size = f"{self.bytes / 1e6:.0f} MB" if self.bytes >= 1e6 else f"{self.bytes / 1e3:.0f} kB"
        free = [] if free_bytes is None else [f"free {free_bytes / 1e9:.{0 if free_bytes >= 1e10 else 1}f} GB"]
        dose = "dose unknown" if math.isnan(self.dose_per_nm2) else f"{self.dose_per_nm2:.1e} e-/nm2 per pixel"
        return " - ".join([time, size, *free, dose])


def step_seconds(plan: Plan, step: Step, site: Site) -> float:
    """Time of one step in s, without the change of setting and without drift images."""
    if step.engine is Engine.SYNCHRONIZED:
        return step.passes * (plan.pixels(step) * step.exposure_s + len(plan.lines(step)) * site.overhead_s)
    moves = step.passes * plan.positions(step)
    return _exposure_s(plan, step) + moves * (site.overhead_s + site.probe_settle_s)


def drift_seconds(plan: Plan, step: Step, site: Site) -> float:
    """Time in s that drift images take out of one step."""
    if plan.drift is None or step.rows_are_frames:
        return 0.0
    rows, seconds = plan.rows(step), step_seconds(plan, step, site)
    if not math.isfinite(seconds):
        return math.nan
    by_rows = rows / plan.drift.every_rows if plan.drift.every_rows > 0 else 0.0
    by_time = seconds / plan.drift.every_s if plan.drift.every_s > 0 else 0.0
    return IMAGE_S * (1 + min(rows, math.floor(max(by_rows, by_time))))


def estimate(plan: Plan, site: Site, beam_current_pa: float | None = None) -> Estimate:
    """Time, storage and dose of a plan.

    The dose is that of a probe of the site's diameter d: electrons over its area, or over step x d where the pixels
    lie closer than the probe is wide and share their electrons. Along a strip the electrons go to so many places, over
    the area of all of them or, where these overlap, of the strip.
    """
    drift_s = sum(drift_seconds(plan, step, site) for step in plan.steps)
    seconds = sum(step_seconds(plan, step, site) for step in plan.steps) + drift_s + _settling_s(plan, site)
    exposure = sum(_exposure_s(plan, step) for step in plan.steps)
    per_second = ELECTRONS_PER_SECOND_AND_PA * (math.nan if beam_current_pa is None else beam_current_pa)
    on_line = [step for step in plan.steps if step.role in LINE_ROLES]
    electrons = per_second * sum(step.exposure_of_a_place_s for step in on_line)
    dose = per_second * sum(step.exposure_of_a_place_s / _pixel_area_nm2(plan, step, site) for step in on_line)
    return Estimate(seconds, exposure, size_bytes(plan, site), electrons, dose, drift_s)


def size_bytes(plan: Plan, site: Site) -> int:
    """Size of the items of a plan."""
    return sum(plan.rows(step) for step in plan.steps) * site.camera.channels * BYTES_PER_COUNT


def _exposure_s(plan: Plan, step: Step) -> float:
    return step.exposure_s * step.frames * (1 if step.rows_are_frames else plan.rows(step))


def _settling_s(plan: Plan, site: Site) -> float:
    total, current = 0.0, None
    for step in plan.steps:
        if step.setting != current and step.setting in site.settings:
            total += site.settings[step.setting].settle_s
        current = step.setting
    return total


def _pixel_area_nm2(plan: Plan, step: Step, site: Site) -> float:
    """Area over which the electrons of one pixel of a step go."""
    diameter = site.beam.diameter_nm
    width = math.pi * diameter / 4
    if plan.line is not None and plan.line.pixels > 0 and plan.line.length_nm > 0:
        width = min(width, plan.line.step_nm)
    places = step.passes * len(plan.strip_offsets_nm(step, 0)) if plan.strip_nm else 1
    return width * min(places * diameter, max(plan.strip_nm, diameter))
