"""Plural scattering against the Poisson series that made it."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest

from eels_iontransport.data.spectrum import EnergyAxis, make_spectra
from eels_iontransport.measure.plural import plural_scattering, single_scattering

FINE_EV = 0.1
SIZE = 6000
VALENCE = EnergyAxis(-10.0, 0.05, 2048)  # ends at 92 eV
CORE_LOSS = EnergyAxis(20.0, 0.1, 1024)


def single():
    """A plasmon at 26 eV and an edge at 55 eV; area 1."""
    energy = FINE_EV * np.arange(SIZE)
    plasmon = np.where(energy > 2, energy / ((energy**2 - 26.0**2) ** 2 + (energy * 12.0) ** 2), 0.0)
    edge = np.where(energy > 55, 0.1 * plasmon.max() * (np.maximum(energy, 1.0) / 55) ** -3.0, 0.0)
    return (plasmon + edge) / (plasmon + edge).sum()


def orders(t, count=9):
    """Counts per zero-loss electron of n-fold scattering, n = 1..count, by direct convolution."""
    once, result = single(), []
    many = np.array([1.0])
    for n in range(1, count + 1):
        many = np.convolve(many, once)[:SIZE]
        result.append(t**n / factorial(n) * many)
    return np.array(result)


def seen(axis, loss, zero_ev, counts, zlp=True):
    """A spectrum of `counts` zero-loss electrons on an axis, its zero-loss peak 0.1 eV wide at zero_ev."""
    borders = axis.offset_ev - zero_ev + axis.step_ev * (np.arange(axis.size + 1) - 0.5)
    total = np.concatenate([[0.0], np.cumsum(loss)])
    result = counts * np.diff(np.interp(borders, FINE_EV * (np.arange(SIZE + 1) - 0.5), total))
    if zlp:
        peak = np.exp(-0.5 * ((axis.energies_ev - zero_ev) / 0.05) ** 2)
        result = result + counts * peak / peak.sum()
    return result


@pytest.mark.parametrize("t", [0.1, 0.55, 1.2])
def test_fourier_logarithm_finds_single_scattering(t):
    loss = orders(t).sum(axis=0)
    found = single_scattering(FINE_EV * np.arange(1000), loss[:1000])
    expected = t * single()[:1000]
    assert np.abs(found - expected)[:900].max() < 0.01 * expected.max()


@pytest.mark.parametrize("t", [0.3, 0.55, 1.0])
def test_plural_part_of_a_core_loss_spectrum(t):
    parts = orders(t)
    valence = make_spectra(seen(VALENCE, parts.sum(axis=0), 0.0, 1e6)[None], VALENCE)
    core_loss = make_spectra(seen(CORE_LOSS, parts.sum(axis=0), 0.0, 2e7, zlp=False)[None], CORE_LOSS)
    found = plural_scattering(core_loss, valence)
    expected = seen(CORE_LOSS, parts[1:].sum(axis=0), 0.0, 2e7, zlp=False)
    around_edge = CORE_LOSS.channels(40.0, 85.0)
    assert found.flags == ()
    assert found.counts[0, around_edge] == pytest.approx(expected[around_edge], rel=0.015)


@pytest.mark.parametrize("zero_ev", [-0.6, 0.0, 1.3])
def test_energy_zero_of_a_scan_without_zero_loss_peak(zero_ev):
    loss = orders(0.55).sum(axis=0)
    valence = make_spectra(seen(VALENCE, loss, 0.2, 1e6)[None], VALENCE)
    core_loss = make_spectra(seen(CORE_LOSS, loss, zero_ev, 2e7, zlp=False)[None], CORE_LOSS)
    found = plural_scattering(core_loss, valence)
    assert found.zero_ev[0] == pytest.approx(zero_ev, abs=0.03)
    assert found.scale[0] == pytest.approx(2e7, rel=0.01)


def test_noise_of_the_valence_scan_hardly_matters():
    loss = orders(0.55).sum(axis=0)
    clean = seen(VALENCE, loss, 0.0, 3e6)
    rows = np.random.default_rng(0).poisson(clean, (20, VALENCE.size)).astype(float)
    core_loss = make_spectra(np.tile(seen(CORE_LOSS, loss, 0.0, 2e7, zlp=False), (20, 1)), CORE_LOSS)
    found = plural_scattering(core_loss, make_spectra(rows, VALENCE)).counts
    at_edge = CORE_LOSS.channels(50.0, 70.0)
    assert found[:, at_edge].std(axis=0).mean() < 0.01 * found[:, at_edge].mean()


def scans(rows=2):
    loss = orders(0.55).sum(axis=0)
    valence = np.tile(seen(VALENCE, loss, 0.0, 1e6), (rows, 1))
    return valence, np.tile(seen(CORE_LOSS, loss, 0.0, 2e7, zlp=False), (rows, 1))


def test_rows_without_valence_scan_stay_nan():
    valence, core_loss = scans(3)
    valence[0] = np.nan
    valence[1] = 0.0
    found = plural_scattering(make_spectra(core_loss, CORE_LOSS), make_spectra(valence, VALENCE))
    assert found.known.tolist() == [False, False, True]
    assert np.isnan(found.counts[:2]).all()
    assert [flag.code for flag in found.flags] == ["PLURAL_UNKNOWN"]


def test_other_number_of_pixels_is_told():
    valence, core_loss = scans(3)
    found = plural_scattering(make_spectra(core_loss, CORE_LOSS), make_spectra(valence[:2], VALENCE))
    assert not found.known.any()
    assert [flag.code for flag in found.flags] == ["PLURAL_PIXELS"]


def test_scans_that_do_not_overlap_are_told():
    valence, _ = scans(1)
    far = EnergyAxis(43.0, 0.1, 512)
    core_loss = make_spectra(seen(far, orders(0.55).sum(axis=0), 0.0, 2e7, zlp=False)[None], far)
    found = plural_scattering(core_loss, make_spectra(valence, VALENCE))
    assert [flag.code for flag in found.flags] == ["PLURAL_UNKNOWN"]
