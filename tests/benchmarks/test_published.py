"""The judges of the decomposition benchmark: its spectra, its own model, reference and optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from benchmarks import kkt, ours, peers, reference
from benchmarks.published_model import (
    AREAS,
    GAMMAS,
    LDO_CENTRE,
    POLARITON_COUNT,
    SIGMAS,
    chi2,
    limits,
    model,
    recipe_start,
)
from benchmarks.published_spectra import PHONON_AREAS, PHONONS, POLARITON_AREAS, published_spectra

TRUE = np.concatenate([POLARITON_AREAS, PHONON_AREAS, *PHONONS.T])
FWHM = 8.0


@pytest.fixture(scope="module")
def spectra():
    return published_spectra(40, 1.0, 7)


def test_the_spectra_are_noise_about_the_model_and_shift_at_the_boundary() -> None:
    many = published_spectra(2000, 1.0, 3)
    grain = slice(0, 400)
    assert many.counts.shape == (2000, 176) and many.energy_mev[-1] == pytest.approx(95.0)
    np.testing.assert_allclose(many.ldo_mev[grain], 49.6, atol=1e-3)
    assert many.ldo_mev.max() == pytest.approx(51.4, abs=1e-3)
    np.testing.assert_allclose(many.counts[grain].mean(axis=0), model(many.energy_mev, TRUE), rtol=0.02)
    # Fourth differences see the noise, and next to nothing of lines this wide.
    noise = np.diff(many.counts[grain], 4, axis=1) / many.sigma[grain, 2:-2]
    assert noise.std() == pytest.approx(np.sqrt(70.0), rel=0.02)


def test_dose_scales_counts_and_noise() -> None:
    weak, strong = (published_spectra(200, dose, 5) for dose in (0.1, 10.0))
    assert strong.counts.mean() / weak.counts.mean() == pytest.approx(100, rel=0.01)
    assert (strong.sigma**2).mean() / (weak.sigma**2).mean() == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize("piece", [*reference.pieces(None), *reference.pieces(FWHM)], ids=lambda p: str(p.narrow))
def test_derivatives(piece: reference.Piece) -> None:
    energy = np.linspace(25.0, 95.0, 36)
    lower, upper = piece.limits()
    place = np.concatenate([TRUE[AREAS], (lower + 0.4 * (upper - lower))[AREAS.stop :]])
    expected = approx_fprime(place, lambda q: model(energy, piece.parameters(q)), 1e-6)
    np.testing.assert_allclose(piece.jacobian(energy, place), expected, rtol=2e-4, atol=2e-2)


def test_pieces_cover_the_limits_and_nothing_else() -> None:
    random, (lower, upper) = np.random.default_rng(0), limits()
    for piece in reference.pieces(FWHM):
        box = piece.limits()
        place = np.concatenate([TRUE[AREAS], random.uniform(*(limit[AREAS.stop :] for limit in box))])
        parameters = piece.parameters(place)
        sigma, gamma = parameters[SIGMAS], parameters[GAMMAS]
        fwhm = 1.0692 * gamma + np.sqrt(0.8664 * gamma**2 + 5.545177 * sigma**2)
        assert np.all((parameters >= lower - 1e-9) & (parameters <= upper + 1e-9))
        assert np.all((fwhm >= FWHM - 1e-9) & (fwhm <= 20.0))
    lowest = np.array([piece.limits()[0][GAMMAS] for piece in reference.pieces(FWHM)])
    np.testing.assert_allclose(lowest.min(axis=0), lower[GAMMAS])


def test_the_reference_is_at_least_as_good_as_one_start_and_an_optimum(spectra) -> None:
    one = spectra.some(1)
    start = recipe_start(1.0)
    best, centre = reference.best_optimum(one.energy_mev, start, None, one.counts[0], one.sigma[0], 0)
    limited, _ = reference.best_optimum(one.energy_mev, start, FWHM, one.counts[0], one.sigma[0], 0)
    single = peers.with_scipy(one, start)
    assert best <= chi2(one, single.parameters)[0] + 1e-9
    assert limited >= best - 1e-6
    assert 49.0 <= centre <= 52.0


def test_conditions_of_an_optimum_hold_at_one_and_nowhere_else(spectra) -> None:
    few = spectra.some(3)
    # Not scipy's: how near to an optimum its trust region stops differs between releases and processors.
    found = ours.fit_from(few, recipe_start(1.0)[None], fwhm_limits=False).parameters
    lower, upper = limits()
    at_optimum = kkt.kkt_residuals(few, found)
    moved = found.copy()
    moved[:, LDO_CENTRE] = 0.5 * (lower + upper)[LDO_CENTRE]
    assert np.all(at_optimum < 0.3)
    assert np.all(kkt.kkt_residuals(few, moved) > 3 * at_optimum)


def test_a_limit_that_should_be_left_counts_and_one_that_should_not_does_not(spectra) -> None:
    one = spectra.some(1)
    exact = np.array([model(one.energy_mev, TRUE)])
    noiseless = type(one)(1.0, one.energy_mev, exact, one.sigma, one.ldo_mev)
    assert kkt.kkt_residuals(noiseless, TRUE[None])[0] < 1e-9
    lower, upper = limits()
    stuck = TRUE.copy()
    stuck[LDO_CENTRE] = lower[LDO_CENTRE]  # the truth lies inside
    assert kkt.kkt_residuals(noiseless, stuck[None])[0] > 1.0
    # A line that lies below its limit: at the limit, its centre holds still, whatever else moves.
    beyond = TRUE.copy()
    beyond[LDO_CENTRE] = lower[LDO_CENTRE] - 2.0
    pressed = type(one)(1.0, one.energy_mev, np.array([model(one.energy_mev, beyond)]), one.sigma, one.ldo_mev)
    best = peers.with_scipy(pressed, stuck).parameters
    best[:, LDO_CENTRE] = lower[LDO_CENTRE]
    assert kkt.kkt_residuals(pressed, best)[0] < 1e-4
    inside = best.copy()
    inside[:, LDO_CENTRE] += 1e-6
    assert kkt.kkt_residuals(pressed, inside)[0] > 0.1


@pytest.mark.parametrize("peer", [peers.with_scipy, peers.with_lmfit])
def test_peers_keep_to_the_limits_and_report_what_they_fitted(spectra, peer: peers.Peer) -> None:
    few = spectra.some(2)
    run = peer(few, recipe_start(1.0))
    lower, upper = limits()
    assert run.rate > 0 and run.parameters.shape == (2, 19)
    assert np.all((run.parameters >= lower) & (run.parameters <= upper))
    assert np.all(chi2(few, run.parameters) < 1.6 * (176 - 19))
    assert np.all(run.parameters[:, AREAS][:, POLARITON_COUNT:] > 0)


def test_hyperspy_fits_the_same_model(spectra) -> None:
    pytest.importorskip("hyperspy")
    few = spectra.some(2)
    run = peers.with_hyperspy(few, recipe_start(1.0))
    np.testing.assert_allclose(
        chi2(few, run.parameters), chi2(few, peers.with_scipy(few, recipe_start(1.0)).parameters), rtol=0.02
    )
