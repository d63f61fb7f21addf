"""Plans that follow from a plan: more passes on the same line, a step taken again, the next boundary."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from ..data.errors import UnusableInput
from ..data.record import Role
from .plan import Plan
from .step import LINE_ROLES, Step

_LAST_NUMBER = re.compile(r"^(.*?)(\d+)$", re.DOTALL)


def more_passes(plan: Plan, passes: int, *, roles: Collection[Role] = LINE_ROLES, titles: Collection[str] = ()) -> Plan:
    """So many passes more on the same line: the line steps of these roles alone, in items that count on.

    titles: of items that exist already, as for `redo`. Raises UnusableInput where no step of the plan is meant.
    """
    steps = [step for step in plan.steps if step.role in LINE_ROLES and step.role in roles]
    if not steps:
        raise UnusableInput("The plan has no step on a line, so there is none to take more passes of.")
    return replace(plan, steps=tuple(_next_take(plan, replace(step, passes=passes), titles) for step in steps))


def redo(plan: Plan, step_index: int, titles: Collection[str] = ()) -> Plan:
    """That step alone once more, in an item of its own beside the first: "GB1 L1 vibrational (2)".

    titles: of items that exist already; the step counts on until its title is none of them.
    """
    return replace(plan, steps=(_next_take(plan, plan.steps[step_index], titles),))


def next_boundary(plan: Plan) -> Plan:
    """The same steps for another boundary: the name counts on, and all places are to be marked anew."""
    return Plan(
        name=next_name(plan.name),
        material=plan.material,
        steps=tuple(replace(step, take=1) for step in plan.steps),
        strip_nm=plan.strip_nm,
        drift=plan.drift,
        watching=plan.watching,
    )


def next_name(name: str) -> str:
    """GB1 -> GB2, GB09 -> GB10, edge -> edge 2; no name stays none."""
    found = _LAST_NUMBER.match(name)
    if found:
        stem, number = found.groups()
        return f"{stem}{int(number) + 1:0{len(number)}d}"
    return f"{name} 2" if name.strip() else name


def _next_take(plan: Plan, step: Step, titles: Collection[str]) -> Step:
    step = replace(step, take=step.take + 1)
    while any(_is_title(known, plan.title(step)) for known in titles):
        step = replace(step, take=step.take + 1)
    return step


def _is_title(known: str, title: str) -> bool:
    """Whether an item has the title, also where it says how many of its rows there are."""
    return known == title or (known.startswith(f"{title} (") and known.endswith(" rows)"))
