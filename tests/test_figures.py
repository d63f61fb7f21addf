from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import voigt_profile

from eels_iontransport import figures, materials
from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.regions import Region, Regions
from eels_iontransport.data.spectrum import EnergyAxis
from eels_iontransport.evaluation import Evaluation, FittedSpectrum

ENERGY = np.arange(22.0, 110.0, 0.4)
LINES = {  # area in counts meV, centre, sigma, gamma
    "PhP1": (7e4, 33.6, 4.1, 0.9),
    "PhP2": (1.2e4, 54.6, 4.8, 1.0),
    "PhP3": (9e4, 73.6, 5.2, 1.1),
    "out_of_plane": (6.5e4, 40.6, 4.6, 0.7),
    "LDO": (4.5e4, 49.6, 4.4, 0.7),
    "CoO6": (1.35e5, 66.2, 4.4, 0.8),
    "P81": (7e4, 80.6, 5.0, 0.8),
}


def fit(shift_mev=0.0, names=tuple(LINES), seed=0):
    lines = {
        n: LINES[n][0] * voigt_profile(ENERGY - LINES[n][1] - shift_mev * (n == "LDO"), *LINES[n][2:]) for n in names
    }
    polaritonic = sum((line for n, line in lines.items() if n.startswith("PhP")), np.zeros_like(ENERGY))
    phononic = sum((line for n, line in lines.items() if not n.startswith("PhP")), np.zeros_like(ENERGY))
    background = 3e4 * (ENERGY / 25.0) ** -2.5
    expected = background + polaritonic + phononic
    counts = np.random.default_rng(seed).poisson(expected).astype(float)
    return FittedSpectrum(ENERGY, counts, background, lines, polaritonic, phononic, 2.6e8, 1.02)


def quantity(value, sigma):
    return {"value": value, "sigma": sigma, "interval_68": None, "unit": "meV"}


def line_evaluation():
    position = np.arange(40) * 0.5
    inside = np.exp(-0.5 * ((position - 10.0) / 0.9) ** 2)
    rng = np.random.default_rng(4)
    valid = np.arange(40) < 37
    return Evaluation(
        readout={
            "ldo_peak": {
                "grain_1_mev": quantity(49.6, 0.1),
                "boundary_mev": quantity(51.4, 0.3),
                "grain_2_mev": quantity(None, None),
            }
        },
        position_nm=position,
        valid=valid,
        regions=Regions(Region(0.0, 8.0), Region(9.0, 11.0), Region(12.0, 19.5)),
        normalised=1e-4 * (1 + inside[:, None]) * (ENERGY / 50.0) ** -2,
        normalised_axis=EnergyAxis(0.022, 0.0004, ENERGY.size),
        fits={"grain_1": fit(), "boundary": fit(1.8, seed=1), "grain_2": fit(seed=2)},
        aloof_fit=fit(names=("PhP1", "PhP2", "PhP3")),
        profiles={
            "ldo_centre_mev": np.where(valid, 49.6 + 1.8 * inside + rng.normal(0, 0.3, 40), 0.0),
            "ldo_centre_sigma_mev": np.full(40, 0.3),
            "li_to_co": 1.1 - 0.3 * inside + rng.normal(0, 0.02, 40),
            "li_to_co_sigma": np.full(40, 0.02),
            "thickness": 0.5 + 0.005 * position,
        },
        shift_peak="LDO",
    )


def single_evaluation():
    return Evaluation({}, np.zeros(1), np.ones(1, bool), fits={"spectrum": fit(names=("LDO",))})


def names(evaluation, recipe="lco"):
    return [name for name, _ in figures.draw(evaluation, materials.load(recipe))]


def test_every_figure_that_there_are_data_for():
    assert names(line_evaluation()) == ["aloof_fit", "region_fits", "ldo_peak", "profiles", "line_map"]
    assert names(single_evaluation()) == ["spectrum_fit", "spectrum_background"]
    assert names(Evaluation({}, np.zeros(0), np.zeros(0, bool))) == []
    assert "ldo_peak" not in names(replace(line_evaluation(), shift_peak=None))


@pytest.mark.parametrize("missing", ["ldo_centre_mev", "li_to_co", "thickness"])
def test_a_profile_of_nothing_but_nan_is_not_drawn(missing):
    evaluation = line_evaluation()
    profiles = {**evaluation.profiles, missing: np.full(40, np.nan)}
    (make,) = (
        m for n, m in figures.draw(replace(evaluation, profiles=profiles), materials.load("lco")) if n == "profiles"
    )
    assert len(make().axes) == 2


def drawn(name, evaluation=None):
    return dict(figures.draw(evaluation or line_evaluation(), materials.load("lco")))[name]()


def test_axes_say_what_they_show():
    for name in ("aloof_fit", "region_fits", "ldo_peak", "profiles", "line_map"):
        figure = drawn(name)
        lowest = [axis for axis in figure.axes if axis.get_subplotspec() and axis.get_subplotspec().is_last_row()]
        assert all("meV" in axis.get_xlabel() or "nm" in axis.get_xlabel() for axis in lowest), name
        assert all(axis.get_legend() is None for axis in figure.axes), name


def test_a_peak_without_a_centre_is_named_but_not_drawn():
    texts = [text.get_text() for legend in drawn("ldo_peak").legends for text in legend.get_texts()]
    assert [text.split("  ")[0] for text in texts] == ["Grain 1", "Boundary", "Grain 2"]
    assert "49.6 ± 0.1 meV" in texts[0] and "not determined" in texts[2]


def test_the_peak_alone_stands_on_the_data_less_everything_else():
    dots, line, tick = drawn("ldo_peak").axes[0].lines[:3]
    grain = line_evaluation().fits["grain_1"]
    others = grain.model - grain.components["LDO"]
    np.testing.assert_allclose(dots.get_ydata(), (grain.counts - others) / 2.6e8 / 0.4 * 1e3)
    np.testing.assert_allclose(line.get_ydata(), grain.components["LDO"] / 2.6e8 / 0.4 * 1e3)
    assert list(tick.get_xdata()) == [49.6, 49.6]


def test_a_peak_that_is_not_reported_is_not_filled_in():
    evaluation = single_evaluation()
    peak = {"name": "LDO", "region": "spectrum", "centre_mev": quantity(None, None)}
    for readout, labels in (({}, ["phononic", "LDO"]), ({"peaks": [peak]}, ["LDO (not reported)"])):
        axis = drawn("spectrum_fit", replace(evaluation, readout=readout)).axes[0]
        assert set(axis.get_legend_handles_labels()[1]) == {*labels, "data", "fit"}


def test_rows_that_were_never_taken_are_gaps():
    centre = drawn("profiles").axes[0].lines[-1].get_ydata()
    assert np.isfinite(centre[:37]).all() and np.isnan(centre[37:]).all()
    low, high = drawn("profiles").axes[0].get_ylim()
    assert 46.0 < low < 49.5 and 51.5 < high < 55.0


def test_data_are_drawn_in_units_of_the_zero_loss_peak():
    axis = drawn("aloof_fit").axes[0]
    data = next(line for line in axis.lines if line.get_label() == "data").get_ydata()
    fit_ = line_evaluation().aloof_fit
    np.testing.assert_allclose(data, (fit_.counts - fit_.background) / 2.6e8 / 0.4 * 1e3)


def test_saved_figures_are_whole_files(tmp_path):
    paths = figures.save(line_evaluation(), materials.load("lco"), tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [
        "aloof_fit.png", "region_fits.png", "ldo_peak.png", "profiles.png", "line_map.png",
    ]  # fmt: skip
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(paths)
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in paths)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UnusableInput, match="taken.*cannot be written"):
        figures.save(line_evaluation(), materials.load("lco"), tmp_path / "taken")


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys; import eels_iontransport.figures; assert 'matplotlib' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd="/").returncode == 0
