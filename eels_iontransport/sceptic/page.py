"""The sceptic's page: every check that the data allow, as the readout holds it, and why the others are missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..data.errors import UnusableInput
from ..data.flags import Flag
from ..decomposition.engine import Stop, never
from ..decomposition.result import Decomposition
from ..prepared import Prepared
from ..progress import Progress, silent
from .case import Case
from .covariates import follow
from .halves import passes_apart, split_halves
from .injection import inject
from .passes import first_against_last
from .pseudo_boundaries import slide
from .residuals import with_and_without_shift

CHECKS = ("halves", "passes", "pseudo_boundaries", "residuals", "covariates", "injection")


class Found(Protocol):
    """What a check found, ready for the readout, and its doubts."""

    def to_dict(self) -> dict[str, Any]: ...

    @property
    def flags(self) -> tuple[Flag, ...]: ...


def page(
    case: Case,
    together: Decomposition,
    thickness: np.ndarray | None = None,
    should_stop: Stop = never,
    progress: Progress = silent,
) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    """All checks: `sceptic` in the readout, and the flags.

    together: the common fit of the regions. thickness: t/lambda of every row (n,). A check that cannot be done is null,
    with a sentence under its name in `reasons`. Raises Cancelled when should_stop says so.
    """
    by_pass = passes_apart(case.line)
    checks: dict[str, Callable[[], Found]] = {
        "halves": lambda: split_halves(case, by_pass, should_stop),
        "passes": lambda: first_against_last(case, _required(by_pass), should_stop),
        "pseudo_boundaries": lambda: slide(case, should_stop, progress),
        "residuals": lambda: with_and_without_shift(case, case.sums(), should_stop),
        "covariates": lambda: follow(case, together, thickness, 0, should_stop, progress),
        "injection": lambda: inject(case, 0, should_stop, progress),
    }
    entries: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    flags: list[Flag] = []
    for name, check in checks.items():
        try:
            found = check()
        except UnusableInput as fault:
            entries[name], reasons[name] = None, str(fault)
            continue
        entries[name] = found.to_dict()
        flags += found.flags
    return {**entries, "reasons": reasons}, tuple(flags)


def blank(reason: str) -> dict[str, Any]:
    """The page where there is no shift to doubt."""
    return {**dict.fromkeys(CHECKS), "reasons": dict.fromkeys(CHECKS, reason)}


def _required(by_pass: Prepared | None) -> Prepared:
    if by_pass is None:
        raise UnusableInput("The passes along the line were not kept apart; take the line as a sequence of passes.")
    return by_pass
