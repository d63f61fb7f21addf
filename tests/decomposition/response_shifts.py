"""What responses do to a weighted sum of a peak's centres, found by fitting the spectra again with each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from eels_iontransport.data.noise import NoiseModel
from eels_iontransport.decomposition.fitting import Setup, fit_aloof, fit_together
from eels_iontransport.decomposition.response import Response
from eels_iontransport.decomposition.response_draws import through_voigts
from eels_iontransport.measure.alignment import Aligned

ENOUGH = 0.75  # of the fits have to find the centres


def shifts(
    setup: Setup,
    spectra: Sequence[Aligned],
    ensemble: Sequence[Response],
    peak: str,
    weights: np.ndarray,
    aloof: tuple[Aligned, NoiseModel] | None = None,
) -> np.ndarray:
    """The weighted sum of a peak's centres under each response, (e,); nan where a centre is not determined.

    weights: (n,) of the spectra. aloof: the aloof spectrum and its noise, if polariton shapes are to be found anew with
    each response; else they stay as they are in the setup. Raises UnusableInput.
    """
    start = fit_together(setup, spectra)
    used = weights != 0
    found = np.full(len(ensemble), np.nan)
    for i, response in enumerate(ensemble):
        other = replace(setup, response=response)
        if aloof is not None:
            _, shapes = fit_aloof(replace(other, polaritons=None, noise=aloof[1]), aloof[0])
            other = replace(other, polaritons=shapes)
        fitted = fit_together(other, spectra, start=start)
        centres, railed = fitted.value(peak, "centre_mev"), fitted.railed["centre_mev"][:, fitted.index(peak)]
        if not railed[used].any():
            found[i] = float(weights[used] @ centres[used])
    return found


def shift_spread(
    setup: Setup,
    spectra: Sequence[Aligned],
    ensemble: Sequence[Response],
    peak: str,
    weights: np.ndarray,
    aloof: tuple[Aligned, NoiseModel] | None = None,
) -> float:
    """Standard deviation in meV of a weighted sum of a peak's centres over an ensemble of responses.

    nan where fewer than ENOUGH of the fits determine it. Arguments as for `shifts`. Raises UnusableInput.
    """
    found = shifts(setup, spectra, ensemble, peak, weights, aloof)
    known = found[np.isfinite(found)]
    if known.size < max(2, ENOUGH * found.size):
        return np.nan
    return float(known.std(ddof=1))


def misfit_shift(setup: Setup, spectra: Sequence[Aligned], peak: str, weights: np.ndarray) -> float:
    """By how much, in meV, a weighted sum of a peak's centres is off as the Voigts are not quite the response.

    What the fitted lines would be through the response as measured is taken from the counts, and what they are through
    its Voigts put in place; the spectra fitted again tell the difference. nan where a centre is not determined, or the
    setup has no response. Raises UnusableInput.
    """
    if setup.response is None:
        return np.nan
    fitted = fit_together(setup, spectra)
    described = through_voigts(fitted, spectra, setup.response)
    again = fit_together(setup, described, start=fitted)
    used = weights != 0
    before, after = (weights[used] @ found.value(peak, "centre_mev")[used] for found in (fitted, again))
    return float(before - after)
