"""The sceptic's page in words, a line for each check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import wording

Entry = Mapping[str, Any]

NOT_CHECKED = "not checked"


def lines(page: Entry) -> Iterator[tuple[str, str]]:
    """(label, text) of every check of `sceptic` in a readout; for one that was not possible, the reason."""
    if not any(page.get(name) for name in _CHECKS):
        yield "Sceptic's checks", f"{NOT_CHECKED}: {next(iter(page['reasons'].values())).rstrip('.')}"
        return
    for name, (label, of) in _CHECKS.items():
        entry = page.get(name)
        reason = page.get("reasons", {}).get(name, "")
        yield label, of(entry) if entry else f"{NOT_CHECKED}: {reason.rstrip('.')}"


def p_text(p: float | None) -> str:
    """ "p = 0.03", with one digit below a hundredth; "p unknown" without."""
    if p is None:
        return "p unknown"
    if p < 1e-9:
        return "p < 1e-9"
    return f"p = {p:.2f}" if p >= 0.01 else f"p = {p:.0e}"


def _number(quantity: Entry) -> str:
    if quantity["value"] is None:
        return "not determined"
    return wording.with_sigma(quantity["value"], quantity["sigma"], quantity["unit"], signed=quantity["unit"] == "meV")


def _halves(entry: Entry) -> str:
    odd, even = _number(entry["odd_mev"]), _number(entry["even_mev"])
    return f"odd {entry['by']} {odd}, even {even}, {p_text(entry['p_value'])}"


def _passes(entry: Entry) -> str:
    return f"from the first to the last {_number(entry['difference_mev'])}, {p_text(entry['p_value'])}"


def _pseudo_boundaries(entry: Entry) -> str:
    scatter = entry["scatter_mev"]
    spread = f" scatter by {wording.number(scatter, 2)} meV" if scatter is not None else ""
    return f"{entry['count']} stretches of the grains{spread}, {p_text(entry['p_value'])}"


def _residuals(entry: Entry) -> str:
    worse = f"{wording.number(entry['difference'], 1)} on {entry['degrees']} degrees of freedom"
    return f"chi-squared greater by {worse}, {p_text(entry['p_value'])}"


def _covariates(entry: Entry) -> str:
    known = {name: c["p_value"] for name, c in entry["covariates"].items() if c["p_value"] is not None}
    if not known:
        return "no correlation is known"
    least = min(known, key=lambda name: known[name])
    return f"of {len(known)}, strongest with {least.removesuffix('_mev').replace('_', ' ')}, {p_text(known[least])}"


def _injection(entry: Entry) -> str:
    return f"recovered {_number(entry['slope'])} times as large, offset {_number(entry['offset_mev'])}"


_CHECKS: Mapping[str, tuple[str, Callable[[Entry], str]]] = {
    "halves": ("Halves", _halves),
    "passes": ("Passes", _passes),
    "pseudo_boundaries": ("Pseudo-boundaries", _pseudo_boundaries),
    "residuals": ("Without the shift", _residuals),
    "covariates": ("Covariates", _covariates),
    "injection": ("Injected shifts", _injection),
}
