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
[camera]
saturation_counts = 65535
[settings.vibrational]
settle_s = 1.5
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
