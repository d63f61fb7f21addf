"""How long still, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sentence(entry: Mapping[str, Any]) -> str:
    """The outlook for the operator: "sigma 0.6 meV after 2 passes; 0.3 meV needs about 6 more (18 min)"."""
    now = entry["sigma_mev"]["value"]
    if now is None:
        return ""
    parts = [f"sigma {short(now)} meV after {_passes(entry['passes'])}"]
    for target in entry["targets"]:
        wanted = f"{target['target_sigma_mev']:g} meV"
        if target["reached"]:
            parts.append(f"{wanted} is reached")
        elif target["factor"] is None:
            parts.append(f"{wanted} is out of reach: {target['reason']}")
        else:
            time = "" if target["minutes"] is None else f" ({_time(target['minutes'])})"
            parts.append(f"{wanted} needs about {target['passes']} more{time}")
    return "; ".join(parts)


def short(value: float) -> str:
    """A number to two digits."""
    return f"{value:.2g}"


def _passes(passes: float) -> str:
    if passes == 1:
        return "1 pass"
    return f"{passes:.0f} passes" if abs(passes - round(passes)) < 0.05 else f"{passes:.1f} passes"


def _time(minutes: float) -> str:
    if minutes < 2:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
