"""What the decomposition benchmark hands to the engine is the problem that its judges and peers know."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import ours, peers, published_speed
from benchmarks.kkt import kkt_residuals
from benchmarks.published_model import GAMMAS, LDO_CENTRE, SIGMAS, chi2, limits, recipe_start
from benchmarks.published_spectra import published_spectra


@pytest.fixture(scope="module")
def spectra():
    return published_spectra(200, 1.0, 11).some(6)


def test_the_engine_solves_the_problem_of_the_peers(spectra) -> None:
    start = recipe_start(1.0)
    run = ours.fit_from(spectra, start[None], fwhm_limits=False)
    theirs = peers.with_scipy(spectra, start)
    np.testing.assert_allclose(chi2(spectra, run.parameters), chi2(spectra, theirs.parameters), atol=0.5)
    assert np.median(kkt_residuals(spectra, run.parameters)) < 0.1


def test_limits_on_the_fwhm_are_those_of_the_recipe() -> None:
    weak = published_spectra(100, 0.1, 12)
    runs = [ours.fit_robust(weak, fwhm_limits=fwhm_limits).parameters for fwhm_limits in (False, True)]
    without, limited = (
        1.0692 * p[:, GAMMAS] + np.sqrt(0.8664 * p[:, GAMMAS] ** 2 + 5.545177 * p[:, SIGMAS] ** 2) for p in runs
    )
    assert without.min() < 7.9  # they matter here
    assert limited.min() > 8.0 - 1e-6


def test_robust_starts_are_within_the_limits_and_differ() -> None:
    starts = ours.robust_starts(recipe_start(1.0))
    lower, upper = limits()
    assert starts.shape == (4, 19)
    assert np.all((starts >= lower) & (starts <= upper))
    assert len(np.unique(starts[:, [LDO_CENTRE, SIGMAS.start]], axis=0)) == 4


def test_a_peer_that_is_not_installed_is_a_row_without_a_number(spectra) -> None:
    def absent(spectra, start):
        raise ImportError("No module named 'absent'")

    (figure,) = published_speed.peer_figures("absent", absent, [spectra], [recipe_start(1.0)], 1500.0)
    assert np.isnan(figure.measured) and not figure.met
    assert figure.spread == "not installed"
