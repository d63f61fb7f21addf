"""What the parameters of a fit are called where they have names.

With _0, _1 ... behind the names of those that each of several spectra has for itself:

    LDO_centre, LDO_sigma, LDO_gamma, LDO_area   of every peak, in meV and counts meV; LDO_fwhm follows from them
    LDO_sigma_fraction                           where the FWHM is limited: LDO_sigma follows from it, so far between
                                                 the least and the largest that the limits allow
    background_0, background_1 ...               coefficients of the background functions
    polariton_offset                             added to the centres of the polaritonic peaks
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from .problem import Layout


class Names:
    """Names of parameters: theta (p,); of the lines, each (n, K); offset (K,), "" for none; background (n, q)."""

    def __init__(self, layout: Layout, peaks: Sequence[str], functions: int):
        spectra, peaks = len(layout.centre), _identifiers(peaks)
        limited = layout.fwhm_limits is not None
        apart = np.arange(spectra)[:, None]
        either = layout.sigma + layout.lower.size * layout.gamma  # differs where one of the two does
        self.centre = _names(peaks, "_centre", layout.centre)
        self.searched_sigma = _names(peaks, "_sigma_fraction" if limited else "_sigma", layout.sigma)
        self.gamma = _names(peaks, "_gamma", layout.gamma)
        self.sigma = _names(peaks, "_sigma", either) if limited else self.searched_sigma
        self.fwhm = _names(peaks, "_fwhm", either)
        self.area = _names(peaks, "_area", apart)
        self.background = _names([f"background_{j}" for j in range(functions)], "", apart)
        self.offset = np.where(layout.offset >= 0, "polariton_offset", "")
        self.theta = np.full(layout.lower.size, "", object)
        self.theta[layout.offset[layout.offset >= 0]] = "polariton_offset"
        self.theta[layout.centre] = self.centre
        self.theta[layout.sigma] = self.searched_sigma
        self.theta[layout.gamma] = self.gamma


def _names(stems: Sequence[str], quantity: str, index: np.ndarray) -> np.ndarray:
    """stem + quantity for each of n spectra, (n, stems); numbered where the spectra's parameters are not the same."""
    index = np.broadcast_to(index, (len(index), len(stems)))
    common = np.all(index == index[0], axis=0)
    return np.array(
        [[f"{s}{quantity}" + ("" if c else f"_{b}") for s, c in zip(stems, common)] for b in range(len(index))], object
    ).reshape(index.shape)


def _identifiers(names: Sequence[str]) -> list[str]:
    """The names as lmfit can take them: letters, digits and underscores, all different."""
    result: list[str] = []
    for name in names:
        name = re.sub(r"^(?=\d)|\W", "_", name, flags=re.ASCII)
        while name in result:
            name += "_"
        result.append(name)
    return result
