from __future__ import annotations

import copy
import tomllib
from importlib import resources

import pytest

from eels_iontransport import materials
from eels_iontransport.data.errors import UnusableInput

ALOOF = {  # initial, lower, upper of centre, sigma, gamma
    "PhP1": ((1.5e5, 0), (34, 32, 35), (4, 3.1, 6), (1, 0.1, 2)),
    "PhP2": ((2.2e4, 0), (54, 50, 58), (5, 3.1, 6), (1, 0.1, 2)),
    "PhP3": ((1.8e5, 0), (74, 68, 78), (5.5, 3.1, 6), (1, 0.1, 2)),
}
TRANSMITTING = {
    "out_of_plane": ((6.1e4, 0), (41, 39, 42), (5.5, 3.1, 6), (0.75, 0.1, 2)),
    "LDO": ((3.2e4, 0), (49, 49, 52), (6, 3.1, 6), (0.75, 0.1, 2)),
    "CoO6": ((1.45e5, 0), (65, 65, 68), (4.5, 3.1, 6), (0.75, 0.1, 2)),
    "P81": ((6.9e4, 0), (81, 79, 82), (6, 3.1, 6), (0.75, 0.1, 2)),
}


def triple(bound):
    return (bound.initial, bound.lower, bound.upper)


@pytest.mark.parametrize("name, expected", [*ALOOF.items(), *TRANSMITTING.items()])
def test_published_numbers_of_lithium_cobalt_oxide(name, expected):
    peak = materials.load("lco").peak(name)
    assert peak.component == ("polaritonic" if name in ALOOF else "phononic")
    assert triple(peak.area) == (*expected[0], float("inf"))
    assert (triple(peak.centre_mev), triple(peak.sigma_mev), triple(peak.gamma_mev)) == expected[1:]


def test_roles_of_lithium_cobalt_oxide():
    recipe = materials.load("lco")
    assert [peak.name for peak in recipe.aloof_peaks] == list(ALOOF)
    assert [peak.name for peak in recipe.phononic_peaks] == list(TRANSMITTING)
    assert (recipe.shift_peak, recipe.ratio, recipe.fwhm_mev) == ("LDO", ("Li", "Co"), (8, 20))
    assert recipe.edge("Li").background_window_ev == (43, 45)
    assert len(recipe.starts_mev) >= 3


def test_wide_limits_leave_room_around_every_start():
    for name in ("lco", "water_cnt"):
        for peak in materials.load(name).peaks:
            for bound in (peak.wide.centre_mev, peak.wide.sigma_mev, peak.wide.gamma_mev):
                assert bound.lower < bound.initial < bound.upper


def test_water_has_one_peak_and_no_role():
    recipe = materials.load("water_cnt")
    assert recipe.background_windows_mev == ((360, 390), (500, 530))
    (peak,) = recipe.peaks
    assert (peak.centre_mev.lower, peak.centre_mev.upper, peak.test_presence) == (400, 480, True)
    assert (recipe.shift_peak, recipe.ratio, recipe.aloof_peaks, recipe.edges, recipe.transport) == (
        None,
        None,
        (),
        (),
        None,
    )


def test_shipped_recipes_are_sound():
    entries = {entry.name: entry for entry in materials.available()}
    assert {"lco", "water_cnt"} <= set(entries)
    assert not any(entry.fault for entry in entries.values())
    assert all(entry.title and "\n" not in entry.description for entry in entries.values())


def shipped(name: str) -> str:
    return resources.files(materials).joinpath(f"{name}.toml").read_text(encoding="utf-8")


def test_a_users_recipe_is_found_by_name_and_a_broken_one_is_listed_with_its_fault(tmp_path, monkeypatch):
    monkeypatch.setenv("EELS_IONTRANSPORT_RECIPES", str(tmp_path))
    (tmp_path / "mine.toml").write_text(shipped("water_cnt").replace('"Water in carbon nanotubes"', '"Mine"'))
    (tmp_path / "broken.toml").write_text("name = 1\n")
    assert materials.load("mine").title == "Mine"
    entries = {entry.name: entry for entry in materials.available()}
    assert "broken.toml" in entries["broken"].fault and not entries["mine"].fault


def test_a_recipe_is_read_from_its_path(tmp_path):
    path = tmp_path / "other.toml"
    path.write_text(shipped("lco"))
    assert materials.load(path) == materials.load("lco") == materials.load(str(path))


def _set(content, path, value):
    *parents, last = path
    for key in parents:
        content = content[key]
    content[last] = value


REMOVE = object()
FAULTS = [  # where, what stands there, words that the sentence must hold
    (("nmae",), "x", ("nmae", "did you mean name")),
    (("name",), REMOVE, ("name", "missing")),
    (("title",), "", ("title", "empty")),
    (("title",), 3, ("title", "text")),
    (("peaks",), REMOVE, ("peaks", "missing")),
    (("peaks",), [], ("peaks", "empty")),
    (("peaks",), {"a": 1}, ("peaks", "array of tables")),
    (("peaks", 0, "component"), "polaritonc", ("peaks[1] (PhP1).component", "polaritonic or phononic")),
    (("peaks", 0, "centre_mev"), [34.0, 36.0, 32.0], ("peaks[1] (PhP1).centre_mev", "lower bound", "upper bound")),
    (("peaks", 0, "centre_mev"), [40.0, 32.0, 35.0], ("centre_mev", "outside its bounds")),
    (("peaks", 0, "centre_mev"), [34.0, 32.0], ("centre_mev", "[initial, lower, upper]")),
    (("peaks", 0, "centre_mev"), [34.0, "low", 35.0], ("centre_mev", "numbers")),
    (("peaks", 0, "centre_mev"), [float("nan"), 32.0, 35.0], ("centre_mev", "numbers")),
    (("peaks", 0, "sigma_mev"), [4.0, -1.0, 6.0], ("sigma_mev", "below 0")),
    (("peaks", 0, "wide"), REMOVE, ("peaks[1] (PhP1).wide", "missing")),
    (("peaks", 0, "wide", "sgma"), 1.0, ("wide.sgma", "not a key")),
    (("peaks", 1, "name"), "PhP1", ("peaks", "more than one", "PhP1")),
    (("peaks", 4, "test_presence"), "yes", ("test_presence", "true or false")),
    (("vibrational",), REMOVE, ("vibrational", "missing")),
    (("vibrational", "fit_window_mev"), [95.0, 25.0], ("vibrational.fit_window_mev", "smaller")),
    (("vibrational", "fit_window_mev"), [25.0, 60.0], ("fit_window_mev", "does not hold", "PhP3")),
    (("vibrational", "wide_window_mev"), [22.0, 80.0], ("wide_window_mev", "does not hold", "P81")),
    (("vibrational", "background_windows_mev"), [[20.0, 25.0]], ("background_windows_mev", "two windows")),
    (("vibrational", "background_windows_mev"), [[90.0, 99.0], [20.0, 25.0]], ("background_windows_mev", "overlap")),
    (("vibrational", "background_order"), 2.5, ("background_order", "whole number")),
    (("vibrational", "background_order"), True, ("background_order", "whole number")),
    (("vibrational", "polariton_offset_prior_mev"), 0, ("polariton_offset_prior_mev", "above zero")),
    (("vibrational", "starts_mev"), 49.0, ("starts_mev", "list of numbers")),
    (("roles", "shift_peak"), "LOD", ("roles.shift_peak", "LOD", "none of the peaks")),
    (("roles", "shift_peak"), "PhP1", ("roles.shift_peak", "phononic")),
    (("roles", "shift"), "LDO", ("roles.shift", "not a key", "did you mean shift_peak")),
    (("roles", "ratio"), ["Li", "Ni"], ("roles.ratio", "Ni", "no edge")),
    (("roles", "ratio"), ["Li"], ("roles.ratio", "two different")),
    (("roles", "ratio"), "Li", ("roles.ratio", "list of texts")),
    (("edges", 0, "onset_ev"), -1.0, ("edges[1] (Li K).onset_ev", "above zero")),
    (("edges", 0, "background_window_ev"), [43.0, 56.0], ("background_window_ev", "before signal_window_ev")),
    (("edges", 0, "white_lines", 0, "weight"), "big", ("white_lines[1].weight", "numbers")),
    (("bands", 0, "range_mev"), [38.0, 30.0], ("bands[1] (34 meV).range_mev", "smaller")),
    (("transport", "carrier_model"), "magic", ("transport.carrier_model", "proportional or vacancies")),
    (("transport", "lithium_content"), 1.2, ("transport.lithium_content", "between 0 and 1")),
    (("transport", "source"), REMOVE, ("transport.source", "missing")),
]


@pytest.mark.parametrize("path, value, words", FAULTS)
def test_a_broken_recipe_is_refused_with_file_key_and_reason(path, value, words):
    content = copy.deepcopy(tomllib.loads(shipped("lco")))
    if value is REMOVE:
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        del parent[path[-1]]
    else:
        _set(content, path, value)
    with pytest.raises(UnusableInput) as fault:
        materials.from_content(content, "mine.toml")
    message = str(fault.value)
    assert "mine.toml" in message and "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "content, words",
    [(b"name = [", "not valid TOML"), (b"\xff\xfe\x00", "UTF-8"), (None, "does not exist"), (b"", "missing")],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, words):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableInput, match=words) as fault:
        materials.load(path)
    assert "mine.toml" in str(fault.value)


def test_an_unknown_material_names_those_there_are():
    with pytest.raises(UnusableInput, match="no material 'lno'.*lco.*water_cnt"):
        materials.load("lno")
