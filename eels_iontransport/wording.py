"""The readout in the operator's words. Pure text: no host, no state.

A number appears only with its uncertainty; where the data do not carry one, the sentence says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from . import outlook_words

MINUS = "\N{MINUS SIGN}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
DOT = "\N{MIDDLE DOT}"
ARROW = "\N{RIGHTWARDS ARROW}"

NO_DATA, NOT_DETERMINED = "no data yet", "not determined"
SIGNIFICANT = 2.0  # a shift within so many sigma of zero is not called a shift
_DECISIVE = ("ZLP_SATURATED", "NO_ZLP", "NOT_DECOMPOSED", "MODEL_MISFIT", "PEAK_NOT_FOUND")

# Codes of flags, or their beginnings, that explain why something is not determined.
_NO_REGIONS = ("BOUNDARY_", "REGION_EMPTY", "NO_STEP")
_NO_FIT = ("NOT_DECOMPOSED", "MODEL_MISFIT", *_NO_REGIONS, "NO_ZLP", "ZLP_SATURATED")

Quantity = Mapping[str, Any]


@dataclass(frozen=True)
class ReadoutText:
    """Text of the pinned readout; empty strings are not shown."""

    shift_label: str = ""
    shift: str = ""
    shift_detail: str = ""
    outlook: str = ""
    ratio_label: str = ""
    ratio: str = ""
    transport: str = ""
    flags: str = ""
    flags_tooltip: str = ""


@dataclass(frozen=True)
class Roles:
    """Which measurements the recipe asks for: the name of the shift peak, and the two elements of the ratio."""

    shift_peak: str | None = None
    ratio: tuple[str, str] | None = None


def number(value: float, decimals: int, *, signed: bool = False) -> str:
    """A number with a true minus sign, never "-0"."""
    text = f"{abs(value):.{decimals}f}"
    negative = value < 0 and float(text) != 0
    return (MINUS if negative else "+" if signed else "") + text


def with_sigma(value: float, sigma: float | None, unit: str = "", *, signed: bool = False) -> str:
    """ "+1.8 ± 0.3 meV": both rounded to the first digit of sigma; without a sigma it says that there is none."""
    tail = f" {unit}" if unit else ""
    if not _usable(sigma) or sigma == 0:
        return f"{number(value, 1, signed=signed)}{tail} (uncertainty unknown)"
    assert sigma is not None
    decimals = max(0, -math.floor(math.log10(sigma) + 1e-9))
    if round(sigma, decimals) >= 10.0 ** (1 - decimals):  # 0.096 rounds to 0.1, not to 0.10
        decimals = max(0, decimals - 1)
    return f"{number(value, decimals, signed=signed)} {PLUS_MINUS} {number(sigma, decimals)}{tail}"


def percent(quantity: Quantity | None) -> tuple[float, float | None] | None:
    """A relative change as (value, sigma) in per cent, whether it came as a fraction or in per cent."""
    if quantity is None or not _usable(quantity.get("value")):
        return None
    factor = 1.0 if quantity.get("unit") in ("%", "percent", "per cent") else 100.0
    sigma = quantity.get("sigma")
    return factor * quantity["value"], factor * sigma if _usable(sigma) else None


def readout_text(
    readout: Mapping[str, Any] | None,
    roles: Roles,
    *,
    pixel: int | None = None,
    pixels: int | None = None,
    is_core_loss: bool = False,
) -> ReadoutText:
    """What the panel shows of a readout. `pixel` of `pixels` is how far a line still running has come: the vibrational
    one, before which nothing is known, or that of core loss, which only the ratio waits for."""
    shift_label = f"{roles.shift_peak} blue shift" if roles.shift_peak else ""
    ratio_label = f"{roles.ratio[0]}:{roles.ratio[1]} at boundary" if roles.ratio else ""
    if not readout:
        blank = NO_DATA
        return ReadoutText(
            shift_label=shift_label or "Peaks", shift=blank, ratio_label=ratio_label, ratio=blank if ratio_label else ""
        )
    ratio_progress = not_yet(readout, pixel, pixels)
    progress = "" if is_core_loss else ratio_progress
    flags = flag_lines(readout.get("flags", ()))
    if roles.shift_peak:
        shift, detail = progress or shift_text(readout, roles.shift_peak), "" if progress else shift_detail(readout)
    else:
        shift_label, shift, detail = peak_text(readout)
    return ReadoutText(
        shift_label=shift_label,
        shift=shift,
        shift_detail=detail,
        outlook="" if progress else outlook_text(readout),
        ratio_label=ratio_label,
        ratio=(ratio_progress or ratio_text(readout)) if roles.ratio else "",
        transport="" if progress else transport_text(readout),
        flags=flags[0],
        flags_tooltip=flags[1],
    )


def outlook_text(readout: Mapping[str, Any]) -> str:
    """What a smaller uncertainty of the shift costs; empty where nothing is known of it."""
    entry = (readout.get("ldo_peak") or {}).get("outlook")
    return outlook_words.sentence(entry) if entry else ""


def not_yet(readout: Mapping[str, Any], pixel: int | None, pixels: int | None) -> str:
    """Why a line that is still being taken has no result yet; empty once its boundary has been scanned through."""
    if pixel is None or pixels is None or pixel >= pixels:
        return ""
    inside = (readout.get("regions") or {}).get("boundary", {}).get("pixels")
    if inside and pixel > inside[1]:
        return ""
    return f"boundary not {'reached' if inside else 'found yet'} (pixel {pixel} of {pixels})"


def shift_text(readout: Mapping[str, Any], peak: str) -> str:
    """The blue shift of boundary against grains, "No shift seen", or why there is none."""
    shift = (readout.get("ldo_peak") or {}).get("blue_shift_mev")
    if shift is None or not _usable(shift.get("value")):
        return no_peak(readout, peak)
    value, sigma = shift["value"], shift.get("sigma")
    text = with_sigma(value, sigma, "meV", signed=True)
    if _usable(sigma) and abs(value) < SIGNIFICANT * sigma:
        return f"No shift seen: {text} (68 %)"
    return text


def shift_detail(readout: Mapping[str, Any]) -> str:
    """The centres that the shift comes from: grains, then boundary."""
    peak = readout.get("ldo_peak") or {}
    centres = [peak.get(f"{region}_mev") or {} for region in ("grain_1", "boundary", "grain_2")]
    if not all(_usable(centre.get("value")) for centre in centres):
        return ""
    first, boundary, second = (with_sigma(centre["value"], centre.get("sigma")) for centre in centres)
    return f"{first} {ARROW} {boundary} {ARROW} {second} meV"


def ratio_text(readout: Mapping[str, Any]) -> str:
    """Change of the ratio at the boundary against the mean of the grains."""
    ratio = readout.get("li_to_co")
    if ratio is None:
        return "no core-loss scan yet"
    change = percent(ratio.get("relative_change"))
    if change is None:
        return not_determined(readout, "CORE_LOSS_", "EDGE_NOT_SEEN", *_NO_REGIONS)
    text = with_sigma(*change, "%", signed=True)
    if change[1] is not None and abs(change[0]) < SIGNIFICANT * change[1]:
        return f"No change seen: {text} (68 %)"
    return text


def peak_text(readout: Mapping[str, Any]) -> tuple[str, str, str]:
    """(label, headline, detail) of a recipe without a shift peak: its first peak that is not fixed by others."""
    for peak in readout.get("peaks", ()):
        if peak.get("component") == "phononic":
            centre = peak.get("centre_mev") or {}
            label = f"{peak['name']} peak"
            if not _usable(centre.get("value")):
                return label, no_peak(readout, peak["name"]), ""
            return label, with_sigma(centre["value"], centre.get("sigma"), "meV"), ""
    return "Peaks", no_fit(readout), ""


def not_determined(readout: Mapping[str, Any], *reasons: str) -> str:
    """ "not determined: ...", with the first flag whose code begins with one of the reasons, the likeliest first."""
    flags = [flag for flag in readout.get("flags", ()) if flag.get("message")]
    for reason in reasons:
        for flag in flags:
            if flag.get("code", "").startswith(reason):
                return f"{NOT_DETERMINED}: {flag['message'].strip().rstrip('.')}"
    return NOT_DETERMINED


def no_peak(readout: Mapping[str, Any], peak: str) -> str:
    """Why a peak is not determined."""
    return not_determined(readout, f"{peak.upper()}_", "PEAK_NOT_FOUND", *_NO_FIT)


def no_fit(readout: Mapping[str, Any]) -> str:
    """Why there is no fit."""
    return not_determined(readout, *_NO_FIT)


def transport_text(readout: Mapping[str, Any]) -> str:
    """The model estimate, with the assumptions that it hangs on in the same breath, and its range over others."""
    change = percent((readout.get("conductivity") or {}).get("relative_change"))
    if change is None:
        return ""
    assumptions = readout.get("assumptions") or {}
    conditions = []
    if _usable(assumptions.get("bulk_activation_energy_ev")):
        conditions.append(f"bulk Ea {assumptions['bulk_activation_energy_ev']:.2f} eV")
    if _usable(assumptions.get("temperature_k")):
        conditions.append(f"{assumptions['temperature_k']:.0f} K")
    if assumptions.get("carrier_model"):
        conditions.append(f"carriers {assumptions['carrier_model']}")
    text = f"Conductivity {with_sigma(*change, '%', signed=True)} if {', '.join(conditions)}"
    over = (readout.get("conductivity") or {}).get("over_assumptions") or {}
    if not (_usable(over.get("low")) and _usable(over.get("high"))):
        return text
    low, high = (number(100.0 * over[end], 0, signed=True) for end in ("low", "high"))
    return f"{text}; {low} to {high} % over other assumptions"


def flag_lines(flags: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    """(one line, all of them): how many doubts there are and the first; the rest for the tooltip."""
    messages = [flag.get("message", "") for flag in flags]
    if not messages:
        return "", ""
    count = "1 flag" if len(messages) == 1 else f"{len(messages)} flags"
    return f"{count}: {messages[0]}", "\n".join(messages)


def duration(seconds: float) -> str:
    """ "1:42" for the time left, "45 s" below a minute, "2 h 05 min" for a night."""
    whole = int(round(max(seconds, 0.0)))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """A data size: "41 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def encodable(text: str, encoding: str | None) -> str:
    """The text, in plain letters where the encoding has not all of it; a minus sign stays one."""
    try:
        text.encode(encoding or "utf-8")
        return text
    except UnicodeEncodeError:
        for sign, plain in ((MINUS, "-"), (PLUS_MINUS, "+-"), (DOT, "-"), (ARROW, "->")):
            text = text.replace(sign, plain)
        return text.encode("ascii", "replace").decode()


def _usable(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value)
