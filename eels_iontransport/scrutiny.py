"""What stands behind the shift of an evaluation, on demand: bootstraps, specification curve, the sceptic's checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .bootstrap import bootstrap_shift
from .data.errors import UnusableInput
from .data.flags import Flag
from .decomposition.engine import Stop
from .decomposition.result import Decomposition
from .evaluation import Evaluation
from .materials.recipe import Interval
from .model_tests import examine_model
from .prepared import Prepared
from .progress import Progress
from .readout import Findings
from .sceptic.case import Case, Estimate
from .sceptic.page import blank, page
from .shift import REFERENCES, shift_peak, weights
from .specification import PUBLISHED, Specification, by_shift, default_choices, entry
from .specification_curve import Sums, add_up, specification_curve


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An evaluation with what it was made of: spectra by role, and the rows (n,) of each group of the line."""

    evaluation: Evaluation
    findings: Findings
    prepared: Mapping[str, Prepared]
    masks: Mapping[str, np.ndarray]
    windows_mev: tuple[Interval, Interval] | None

    def extended(self, readout: Mapping[str, Any], flags: tuple[Flag, ...] = ()) -> Evaluated:
        """With entries of the readout added or replaced, and flags added that were not there."""
        before = self.evaluation
        flags = tuple(flag for flag in flags if flag not in before.flags)
        told = [*before.readout["flags"], *(flag.to_dict() for flag in flags)]
        evaluation = replace(before, readout={**before.readout, **readout, "flags": told}, flags=before.flags + flags)
        return replace(self, evaluation=evaluation)


def with_bootstrap(evaluated: Evaluated, count: int, seed: int, should_stop: Stop, progress: Progress) -> Evaluated:
    """With `bootstrap` in the readout's `ldo_peak`. Raises UnusableInput where there is no shift to ask for."""
    shift, vibrations = _shift(evaluated), evaluated.findings.vibrations
    setup = vibrations.model.setup if vibrations.model is not None else None
    line = evaluated.findings.line
    sums = {name: line.total(evaluated.masks[name] & line.usable) for name in vibrations.names}
    groups = {name: total for name, total in sums.items() if total is not None}
    found, flags = bootstrap_shift(setup, groups, shift, count, seed, should_stop, progress)
    return evaluated.extended({"ldo_peak": {**shift, "bootstrap": found}}, flags)


def with_specifications(evaluated: Evaluated, should_stop: Stop, progress: Progress) -> Evaluated:
    """With `specification`, the curve, in the readout. Raises UnusableInput where there is no shift to ask for."""
    shift, findings = _shift(evaluated), evaluated.findings
    presence = findings.vibrations.presence
    absent = [group for (peak, group), p in presence.items() if peak == findings.recipe.shift_peak and not p.present]
    sums = add_up(findings.recipe, evaluated.prepared, evaluated.masks, evaluated.windows_mev, absent)
    references = tuple(name for name in REFERENCES if weights(name, list(sums.groups)) is not None)
    choices = default_choices(
        findings.recipe, list(sums.responses), sums.aloof is not None, sums.windows_mev, sums.tail is not None
    )
    specifications = [s for family in choices for s in replace(family, references=references)]
    results = specification_curve(sums, specifications, should_stop, progress)
    main = _main(sums, findings.mode, shift["reference"])
    if findings.vibrations.behind is not None:
        fitted = findings.vibrations.behind.uncertainty.scan.main
        main = replace(main, background_order=fitted.background_order, window_mev=fitted.window_mev)
    curve = [entry(result, result.specification == main) for result in by_shift(results)]
    return evaluated.extended({"specification": curve})


def with_sceptic(evaluated: Evaluated, should_stop: Stop, progress: Progress) -> Evaluated:
    """With `sceptic`, the checks of the shift, in the readout; null, with the reason, where there is none to check."""
    try:
        case, together = _case(evaluated)
    except UnusableInput as fault:
        return evaluated.extended({"sceptic": blank(str(fault))})
    thickness = evaluated.findings.profiles.get("thickness")
    found, flags = page(case, together, thickness, should_stop, progress)
    return evaluated.extended({"sceptic": found}, flags)


def _case(evaluated: Evaluated) -> tuple[Case, Decomposition]:
    """The shift of an evaluation, with what it comes from. Raises UnusableInput where there is none."""
    shift, findings = _shift(evaluated), evaluated.findings
    blue, vibrations, line = shift["blue_shift_mev"], findings.vibrations, findings.line
    if blue["value"] is None or vibrations.model is None or vibrations.together is None:
        raise UnusableInput("There is no shift to check; see the flags for what is missing.")
    masks = {name: evaluated.masks[name] & line.usable for name in vibrations.names}
    estimate = Estimate(blue["value"], blue["sigma"] if blue["sigma"] is not None else np.nan)
    return Case(vibrations.model.setup, line, masks, shift["reference"], estimate), vibrations.together


def with_model(evaluated: Evaluated, should_stop: Stop, progress: Progress) -> Evaluated:
    """With `model`, what other numbers of peaks and tied areas make of the shift. Raises UnusableInput without one."""
    shift, aloof = _shift(evaluated), evaluated.prepared.get("aloof")
    entry, flags = examine_model(evaluated.findings.vibrations, aloof, shift["reference"], should_stop, progress)
    return evaluated.extended({"model": entry}, flags)


def _shift(evaluated: Evaluated) -> dict[str, Any]:
    shift_peak(evaluated.findings.recipe)
    if "ldo_peak" not in evaluated.evaluation.readout:
        name = evaluated.findings.line.spectra.name
        raise UnusableInput(f"'{name}' is a single spectrum and has no shift; ask for no uncertainty of it.")
    return evaluated.evaluation.readout["ldo_peak"]


def _main(sums: Sums, mode: str, reference: str) -> Specification:
    """What the readout itself reports: the first of all choices."""
    inside, published = default_choices(
        sums.recipe, list(sums.responses), sums.aloof is not None, sums.windows_mev, sums.tail is not None
    )
    family = published if mode == PUBLISHED else inside
    return next(iter(replace(family, modes=(mode,), references=(reference,))))
