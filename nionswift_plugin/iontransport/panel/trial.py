"""Test frames of a plan: one exposure in each of its spectrometer settings, and what it says. Pure."""

from __future__ import annotations

from eels_iontransport.acquire.exposure import Advice
from eels_iontransport.acquire.plan import LINE_ROLES, SETTINGS, Plan, Step, Watching
from eels_iontransport.data.geometry import Line, Point
from eels_iontransport.data.record import Role
from eels_iontransport.wording import DOT

FRAMES = 3  # of a setting with the zero-loss peak, so that its width has an error
BESIDE_PIXELS = 2.0  # how far before the line's start a frame on the specimen is taken, where no row will be


def trial_plan(plan: Plan) -> Plan:
    """One step for each setting of the plan, with the longest exposure that the plan has in it.

    The zero-loss peak is brightest in the vacuum, and is looked at there. The core loss, and all that is collected off
    the axis, have their counts on the specimen, just before the line, or at the first point without one. Nothing is
    followed, and nothing is waited for but the beam.
    """
    longest: dict[str, Step] = {}
    for step in plan.steps:
        if step.setting not in longest or step.exposure_s > longest[step.setting].exposure_s:
            longest[step.setting] = step
    return Plan(
        plan.name,
        plan.material,
        tuple(_trial(setting, step) for setting, step in longest.items()),
        line=plan.line,
        aloof=plan.aloof,
        points=(before(plan.line),) if plan.line is not None else plan.points[:1],
        vacuum=plan.vacuum,
        watching=Watching(follow_zero=False),
    )


def before(line: Line) -> Point:
    """The place before the line's start at which a frame on the specimen is taken."""
    share = BESIDE_PIXELS / max(1, line.pixels - 1)
    start, end = line.start, line.end
    return Point(start.y_nm - share * (end.y_nm - start.y_nm), start.x_nm - share * (end.x_nm - start.x_nm))


def advice_text(setting: str, exposure_s: float, advice: Advice) -> str:
    """ "Vibrational: peak 62 % · at most 0.11 s"; a sentence where the frame says something else.

    exposure_s: of the test frame, and the longest that the plan has in this setting.
    """
    label = setting.replace("_", " ").capitalize()
    if not advice.is_known:
        return f"{label}: {advice.sentence}"
    share = f"{100 * advice.fraction_of_full_scale:.2g}"
    instead = f", not {exposure_s:g}" if exposure_s > advice.longest_safe_exposure_s else ""
    return f"{label}: peak {share} % {DOT} at most {advice.longest_safe_exposure_s:g} s{instead}"


def _trial(setting: str, step: Step) -> Step:
    if step.is_off_axis or (setting == SETTINGS[Role.CORE_LOSS] and step.role in LINE_ROLES):
        return Step(Role.POINTS, setting, step.exposure_s)
    return Step(Role.ZLP, setting, step.exposure_s, FRAMES)
