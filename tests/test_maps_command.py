"""`eels-iontransport maps`: files in, arrays and figures out, whole or not at all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from eels_iontransport import arguments, cli, figures, map_kinds, materials, terminal
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.figures.maps import draw_map, round_length

from .decomposition import synthetic

NM, EV = {"offset": 0.0, "scale": 0.5, "units": "nm"}, {"offset": -0.2, "scale": 0.0004, "units": "eV"}
SHAPE = (3, 5)


def write(path, counts, axes):
    """An array as Swift exports it, in single precision."""
    np.save(path, counts.astype(np.float32))
    properties = {"spatial_calibrations": axes, "metadata": {"hardware_source": {"counts_per_electron": 1}}}
    path.with_suffix(".json").write_text(json.dumps(properties))


@pytest.fixture(scope="module")
def measured_files(tmp_path_factory):
    """A folder with image.npy, whose LDO line lies 1.8 meV higher right of the third column, aloof.npy and line.npy."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    left, right = (synthetic.spectrum(synthetic.grain(shift), 1e8).counts for shift in (0.0, 1.8))
    expected = np.array([left, left, left, right, right])
    write(folder / "image.npy", random.poisson(np.tile(expected, (SHAPE[0], 1, 1))), [NM, NM, EV])
    write(folder / "line.npy", random.poisson(expected), [NM, EV])
    write(folder / "aloof.npy", random.poisson(synthetic.spectrum(synthetic.POLARITONS, 2e9).counts), [EV])
    return folder


def run(capsys, *options):
    """(exit code, stdout, stderr) of the command."""
    code = cli.main(["maps", "--material", "lco", *(str(option) for option in options)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_maps_are_written_with_a_listing(capsys, measured_files, tmp_path):
    image, aloof, folder = measured_files / "image.npy", measured_files / "aloof.npy", tmp_path / "a" / "b"
    code, out, err = run(capsys, "--image", image, "--aloof", aloof, "--out", folder)
    assert code == 0 and all(line.endswith("%") for line in err.splitlines())  # a slow machine says how far it is
    listing = json.loads((folder / "maps.json").read_text(), parse_constant=pytest.fail)
    assert (listing["schema"], listing["material"], listing["mode"]) == ("eels-iontransport/maps/1", "lco", "shared")
    assert (listing["shape"], listing["step_nm"], listing["flags"]) == ([3, 5], [0.5, 0.5], [])
    names = ["LDO_centre_mev", "LDO_centre_mev_sigma", "chi2", "zlp_position_mev", "zlp_fwhm_mev", "zlp_integral"]
    assert [entry["name"] for entry in listing["maps"]] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["maps.json", *(f"{name}{suffix}" for name in names for suffix in (".npy", ".png"))]
    )
    centre, sigma = (np.load(folder / listing["maps"][i]["array"]) for i in (0, 1))
    assert centre.shape == SHAPE and centre.dtype == np.float32
    assert centre[:, 3:].mean() - centre[:, :3].mean() == pytest.approx(1.8, abs=0.5)
    assert np.all(sigma < 0.5) and listing["maps"][0]["pixels"] == 15
    assert listing["maps"][0]["median"] == pytest.approx(np.median(centre)) and listing["maps"][0]["unit"] == "meV"
    sources = {source["role"]: source for source in listing["provenance"]["inputs"]}
    assert sources["image"]["name"] == "image.npy" and len(sources["image"]["sha256"]) == 64
    assert "LDO centre" in out and "90 % of 15 pixels" in out and str(folder / "maps.json") in out


def test_what_is_asked_for_is_mapped(capsys, measured_files, tmp_path):
    code, out, _ = run(
        capsys, "--image", measured_files / "image.npy", "--mode", "published", "--out", tmp_path,
        "--quantity", "CoO6:area", "LDO:fwhm_mev", "--quantity", "CoO6:area",
    )  # fmt: skip
    listing = json.loads((tmp_path / "maps.json").read_text())
    assert code == 0 and "! The aloof spectrum was not given" in out
    assert [flag["code"] for flag in listing["flags"]][:1] == ["NO_ALOOF"]
    assert [(e["name"], e["unit"]) for e in listing["maps"][:4:2]] == [
        ("CoO6_area", "counts meV"),
        ("LDO_fwhm_mev", "meV"),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--image", "absent.npy"), "'absent.npy' does not exist"),
        (("--image", "{}/line.npy"), "'line.npy' is a line of spectra; give a spectrum image"),
        (("--image", "{}/aloof.npy"), "'aloof.npy' is a single spectrum; give a spectrum image"),
        (("--image", "{}/image.npy", "--aloof", "{}/image.npy"), "not a map or a stack"),
        (("--image", "{}/image.npy", "--quantity", "LDO"), "'LDO' is not of the form PEAK:QUANTITY"),
        (("--image", "{}/image.npy", "--quantity", "LDO:colour"), "'LDO:colour' is not of the form PEAK:QUANTITY"),
        (("--image", "{}/image.npy", "--quantity", "XYZ:area"), "no peak 'XYZ'; its peaks are PhP1"),
        (("--image", "{}/image.npy", "--mode", "fast"), "invalid choice"),
        (("--image", "{}/image.npy", "--out", "{}/image.npy"), "cannot be written"),
        (("--out", "here"), "required: --image"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(capsys, measured_files, tmp_path, options, said):
    code, out, err = run(capsys, *(option.format(measured_files) for option in options))
    assert (code, out) == (2, "") and said in err
    assert err.count("\n") == 1 and err.endswith(".\n") and "Traceback" not in err
    assert not (tmp_path / "maps").exists()


def test_ctrl_c_ends_it_with_a_word_and_no_file(measured_files, tmp_path):
    """A real signal in a real process, while it fits."""
    counts = np.load(measured_files / "image.npy")
    write(tmp_path / "large.npy", np.tile(counts, (20, 20, 1)), [NM, NM, EV])
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # the tests' own shell may not
    code = f"{hear}; import sys; from eels_iontransport.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "maps", "--material", "lco", "--image", "large.npy", "--mode", "wide"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "%" in process.stderr.readline()  # it fits, and says so after a second
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)  # where kernels are compiled just then, that is done first
    assert process.returncode == 130 and err.endswith("eels-iontransport: interrupted.\n") and "Traceback" not in err
    assert out == "" and not (tmp_path / "maps").exists()


def test_an_interrupted_writing_leaves_whole_files_and_no_listing(capsys, measured_files, tmp_path, monkeypatch):
    (tmp_path / "maps.json").write_text("{}")  # of a run before
    drawn = iter(range(10))

    def interrupt_the_second(*arguments):
        if next(drawn) == 1:
            raise KeyboardInterrupt
        return draw_map(*arguments)

    monkeypatch.setattr(figures.maps, "draw_map", interrupt_the_second)
    code, _, err = run(capsys, "--image", measured_files / "image.npy", "--out", tmp_path)
    assert code == 130 and err.endswith("eels-iontransport: interrupted.\n")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["LDO_centre_mev.npy", "LDO_centre_mev.png", "LDO_centre_mev_sigma.npy"]


class Stream:
    def __init__(self, terminal):
        self.text, self._terminal = "", terminal

    def isatty(self):
        return self._terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize(
    ("on_terminal", "said"),
    [(True, ["Fitting ... 50%", "Fitting ... 75%", ""]), (False, ["Fitting ... 50%", ""])],
)
def test_progress_is_said_after_a_second(monkeypatch, on_terminal, said):
    clock, stream = iter([0.0, 0.5, 1.5, 1.6, 2.0]), Stream(on_terminal)
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", stream)
    with terminal.Reporter() as reporter:
        for done in (1, 2, 2, 3):
            reporter(done, 4, "Fitting")
    assert [part.strip() for part in stream.text.replace("\r", "\n").lstrip("\n").split("\n")] == said


def test_recipes_without_a_shift_peak_map_every_centre():
    recipe = replace(materials.load("lco"), shift_peak=None)
    assert arguments.choose_quantities(None, recipe) == [(peak.name, "centre_mev") for peak in recipe.peaks]
    with pytest.raises(UnusableInput):
        arguments.choose_quantities(["area"], recipe)


def test_a_map_has_a_scale_bar_in_nm_and_its_unit_beside_the_colours():
    values = np.random.default_rng(0).normal(50.0, 1.0, (40, 80))
    values[3, 4] = np.nan
    figure = draw_map(values, "LDO centre", "meV", (0.5, 0.5))
    axis, bar = figure.axes
    assert axis.get_title() == "LDO centre" and bar.get_ylabel() == "meV"
    texts = [
        text.get_text() for artist in axis.artists for text in artist.findobj(match=lambda a: hasattr(a, "get_text"))
    ]
    assert "10 nm" in texts
    assert axis.images[0].get_extent() == [0.0, 40.0, 20.0, 0.0]
    low, high = axis.images[0].get_clim()
    assert 47 < low < 48.5 and 51.5 < high < 53
    assert not draw_map(values, "a", "b").axes[0].artists


@pytest.mark.parametrize(
    "values", [np.full((2, 3), np.nan), np.full((1, 1), 7.0), np.zeros((1, 400)), np.ones((300, 2))]
)
def test_maps_of_hardly_anything_are_drawn(values, tmp_path):
    figure = draw_map(values, "a", "b", (0.2, 0.2))
    figure.savefig(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 0
    assert figure.axes[0].images[0].get_array().shape == values.shape


@pytest.mark.parametrize(
    ("longest", "length"), [(1.0, 1.0), (1.99, 1.0), (2.0, 2.0), (9.9, 5.0), (60.0, 50.0), (0.3, 0.2)]
)
def test_round_lengths(longest, length):
    assert round_length(longest) == pytest.approx(length)


def test_files_are_called_what_files_can_be_called():
    first = map_kinds.of_peaks([("a/b c: d", "area")])[0]
    assert (first.name, first.title) == ("a_b_c_d_area", "a/b c: d area")
