from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eels_iontransport import arguments, materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.spectrum import EnergyAxis, make_spectra

LINE = make_spectra(np.ones((40, 64)), EnergyAxis(0.0, 0.1, 64), step_nm=0.5, name="line.ndata1")
SPECTRUM = make_spectra(np.ones(64), EnergyAxis(0.0, 0.1, 64), name="one.ndata1")


@pytest.mark.parametrize(
    "boundary, grain_1, grain_2, expected",
    [
        (None, None, None, None),
        ("9:11", "0:8", "12:19", [(0, 8), (9, 11), (12, 19)]),
        ("9:11", None, None, [(0, 8.5), (9, 11), (11.5, 19.5)]),
        ("9:11", "2:8", None, [(2, 8), (9, 11), (11.5, 19.5)]),
        (None, "0:8", "12:19", [(0, 8), (8.5, 11.5), (12, 19)]),
        (None, "12:19", "0:8", [(12, 19), (8.5, 11.5), (0, 8)]),
    ],
)
def test_regions_that_are_not_given_are_the_rest_of_the_line(boundary, grain_1, grain_2, expected):
    regions = arguments.choose_regions(boundary, grain_1, grain_2, LINE)
    assert (None if regions is None else [(r.start_nm, r.end_nm) for _, r in regions]) == expected


@pytest.mark.parametrize(
    "boundary, grain_1, grain_2, line, words",
    [
        ("9:11", None, None, SPECTRUM, "one.ndata1.*single spectrum"),
        (None, "0:8", None, LINE, "Give the boundary, or both grains"),
        (None, "0:10", "10:19", LINE, "No pixel of 'line.ndata1' lies between"),
        ("30:40", None, None, LINE, "after the boundary"),
        ("0:3", None, None, LINE, "before the boundary"),
        ("9.1:9.4", "0:8", "12:19", LINE, "boundary 9.1:9.4 nm holds no pixel of 'line.ndata1'"),
        ("9:11", "0:8", "25:30", LINE, "grain 2 25:30 nm holds no pixel"),
    ],
)
def test_regions_that_cannot_be(boundary, grain_1, grain_2, line, words):
    with pytest.raises(UnusableInput, match=words):
        arguments.choose_regions(boundary, grain_1, grain_2, line)


@pytest.mark.parametrize(
    "texts, changed",
    [
        ([], None),
        (["temperature_k=350"], {"temperature_k": 350.0}),
        (
            ["attempt_frequency=True", "carrier_model=vacancies"],
            {"attempt_frequency": True, "carrier_model": "vacancies"},
        ),
        (["meyer_neldel_ev=0.03"], {"meyer_neldel_ev": 0.03}),
        (["meyer_neldel_ev=none"], {"meyer_neldel_ev": None}),
    ],
)
def test_assumptions_are_those_of_the_recipe_but_for_the_given_ones(texts, changed):
    chosen = arguments.choose_assumptions(texts, materials.load("lco"))
    if changed is None:
        assert chosen is None
    else:
        recipe = materials.load("lco").transport
        expected = {name: getattr(recipe, name) for name in dataclasses.asdict(chosen)} | changed
        assert dataclasses.asdict(chosen) == expected


@pytest.mark.parametrize(
    "text, material, words",
    [
        ("temperature=350", "lco", "NAME=VALUE"),
        ("temperature_k", "lco", "NAME=VALUE"),
        ("temperature_k=hot", "lco", "temperature_k cannot be 'hot'; give a number"),
        ("temperature_k=none", "lco", "cannot be 'none'"),
        ("temperature_k=-5", "lco", "temperature_k"),
        ("attempt_frequency=1", "lco", "true or false"),
        ("carrier_model=magic", "lco", "carrier_model"),
        ("temperature_k=350", "water_cnt", "water_cnt has no transport estimate"),
    ],
)
def test_assumptions_that_cannot_be(text, material, words):
    with pytest.raises(UnusableInput, match=words):
        arguments.choose_assumptions([text], materials.load(material))
