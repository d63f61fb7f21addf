"""EELS > Ion Transport > Map Peaks: items in, maps with axes and units out, and a word where there are none."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("nion.swift")

import numpy as np
from nion.data import Calibration, DataAndMetadata
from scipy.special import voigt_profile

from eels_iontransport.data.errors import UnusableInput
from eels_iontransport.data.record import Record, Role, Status
from nionswift_plugin.iontransport import mapping, menus
from nionswift_plugin.iontransport.host import menu

from .live_support import document

SHAPE = (3, 5)
DOWN, ACROSS = Calibration.Calibration(-1.0, 0.5, "nm"), Calibration.Calibration(2.0, 0.25, "nm")
ENERGY = Calibration.Calibration(-0.2, 0.0004, "eV")
KNOWN = {"hardware_source": {"counts_per_electron": 1}}
ENTRY = "Map Peaks with LiCoO2"

# Centre, sigma and gamma in meV, area as a part of the zero-loss peak.
POLARITONS = ((33.6, 2.0, 1.0, 1.3e-3), (54.6, 2.4, 1.2, 2e-4), (73.6, 2.6, 1.2, 1.6e-3))
PHONONS = ((40.6, 2.2, 0.9, 2.2e-3), (66.2, 2.2, 1.0, 4.5e-3), (80.6, 2.6, 1.1, 2.4e-3))
LDO = (49.6, 2.2, 0.9, 1.6e-3)
SIGMA_MEV = 3.4  # of the zero-loss peak, which has a tail beside


def expected(lines, electrons):
    """Counts (1500,) of a zero-loss peak of so many electrons, its tail, and lines; tails of the lines left out."""
    energy = -200.0 + 0.4 * np.arange(1500)
    peak = np.exp(-0.5 * (energy / SIGMA_MEV) ** 2) / (SIGMA_MEV * np.sqrt(2 * np.pi))
    tail = 2e-4 * (np.maximum(np.abs(energy), 12.0) / 40.0) ** -2
    losses = sum(area * voigt_profile(energy - c, np.hypot(s, SIGMA_MEV), g) for c, s, g, area in lines)
    return 0.4 * electrons * (peak + tail + losses)


def shifted(shift):
    return (*POLARITONS, *PHONONS, (LDO[0] + shift, *LDO[1:]))


@pytest.fixture
def doc():
    with document() as opened:
        yield opened


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(menu, "notify", lambda title, sentence: sentences.append(sentence))
    return sentences


@pytest.fixture
def run_entry(doc, said, monkeypatch):
    """Choose the menu entry with these items selected; the run that it starts, if any."""
    runs = []

    def choose(*items):
        monkeypatch.setattr(menu, "selected_items", lambda window: list(items))
        monkeypatch.setattr(mapping.MapRun, "start", lambda run: (runs.append(run), run._thread.start()))
        (action,) = [entry.action for entry in menus._entries(doc.window) if entry.title == ENTRY]
        action()
        return runs[-1] if runs else None

    yield choose
    for run in runs:
        run.stop()
        doc.pump(lambda run=run: not run.is_running, 60.0)


def noisy(mean, *shape):
    return np.random.default_rng(0).poisson(np.broadcast_to(mean, (*shape, mean.shape[-1]))).astype(np.float32)


def spectrum_image(counts=None):
    """3 x 5 spectra, with the LDO line 1.8 meV higher in the last two columns."""
    if counts is None:
        left, right = (expected(shifted(shift), 1e8) for shift in (0.0, 1.8))
        counts = noisy(np.array([left, left, left, right, right]), SHAPE[0], SHAPE[1])
    descriptor = DataAndMetadata.DataDescriptor(False, 2, 1)
    return DataAndMetadata.new_data_and_metadata(
        counts, dimensional_calibrations=[DOWN, ACROSS, ENERGY], data_descriptor=descriptor, metadata=KNOWN
    )


def reference(lines):
    counts = noisy(expected(lines, 2e9))
    return DataAndMetadata.new_data_and_metadata(counts, dimensional_calibrations=[ENERGY], metadata=KNOWN)


def test_an_image_is_mapped_with_its_axes_and_units(doc, run_entry, said):
    image = doc.add("SI", spectrum_image())
    references = [doc.add("SI aloof", reference(POLARITONS)), doc.add("vacuum ZLP", reference(()))]
    run = run_entry(references[0], image, references[1])
    assert [item.title for item in run.items.values()] == [
        "SI LDO centre", "SI LDO centre, standard deviation", "SI reduced chi-squared"
    ]  # fmt: skip
    doc.pump(lambda: not run.is_running, 120.0)
    centre, sigma, chi2 = run.items.values()
    assert not said and len(doc.model.data_items) == 6
    assert centre.data.shape == SHAPE and centre.data.dtype == np.float32
    assert centre.data[:, 3:].mean() - centre.data[:, :3].mean() == pytest.approx(1.8, abs=0.5)
    assert np.all(sigma.data < 0.5) and chi2.data == pytest.approx(np.ones(SHAPE), abs=0.5)
    assert [(c.offset, c.scale, c.units) for c in centre.dimensional_calibrations] == [
        (-1.0, 0.5, "nm"),
        (2.0, 0.25, "nm"),
    ]
    assert [item.intensity_calibration.units for item in (centre, sigma, chi2)] == ["meV", "meV", ""]
    assert centre.title == f"SI LDO centre: median {np.median(centre.data):.4g} meV"
    assert centre.description == "LiCoO2, mode shared: 15 of 15 pixels fitted."
    low, high = doc.display(centre).display_data_channels[0].display_limits
    assert 48 < low < 50 and 51 < high < 53
    assert image._DataItem__data_ref_count == sigma._DataItem__data_ref_count  # nothing is held any more


def test_pixels_without_a_result_are_said(doc, run_entry):
    data = spectrum_image()
    data.data[1, 1] = 0.0
    run = run_entry(doc.add("SI", data))
    doc.pump(lambda: not run.is_running, 120.0)
    centre = run.items["LDO_centre_mev"]
    assert np.isnan(centre.data).sum() == 1 and np.isnan(centre.data[1, 1])
    assert "14 of 15 pixels fitted." in centre.description and "polariton shapes are fitted" in centre.description
    codes = [flag["code"] for flag in centre.metadata["eels_iontransport"]["flags"]]
    assert codes == ["NO_ALOOF", "PIXELS_MISSING"]


def line(shape, descriptor, axes):
    data = np.ones((*shape, 64))
    return DataAndMetadata.new_data_and_metadata(
        data, dimensional_calibrations=[*axes, ENERGY], data_descriptor=DataAndMetadata.DataDescriptor(*descriptor)
    )


REFUSED = [
    (line((), (False, 0, 1), []), "'it' is a single spectrum; give a spectrum image"),
    (line((7,), (False, 1, 1), [DOWN]), "'it' is a line of spectra; give a spectrum image"),
    (line((7, 8), (True, 0, 2), [DOWN, DOWN]), "'it' is a sequence or a stack of images"),
    (line((7, 8), (False, 1, 2), [DOWN, DOWN]), "'it' is a sequence or a stack of images"),
    (line((2, 7, 8), (True, 2, 1), [DOWN, DOWN, DOWN]), "'it' is an array of 4 axes"),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED)
def test_other_items_are_refused_in_a_sentence(doc, run_entry, said, data, sentence):
    assert run_entry(doc.add("it", data)) is None
    assert len(said) == 1 and said[0].startswith(sentence) and said[0].endswith(".")
    assert len(doc.model.data_items) == 1


def test_selections_that_say_too_little_or_too_much_are_refused(doc, run_entry, said):
    image, other = doc.add("SI", spectrum_image()), doc.add("SI 2", spectrum_image())
    aloof, core_loss = doc.add("aloof", reference(())), doc.add("core", reference(()))
    core_loss.metadata = Record(Role.CORE_LOSS, Status.COMPLETE, 1, 1).to_metadata()
    for items in ((), (aloof, core_loss), (image, other), (image, core_loss), (image, aloof, aloof)):
        run_entry(*items)
    assert said == [
        mapping.NO_IMAGE,
        mapping.NO_IMAGE,
        "'SI' and 'SI 2' are both images; select one of them.",
        "'core' is neither an aloof spectrum nor a vacuum zero-loss peak; leave it out.",
        "'aloof' and 'aloof' are both aloof spectra; select one.",
    ]
    assert len(doc.model.data_items) == 4


def test_an_image_without_zero_loss_peaks_leaves_no_items(doc, run_entry, said):
    run = run_entry(doc.add("SI", spectrum_image(np.zeros((*SHAPE, 1500), np.float32))))
    doc.pump(lambda: not run.is_running, 60.0)
    assert len(said) == 1 and said[0].startswith("'SI' has no spectrum with a zero-loss peak")
    assert [item.title for item in doc.model.data_items] == ["SI"]


@pytest.fixture
def endless(monkeypatch):
    """Takes the place of the fits: works until it is told to stop."""
    from eels_iontransport import image as decomposing
    from eels_iontransport.decomposition.engine import Cancelled

    begun = threading.Event()

    def decompose_image(image, recipe, *, should_stop, progress, **options):
        while not should_stop():
            progress(3, 10, "Fitting pixels")
            begun.set()
            threading.Event().wait(0.01)
        raise Cancelled

    monkeypatch.setattr(decomposing, "decompose_image", decompose_image)
    return begun


def test_titles_say_how_far_it_is_and_deleted_maps_end_it(doc, run_entry, said, endless):
    run = run_entry(doc.add("SI", spectrum_image()))
    doc.pump(lambda: run.items["chi2"].title == "SI reduced chi-squared: fitting pixels, 30%")
    for item in list(run.items.values()):
        assert run.is_running
        doc.model.remove_data_item(item)
    doc.pump(lambda: not run.is_running)
    assert not said and [item.title for item in doc.model.data_items] == ["SI"]


def test_a_deleted_image_ends_it(doc, run_entry, said, endless):
    image = doc.add("SI", spectrum_image())
    run = run_entry(image)
    doc.pump(endless.is_set)
    doc.model.remove_data_item(image)
    doc.pump(lambda: not run.is_running)
    assert not said


def test_a_defect_is_said_and_leaves_no_empty_items(doc, run_entry, said, monkeypatch):
    from eels_iontransport import image as decomposing

    def fail(*arguments, **options):
        raise ZeroDivisionError("of no use")

    monkeypatch.setattr(decomposing, "decompose_image", fail)
    run = run_entry(doc.add("SI", spectrum_image()))
    doc.pump(lambda: not run.is_running)
    assert said == ["'SI' could not be mapped (ZeroDivisionError: of no use)."]
    assert [item.title for item in doc.model.data_items] == ["SI"]


def test_nobody_is_left_waiting_where_it_cannot_begin(doc):
    with pytest.raises(UnusableInput, match="no material 'steel'"):
        mapping.map_image(doc.model, "steel", [doc.add("SI", spectrum_image())], lambda sentence: None)
    assert len(doc.model.data_items) == 1
