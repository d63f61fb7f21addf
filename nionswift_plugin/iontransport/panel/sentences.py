"""What the panel says, piece by piece. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eels_iontransport import wording
from eels_iontransport.acquire.estimate import Estimate
from eels_iontransport.acquire.outcome import DriftSummary, Ending, Outcome, Progress
from eels_iontransport.acquire.outcome import State as RunState
from eels_iontransport.acquire.plan import FRAME_ROLES, LINE_ROLES
from eels_iontransport.data.record import Role
from eels_iontransport.wording import DOT, number, with_sigma

from .form import ROW_LABELS
from .situation import Ended, Microscope, State, ZeroLoss

_JOINT = f" {DOT} "


def estimate_text(estimate: Estimate | None, free_bytes: int | None = None) -> str:
    """ "5:00 min · 41 MB · free 410 GB", and below it the dose where the beam current is known."""
    if estimate is None:
        return ""
    minutes = " min" if 60 <= round(estimate.seconds) < 3600 else ""
    parts = [f"{wording.duration(estimate.seconds)}{minutes}", wording.size(estimate.bytes)]
    if free_bytes is not None:
        parts.append(f"free {wording.size(free_bytes)}")
    if math.isfinite(estimate.dose_per_nm2) and estimate.dose_per_nm2 > 0:
        mantissa, exponent = f"{estimate.dose_per_nm2:.1e}".split("e")
        dose = f"{mantissa}e{int(exponent)} e\N{SUPERSCRIPT MINUS}/nm\N{SUPERSCRIPT TWO}"
        return _JOINT.join(parts) + f"\nDose {dose} per pixel of the line"
    return _JOINT.join(parts)


def progress_text(progress: Progress, *, stopping: bool = False, pausing: bool = False) -> str:
    """ "Vibrational pass 3/8 · pixel 18/40 · 1:42 left"."""
    if progress.passes > 1:
        parts = [f"{ROW_LABELS[progress.role]} pass {progress.pass_index + 1}/{progress.passes}"]
    else:
        parts = [f"{ROW_LABELS[progress.role]} {progress.step + 1}/{progress.steps}"]
    if progress.state in _BETWEEN:
        parts.append(_BETWEEN[progress.state])
    else:
        unit = "frame" if progress.role in FRAME_ROLES else "pixel" if progress.role in LINE_ROLES else "point"
        parts.append("{} {}/{}".format(unit, *row_of_pass(progress)))
    if stopping:
        parts.append("stopping")
    elif pausing and progress.state is RunState.ACQUIRING:
        parts.append("pausing after this row")
    elif math.isfinite(progress.remaining_s):
        parts.append(f"{wording.duration(progress.remaining_s)} left")
    return _JOINT.join(parts)


_BETWEEN = {
    RunState.PREPARING: "preparing",
    RunState.SETTING: "setting the spectrometer",
    RunState.CHECK_ZLP: "before its first row",
    RunState.WAITING: "before its first row",
    RunState.RESTORING: "bringing the microscope home",
}


def row_of_pass(progress: Progress) -> tuple[int, int]:
    """Rows taken of the pass under way, and rows of a pass."""
    rows = progress.rows_planned // max(1, progress.passes)
    return min(rows, max(0, progress.rows_valid - progress.pass_index * rows)), rows


def watch_text(progress: Progress) -> str:
    """What has been kept while a run goes on: "Step 3/5 · 18 rows in the journal"."""
    parts = [f"Step {progress.step + 1}/{progress.steps}"] if progress.passes > 1 else []
    if progress.journal and progress.rows_valid:
        parts.append(f"{progress.rows_valid} rows in the journal")
    if progress.saturated_frames:
        parts.append(f"{progress.saturated_frames} saturated")
    return _JOINT.join(parts)


def drift_text(rate_nm_per_min: float) -> str:
    return f"drift {number(rate_nm_per_min, 1)} nm/min"


def beam_text(microscope: Microscope | None, zero: ZeroLoss | None, readout: Mapping[str, Any] | None) -> str:
    """ "ZLP 8.1 meV · peak 62 % · 21 pA"; the width is that of the last run where no test frame is newer."""
    parts = zero_parts(zero) if zero is not None else []
    width = ((readout or {}).get("zlp") or {}).get("fwhm_mev") or {}
    if not parts and width.get("value") is not None:
        parts.append(f"ZLP {width['value']:.1f} meV")
    if microscope is not None and microscope.beam_current_pa is not None:
        parts.append(f"{microscope.beam_current_pa:.3g} pA")
    return _JOINT.join(parts)


def running_beam_text(progress: Progress | None) -> str:
    """The second line while a run goes on: "21 pA · drift 0.3 nm/min"."""
    if progress is None:
        return ""
    parts = [] if progress.beam_current_pa is None else [f"{progress.beam_current_pa:.3g} pA"]
    if math.isfinite(progress.drift_nm_per_min):
        parts.append(drift_text(progress.drift_nm_per_min))
    return _JOINT.join(parts)


def zero_text(zero: ZeroLoss | None) -> str:
    """What the frames of "Check ZLP" show; a sentence where they show no peak."""
    if zero is None:
        return "Waiting for a frame to show."
    parts = zero_parts(zero)
    if math.isfinite(zero.position_mev):
        parts.insert(1, f"at {number(zero.position_mev, 1, signed=True)} meV")
    if not math.isfinite(zero.fwhm_mev) and not zero.saturated:
        return "No zero-loss peak in the range of this setting."
    return _JOINT.join(parts)


def zero_parts(zero: ZeroLoss) -> list[str]:
    parts = []
    if math.isfinite(zero.fwhm_mev):
        parts.append(f"ZLP {zero.fwhm_mev:.1f} meV")
    if zero.saturated:
        parts.append("saturated")
    elif math.isfinite(zero.fraction_of_full_scale):
        parts.append(f"peak {100 * zero.fraction_of_full_scale:.2g} %")
    return parts


def scanned_text(labels: tuple[str, ...]) -> str:
    """Which steps are taken with the scan running along."""
    if not labels:
        return ""
    return f"{' and '.join(labels)}: scanned, as the frames are short and one a pass."


def ended(outcome: Outcome, time_of_day: str) -> Ended:
    """The first line after a run."""
    if outcome.ending is Ending.COMPLETE and not outcome.problems:
        rows = sum(step.rows_valid for step in outcome.steps)
        steps = len(outcome.steps)
        moved = f" {moved_text(outcome.drift)}" if outcome.drift is not None else ""
        return Ended(State.DONE, f"Done {time_of_day}. All {rows} rows, {steps} of {steps} steps.{moved}")
    states = {Ending.COMPLETE: State.FAULT, Ending.ABORTED: State.ABORTED}
    said = outcome.sentence()
    if outcome.drift is not None:
        said = said.replace(outcome.drift.sentence(), moved_text(outcome.drift))
    return Ended(states.get(outcome.ending, State.FAULT), said)


def moved_text(drift: DriftSummary) -> str:
    """ "Line moved 0.4 ± 0.1 nm, followed to 0.1 nm."; "... nm since the first run, ..." where it was found again."""
    if drift.problem or not math.isfinite(drift.moved_nm):
        return drift.sentence()
    off = f", followed to {drift.off_nm:.1g} nm" if math.isfinite(drift.off_nm) else ""
    since = f" {drift.since}" if drift.since_first_run else ""
    return f"Line moved {with_sigma(drift.moved_nm, drift.sigma_nm, 'nm')}{since}{off}."


def provisional_text(progress: Progress | None) -> str:
    """What stands behind a number that may change."""
    if progress is not None and progress.role is Role.VIBRATIONAL and progress.passes > 1:
        return f"provisional, pass {progress.pass_index + 1} of {progress.passes}"
    return "provisional"
