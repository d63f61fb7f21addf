"""The sceptic's figures: drawn of a whole page, of one with checks missing, and of none."""

from __future__ import annotations

from dataclasses import replace

import pytest

import eels_iontransport as eit
from eels_iontransport import figures
from eels_iontransport.figures import sceptic
from eels_iontransport.sceptic.page import CHECKS, blank

LCO = eit.material("lco")
REASON = "There is not enough of something that this check needs; take more of it."


def without(page, *missing):
    return {**page, **dict.fromkeys(missing), "reasons": dict.fromkeys(missing, REASON)}


def texts(figure):
    """All that is written in a figure and its parts."""
    parts = [figure, *figure.subfigs]
    axes = [axis for part in parts for axis in part.axes]
    written = [
        text.get_text() for axis in axes for text in (*axis.texts, axis.title, axis.xaxis.label, axis.yaxis.label)
    ]
    return "\n".join([*written, *(label.get_text() for axis in axes for label in axis.get_yticklabels())])


def test_both_figures_are_drawn(evaluation, tmp_path):
    names = [path.stem for path in figures.save(evaluation, LCO, tmp_path)]
    assert {"sceptic_shift", "sceptic_rows"} <= set(names)
    assert all((tmp_path / f"{name}.png").stat().st_size > 20_000 for name in ("sceptic_shift", "sceptic_rows"))


def test_they_say_what_they_show(evaluation, page):
    first = texts(sceptic.draw_shift(page, evaluation.readout["ldo_peak"], "LDO"))
    for words in (
        "against both grains",
        "odd passes",
        "passes 5\N{EN DASH}6",
        "26 overlapping windows of 4 pixels, p = 0.04",
    ):
        assert words in first
    second = texts(sceptic.draw_rows(page, "LDO"))
    for words in (
        "LDO centre (meV)",
        "Area / ZLP (%)",
        "Energy zero (meV)",
        "in grains r = ",
        "slope 1.0",
        "Recovered (meV)",
    ):
        assert words in second
    assert "t/λ" not in second  # without a valence scan


@pytest.mark.parametrize(
    "missing", [("halves", "passes", "pseudo_boundaries"), ("residuals",), ("halves", "residuals")]
)
def test_a_missing_check_says_why(evaluation, page, missing):
    shown = texts(sceptic.draw_shift(without(page, *missing), evaluation.readout["ldo_peak"], "LDO"))
    assert ("Not checked" in shown) == bool({"pseudo_boundaries", "residuals"} & set(missing))
    assert ("odd passes" in shown) == ("halves" not in missing)


@pytest.mark.parametrize("missing", ["covariates", "injection"])
def test_rows_or_injection_alone(page, missing):
    assert "Not checked" in texts(sceptic.draw_rows(without(page, missing), "LDO"))


@pytest.mark.parametrize(
    ("left", "drawn"),
    [((), set()), (("residuals",), {"sceptic_shift"}), (("injection",), {"sceptic_rows"})],
)
def test_what_holds_nothing_is_not_drawn(evaluation, page, left, drawn):
    shown = without(page, *(name for name in CHECKS if name not in left)) if left else blank(REASON)
    changed = replace(evaluation, readout={**evaluation.readout, "sceptic": shown})
    assert {name for name, _ in figures.draw(changed, LCO) if name.startswith("sceptic")} == drawn


def test_windows_without_a_centre_are_left_out(evaluation, page):
    windows = [
        {**w, "shift_mev": {"value": None, "sigma": None, "interval_68": None, "unit": "meV"}}
        for w in page["pseudo_boundaries"]["windows"]
    ]
    shown = {**page, "pseudo_boundaries": {**page["pseudo_boundaries"], "windows": windows}}
    assert "Boundary" in texts(sceptic.draw_shift(shown, evaluation.readout["ldo_peak"], "LDO"))
