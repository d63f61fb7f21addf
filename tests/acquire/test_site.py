"""Site files: those that ship load, and a broken one is refused with the file, the key and the reason."""

from __future__ import annotations

import pytest

from eels_iontransport.acquire import site as sites
from eels_iontransport.acquire.plan import SETTINGS
from eels_iontransport.data.errors import UnusableInput

TEXT = """
name = "mine"
[beam]
current_control = "I"
current_pa_per_unit = 1e12
lost_below = 0.4
back_above = 0.7
[camera]
saturation_counts = 65535
[drift]
every_rows = 5
lattice_nm = 0.28
pixels = 64
[ranges]
offset = { lower = -1.0, upper = 2.0 }
[settings.vibrational]
settle_s = 1.5
zero_window_ev = { lower = -0.05, upper = 0.06 }
controls = [
    { control = "dispersion", value = 0.0004, tolerance = 1e-6 },
    { control = "offset", value = -0.2, tolerance = 0.01 },
]
"""


@pytest.mark.parametrize("name", sites.available())
def test_sites_that_ship(name):
    site = sites.load(name)
    assert set(SETTINGS.values()) <= set(site.settings)
    assert all(setting.controls for setting in site.settings.values())


def test_the_shipped_ones_are_these():
    assert sites.available() == ["hermes_template", "simulator"]


def test_the_simulator_has_the_published_dispersions():
    settings = sites.load("simulator").settings
    dispersions = [settings[name].controls[0].value for name in ("vibrational", "valence", "core_loss")]
    assert dispersions == [0.0004, 0.05, 0.1]


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT, "utf-8")
    site = sites.load(path)
    assert site.camera.saturation_counts == 65535.0 and site.camera.electrons_per_count is None
    assert site.name == "mine" and site.beam.current_control == "I" and site.beam.blanker_control == ""
    setting = site.settings["vibrational"]
    assert setting.settle_s == 1.5
    assert [(c.control, c.value, c.tolerance) for c in setting.controls] == [
        ("dispersion", 0.0004, 1e-6),
        ("offset", -0.2, 0.01),
    ]


BROKEN = {
    "misspelt key": ("settle_s = 1.5", "setle_s = 1.5", r"settings.vibrational: the key 'setle_s' is not known"),
    "misspelt table": ("[beam]", "[beams]", "the key 'beams' is not known"),
    "misspelt key of a control": ("tolerance = 0.01", "toleranz = 0.01", r"controls\[1\]: the key 'tolerance' is miss"),
    "text for a number": ("value = -0.2", 'value = "-0.2"', r"controls\[1\]: 'value' must be a finite number"),
    "infinite value": ("value = -0.2", "value = inf", "'value' must be a finite number"),
    "negative tolerance": ("tolerance = 0.01", "tolerance = -1.0", "'tolerance' must not be negative"),
    "negative settling": ("settle_s = 1.5", "settle_s = -1", "'settle_s' must lie between 0 and 600"),
    "settling for ever": ("settle_s = 1.5", "settle_s = 1e9", "'settle_s' must lie between 0 and 600"),
    "a control twice": ('"offset"', '"dispersion"', "names the control 'dispersion' twice"),
    "an empty control": ('"offset"', '" "', "'control' must not be empty"),
    "no name": ('name = "mine"', "", "the key 'name' is missing"),
    "name is no text": ('name = "mine"', "name = 3", "'name' must be text, not 3"),
    "no current": ("1e12", "0.0", "'current_pa_per_unit' must be positive"),
    "no full scale": ("65535", "-1", "camera: 'saturation_counts' must be positive, and is -1"),
    "full scale is text": ("65535", "'16 bit'", "camera: 'saturation_counts' must be a finite number"),
    "a part above 1": ("lost_below = 0.4", "lost_below = 40", "'lost_below' must lie between 0 and 1, and is 40"),
    "back before it is lost": ("back_above = 0.7", "back_above = 0.3", "'back_above' must not be below 'lost_below'"),
    "a lattice without period": ("lattice_nm = 0.28", "lattice_nm = 0", "drift: 'lattice_nm' must be positive"),
    "images before the start": ("every_rows = 5", "every_rows = -1", "drift: 'every_rows' must not be negative"),
    "a part of a row": ("every_rows = 5", "every_rows = 0.5", "drift: 'every_rows' must be a whole number"),
    "too few pixels": ("pixels = 64", "pixels = 8", "'pixels' must lie between 32 and 1024, and is 8"),
    "misspelt key of the drift": ("every_rows", "evry_rows", "drift: the key 'evry_rows' is not known"),
    "a range that is none": ("upper = 2.0", "upper = -1.0", "ranges.offset: 'upper' must be above 'lower'"),
    "a setting out of its range": ("value = -0.2", "value = -1.2", "sets 'offset' to -1.2, which is outside its range"),
    "half a range": ("lower = -1.0, ", "", "ranges.offset: the key 'lower' is missing"),
    "a window that is none": ("upper = 0.06", "upper = -0.06", "zero_window_ev: 'upper' must be above 'lower'"),
    "the stage": ('control = "offset"', 'control = "CSH.x"', "names 'CSH.x', which belongs to the stage"),
    "a lens": ('control = "offset"', 'control = "C10"', "names 'C10', which belongs to the stage or the tuning"),
    "an offset by the stage": ("[beam]", 'energy_offset_control = "SShft.x"\n[beam]', "names 'SShft.x'"),
    "a blanker that is none": ('current_control = "I"', 'blanker_control = "stage_x"', "names 'stage_x'"),
    "not TOML": ('name = "mine"', "name = mine", "not valid TOML"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_site_file(case, tmp_path):
    old, new, words = BROKEN[case]
    assert old in TEXT
    path = tmp_path / "broken.toml"
    path.write_text(TEXT.replace(old, new, 1), "utf-8")
    with pytest.raises(UnusableInput, match=words) as refusal:
        sites.load(path)
    assert "broken.toml" in str(refusal.value)


@pytest.mark.parametrize(
    "text, words",
    [
        ('name = "x"\n[settings]\n', "at least one spectrometer setting"),
        ('name = "x"\n[settings.a]\ncontrols = []\n', "at least one control"),
        ('name = "x"\nsettings = 3\n', "'settings' must be a table, not 3"),
        ("", "the key 'name' is missing"),
    ],
)
def test_a_site_without_settings(text, words):
    with pytest.raises(UnusableInput, match=words):
        sites.parse(text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UnusableInput, match="cannot be read.*simulator"):
        sites.load("hermess")
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnusableInput, match="b.toml cannot be read"):
        sites.load(binary)


@pytest.mark.parametrize(
    ("control", "tuning"),
    [
        ("C10", True), ("C12.x", True), ("C30", True), ("CSH.y", True), ("csh.x", True), ("SShft.x", True),
        ("stage_position_m.y", True), ("EHT", True), ("C1 ConstW", True), (" C21.b", True),
        ("ZLPoffset", False), ("ZLPtare", False), ("EELS_MagneticShift_Offset", False), ("EELS_eVPerChannel", False),
        ("C_Blank", False), ("BeamCurrent", False), ("C1", False),
    ],
)  # fmt: skip
def test_controls_that_a_run_never_changes(control, tuning):
    assert sites.is_tuning(control) is tuning


def test_what_the_new_parts_hold():
    site = sites.parse(TEXT)
    assert (site.beam.lost_below, site.beam.back_above, site.beam.settle_s) == (0.4, 0.7, sites.Beam.settle_s)
    assert (site.drift.every_rows, site.drift.lattice_nm, site.drift.pixels) == (5, 0.28, 64)
    assert site.settings["vibrational"].zero_window_ev == (-0.05, 0.06)


@pytest.mark.parametrize(
    ("control", "value", "words"),
    [
        ("offset", 2.0, ""),
        ("offset", 2.1, "'offset' may be set between -1 and 2, and 2.1 is asked"),
        ("other", 1e9, ""),
    ],
)
def test_the_range_of_a_control(control, value, words):
    found = sites.parse(TEXT).out_of_range(control, value)
    assert words in found and bool(found) is bool(words)


@pytest.mark.parametrize("name", sites.available())
def test_sites_that_ship_follow_the_zero_loss_where_it_is_on_the_detector(name):
    for key, setting in sites.load(name).settings.items():
        assert (setting.zero_window_ev is not None) is key.startswith("vibrational")
