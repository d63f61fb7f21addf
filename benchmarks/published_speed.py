"""Spectra of the published model per second, beside those of the peers in the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import ours, peers
from .figure import Figure, spread
from .peers import Peer, Run
from .published_model import chi2, recipe_start
from .published_spectra import PublishedSpectra, published_spectra

SEEDS = (1000, 1001, 1002)  # one for each repetition; none of them is used anywhere else
IMAGE = (64, 64)
SPECTRA = IMAGE[0] * IMAGE[1]
PEER_SPECTRA = 12  # of those, in each repetition
DOSE = 1.0
BETTER = 0.01  # in chi-squared

WARM_GOAL, ROBUST_GOAL = 8000.0, 3000.0  # spectra/s
IMAGE_GOAL_S = 1.5
PEERS: tuple[tuple[str, Peer, float], ...] = (
    ("lmfit least_squares", peers.with_lmfit, 3000.0),
    ("HyperSpy trf", peers.with_hyperspy, 1500.0),
    ("scipy trf, analytic Jacobian", peers.with_scipy, -np.inf),
)


@dataclass(frozen=True, eq=False)
class Duel:
    """A peer beside us on the same spectra, from the same start, within the same limits."""

    rate: float
    times: float
    excess: np.ndarray  # chi-squared of the peer less ours


def measure() -> list[Figure]:
    sets = [published_spectra(SPECTRA, DOSE, seed) for seed in SEEDS]
    ours.warm_up(sets[0].some(8))
    return [*_rates(sets), _image(sets), *_against_peers(sets)]


def _rates(sets: list[PublishedSpectra]) -> list[Figure]:
    figures = []
    for name, fit, goal in (
        ("published model, warm single start", ours.fit_warm, WARM_GOAL),
        (f"published model, robust, {ours.ROBUST_STARTS} starts", ours.fit_robust, ROBUST_GOAL),
    ):
        rates = [fit(spectra).rate for spectra in sets]
        figures.append(Figure(name, "spectra/s", float(np.median(rates)), low=goal, spread=spread(rates)))
    return figures


def _image(sets: list[PublishedSpectra]) -> Figure:
    seconds = [ours.fit_robust(spectra).seconds for spectra in sets]
    name = f"image of {IMAGE[0]} x {IMAGE[1]} spectra, robust"
    return Figure(name, "s", float(np.median(seconds)), high=IMAGE_GOAL_S, spread=spread(seconds))


def _against_peers(sets: list[PublishedSpectra]) -> list[Figure]:
    """From the optimum of the mean, and from where the recipe starts."""
    from_mean = [peers.with_scipy(spectra.mean(), recipe_start(DOSE)).parameters[0] for spectra in sets]
    from_recipe = [recipe_start(DOSE)] * len(sets)
    figures = []
    for name, peer, goal in PEERS:
        figures += peer_figures(f"{name}, from the mean's optimum", peer, sets, from_mean, goal)
        figures += peer_figures(f"{name}, from the recipe's start", peer, sets, from_recipe, -np.inf)
    return figures


def peer_figures(
    name: str, peer: Peer, sets: list[PublishedSpectra], starts: list[np.ndarray], goal: float
) -> list[Figure]:
    try:
        duels = [_duel(peer, spectra, start) for spectra, start in zip(sets, starts)]
    except ImportError:
        return [Figure(f"times {name}", "", np.nan, low=goal, spread="not installed")]
    rates, times = [d.rate for d in duels], [d.times for d in duels]
    excess = np.concatenate([d.excess for d in duels])
    beside = f"{np.mean(excess < -BETTER):.0%} of theirs better, {np.mean(excess > BETTER):.0%} of ours, by {BETTER}"
    return [
        Figure(name, "spectra/s", float(np.median(rates)), spread=spread(rates)),
        Figure(f"times {name}", "", float(np.median(times)), low=goal, spread=spread(times)),
        Figure(f"{name}: chi2 less ours, median", "", float(np.median(excess)), spread=beside),
    ]


def _duel(peer: Peer, spectra: PublishedSpectra, start: np.ndarray) -> Duel:
    few = spectra.some(PEER_SPECTRA)
    theirs = peer(few, start)
    mine: Callable[[PublishedSpectra], Run] = lambda s: ours.fit_from(s, start[None], fwhm_limits=False)  # noqa: E731
    excess = chi2(few, theirs.parameters) - chi2(few, mine(few).parameters)
    return Duel(theirs.rate, mine(spectra).rate / theirs.rate, excess)
