"""The functions for scripts: peaks of every spectrum, and the same fit as an lmfit model."""

from __future__ import annotations

import numpy as np
import pytest

import eels_iontransport as eit
from eels_iontransport.data.errors import UnusableInput

from .decomposition import synthetic
from .test_fits import LCO, spectra


@pytest.fixture(scope="module")
def given():
    return spectra(synthetic.grain(), 11, 9), spectra(synthetic.POLARITONS, 12)


def test_peaks_of_every_row(given):
    line, aloof = given
    found = eit.decompose(line, LCO, aloof=aloof)
    centre, sigma = found.value("LDO", "centre_mev"), found.sigma("LDO", "centre_mev")
    assert centre.shape == (9,) and np.all(np.abs(centre - 49.6) < 5 * sigma)
    assert found.polaritonic.shape == found.residual.shape and np.all(found.optima >= 1)


def test_lmfit_finds_the_same_and_reports_on_it(given):
    line, aloof = given
    spectrum = type(line)(line.counts[0], line.energy, line.valid[:1], noise=line.noise)
    found = eit.decompose(spectrum, LCO, aloof=aloof)
    minimizer = eit.reference_model(spectrum, LCO, aloof=aloof)
    refitted = minimizer.minimize(method="least_squares")
    value = refitted.params["LDO_centre"].value
    assert abs(value - found.value("LDO", "centre_mev")[0]) < 0.05 * found.sigma("LDO", "centre_mev")[0]


def test_stretches_of_a_line_are_one_model(given):
    line, aloof = given
    parameters = eit.reference_model(line, LCO, aloof=aloof).params
    assert {"LDO_centre_0", "LDO_centre_2", "LDO_gamma"} <= set(parameters) and "LDO_gamma_0" not in parameters


def test_rows_fitted_by_themselves_have_no_common_model(given):
    with pytest.raises(UnusableInput, match="give one spectrum"):
        eit.reference_model(given[0], LCO, aloof=given[1], mode="wide")
