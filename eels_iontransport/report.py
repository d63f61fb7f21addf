"""A readout as a page of text for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from . import outlook_words, wording
from .data.regions import NAMES
from .materials import Recipe
from .sceptic import words as sceptic
from .wording import Quantity

SMALLEST_PART_MEV = 0.005  # less is printed as zero
_LABEL_WIDTH = 22
_PAGE_WIDTH = 110
_REGION_WORDS = {"grain_1": "grain 1", "boundary": "boundary", "grain_2": "grain 2"}


def lines(readout: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """The readout, one line per quantity, then the doubts about it. What is not known says so; no number is made up."""
    page = [f"{recipe.title}, mode {readout['mode']}"]
    for label, text in _entries(readout, recipe):
        indent = " " * _LABEL_WIDTH
        page.extend(textwrap.wrap(f"{label:<{_LABEL_WIDTH}}{text}", _PAGE_WIDTH, subsequent_indent=indent))
    for flag in readout.get("flags", ()):
        page.extend(textwrap.wrap(f"! {flag['message']}", _PAGE_WIDTH, subsequent_indent="  "))
    return page


def _entries(readout: Mapping[str, Any], recipe: Recipe) -> Iterator[tuple[str, str]]:
    if readout.get("regions"):
        yield "Regions", ", ".join(_region(name, readout["regions"][name]) for name in NAMES)
    yield "Zero-loss peak", _zero_loss(readout.get("zlp", {}))
    yield from _peaks(readout, recipe)
    if recipe.ratio is not None and "li_to_co" in readout:
        ratio = readout["li_to_co"]
        yield f"{':'.join(recipe.ratio)} at boundary", wording.ratio_text(readout)
        change = wording.percent(ratio.get("uncorrected_relative_change"))
        if change is not None:
            yield "", f"{wording.with_sigma(*change, '%', signed=True)} without the correction for overlapping edges"
    if "temperature" in readout:
        found = readout["temperature"]
        yield "Temperature", f"{_quantity(found['temperature_k'])} by gains against losses"
    if "thickness" in readout:
        yield "Thickness t/lambda", _along(readout["thickness"], "{}")
    for band in readout.get("bands", ()):
        yield f"Band {band['name']}", _change(band.get("relative_change")) + " at boundary"
    if wording.transport_text(readout):
        yield "Transport (model)", wording.transport_text(readout)
        yield "", f"activation energy {_change(readout.get('activation_energy', {}).get('relative_change'))}"


def _peaks(readout: Mapping[str, Any], recipe: Recipe) -> Iterator[tuple[str, str]]:
    if recipe.shift_peak is not None and "ldo_peak" in readout:
        peak = readout["ldo_peak"]
        yield f"{recipe.shift_peak} blue shift", wording.shift_text(readout, recipe.shift_peak)
        if peak.get("blue_shift_mev", {}).get("value") is not None:
            yield "", _along(peak, "{}_mev", " meV")
            for region in ("grain_1", "grain_2"):
                quantity = peak.get(f"shift_vs_{region}_mev")
                yield "", f"against {_REGION_WORDS[region]}: {_quantity(quantity, signed=True)}"
        yield from _uncertainty(peak)
        yield from _behind_the_shift(readout)
        return
    for peak in readout.get("peaks", ()):
        centre, width = peak.get("centre_mev"), peak.get("fwhm_mev")
        where = _REGION_WORDS.get(peak["region"], peak["region"])
        if centre is None or centre.get("value") is None:
            yield f"{peak['name']} peak", wording.no_peak(readout, peak["name"])
        else:
            yield f"{peak['name']} peak", f"{_quantity(centre)}, FWHM {_quantity(width)} ({where})"


def _uncertainty(peak: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the uncertainty of the shift is made of, and what a smaller one costs."""
    parts = peak.get("uncertainty") or {}
    if parts.get("statistical_mev") is not None and peak["blue_shift_mev"]["value"] is not None:
        others = [f"{name} {_part(part)}" for name, part in parts["parts_mev"].items()]
        yield "", f"sigma of the shift: counting {wording.number(parts['statistical_mev'], 2)}, {', '.join(others)} meV"
    sentence = outlook_words.sentence(peak["outlook"]) if "outlook" in peak else ""
    if sentence:
        yield "How long still", sentence


def _part(sigma_mev: float | None) -> str:
    """A part of the uncertainty; one that was looked for and is less than counting noise lets tell, says so."""
    if sigma_mev is None:
        return "not determined"
    return wording.number(sigma_mev, 2) if sigma_mev >= SMALLEST_PART_MEV else "none seen"


def _behind_the_shift(readout: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What bootstraps, other specifications and a sceptic make of the shift, where they were asked for."""
    bootstrap = readout["ldo_peak"].get("bootstrap")
    if bootstrap is not None:
        quantity = bootstrap["blue_shift_mev"]
        text = "not determined"
        if quantity["sigma"] is not None:
            low, high = quantity["interval_68"]
            text = f"{low:+.2f} to {high:+.2f} meV in 68 %, standard deviation {quantity['sigma']:.2f} meV"
        yield f"{bootstrap['count']} bootstraps", text
    if "specification" in readout:
        curve = readout["specification"]
        shifts = [entry["shift_mev"]["value"] for entry in curve if entry["shift_mev"]["value"] is not None]
        text = f", {shifts[0]:+.2f} to {shifts[-1]:+.2f} meV" if shifts else ""
        yield "Specifications", f"{len(shifts)} of {len(curve)} have a shift{text}"
    if "sceptic" in readout:
        yield from sceptic.lines(readout["sceptic"])
    if "model" in readout:
        yield from _model(readout["model"])


def _model(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How many peaks the spectra show, and the shift if the polaritons were tied."""
    for key, label in (("aloof_peaks", "Aloof peaks"), ("phononic_peaks", "Phononic peaks")):
        count = model[key]
        if count is not None:
            yield (
                label,
                f"{count['chosen'] or 'unknown'} by chi-squared, {count['by_bic']} by BIC; {count['recipe']} fitted",
            )
    tie = model["area_tie"]
    if tie is not None:
        verdict = "not rejected" if tie["applied"] else "rejected"
        yield (
            "Tied polaritons",
            f"{_quantity(tie['shift_mev'], signed=True)}, {verdict} ({sceptic.p_text(tie['p_value'])})",
        )


def _zero_loss(zlp: Mapping[str, Any]) -> str:
    parts = [f"at {_quantity(zlp.get('position_mev'))}", f"FWHM {_quantity(zlp.get('fwhm_mev'))}"]
    moved = (zlp.get("shift_rms_mev") or {}).get("value")
    if moved:
        parts.append(f"moves by {wording.number(moved, 2)} meV rms")
    if zlp.get("saturated_spectra"):
        parts.append(f"{zlp['saturated_spectra']} spectra saturated")
    return ", ".join(parts)


def _region(name: str, region: Mapping[str, Any]) -> str:
    pixels = region.get("pixels")
    inside = f"pixels {pixels[0]}-{pixels[1]}" if pixels else "no pixel"
    return f"{_REGION_WORDS[name]} {region['start_nm']:.1f}-{region['end_nm']:.1f} nm ({inside})"


def _along(values: Mapping[str, Any], key: str, unit: str = "") -> str:
    """Grain 1, boundary, grain 2."""
    texts = [f"{_REGION_WORDS[name]} {_quantity(values.get(key.format(name)), unit='')}" for name in NAMES]
    return ", ".join(texts) + unit


def _change(quantity: Quantity | None) -> str:
    change = wording.percent(quantity)
    return "not determined" if change is None else wording.with_sigma(*change, "%", signed=True)


def _quantity(quantity: Quantity | None, *, signed: bool = False, unit: str | None = None) -> str:
    if quantity is None or quantity.get("value") is None:
        return "not determined"
    return wording.with_sigma(
        quantity["value"], quantity.get("sigma"), quantity.get("unit", "") if unit is None else unit, signed=signed
    )
